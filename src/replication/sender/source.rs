//! A version to be replicated, as the role of the configuration may see it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderMap;
use strata_storage::{
    Bucket, BucketName, Error, ObjectInfo, ObjectKey, OpenObject, Replicate, ReplicationRule, Timestamp,
    VersionSelector,
};

use super::Sender;
use super::fault::Fault;
use crate::authorize::{self, Asking, Resource};
use crate::body::Body;
use crate::encryption::{self, Side};
use crate::identity::Identity;
use crate::origin::Origin;
use crate::replication::trusted_role;
use crate::request::{Query, Request, RequestName};
use crate::route::Operation;

/// What the role's sessions are called.
const SESSION: &str = "s3-replication";

/// The source bucket, the rule, and who sends.
pub struct Source {
    pub name: BucketName,
    pub rule: ReplicationRule,
    caller: Arc<Identity>,
    now: Timestamp,
}

impl Source {
    /// What a task is about. `Err` if its rule is gone, or its role may not be taken on.
    pub fn of(sender: &Sender, bucket: &Bucket, replicate: &Replicate) -> Result<Source, Fault> {
        let lasting = |reason: &str| Fault::Lasting(reason.to_owned());
        let replication = bucket.replication.as_ref().ok_or_else(|| lasting("SrcBucketReplicationConfigMissing"))?;
        let rule = replication.rule(&replicate.rule).filter(|rule| rule.enabled).cloned();
        let rule = rule.ok_or_else(|| lasting("SrcBucketReplicationConfigMissing"))?;
        let name = BucketName::parse(&bucket.name).map_err(|error| lasting(&error.to_string()))?;
        let now = sender.clock.now();
        let snapshot = sender.context.directory.snapshot();
        let arn = format!("arn:aws:s3:::{name}");
        let (roster, role) = trusted_role(&snapshot, &replication.role, (&arn, bucket.owner), now)
            .map_err(|_| lasting("AssumeRoleNotPermitted"))?;
        let caller = Arc::new(snapshot.identity_of_role(roster, role, SESSION));
        Ok(Source { name, rule, caller, now })
    }

    /// Opens the version, which may be read then. `Err(Gone)` if it was removed.
    pub async fn open(&self, sender: &Sender, replicate: &Replicate, key: &ObjectKey) -> Result<OpenObject, Fault> {
        let (ctx, version) = (&sender.context, replicate.version_id());
        let resource = Resource::Object(&self.name, key, Some(version));
        let about = (Operation::GetObject, Some(self.name.clone()), Some(key.clone()));
        let request = self.request(about, HeaderMap::new(), &[]);
        self.require(sender, "s3:GetObjectVersionForReplication", resource, "SrcGetObjectNotPermitted").await?;
        let mut object = match ctx.store.object(&self.name, key, VersionSelector::Id(version)).await {
            Ok(object) => object,
            Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => return Err(Fault::Gone),
            Err(error) => return Err(Fault::from(&error)),
        };
        if object.info().stamp != replicate.version {
            // Another `null` version has taken its place, and has a task of its own.
            return Err(Fault::Gone);
        }
        if !object.info().readable {
            // As at S3, what is archived has to be restored and copied first.
            return Err(Fault::Lasting("SrcObjectNotEligible".to_owned()));
        }
        if matches!(object.info().protection.encryption, strata_storage::Encryption::Customer(_)) {
            // Only the customer could open it, and the copy would have to be sealed anew.
            return Err(Fault::Lasting("SrcObjectNotEligible".to_owned()));
        }
        if let Err(error) = encryption::unseal(ctx, &request, &self.name, &mut object, Side::Read).await {
            return match error.status.is_server_error() {
                true => Err(Fault::Passing(error.message.into_owned())),
                false => Err(Fault::Lasting("SrcKmsKeyInvalidState".to_owned())),
            };
        }
        Ok(object)
    }

    /// Whether the role may read the version's tags; without that objects go and tags do not.
    pub async fn may_read_tags(&self, sender: &Sender, replicate: &Replicate, key: &ObjectKey) -> bool {
        let resource = Resource::Object(&self.name, key, Some(replicate.version_id()));
        self.require(sender, "s3:GetObjectVersionTagging", resource, "").await.is_ok()
    }

    /// Whether a version is the newest of its key.
    pub async fn is_current(&self, sender: &Sender, info: &ObjectInfo, key: &ObjectKey) -> Result<bool, Fault> {
        match sender.context.store.object(&self.name, key, VersionSelector::Current).await {
            Ok(current) => Ok(current.info().stamp == info.stamp),
            Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => Ok(false),
            Err(error) => Err(Fault::Passing(error.to_string())),
        }
    }

    async fn require(
        &self,
        sender: &Sender,
        action: &'static str,
        resource: Resource<'_>,
        reason: &str,
    ) -> Result<(), Fault> {
        let asking = Asking {
            caller: Arc::clone(&self.caller),
            origin: local(),
            operation: None,
            bucket: Some(self.name.clone()),
            headers: Arc::default(),
            query: Arc::new(Query::default()),
            signing: None,
            now: self.now,
            said: None,
            through: None,
        };
        match authorize::require_of(&sender.context, &asking, action, resource).await {
            Ok(()) => Ok(()),
            Err(error) if error.status.is_server_error() => Err(Fault::Passing(error.message.into_owned())),
            Err(_) => Err(Fault::Lasting(reason.to_owned())),
        }
    }

    /// A request of the role within this process.
    pub fn request(
        &self,
        (operation, bucket, key): (Operation, Option<BucketName>, Option<ObjectKey>),
        headers: HeaderMap,
        query: &[(&str, &str)],
    ) -> Request {
        let raw_path = format!("/{}", self.name);
        let name =
            RequestName { resource: raw_path.clone(), request_id: SESSION.to_owned(), host_id: SESSION.to_owned() };
        Request {
            name: Arc::new(name),
            caller: Arc::clone(&self.caller),
            origin: local(),
            signing: None,
            operation,
            through: None,
            said: None,
            bucket,
            key,
            query: Arc::new(Query::of(query)),
            headers: Arc::new(headers),
            body: Body::empty(),
            now: self.now,
            host: String::new(),
            raw_path,
        }
    }
}

/// What comes from the server itself, over no network.
fn local() -> Origin {
    Origin { source: IpAddr::V4(Ipv4Addr::LOCALHOST), secure: true, tls_version: None, vpc: None, vpc_endpoint: None }
}

//! A version to be replicated, as the role of the configuration may see it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderMap;
use strata_storage::{
    BucketName, Error, ObjectInfo, ObjectKey, OpenObject, Replicate, ReplicationRule, Timestamp, VersionSelector,
};

use super::Sender;
use super::fault::Fault;
use super::grant::{Grant, SESSION};
use crate::authorize::{self, Asking, Resource};
use crate::body::Body;
use crate::encryption::{self, Side};
use crate::origin::Origin;
use crate::request::{Query, Request, RequestName};
use crate::route::Operation;

/// A rule and who sends by it, at one moment.
pub struct Source {
    grant: Arc<Grant>,
    now: Timestamp,
}

impl Source {
    /// What sends by `grant` now.
    pub fn new(grant: Arc<Grant>, now: Timestamp) -> Source {
        Source { grant, now }
    }

    /// The source bucket.
    pub fn bucket(&self) -> &BucketName {
        &self.grant.bucket
    }

    /// The rule.
    pub fn rule(&self) -> &ReplicationRule {
        &self.grant.rule
    }

    /// Opens the version, which may be read then. `Err(Gone)` if it was removed.
    pub async fn open(&self, sender: &Sender, replicate: &Replicate, key: &ObjectKey) -> Result<OpenObject, Fault> {
        let (ctx, version) = (&sender.context, replicate.version_id());
        let resource = Resource::Object(self.bucket(), key, Some(version));
        let about = (Operation::GetObject, Some(self.bucket().clone()), Some(key.clone()));
        let request = self.request(about, HeaderMap::new(), &[]);
        self.require(sender, "s3:GetObjectVersionForReplication", resource, "SrcGetObjectNotPermitted").await?;
        let mut object = match ctx.store.object(self.bucket(), key, VersionSelector::Id(version)).await {
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
        if let Err(error) = encryption::unseal(ctx, &request, self.bucket(), &mut object, Side::Read).await {
            return match error.status.is_server_error() {
                true => Err(Fault::Passing(error.message.into_owned())),
                false => Err(Fault::Lasting("SrcKmsKeyInvalidState".to_owned())),
            };
        }
        Ok(object)
    }

    /// Whether the role may read the version's tags; without that objects go and tags do not.
    pub async fn may_read_tags(&self, sender: &Sender, replicate: &Replicate, key: &ObjectKey) -> bool {
        let resource = Resource::Object(self.bucket(), key, Some(replicate.version_id()));
        self.require(sender, "s3:GetObjectVersionTagging", resource, "").await.is_ok()
    }

    /// Whether a version is the newest of its key.
    pub async fn is_current(&self, sender: &Sender, info: &ObjectInfo, key: &ObjectKey) -> Result<bool, Fault> {
        match sender.context.store.object(self.bucket(), key, VersionSelector::Current).await {
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
            caller: Arc::clone(&self.grant.caller),
            origin: local(),
            operation: None,
            bucket: Some(self.bucket().clone()),
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
        let raw_path = format!("/{}", self.bucket());
        let name =
            RequestName { resource: raw_path.clone(), request_id: SESSION.to_owned(), host_id: SESSION.to_owned() };
        Request {
            name: Arc::new(name),
            caller: Arc::clone(&self.grant.caller),
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

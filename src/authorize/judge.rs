//! The one decision: identity policies, bucket policy, ACLs, Block Public Access, access point, session and boundary.
//!
//! What has to be looked up is looked up first, and only if a policy asks for it; the decision itself is pure.

use strata_storage::{AccountId, Bucket, BucketName, Error, ObjectKey, ObjectOwner, Tag, VersionId, VersionSelector};

use super::acl_grants::{self, Acls};
use super::asking::Asking;
use super::bucket_policies::BucketPolicy;
use super::keys::Keys;
use super::resource::{Resource, Through};
use crate::acl;
use crate::error::S3Error;
use crate::identity::{Identity, Who};
use crate::policy::{Action, ConditionKey, Decision, Layer, Opinions, Outcome, Question, Ruling, Source, combine};
use crate::public_access_block::{self, PublicAccessBlock};
use crate::request::Context;

/// What the root of a bucket's account can always do, whatever the policy says: or nobody could mend one that locks
/// everybody out.
const ALWAYS_OF_ROOT: [Action; 3] =
    [Action::known("s3:DeleteBucketPolicy"), Action::known("s3:GetBucketPolicy"), Action::known("s3:PutBucketPolicy")];

/// What is up to the owner of an object rather than to the bucket's, where they are not the same account. The bucket's
/// owner can still deny all, and remove, lock and restore what others own.
const OF_OBJECT_OWNER: [Action; 12] = [
    Action::known("s3:DeleteObjectTagging"),
    Action::known("s3:DeleteObjectVersionTagging"),
    Action::known("s3:GetObject"),
    Action::known("s3:GetObjectAcl"),
    Action::known("s3:GetObjectTagging"),
    Action::known("s3:GetObjectVersion"),
    Action::known("s3:GetObjectVersionAcl"),
    Action::known("s3:GetObjectVersionTagging"),
    Action::known("s3:PutObjectAcl"),
    Action::known("s3:PutObjectTagging"),
    Action::known("s3:PutObjectVersionAcl"),
    Action::known("s3:PutObjectVersionTagging"),
];

/// Where the grants of lists stand among what speaks for a bucket: behind its policy.
const OF_ACLS: Source = Source::Resource(1);

/// What a decision about something in a bucket goes by.
pub struct Facts<'a> {
    /// The request.
    pub asking: &'a Asking,
    /// What is asked.
    pub action: Action,
    /// About what.
    pub resource: Resource<'a>,
    /// The bucket that it is, or is in.
    pub bucket: &'a Bucket,
    /// The bucket's policy.
    pub policy: Option<&'a BucketPolicy>,
    /// Block Public Access of account and bucket together.
    pub block: PublicAccessBlock,
    /// The object, if that was looked up.
    pub object: Option<Found>,
    /// The access point that the request came through.
    pub through: Option<&'a Through>,
    /// The region of this server.
    pub region: &'a str,
}

/// What a look at an object found.
#[derive(Debug, Default)]
pub struct Found {
    /// Its owner, and its ACL as it is stored; `None` if there is no such object.
    pub owner: Option<ObjectOwner>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// Decides whether the caller may do `action` to `resource`, which is `bucket` or in it; without one, it is the caller's
/// own account.
pub async fn judge(
    ctx: &Context,
    asking: &Asking,
    action: Action,
    resource: Resource<'_>,
    bucket: Option<&Bucket>,
) -> Result<Outcome, S3Error> {
    let region = &ctx.config.region;
    let Some((name, bucket)) = resource.bucket().zip(bucket) else {
        return Ok(of_account(asking, action, resource, region));
    };
    if is_always_allowed(asking, action, bucket) {
        return Ok(Outcome::Allowed { by: None });
    }
    let policy = ctx.policies.of(name, bucket)?;
    let through = asking.through.as_deref();
    let has_acls = acl::acls_count(bucket);
    if policy.is_none() && through.is_none() && !has_acls && asking.is_unlimited_root_of(bucket.owner) {
        return Ok(Outcome::Allowed { by: None });
    }
    let asks_for_tags = mentions(&asking.caller, policy.as_deref(), through, ConditionKey::S3ExistingObjectTag);
    let object = match resource {
        Resource::Object(_, key, version) if asks_for_tags || has_acls && is_up_to_object(action) => {
            Some(look_up(ctx, name, key, version).await?)
        }
        _ => None,
    };
    let block = public_access_block::effective(ctx, bucket)?;
    decide(&Facts { asking, action, resource, bucket, policy: policy.as_deref(), block, object, through, region })
}

/// Whether nothing but an access control list allows it.
pub fn is_by_acl(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Allowed { by: Some((source, _)) } if *source == OF_ACLS)
}

/// Whether it matters for an action who owns the object, where that may be somebody else than the bucket's owner.
fn is_up_to_object(action: Action) -> bool {
    let of_list = acl::permission_for(action.name()).is_some_and(|(level, _)| level != acl::Level::Bucket);
    of_list || OF_OBJECT_OWNER.contains(&action)
}

/// Whether no policy can keep the caller from it.
pub fn is_always_allowed(asking: &Asking, action: Action, bucket: &Bucket) -> bool {
    asking.caller.who == Who::Root
        && asking.caller.account_id() == Some(bucket.owner)
        && ALWAYS_OF_ROOT.contains(&action)
}

/// Whether any policy that will be asked depends on a key.
pub fn mentions(
    caller: &Identity,
    policy: Option<&BucketPolicy>,
    through: Option<&Through>,
    key: ConditionKey,
) -> bool {
    let own = caller.policies.iter().chain(caller.session.iter().flatten()).chain(&caller.boundary);
    let of_door = through.and_then(|through| through.policy.as_ref());
    own.chain(of_door).any(|policy| policy.mentions(key)) || policy.is_some_and(|policy| policy.policy.mentions(key))
}

async fn look_up(
    ctx: &Context,
    bucket: &BucketName,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> Result<Found, S3Error> {
    let selector = version.map_or(VersionSelector::Current, VersionSelector::Id);
    match ctx.store.object(bucket, key, selector).await {
        Ok(object) => {
            let info = object.info();
            Ok(Found { owner: Some(info.protection.owner.clone()), tags: info.tags.clone() })
        }
        Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => Ok(Found::default()),
        Err(error) => Err(error.into()),
    }
}

/// What the caller may do in its own account, where no resource has a policy.
fn of_account(asking: &Asking, action: Action, resource: Resource<'_>, region: &str) -> Outcome {
    let Some(owner) = asking.caller.account_id() else { return Outcome::ImplicitDeny { missing: Layer::Identity } };
    let keys = Keys {
        asking,
        region,
        owner,
        bucket: None,
        version: None,
        object_tags: Some(&[]),
        through: None,
        unknown: Default::default(),
    };
    let principal = asking.caller.principal();
    let arn = resource.arn();
    let question = Question { principal: &principal, action, resource: &arn, keys: &keys };
    let own = asking.caller.decisions(&question);
    let owner = owner.to_string();
    let opinions = Opinions {
        principal: &principal,
        owner: &owner,
        identity: &own.identity,
        resource: &[],
        session: own.session,
        boundary: own.boundary,
        ruling: Ruling::Either,
    };
    known(&keys, action, combine(&opinions))
}

/// The decision about something in a bucket.
pub fn decide(facts: &Facts<'_>) -> Result<Outcome, S3Error> {
    let Facts { asking, action, resource, bucket, region, .. } = *facts;
    let owner = facts.owner();
    let version = match resource {
        Resource::Object(_, _, version) => version.map(|version| version.to_string()),
        Resource::Account | Resource::Arn(_) | Resource::Bucket(_) => None,
    };
    let object_tags = match (resource, &facts.object) {
        (Resource::Object(..), None) => None,
        (_, found) => Some(found.as_ref().map_or(&[][..], |found| &found.tags)),
    };
    let through = facts.through;
    let keys = Keys {
        asking,
        region,
        owner,
        bucket: Some(bucket),
        version,
        object_tags,
        through,
        unknown: Default::default(),
    };
    let principal = asking.caller.principal();
    let arn = resource.arn();
    let question = Question { principal: &principal, action, resource: &arn, keys: &keys };
    let mut own = asking.caller.decisions(&question);
    let door = through.map(|through| through.arn_of(resource));
    let at_door = door.as_deref().map(|door| Question { resource: door, ..question });
    if let Some(question) = &at_door {
        // The caller's own policies may name the access point or the bucket behind it.
        let by_door = asking.caller.decisions(question);
        own.identity.iter_mut().zip(&by_door.identity).for_each(|(one, other)| *one = either(*one, *other));
        own.session = own.session.zip(by_door.session).map(|(one, other)| either(one, other));
        own.boundary = own.boundary.zip(by_door.boundary).map(|(one, other)| either(one, other));
    }
    let of_policy = facts.policy.map_or(Decision::Silent, |policy| policy.policy.decide(&question));
    let without_acls = [facts.limited(of_policy), Decision::Silent];
    let behind = Opinions {
        principal: &principal,
        owner: &owner.to_string(),
        identity: &own.identity,
        resource: &without_acls,
        session: own.session,
        boundary: own.boundary,
        ruling: Ruling::Either,
    };
    // Lists are asked last, so that they are named as what allows only where nothing else does. They never deny.
    let mut outcome = combine(&behind);
    if !matches!(outcome, Outcome::Allowed { .. }) {
        outcome = combine(&Opinions { resource: &[without_acls[0], facts.of_acls()?], ..behind });
    }
    let outcome = known(&keys, action, outcome);
    let Some((through, question)) = through.zip(at_door) else { return Ok(outcome) };
    if !matches!(outcome, Outcome::Allowed { .. }) {
        return Ok(outcome);
    }
    let of_door = match &through.policy {
        Some(policy) => facts.limited_at_door(through, policy.decide(&question), policy.is_public()),
        None => Decision::Silent,
    };
    let account = through.account.to_string();
    let opinions = Opinions { owner: &account, resource: &[of_door], ..behind };
    Ok(match known(&keys, action, combine(&opinions)) {
        Outcome::Allowed { .. } => outcome,
        denied => denied,
    })
}

impl Facts<'_> {
    /// The account whose word counts.
    fn owner(&self) -> AccountId {
        let of_object = self.object.as_ref().and_then(|object| object.owner.as_ref());
        let counts = acl::acls_count(self.bucket) && OF_OBJECT_OWNER.contains(&self.action);
        of_object.filter(|_| counts).map_or(self.bucket.owner, |owner| owner.account)
    }

    /// What the bucket's policy says, as far as it may say that.
    fn limited(&self, said: Decision) -> Decision {
        if !matches!(said, Decision::Allow { .. }) {
            return said;
        }
        // A bucket's owner cannot give away what others own.
        let is_others = self.owner() != self.bucket.owner;
        let is_cut_off = self.policy.is_some_and(|policy| policy.is_public)
            && self.block.restrict_public_buckets
            && !self.is_of(self.bucket.owner);
        if is_others || is_cut_off { Decision::Silent } else { said }
    }

    fn limited_at_door(&self, through: &Through, said: Decision, is_public: bool) -> Decision {
        let is_cut_off = through.restricts_public && is_public && !self.is_of(through.account);
        match said {
            Decision::Allow { .. } if is_cut_off => Decision::Silent,
            said => said,
        }
    }

    fn is_of(&self, account: AccountId) -> bool {
        self.asking.caller.account_id() == Some(account)
    }

    /// What the ACLs of bucket and object grant.
    fn of_acls(&self) -> Result<Decision, S3Error> {
        let ignores_public =
            self.block.ignore_public_acls || self.through.is_some_and(|through| through.ignores_public_acls);
        let acls = Acls {
            bucket: self.bucket,
            object: self.object.as_ref().and_then(|object| object.owner.as_ref()),
            ignores_public,
        };
        acl_grants::decision(&acls, &self.asking.caller, self.action)
    }
}

/// What two readings of one policy say together.
fn either(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::Deny { .. }, _) | (Decision::Allow { .. }, Decision::Silent | Decision::Allow { .. }) => one,
        _ => other,
    }
}

/// The outcome, unless it rests on a key whose value nobody could know.
fn known(keys: &Keys<'_>, action: Action, outcome: Outcome) -> Outcome {
    match (keys.unknown.get(), outcome) {
        (Some(key), Outcome::Allowed { .. }) => {
            tracing::warn!(key = key.name(), action = action.name(), "refused: a policy asks what cannot be known");
            Outcome::ImplicitDeny { missing: Layer::Resource }
        }
        (_, outcome) => outcome,
    }
}

//! What an action is about, and what ARNs name it by.

use std::sync::Arc;

use strata_storage::{AccountId, BucketName, ObjectKey, Tag, VersionId};

use crate::policy::Policy;

/// What an action is about.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// Nothing but the account.
    Account,
    /// Something else of the caller's account, by its ARN.
    Arn(&'a str),
    /// A bucket.
    Bucket(&'a BucketName),
    /// An object, or one version of it.
    Object(&'a BucketName, &'a ObjectKey, Option<VersionId>),
}

impl<'a> Resource<'a> {
    /// The bucket that it is, or is in.
    pub fn bucket(self) -> Option<&'a BucketName> {
        match self {
            Resource::Account | Resource::Arn(_) => None,
            Resource::Bucket(bucket) | Resource::Object(bucket, ..) => Some(bucket),
        }
    }

    /// The ARN.
    pub fn arn(self) -> String {
        match self {
            // What policies name who allow to list buckets, if they do not name everything.
            Resource::Account => "arn:aws:s3:::*".to_owned(),
            Resource::Arn(arn) => arn.to_owned(),
            Resource::Bucket(bucket) => format!("arn:aws:s3:::{bucket}"),
            Resource::Object(bucket, key, _) => format!("arn:aws:s3:::{bucket}/{}", key.as_str()),
        }
    }
}

/// The access point that a request came through: a second policy that has to allow what it asks.
#[derive(Debug, Clone)]
pub struct Through {
    /// `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`
    pub arn: String,
    /// The account that it belongs to.
    pub account: AccountId,
    /// The network that it is bound to.
    pub vpc: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its policy.
    pub policy: Option<Arc<Policy>>,
    /// Whether its Block Public Access restricts public policies.
    pub restricts_public: bool,
    /// Whether it makes public grants of ACLs count for nothing.
    pub ignores_public_acls: bool,
}

impl Through {
    /// The ARN of a resource by way of this access point.
    pub fn arn_of(&self, resource: Resource<'_>) -> String {
        match resource {
            Resource::Account | Resource::Arn(_) | Resource::Bucket(_) => self.arn.clone(),
            Resource::Object(_, key, _) => format!("{}/object/{}", self.arn, key.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, BucketName, ObjectKey};

    use super::{Resource, Through};

    #[test]
    fn names() {
        let bucket = BucketName::parse("bucket").expect("a valid name");
        let key = ObjectKey::parse("a/b*?").expect("a valid key");
        let through = Through {
            arn: "arn:aws:s3:us-east-1:000000000001:accesspoint/door".to_owned(),
            account: AccountId::ROOT,
            vpc: None,
            tags: Vec::new(),
            policy: None,
            restricts_public: false,
            ignores_public_acls: false,
        };
        let check = |resource: Resource<'_>, direct: &str, by_door: &str| {
            assert_eq!((resource.arn().as_str(), through.arn_of(resource).as_str()), (direct, by_door));
        };
        let door = &through.arn;
        check(Resource::Account, "arn:aws:s3:::*", door);
        check(Resource::Arn("arn:aws:s3:r:1:job/2"), "arn:aws:s3:r:1:job/2", door);
        check(Resource::Bucket(&bucket), "arn:aws:s3:::bucket", door);
        check(Resource::Object(&bucket, &key, None), "arn:aws:s3:::bucket/a/b*?", &format!("{door}/object/a/b*?"));
    }
}

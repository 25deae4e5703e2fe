//! Whether a bucket may take the access logs of another: asked when logging is set, and again at each delivery.

use std::borrow::Cow;

use http::StatusCode;
use strata_storage::{AccountId, Bucket, BucketName, ObjectKey, Timestamp};

use super::configuration::{Logging, invalid_target};
use crate::acl::{self, Acl, Caller, Permission};
use crate::authorize::{BucketPolicies, Resource};
use crate::encryption::DefaultEncryption;
use crate::error::S3Error;
use crate::policy::{Action, ConditionKey, ConditionKeys, Decision, KeyValue, Principal, Question};

/// Who writes access logs.
const SERVICE: &str = "logging.s3.amazonaws.com";

/// What conditions of a target's policy can ask of a delivery.
struct Delivered<'a> {
    source: &'a BucketName,
    owner: AccountId,
    now: Timestamp,
}

impl ConditionKeys for Delivered<'_> {
    fn value(&self, key: ConditionKey, _: Option<&str>) -> Option<KeyValue<'_>> {
        let text = |text: String| Some(KeyValue::Text(Cow::Owned(text)));
        match key {
            ConditionKey::AwsSourceArn => text(Resource::Bucket(self.source).arn()),
            ConditionKey::AwsSourceAccount | ConditionKey::AwsResourceAccount | ConditionKey::S3ResourceAccount => {
                text(self.owner.to_string())
            }
            ConditionKey::AwsPrincipalServiceName => text(SERVICE.to_owned()),
            ConditionKey::AwsPrincipalIsAwsService | ConditionKey::AwsSecureTransport => Some(KeyValue::Bool(true)),
            ConditionKey::AwsCurrentTime | ConditionKey::AwsEpochTime => Some(KeyValue::Date(self.now)),
            _ => None,
        }
    }
}

/// Checks that the log of a bucket may be written where `logging` says, under `key` or at all.
///
/// `Err` is 400 `InvalidTargetBucketForLogging`, or 403 `CrossLocationLoggingProhibitted`, which S3 spells so.
pub fn check(
    policies: &BucketPolicies,
    logging: &Logging,
    (source, owner, region): (&BucketName, AccountId, &str),
    target: &Bucket,
    (key, now): (&ObjectKey, Timestamp),
) -> Result<(), S3Error> {
    if target.owner != owner {
        return Err(invalid_target("The owner for the bucket to be logged and the target bucket must be the same."));
    }
    if target.region != region {
        let message = "Cross S3 location logging not allowed.";
        return Err(S3Error::new(StatusCode::FORBIDDEN, "CrossLocationLoggingProhibitted", message));
    }
    if target.object_lock.is_some_and(|lock| lock.default.is_some()) {
        return Err(invalid_target("The target bucket for logging must not have a default retention"));
    }
    if DefaultEncryption::of(target)?.asked().is_some() {
        return Err(invalid_target("The target bucket for logging must not have a default encryption with KMS keys"));
    }
    match permits(policies, &logging.target()?, target, (key, &Delivered { source, owner, now }))? {
        true => Ok(()),
        false => Err(invalid_target(
            "You must give logging.s3.amazonaws.com s3:PutObject, or the log-delivery group WRITE and READ_ACP permissions, \
             to the target bucket",
        )),
    }
}

fn permits(
    policies: &BucketPolicies,
    name: &BucketName,
    target: &Bucket,
    (key, delivered): (&ObjectKey, &Delivered<'_>),
) -> Result<bool, S3Error> {
    let principal = Principal::Service { name: SERVICE.to_owned() };
    let action = Action::named("s3:PutObject").expect("S3 has this action");
    let resource = Resource::Object(name, key, None).arn();
    let question = Question { principal: &principal, action, resource: &resource, keys: delivered };
    let decision = policies.of(name, target)?.map_or(Decision::Silent, |policy| policy.policy.decide(&question));
    match decision {
        Decision::Deny { .. } => Ok(false),
        Decision::Allow { .. } => Ok(true),
        Decision::Silent if acl::acls_count(target) => {
            let granted = acl::granted(&Acl::of_bucket(target)?, &Caller::LogDelivery).to_everyone;
            Ok(granted.contains(Permission::Write) && granted.contains(Permission::ReadAcp))
        }
        Decision::Silent => Ok(false),
    }
}

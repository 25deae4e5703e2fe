//! The role of a replication configuration: whether there is such a role, and whether the service may take it on.

use std::borrow::Cow;

use strata_storage::{AccountId, Timestamp};

use crate::directory::Snapshot;
use crate::directory::entity::Role;
use crate::directory::roster::{Entity as _, Roster};
use crate::policy::{Action, ConditionKey, ConditionKeys, Decision, KeyValue, Principal, Question};

/// Who sends replicas.
const SERVICE: &str = "s3.amazonaws.com";
const ASSUME_ROLE: Action = Action::known("sts:AssumeRole");

/// Why a role cannot be used. The message says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleFault {
    /// It is not the ARN of a role.
    #[error("The role is not the ARN of an IAM role, such as arn:aws:iam::000000000000:role/replication")]
    NotARole,
    /// It belongs to somebody else.
    #[error("The role must belong to the account that owns the source bucket")]
    Foreign,
    /// There is none.
    #[error("The role does not exist")]
    Missing,
    /// Its trust policy does not name the service.
    #[error("The trust policy of the role must allow the service s3.amazonaws.com sts:AssumeRole")]
    Untrusting,
}

/// What conditions of a trust policy can ask of the service.
struct Assumed<'a> {
    bucket_arn: &'a str,
    account: AccountId,
    now: Timestamp,
}

impl ConditionKeys for Assumed<'_> {
    fn value(&self, key: ConditionKey, _: Option<&str>) -> Option<KeyValue<'_>> {
        match key {
            ConditionKey::AwsSourceArn => Some(KeyValue::Text(Cow::Borrowed(self.bucket_arn))),
            ConditionKey::AwsSourceAccount | ConditionKey::AwsResourceAccount => {
                Some(KeyValue::Text(Cow::Owned(self.account.to_string())))
            }
            ConditionKey::AwsPrincipalServiceName => Some(KeyValue::Text(Cow::Borrowed(SERVICE))),
            ConditionKey::AwsPrincipalIsAwsService | ConditionKey::AwsSecureTransport => Some(KeyValue::Bool(true)),
            ConditionKey::AwsCurrentTime | ConditionKey::AwsEpochTime => Some(KeyValue::Date(self.now)),
            _ => None,
        }
    }
}

/// The account in the ARN of a role, with the role's path and name.
pub fn parse(arn: &str) -> Result<(AccountId, &str), RoleFault> {
    let parts = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
    let (account, path_name) = parts.filter(|(_, name)| !name.is_empty()).ok_or(RoleFault::NotARole)?;
    Ok((AccountId::parse(account).ok_or(RoleFault::NotARole)?, path_name))
}

/// The role of that ARN, which replication of the bucket `bucket_arn` of `owner` may take on now.
pub fn trusted_role<'s>(
    snapshot: &'s Snapshot,
    arn: &str,
    (bucket_arn, owner): (&str, AccountId),
    now: Timestamp,
) -> Result<(&'s Roster, &'s Role), RoleFault> {
    let (account, path_name) = parse(arn)?;
    if account != owner {
        return Err(RoleFault::Foreign);
    }
    let roster = snapshot.roster(account).ok_or(RoleFault::Missing)?;
    let name = path_name.rsplit('/').next().unwrap_or(path_name);
    let role = roster.named::<Role>(name).filter(|role| role.arn(account) == arn).ok_or(RoleFault::Missing)?;
    let principal = Principal::Service { name: SERVICE.to_owned() };
    let keys = Assumed { bucket_arn, account, now };
    let question = Question { principal: &principal, action: ASSUME_ROLE, resource: arn, keys: &keys };
    match role.trust.0.policy.decide(&question) {
        Decision::Allow { .. } => Ok((roster, role)),
        Decision::Deny { .. } | Decision::Silent => Err(RoleFault::Untrusting),
    }
}

#[cfg(test)]
mod tests {
    use super::{RoleFault, parse};

    #[test]
    fn arns() {
        fn check(arn: &str, expected: Result<(&str, &str), RoleFault>) {
            let found = parse(arn).map(|(account, name)| (account.to_string(), name));
            assert_eq!(found, expected.map(|(account, name)| (account.to_owned(), name)), "{arn}");
        }
        check("arn:aws:iam::111122223333:role/replication", Ok(("111122223333", "replication")));
        check("arn:aws:iam::111122223333:role/service-role/a", Ok(("111122223333", "service-role/a")));
        for arn in [
            "",
            "replication",
            "arn:aws:iam::111122223333:user/a",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::1:role/a",
            "arn:aws:s3:::bucket",
        ] {
            check(arn, Err(RoleFault::NotARole));
        }
    }
}

//! The managed policies that every account has without making them: `arn:aws:iam::aws:policy/NAME`.

use std::sync::{Arc, LazyLock};

use strata_storage::Timestamp;

use crate::directory::entity::{ManagedPolicy, Permission, PolicyVersion};
use crate::policy::{Policy, PolicyKind};

/// What their ARNs begin with.
pub const ARN_PREFIX: &str = "arn:aws:iam::aws:policy/";
/// The one that allows everything.
pub const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

const TABLE: [(&str, &str, &str, &str); 4] = [
    (
        "AdministratorAccess",
        "ANPAIWMBCKSKIEE64ZLYK",
        "Provides full access to all operations and resources.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "AmazonS3FullAccess",
        "ANPAIFIR6V6BVTRAHWINE",
        "Provides full access to all buckets.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#,
    ),
    (
        "AmazonS3ReadOnlyAccess",
        "ANPAIZTJ4DXE7G6AGAE6M",
        "Provides read only access to all buckets.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}"#,
    ),
    (
        "IAMFullAccess",
        "ANPAI7XKCFMBPM3QQRRVQ",
        "Provides full access to IAM.",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#,
    ),
];

static POLICIES: LazyLock<Vec<ManagedPolicy>> = LazyLock::new(|| TABLE.map(policy).into());

static DENY_ALL: LazyLock<Arc<Policy>> = LazyLock::new(|| {
    let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    Arc::new(Policy::parse(text.as_bytes(), &PolicyKind::Identity).expect("a test reads it"))
});

/// All of them, in the order of their names.
pub fn all() -> &'static [ManagedPolicy] {
    &POLICIES
}

/// The one with that ARN.
pub fn find(arn: &str) -> Option<&'static ManagedPolicy> {
    let name = arn.strip_prefix(ARN_PREFIX)?;
    POLICIES.iter().find(|policy| policy.name == name)
}

/// What stands for a policy that should be there and is not: nothing is allowed then.
pub fn deny_all() -> &'static Arc<Policy> {
    &DENY_ALL
}

fn policy((name, id, description, text): (&str, &str, &str, &str)) -> ManagedPolicy {
    let created = Timestamp::from_secs(1_423_160_000);
    let document = Permission::parse(text.to_owned()).expect("a test reads every one");
    ManagedPolicy {
        name: name.to_owned(),
        path: "/".to_owned(),
        id: id.to_owned(),
        created,
        updated: created,
        description: Some(description.to_owned()),
        tags: Vec::new(),
        versions: vec![PolicyVersion { number: 1, created, document }],
        default: 1,
        next: 2,
    }
}

#[cfg(test)]
mod tests {
    use super::{ARN_PREFIX, all, deny_all, find};

    #[test]
    fn they_can_be_read() {
        assert_eq!(all().len(), 4);
        assert!(all().is_sorted_by_key(|policy| &policy.name));
        assert!(find(&format!("{ARN_PREFIX}IAMFullAccess")).is_some());
        assert!(find(&format!("{ARN_PREFIX}Other")).is_none() && find("IAMFullAccess").is_none());
        assert!(!deny_all().text().is_empty());
    }
}

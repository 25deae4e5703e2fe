//! What a list permits a caller, and which action needs which permission of which list.

use super::{Acl, CanonicalId, Grantee, Group, Permission};

/// Whom a list is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Somebody without credentials.
    Anonymous,
    /// Somebody with credentials of that account.
    Account(CanonicalId),
    /// Whoever writes server access logs.
    LogDelivery,
}

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// Whether it has that one. Who has `FULL_CONTROL` has every other.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (bit(permission) | bit(Permission::FullControl)) != 0
    }

    fn add(&mut self, permission: Permission) {
        self.0 |= bit(permission);
    }
}

const fn bit(permission: Permission) -> u8 {
    1 << permission as u8
}

/// What a list grants to one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Granted {
    /// By naming the caller's account, or because the account is the owner.
    pub to_account: Permissions,
    /// By naming a group that the caller belongs to.
    pub to_everyone: Permissions,
}

/// What a list grants to a caller. The owner may always read and change the list, whatever it says.
pub fn granted(acl: &Acl, caller: &Caller) -> Granted {
    let mut granted = Granted::default();
    if *caller == Caller::Account(acl.owner) {
        granted.to_account.add(Permission::ReadAcp);
        granted.to_account.add(Permission::WriteAcp);
    }
    for grant in &acl.grants {
        match (grant.grantee, caller) {
            (Grantee::CanonicalUser(named), Caller::Account(account)) if named == *account => {
                granted.to_account.add(grant.permission);
            }
            (Grantee::Group(Group::AllUsers), _)
            | (Grantee::Group(Group::AuthenticatedUsers), Caller::Account(_))
            | (Grantee::Group(Group::LogDelivery), Caller::LogDelivery) => granted.to_everyone.add(grant.permission),
            _ => {}
        }
    }
    granted
}

/// Which list an action needs a permission of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The bucket's.
    Bucket,
    /// The version's.
    Object,
    /// The bucket's, and only for versions that belong to the caller's account.
    OwnObject,
}

/// The permission that gives an action, `s3:ListBucket`; `None` if no permission does.
pub fn permission_for(action: &str) -> Option<(Level, Permission)> {
    Some(match action.strip_prefix("s3:")? {
        "ListBucket" | "ListBucketVersions" | "ListBucketMultipartUploads" => (Level::Bucket, Permission::Read),
        "PutObject" => (Level::Bucket, Permission::Write),
        "DeleteObject" | "DeleteObjectVersion" => (Level::OwnObject, Permission::Write),
        "GetBucketAcl" => (Level::Bucket, Permission::ReadAcp),
        "PutBucketAcl" => (Level::Bucket, Permission::WriteAcp),
        "GetObject" | "GetObjectVersion" => (Level::Object, Permission::Read),
        "GetObjectAcl" | "GetObjectVersionAcl" => (Level::Object, Permission::ReadAcp),
        "PutObjectAcl" | "PutObjectVersionAcl" => (Level::Object, Permission::WriteAcp),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Acl, CanonicalId, Grant, Grantee, Group, Permission};
    use super::{Caller, Level, granted, permission_for};

    const OWNER: CanonicalId = CanonicalId([1; 32]);
    const OTHER: CanonicalId = CanonicalId([2; 32]);
    const THIRD: CanonicalId = CanonicalId([3; 32]);

    #[test]
    fn grants_reach_those_they_name() {
        fn check(grants: &[(Grantee, Permission)], caller: Caller, to_account: &str, to_everyone: &str) {
            let grants = grants.iter().map(|&(grantee, permission)| Grant { grantee, permission }).collect();
            let found = granted(&Acl { owner: OWNER, grants }, &caller);
            let names = |set: super::Permissions| {
                let held = Permission::ALL.into_iter().filter(|&permission| set.contains(permission));
                held.map(Permission::name).collect::<Vec<_>>().join(" ")
            };
            let found = (names(found.to_account), names(found.to_everyone));
            assert_eq!(found, (to_account.to_owned(), to_everyone.to_owned()), "{caller:?}");
        }
        let all = "READ WRITE READ_ACP WRITE_ACP FULL_CONTROL";
        let user = |id| Grantee::CanonicalUser(id);
        let (owner, other) = (Caller::Account(OWNER), Caller::Account(OTHER));
        check(&[], owner, "READ_ACP WRITE_ACP", "");
        check(&[], other, "", "");
        check(&[(user(OWNER), Permission::FullControl)], owner, all, "");
        check(&[(user(OTHER), Permission::FullControl), (user(THIRD), Permission::Read)], other, all, "");
        check(&[(user(OTHER), Permission::Read), (user(OTHER), Permission::WriteAcp)], other, "READ WRITE_ACP", "");
        check(&[(user(OTHER), Permission::Read)], Caller::Anonymous, "", "");
        let groups = [
            (Grantee::Group(Group::AllUsers), Permission::Read),
            (Grantee::Group(Group::AuthenticatedUsers), Permission::ReadAcp),
            (Grantee::Group(Group::LogDelivery), Permission::Write),
        ];
        check(&groups, Caller::Anonymous, "", "READ");
        check(&groups, other, "", "READ READ_ACP");
        check(&groups, Caller::LogDelivery, "", "READ WRITE");
    }

    #[test]
    fn actions_need_permissions() {
        fn check(action: &str, expected: Option<(Level, Permission)>) {
            assert_eq!(permission_for(action), expected, "{action}");
        }
        check("s3:ListBucket", Some((Level::Bucket, Permission::Read)));
        check("s3:PutObject", Some((Level::Bucket, Permission::Write)));
        check("s3:DeleteObject", Some((Level::OwnObject, Permission::Write)));
        check("s3:GetObjectVersion", Some((Level::Object, Permission::Read)));
        check("s3:PutObjectAcl", Some((Level::Object, Permission::WriteAcp)));
        check("s3:PutBucketPolicy", None);
        check("s3:GetObjectTagging", None);
        check("iam:GetUser", None);
    }
}

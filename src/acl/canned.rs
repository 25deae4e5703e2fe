//! Canned lists: names for the lists that most people want.

use super::{Acl, CanonicalId, Grant, Grantee, Group, Permission, Scope};

/// A canned list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Canned {
    /// `private`
    Private,
    /// `public-read`
    PublicRead,
    /// `public-read-write`
    PublicReadWrite,
    /// `authenticated-read`
    AuthenticatedRead,
    /// `aws-exec-read`: S3 lets Amazon EC2 read; nobody here is EC2.
    AwsExecRead,
    /// `bucket-owner-read`, of objects; buckets take it for `private`.
    BucketOwnerRead,
    /// `bucket-owner-full-control`, of objects; buckets take it for `private`.
    BucketOwnerFullControl,
    /// `log-delivery-write`, of buckets only.
    LogDeliveryWrite,
}

impl Canned {
    const ALL: [(Canned, &'static str); 8] = [
        (Canned::Private, "private"),
        (Canned::PublicRead, "public-read"),
        (Canned::PublicReadWrite, "public-read-write"),
        (Canned::AuthenticatedRead, "authenticated-read"),
        (Canned::AwsExecRead, "aws-exec-read"),
        (Canned::BucketOwnerRead, "bucket-owner-read"),
        (Canned::BucketOwnerFullControl, "bucket-owner-full-control"),
        (Canned::LogDeliveryWrite, "log-delivery-write"),
    ];

    /// The list of that name, if there is one for buckets or objects.
    pub fn parse(name: &str, scope: Scope) -> Option<Canned> {
        let (canned, _) = Canned::ALL.into_iter().find(|(_, known)| *known == name)?;
        (canned != Canned::LogDeliveryWrite || scope == Scope::Bucket).then_some(canned)
    }

    /// The list of something that belongs to `owner`, in or as a bucket of `bucket_owner`.
    pub fn acl(self, owner: CanonicalId, bucket_owner: CanonicalId) -> Acl {
        let group = |group, permission| Grant { grantee: Grantee::Group(group), permission };
        let bucket = |permission| Grant { grantee: Grantee::CanonicalUser(bucket_owner), permission };
        let more = match self {
            Canned::Private | Canned::AwsExecRead => vec![],
            Canned::PublicRead => vec![group(Group::AllUsers, Permission::Read)],
            Canned::PublicReadWrite => {
                vec![group(Group::AllUsers, Permission::Read), group(Group::AllUsers, Permission::Write)]
            }
            Canned::AuthenticatedRead => vec![group(Group::AuthenticatedUsers, Permission::Read)],
            Canned::BucketOwnerRead if owner != bucket_owner => vec![bucket(Permission::Read)],
            Canned::BucketOwnerFullControl if owner != bucket_owner => vec![bucket(Permission::FullControl)],
            Canned::BucketOwnerRead | Canned::BucketOwnerFullControl => vec![],
            Canned::LogDeliveryWrite => {
                vec![group(Group::LogDelivery, Permission::Write), group(Group::LogDelivery, Permission::ReadAcp)]
            }
        };
        let mut acl = Acl::private(owner);
        acl.grants.extend(more);
        acl
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CanonicalId, Grantee, Scope};
    use super::Canned;

    const OWNER: CanonicalId = CanonicalId([1; 32]);
    const BUCKET_OWNER: CanonicalId = CanonicalId([2; 32]);

    #[test]
    fn lists() {
        fn check(name: &str, bucket_owner: CanonicalId, expected: &str) {
            let canned = Canned::parse(name, Scope::Bucket).expect(name);
            let acl = canned.acl(OWNER, bucket_owner);
            let shown = acl.grants.iter().map(|grant| {
                let grantee = match grant.grantee {
                    Grantee::CanonicalUser(OWNER) => "owner",
                    Grantee::CanonicalUser(_) => "bucket",
                    Grantee::Group(group) => group.uri().rsplit('/').next().unwrap_or_default(),
                };
                format!("{grantee}:{}", grant.permission.name())
            });
            let shown: Vec<String> = shown.collect();
            assert_eq!(shown.join(" "), format!("owner:FULL_CONTROL {expected}").trim_end(), "{name}");
        }
        check("private", BUCKET_OWNER, "");
        check("aws-exec-read", BUCKET_OWNER, "");
        check("public-read", BUCKET_OWNER, "AllUsers:READ");
        check("public-read-write", BUCKET_OWNER, "AllUsers:READ AllUsers:WRITE");
        check("authenticated-read", BUCKET_OWNER, "AuthenticatedUsers:READ");
        check("bucket-owner-read", BUCKET_OWNER, "bucket:READ");
        check("bucket-owner-full-control", BUCKET_OWNER, "bucket:FULL_CONTROL");
        check("bucket-owner-read", OWNER, "");
        check("bucket-owner-full-control", OWNER, "");
        check("log-delivery-write", OWNER, "LogDelivery:WRITE LogDelivery:READ_ACP");
    }

    #[test]
    fn names() {
        assert_eq!(Canned::parse("log-delivery-write", Scope::Object), None);
        assert_eq!(Canned::parse("Private", Scope::Object), None);
        assert_eq!(Canned::parse("", Scope::Bucket), None);
    }
}

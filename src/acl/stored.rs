//! Access control lists as they are stored: a format byte, then the grants in postcard's encoding.
//!
//! ```text
//! 1 | count | for each grant: grantee (0 and 32 bytes of the canonical id, or 1 and the group's number) | permission
//! ```

use serde::{Deserialize, Serialize};

use super::{Acl, CanonicalId, Grant, Grantee, Group, Permission};
use crate::error::S3Error;

const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
enum StoredGrantee {
    CanonicalUser([u8; 32]),
    AllUsers,
    AuthenticatedUsers,
    LogDelivery,
}

#[derive(Serialize, Deserialize)]
enum StoredPermission {
    Read,
    Write,
    ReadAcp,
    WriteAcp,
    FullControl,
}

/// The stored form; `None` for the private list, which needs none.
pub fn encode(acl: &Acl) -> Option<Vec<u8>> {
    if acl.is_private() {
        return None;
    }
    let grants: Vec<(StoredGrantee, StoredPermission)> = acl.grants.iter().map(to_stored).collect();
    Some(postcard::to_extend(&grants, vec![FORMAT]).expect("grants can be encoded"))
}

/// Reads the stored form; nothing stored is the private list.
pub(super) fn decode(owner: CanonicalId, document: Option<&[u8]>) -> Result<Acl, S3Error> {
    let Some(document) = document else { return Ok(Acl::private(owner)) };
    let grants: Option<Vec<(StoredGrantee, StoredPermission)>> = match document {
        [FORMAT, rest @ ..] => postcard::from_bytes(rest).ok(),
        _ => None,
    };
    let grants = grants.ok_or_else(|| S3Error::internal("a stored access control list is damaged"))?;
    Ok(Acl { owner, grants: grants.into_iter().map(from_stored).collect() })
}

fn to_stored(grant: &Grant) -> (StoredGrantee, StoredPermission) {
    let grantee = match grant.grantee {
        Grantee::CanonicalUser(CanonicalId(id)) => StoredGrantee::CanonicalUser(id),
        Grantee::Group(Group::AllUsers) => StoredGrantee::AllUsers,
        Grantee::Group(Group::AuthenticatedUsers) => StoredGrantee::AuthenticatedUsers,
        Grantee::Group(Group::LogDelivery) => StoredGrantee::LogDelivery,
    };
    let permission = match grant.permission {
        Permission::Read => StoredPermission::Read,
        Permission::Write => StoredPermission::Write,
        Permission::ReadAcp => StoredPermission::ReadAcp,
        Permission::WriteAcp => StoredPermission::WriteAcp,
        Permission::FullControl => StoredPermission::FullControl,
    };
    (grantee, permission)
}

fn from_stored((grantee, permission): (StoredGrantee, StoredPermission)) -> Grant {
    let grantee = match grantee {
        StoredGrantee::CanonicalUser(id) => Grantee::CanonicalUser(CanonicalId(id)),
        StoredGrantee::AllUsers => Grantee::Group(Group::AllUsers),
        StoredGrantee::AuthenticatedUsers => Grantee::Group(Group::AuthenticatedUsers),
        StoredGrantee::LogDelivery => Grantee::Group(Group::LogDelivery),
    };
    let permission = match permission {
        StoredPermission::Read => Permission::Read,
        StoredPermission::Write => Permission::Write,
        StoredPermission::ReadAcp => Permission::ReadAcp,
        StoredPermission::WriteAcp => Permission::WriteAcp,
        StoredPermission::FullControl => Permission::FullControl,
    };
    Grant { grantee, permission }
}

#[cfg(test)]
mod tests {
    use super::super::{Acl, CanonicalId, Grant, Grantee, Group, Permission};
    use super::{decode, encode};

    const OWNER: CanonicalId = CanonicalId([7; 32]);

    #[test]
    fn lists_read_back() {
        let grantees = Group::ALL.map(Grantee::Group).into_iter().chain([Grantee::CanonicalUser(CanonicalId([9; 32]))]);
        let grants = grantees.flat_map(|grantee| Permission::ALL.map(|permission| Grant { grantee, permission }));
        let acl = Acl { owner: OWNER, grants: grants.collect() };
        let stored = encode(&acl).expect("a list that is not private");
        assert_eq!(decode(OWNER, Some(&stored)).expect("what was encoded"), acl);
        let none = Acl { owner: OWNER, grants: Vec::new() };
        assert_eq!(decode(OWNER, encode(&none).as_deref()).expect("what was encoded"), none);
        assert_eq!(encode(&Acl::private(OWNER)), None);
    }

    #[test]
    fn the_bytes_stay_what_they_are() {
        let group = Grant { grantee: Grantee::Group(Group::AllUsers), permission: Permission::Read };
        let user = Grant { grantee: Grantee::CanonicalUser(OWNER), permission: Permission::FullControl };
        let stored = encode(&Acl { owner: OWNER, grants: vec![group, user] }).expect("a list that is not private");
        assert_eq!(hex::encode(stored), format!("0102{}{}{}", "0100", "00", "07".repeat(32) + "04"));
    }

    #[test]
    fn damage_is_noticed() {
        for bytes in [&b""[..], &[0], &[2, 0], &[1], &[1, 1], &[1, 1, 9, 0], &[1, 1, 1, 9]] {
            assert_eq!(decode(OWNER, Some(bytes)).expect_err("damaged bytes").code, "InternalError", "{bytes:?}");
        }
    }
}

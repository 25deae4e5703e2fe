//! Access control lists as values: who is granted what, by whose list, and which actions that permits. Pure.
//!
//! A list is stored without its owner, which bucket and version records name; see `stored`. A bucket or version
//! without a stored list has the private one, which grants its owner everything and others nothing.

use std::fmt;

use http::StatusCode;
use strata_storage::{AccountId, Bucket, BucketDocument, ObjectOwner, ObjectOwnership};

use crate::error::S3Error;
use crate::identity::{Account, Identity};
use crate::public_access_block::PublicAccessBlock;

mod canned;
mod document;
mod headers;
mod permissions;
mod stored;

pub use canned::Canned;
pub use document::{answer, parse};
pub use headers::{Requested, Scope, requested};
pub use permissions::{Caller, Level, granted, permission_for};
pub use stored::encode;

/// The most grants of one list.
pub const GRANTS_MAX: usize = 100;

/// What ACLs call an account: 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CanonicalId([u8; 32]);

impl CanonicalId {
    /// The id of an account.
    pub fn of(account: AccountId) -> CanonicalId {
        CanonicalId::parse(&Account::canonical_id_of(account)).expect("accounts have canonical ids of 64 digits")
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<CanonicalId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(CanonicalId(bytes))
    }
}

/// The 64 hex digits, in lower case.
impl fmt::Display for CanonicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The groups that S3 predefines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Everybody, without credentials too.
    AllUsers,
    /// Everybody with credentials of any account.
    AuthenticatedUsers,
    /// Whoever writes server access logs.
    LogDelivery,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 3] = [Group::AllUsers, Group::AuthenticatedUsers, Group::LogDelivery];

    /// S3's name.
    pub const fn uri(self) -> &'static str {
        match self {
            Group::AllUsers => "http://acs.amazonaws.com/groups/global/AllUsers",
            Group::AuthenticatedUsers => "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
            Group::LogDelivery => "http://acs.amazonaws.com/groups/s3/LogDelivery",
        }
    }

    /// The group of that name.
    pub fn parse(uri: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.uri() == uri)
    }

    /// Whether a grant to it makes something public.
    pub const fn is_public(self) -> bool {
        matches!(self, Group::AllUsers | Group::AuthenticatedUsers)
    }
}

/// To whom something is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// An account.
    CanonicalUser(CanonicalId),
    /// A group.
    Group(Group),
}

/// What can be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// `READ`: a bucket's lists, an object's content.
    Read,
    /// `WRITE`: new objects in a bucket.
    Write,
    /// `READ_ACP`: the list itself.
    ReadAcp,
    /// `WRITE_ACP`: changes of the list.
    WriteAcp,
    /// `FULL_CONTROL`: all of these.
    FullControl,
}

impl Permission {
    /// All of them.
    pub const ALL: [Permission; 5] =
        [Permission::Read, Permission::Write, Permission::ReadAcp, Permission::WriteAcp, Permission::FullControl];

    /// S3's name.
    pub const fn name(self) -> &'static str {
        match self {
            Permission::Read => "READ",
            Permission::Write => "WRITE",
            Permission::ReadAcp => "READ_ACP",
            Permission::WriteAcp => "WRITE_ACP",
            Permission::FullControl => "FULL_CONTROL",
        }
    }

    /// The permission of that name.
    pub fn parse(name: &str) -> Option<Permission> {
        Permission::ALL.into_iter().find(|permission| permission.name() == name)
    }
}

/// One line of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// An access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// Who owns what the list is about, and may always read and change the list.
    pub owner: CanonicalId,
    /// What is granted, in the order set; at most [`GRANTS_MAX`].
    pub grants: Vec<Grant>,
}

impl Acl {
    /// Everything for the owner, nothing for others.
    pub fn private(owner: CanonicalId) -> Acl {
        let grant = Grant { grantee: Grantee::CanonicalUser(owner), permission: Permission::FullControl };
        Acl { owner, grants: vec![grant] }
    }

    /// A bucket's list as it is stored. Whether it counts at all, [`acls_count`] says.
    pub fn of_bucket(bucket: &Bucket) -> Result<Acl, S3Error> {
        let document = bucket.documents.get(&BucketDocument::Acl).map(|document| &document[..]);
        stored::decode(CanonicalId::of(bucket.owner), document)
    }

    /// A version's list as it is stored. Whether it counts at all, [`acls_count`] of its bucket says.
    pub fn of_object(owner: &ObjectOwner) -> Result<Acl, S3Error> {
        stored::decode(CanonicalId::of(owner.account), owner.acl.as_deref())
    }

    /// Whether it grants anything to everybody, or to everybody with credentials.
    pub fn is_public(&self) -> bool {
        self.grants.iter().any(Grant::is_public)
    }

    /// What is left of it where public ACLs are ignored.
    pub fn without_public(mut self) -> Acl {
        self.grants.retain(|grant| !grant.is_public());
        self
    }

    /// Whether nobody but the owner is granted anything, and the owner everything.
    pub fn is_private(&self) -> bool {
        *self == Acl::private(self.owner)
    }

    /// Whether somebody besides the owner is granted anything.
    pub fn grants_to_others(&self) -> bool {
        self.grants.iter().any(|grant| grant.grantee != Grantee::CanonicalUser(self.owner))
    }
}

impl Grant {
    fn is_public(&self) -> bool {
        matches!(self.grantee, Grantee::Group(group) if group.is_public())
    }
}

/// Whether access control lists count in a bucket: those of its objects, and its own.
pub fn acls_count(bucket: &Bucket) -> bool {
    bucket.ownership != Some(ObjectOwnership::BucketOwnerEnforced)
}

/// Refuses a public list where `BlockPublicAcls` is on.
pub fn refuse_blocked(acl: &Acl, block: PublicAccessBlock) -> Result<(), S3Error> {
    if block.block_public_acls && acl.is_public() {
        return Err(S3Error::access_denied("Access Denied"));
    }
    Ok(())
}

/// 400 for a list where none count.
pub fn not_supported() -> S3Error {
    let message = "The bucket does not allow ACLs";
    S3Error::new(StatusCode::BAD_REQUEST, "AccessControlListNotSupported", message)
}

impl Caller {
    /// Whom an identity's lists name it by: its account.
    pub fn of(identity: &Identity) -> Caller {
        match identity.account_id() {
            None => Caller::Anonymous,
            Some(account) => Caller::Account(CanonicalId::of(account)),
        }
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, ObjectOwner};

    use super::{Acl, CanonicalId, Grant, Grantee, Group, Permission};

    #[test]
    fn canonical_ids_have_64_digits() {
        let id = CanonicalId::of(AccountId::ROOT);
        assert_eq!(CanonicalId::parse(&id.to_string()), Some(id));
        assert_eq!(CanonicalId::parse(&id.to_string().to_uppercase()), Some(id));
        for text in ["", "ab", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64)] {
            assert_eq!(CanonicalId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_read_back() {
        for group in Group::ALL {
            assert_eq!(Group::parse(group.uri()), Some(group));
        }
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.name()), Some(permission));
        }
        assert_eq!((Group::parse("AllUsers"), Permission::parse("read")), (None, None));
    }

    #[test]
    fn lists_without_a_document_are_private() {
        let acl = Acl::of_object(&ObjectOwner { account: AccountId::ROOT, acl: None }).expect("a list");
        assert!(acl.is_private() && !acl.is_public() && !acl.grants_to_others());
    }

    #[test]
    fn groups_of_everybody_make_a_list_public() {
        fn check(group: Group, public: bool) {
            let mut acl = Acl::private(CanonicalId::of(AccountId::ROOT));
            acl.grants.push(Grant { grantee: Grantee::Group(group), permission: Permission::ReadAcp });
            assert_eq!(acl.is_public(), public, "{group:?}");
            assert!(acl.grants_to_others() && !acl.is_private());
            assert_eq!(acl.clone().without_public().grants.len(), if public { 1 } else { 2 });
        }
        check(Group::AllUsers, true);
        check(Group::AuthenticatedUsers, true);
        check(Group::LogDelivery, false);
    }
}

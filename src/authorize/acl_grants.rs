//! What access control lists say to a question, as far as they count.

use strata_storage::{Bucket, ObjectOwner};

use crate::acl::{self, Acl, Caller, Level};
use crate::error::S3Error;
use crate::identity::Identity;
use crate::policy::{Action, Decision, Grant};

/// The lists that may grant something.
pub struct Acls<'a> {
    /// The bucket, with its list.
    pub bucket: &'a Bucket,
    /// The object's owner and list.
    pub object: Option<&'a ObjectOwner>,
    /// Whether Block Public Access makes public grants count for nothing.
    pub ignores_public: bool,
}

/// What the lists grant to a caller, in the words of policies.
pub fn decision(acls: &Acls<'_>, caller: &Identity, action: Action) -> Result<Decision, S3Error> {
    if !acl::acls_count(acls.bucket) {
        return Ok(Decision::Silent);
    }
    let Some((level, permission)) = acl::permission_for(action.name()) else { return Ok(Decision::Silent) };
    let list = match (level, acls.object) {
        (Level::Bucket, _) => Acl::of_bucket(acls.bucket)?,
        (Level::Object, Some(object)) => Acl::of_object(object)?,
        (Level::OwnObject, Some(object)) if caller.account_id() == Some(object.account) => Acl::of_bucket(acls.bucket)?,
        (Level::Object | Level::OwnObject, _) => return Ok(Decision::Silent),
    };
    let list = if acls.ignores_public { list.without_public() } else { list };
    let granted = acl::granted(&list, &Caller::of(caller));
    Ok(if granted.to_everyone.contains(permission) {
        Decision::Allow { statement: 0, grant: Grant::Everyone }
    } else if granted.to_account.contains(permission) {
        Decision::Allow { statement: 0, grant: Grant::Account }
    } else {
        Decision::Silent
    })
}

//! What accounts are called, and which there are: owners, and those whom lists grant something.

use crate::acl::CanonicalId;
use crate::request::Context;

/// Whether some account has that id.
pub fn exists(ctx: &Context, id: &CanonicalId) -> bool {
    display_name(ctx, id).is_some()
}

/// What the account of that id is called; `None` if there is none.
pub fn display_name(ctx: &Context, id: &CanonicalId) -> Option<String> {
    (ctx.owner.id == id.to_string()).then(|| ctx.owner.display_name.clone())
}

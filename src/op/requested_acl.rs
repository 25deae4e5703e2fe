//! The access control list that `PUT ?acl` asks for: in headers or in a document, and whether it may be set.

use http::StatusCode;
use strata_storage::Bucket;

use crate::acl::{self, Acl, CanonicalId, Scope};
use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::{owners, public_access_block};

/// What to set, of something that belongs to `owner`, in or as `bucket`; `None` where lists do not count and the request
/// asks for what holds anyway.
pub async fn read(
    ctx: &Context,
    request: &mut Request,
    scope: Scope,
    owner: CanonicalId,
    bucket: &Bucket,
) -> Result<Option<Acl>, S3Error> {
    let exists = |id: &CanonicalId| owners::exists(ctx, id);
    let bytes = bucket::read_document(request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let bucket_owner = CanonicalId::of(bucket.owner);
    let requested = acl::requested(&request.headers, scope, &exists)?;
    let acl = match (&requested, bytes.is_empty()) {
        (Some(_), false) => return Err(unexpected_content()),
        (None, true) => return Err(missing_header()),
        (Some(requested), true) => requested.acl(owner, bucket_owner),
        (None, false) => acl::parse(&bytes, owner, &exists)?,
    };
    if !acl::acls_count(bucket) {
        let holds = match requested {
            Some(requested) => requested.gives_only_the_owner(bucket_owner),
            None => acl.is_private(),
        };
        return if holds { Ok(None) } else { Err(acl::not_supported()) };
    }
    acl::refuse_blocked(&acl, public_access_block::effective(ctx, bucket)?)?;
    Ok(Some(acl))
}

/// A list as `GET ?acl` shows it: what is in force, which is not always what is stored.
pub fn shown(ctx: &Context, stored: Acl, bucket: &Bucket) -> Result<String, S3Error> {
    let acl = if !acl::acls_count(bucket) {
        Acl::private(CanonicalId::of(bucket.owner))
    } else if public_access_block::effective(ctx, bucket)?.ignore_public_acls {
        stored.without_public()
    } else {
        stored
    };
    Ok(acl::answer(&acl, &|id| owners::display_name(ctx, id)))
}

fn unexpected_content() -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "UnexpectedContent", "This request does not support content")
}

fn missing_header() -> S3Error {
    let message = "Your request was missing a required header";
    S3Error::new(StatusCode::BAD_REQUEST, "MissingSecurityHeader", message).with("MissingHeaderName", "x-amz-acl")
}

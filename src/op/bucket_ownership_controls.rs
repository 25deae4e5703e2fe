//! GetBucketOwnershipControls, PutBucketOwnershipControls, DeleteBucketOwnershipControls: who owns the objects of a
//! bucket, and whether access control lists count.

use http::StatusCode;
use serde::Deserialize;
use strata_storage::{BucketChange, ObjectOwnership};

use crate::acl::Acl;
use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml::{self, Writer};

/// Answers `GET /bucket?ownershipControls`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    let ownership = bucket.ownership.ok_or_else(|| {
        let message = "The bucket ownership controls were not found";
        S3Error::new(StatusCode::NOT_FOUND, "OwnershipControlsNotFoundError", message).with("BucketName", name.as_str())
    })?;
    let mut writer = Writer::new("OwnershipControls");
    writer.open("Rule").element("ObjectOwnership", ownership_name(ownership));
    Ok(Response::xml(writer.finish()))
}

/// Answers `PUT /bucket?ownershipControls`. Stored lists stay, and count again once this is taken back.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let bucket = bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let ownership = read(&bytes)?;
    if ownership == ObjectOwnership::BucketOwnerEnforced && Acl::of_bucket(&bucket)?.grants_to_others() {
        return Err(bucket_has_acl());
    }
    let change = BucketChange::Ownership(Some(ownership));
    ctx.store.change_bucket(&name, change).await.map_err(|error| bucket::error(error, &name))?;
    Ok(Response::empty(StatusCode::OK))
}

/// Answers `DELETE /bucket?ownershipControls`, also when there is nothing to remove.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let change = BucketChange::Ownership(None);
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// 400 for a bucket whose list grants something to others, and that shall have no lists.
pub fn bucket_has_acl() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
}

const ALL: [ObjectOwnership; 3] =
    [ObjectOwnership::BucketOwnerEnforced, ObjectOwnership::BucketOwnerPreferred, ObjectOwnership::ObjectWriter];

/// The setting of that name.
pub fn parse_ownership(name: &str) -> Option<ObjectOwnership> {
    ALL.into_iter().find(|&ownership| ownership_name(ownership) == name)
}

fn ownership_name(ownership: ObjectOwnership) -> &'static str {
    match ownership {
        ObjectOwnership::BucketOwnerEnforced => "BucketOwnerEnforced",
        ObjectOwnership::BucketOwnerPreferred => "BucketOwnerPreferred",
        ObjectOwnership::ObjectWriter => "ObjectWriter",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Rule")]
    rule: Rule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Rule {
    object_ownership: String,
}

fn read(bytes: &[u8]) -> Result<ObjectOwnership, S3Error> {
    let document: Document = xml::parse(bytes)?;
    parse_ownership(&document.rule.object_ownership).ok_or_else(S3Error::malformed_xml)
}

#[cfg(test)]
mod tests {
    use strata_storage::ObjectOwnership;

    use super::{ALL, ownership_name, read};

    #[test]
    fn documents() {
        fn check(inside: &str, expected: Result<ObjectOwnership, &str>) {
            let text = format!("<OwnershipControls>{inside}</OwnershipControls>");
            assert_eq!(read(text.as_bytes()).map_err(|error| error.code), expected, "{inside}");
        }
        let rule = |name: &str| format!("<Rule><ObjectOwnership>{name}</ObjectOwnership></Rule>");
        for ownership in ALL {
            check(&rule(ownership_name(ownership)), Ok(ownership));
        }
        for inside in ["", "<Rule/>", &rule("me"), &rule("objectwriter"), &rule("ObjectWriter").repeat(2)] {
            check(inside, Err("MalformedXML"));
        }
    }
}

//! CreateBucket: a name is taken, in the one region that this server has.

use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use strata_storage::{AccountId, BucketDocument, BucketName, Error, NewBucket, ObjectOwnership};

use crate::acl::{self, Acl, CanonicalId, Scope};
use crate::authorize::{self, Resource};
use crate::checksum_headers::Need;
use crate::encryption::DefaultEncryption;
use crate::error::S3Error;
use crate::metadata_headers::not_implemented;
use crate::op::bucket;
use crate::op::bucket_ownership_controls::{bucket_has_acl, parse_ownership};
use crate::public_access_block::{self, PublicAccessBlock};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::{owners, tagging, xml};

/// The region whose buckets may be created again, and whose name is no location constraint.
const FIRST_REGION: &str = "us-east-1";

/// The most tags that a bucket can have.
const TAGS_MAX: usize = 50;

/// Answers `PUT /bucket`.
pub async fn run(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    check_headers(&request.headers)?;
    let owner = request.caller.account_id().ok_or_else(|| S3Error::access_denied("Access Denied"))?;
    let ownership = ownership(&request.headers)?.unwrap_or(ctx.config.new_buckets.object_ownership);
    let object_lock = object_lock(&request.headers)?;
    let acl = access(ctx, &request.headers, ownership, owner)?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let configuration = Configuration::read(&bytes)?;
    check_location(&configuration.location, &ctx.config.region)?;
    if !configuration.tags.is_empty() {
        authorize::require(ctx, &request, "s3:TagResource", Resource::Bucket(&name)).await?;
    }
    let region = ctx.config.region.clone();
    let tags = configuration.tags;
    let mut new = NewBucket { owner, region, ownership, object_lock, tags, ..NewBucket::default() };
    new.documents.extend(acl.as_ref().and_then(acl::encode).map(|acl| (BucketDocument::Acl, acl.into())));
    if ctx.config.new_buckets.block_public_access {
        let block = PublicAccessBlock::ALL.to_stored();
        new.documents.insert(BucketDocument::PublicAccessBlock, block.into());
    }
    let encryption = DefaultEncryption::of_new(&ctx.config.new_buckets);
    if encryption != DefaultEncryption::default() {
        new.documents.insert(BucketDocument::Encryption, encryption.to_stored()?.into());
    }
    if ctx.access_points.named(name.as_str()).is_some() {
        // Requests to its host would go to the bucket.
        return Err(taken(&name));
    }
    match ctx.store.create_bucket(&name, new).await {
        Ok(_) => {}
        Err(Error::BucketExists) => exists(ctx, &name, owner).await?,
        Err(error) => return Err(bucket::error(error, &name)),
    }
    let mut response = Response::empty(StatusCode::OK);
    response.set(http::header::LOCATION, format!("/{name}"));
    response.set(HeaderName::from_static("x-amz-bucket-arn"), format!("arn:aws:s3:::{name}"));
    Ok(response)
}

/// What the request's document asks for.
#[derive(Debug, PartialEq, Eq, Default)]
struct Configuration {
    /// The location constraint; empty if there is none.
    location: String,
    tags: Vec<strata_storage::Tag>,
}

impl Configuration {
    /// Reads the document; no document asks for nothing.
    fn read(bytes: &[u8]) -> Result<Configuration, S3Error> {
        if bytes.is_empty() {
            return Ok(Configuration::default());
        }
        let document: Document = xml::parse(bytes)?;
        if document.location.is_some() || document.bucket.is_some() {
            return Err(S3Error::not_implemented("Directory buckets are not implemented"));
        }
        let tags = document.tags.unwrap_or_default().tags;
        let tags: Vec<_> = tags.into_iter().map(|tag| strata_storage::Tag { key: tag.key, value: tag.value }).collect();
        // The rules for tags are those of a document of their own.
        let tags = tagging::parse_document(tagging::document(&tags).as_bytes(), TAGS_MAX)?;
        Ok(Configuration { location: document.location_constraint.unwrap_or_default(), tags })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    location_constraint: Option<String>,
    location: Option<serde::de::IgnoredAny>,
    bucket: Option<serde::de::IgnoredAny>,
    tags: Option<Tags>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Tags {
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: String,
}

/// A request without a constraint is welcome in every region, so that one client's settings suit every server.
fn check_location(constraint: &str, region: &str) -> Result<(), S3Error> {
    match constraint {
        "" => Ok(()),
        // The oldest constraint is a name of its own for eu-west-1.
        "EU" if region == "eu-west-1" => Ok(()),
        _ if constraint == region && region != FIRST_REGION => Ok(()),
        _ if constraint == FIRST_REGION || !names_region(constraint) => Err(S3Error::new(
            StatusCode::BAD_REQUEST,
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
        )
        .with("LocationConstraint", constraint)),
        _ => Err(S3Error::new(
            StatusCode::BAD_REQUEST,
            "IllegalLocationConstraintException",
            format!(
                "The {constraint} location constraint is incompatible for the region specific endpoint this request \
                 was sent to."
            ),
        )),
    }
}

/// Whether a constraint has the form of the regions' names, such as `us-gov-west-1`, or is the one that differs.
fn names_region(constraint: &str) -> bool {
    let (parts, number) = constraint.rsplit_once('-').unwrap_or_default();
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    constraint == "EU" || is_number && parts.contains('-') && parts.split('-').all(is_word)
}

/// What a name that is taken means: to its owner something else than to others.
async fn exists(ctx: &Context, name: &BucketName, owner: AccountId) -> Result<(), S3Error> {
    if ctx.store.bucket(name).await?.owner != owner {
        return Err(taken(name));
    }
    // The oldest region answers a repeated creation as if it were the first.
    if ctx.config.region == FIRST_REGION { Ok(()) } else { Err(bucket::error(Error::BucketExists, name)) }
}

fn taken(name: &BucketName) -> S3Error {
    S3Error::new(
        StatusCode::CONFLICT,
        "BucketAlreadyExists",
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please \
         select a different name and try again.",
    )
    .with("BucketName", name.as_str())
}

fn ownership(headers: &HeaderMap) -> Result<Option<ObjectOwnership>, S3Error> {
    const NAME: &str = "x-amz-object-ownership";
    let Some(value) = headers.get(NAME) else { return Ok(None) };
    let value = String::from_utf8_lossy(value.as_bytes());
    parse_ownership(&value).map(Some).ok_or_else(|| {
        S3Error::invalid_argument(format!("Invalid x-amz-object-ownership header: {value}"), NAME, value)
    })
}

/// The access control list that the bucket begins with; `None` for the private one.
fn access(
    ctx: &Context,
    headers: &HeaderMap,
    ownership: ObjectOwnership,
    owner: AccountId,
) -> Result<Option<Acl>, S3Error> {
    let known = |id: &CanonicalId| owners::exists(ctx, id);
    let requested = acl::requested(headers, Scope::Bucket, &known);
    let enforced = ownership == ObjectOwnership::BucketOwnerEnforced;
    if enforced && headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-")) {
        return Err(bucket_has_acl());
    }
    let Some(requested) = requested? else { return Ok(None) };
    let id = CanonicalId::of(owner);
    let acl = requested.acl(id, id);
    if acl.is_private() {
        return Ok(None);
    }
    if enforced {
        return Err(bucket_has_acl());
    }
    acl::refuse_blocked(&acl, public_access_block::of_account(ctx, owner))?;
    if acl.is_public() && ctx.config.new_buckets.block_public_access {
        let message = "Bucket cannot have public ACLs set with BlockPublicAccess enabled";
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidBucketAclWithBlockPublicAccessError", message));
    }
    Ok(Some(acl))
}

/// Whether the bucket shall have Object Lock.
fn object_lock(headers: &HeaderMap) -> Result<bool, S3Error> {
    const LOCK: &str = "x-amz-bucket-object-lock-enabled";
    match headers.get(LOCK).map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(other) => {
            let message = "The value of x-amz-bucket-object-lock-enabled must be true or false";
            Err(S3Error::invalid_argument(message, LOCK, String::from_utf8_lossy(other)))
        }
    }
}

/// Refuses what this server can't honour, rather than making a bucket that lacks it.
fn check_headers(headers: &HeaderMap) -> Result<(), S3Error> {
    if headers.get("x-amz-bucket-namespace").is_some_and(|value| value != "global") {
        return Err(not_implemented("x-amz-bucket-namespace"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Configuration, check_headers, check_location, object_lock, ownership};

    #[test]
    fn locations() {
        fn check(constraint: &str, region: &str, expected: Option<&str>) {
            let code = check_location(constraint, region).err().map(|error| error.code);
            assert_eq!(code, expected, "{constraint} in {region}");
        }
        check("", "us-east-1", None);
        check("", "eu-central-1", None);
        check("eu-central-1", "eu-central-1", None);
        check("EU", "eu-west-1", None);
        check("EU", "eu-central-1", Some("IllegalLocationConstraintException"));
        check("us-east-1", "us-east-1", Some("InvalidLocationConstraint"));
        check("us-east-1", "eu-central-1", Some("InvalidLocationConstraint"));
        check("us-west-2", "us-east-1", Some("IllegalLocationConstraintException"));
        check("us-gov-west-1", "us-east-1", Some("IllegalLocationConstraintException"));
        check("here", "here", None);
        for nowhere in ["nowhere", "US", "us-west", "us-west-2a", "us-west-", "-west-1", "west-1", "US-WEST-2"] {
            check(nowhere, "us-east-1", Some("InvalidLocationConstraint"));
        }
    }

    #[test]
    fn documents() {
        fn check(text: &str, expected: Result<(&str, usize), &str>) {
            let read = Configuration::read(text.as_bytes());
            let read =
                read.as_ref().map(|found| (found.location.as_str(), found.tags.len())).map_err(|error| error.code);
            assert_eq!(read, expected, "{text}");
        }
        let document = |inside: &str| format!("<CreateBucketConfiguration>{inside}</CreateBucketConfiguration>");
        check("", Ok(("", 0)));
        check(&document(""), Ok(("", 0)));
        check(&document("<LocationConstraint/>"), Ok(("", 0)));
        check(&document("<LocationConstraint>eu-west-1</LocationConstraint>"), Ok(("eu-west-1", 0)));
        check(&document("<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"), Ok(("", 1)));
        check(&document("<Tags/>"), Ok(("", 0)));
        check(&document("<Tags><Tag><Key>aws:a</Key><Value>b</Value></Tag></Tags>"), Err("InvalidTag"));
        check(&document("<Location><Type>LocalZone</Type></Location>"), Err("NotImplemented"));
        check(&document("<Other/>"), Err("MalformedXML"));
        check("nonsense", Err("MalformedXML"));
    }

    #[test]
    fn headers() {
        fn check(pairs: &[(&'static str, &'static str)], expected: Option<&str>) {
            let pairs = pairs.iter();
            let headers: HeaderMap =
                pairs.map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
            let result = ownership(&headers).and_then(|_| check_headers(&headers));
            let result = result.and_then(|()| object_lock(&headers));
            assert_eq!(result.err().map(|error| error.code), expected, "{headers:?}");
        }
        check(&[], None);
        check(&[("x-amz-bucket-object-lock-enabled", "false")], None);
        check(&[("x-amz-bucket-object-lock-enabled", "true")], None);
        check(&[("x-amz-bucket-object-lock-enabled", "maybe")], Some("InvalidArgument"));
        check(&[("x-amz-object-ownership", "BucketOwnerPreferred")], None);
        check(&[("x-amz-object-ownership", "me")], Some("InvalidArgument"));
        check(&[("x-amz-bucket-namespace", "account-regional")], Some("NotImplemented"));
    }
}

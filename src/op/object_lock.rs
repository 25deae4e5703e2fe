//! GetObjectRetention, PutObjectRetention, GetObjectLegalHold, PutObjectLegalHold: the lock of one object version.

use http::StatusCode;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use strata_storage::{Error, LegalHold, Lock, Retention, RetentionChange, Timestamp};

use crate::authorize::Resource;
use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::lock_headers::{self, check_until, hold_name, mode_name, parse_hold, parse_mode};
use crate::op::bucket;
use crate::op::target::{self, Target, set_version};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::time;
use crate::xml::{self, Writer};

/// Runs GetObjectRetention.
pub async fn get_retention(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let retention = lock(ctx, &request).await?.retention.ok_or_else(none_set)?;
    let mut writer = Writer::new("Retention");
    writer.element("Mode", mode_name(retention.mode)).element("RetainUntilDate", time::iso8601(retention.until));
    Ok(Response::xml(writer.finish()))
}

/// Runs PutObjectRetention.
pub async fn put_retention(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let target = locked_target(ctx, &request).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Required).await?;
    let retention = read_retention(&bytes, request.now)?;
    let resource = Resource::Object(&target.bucket, &target.key, target.version);
    let governance = lock_headers::governance(ctx, &request, resource).await?;
    let change = RetentionChange { retention, governance };
    let changed = request.store(ctx).set_retention(&target.bucket, &target.key, target.selector(), change).await;
    let mut response = Response::empty(StatusCode::OK);
    set_version(&mut response, changed.map_err(target::change_error)?);
    Ok(response)
}

/// Runs GetObjectLegalHold.
pub async fn get_legal_hold(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let hold = lock(ctx, &request).await?.legal_hold.ok_or_else(none_set)?;
    let mut writer = Writer::new("LegalHold");
    writer.element("Status", hold_name(hold));
    Ok(Response::xml(writer.finish()))
}

/// Runs PutObjectLegalHold.
pub async fn put_legal_hold(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let target = locked_target(ctx, &request).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Required).await?;
    let hold = read_hold(&bytes)?;
    let changed = request.store(ctx).set_legal_hold(&target.bucket, &target.key, target.selector(), hold).await;
    let mut response = Response::empty(StatusCode::OK);
    set_version(&mut response, changed.map_err(target::change_error)?);
    Ok(response)
}

/// What the request is about, in a bucket with Object Lock.
async fn locked_target(ctx: &Context, request: &Request) -> Result<Target, S3Error> {
    let target = Target::of(ctx, request).await?;
    match bucket::find(ctx, &target.bucket).await?.object_lock {
        Some(_) => Ok(target),
        None => Err(Error::NoObjectLock.into()),
    }
}

async fn lock(ctx: &Context, request: &Request) -> Result<Lock, S3Error> {
    let target = locked_target(ctx, request).await?;
    let object = ctx.store.object(&target.bucket, &target.key, target.selector()).await;
    Ok(object.map_err(target::change_error)?.info().protection.lock)
}

fn none_set() -> S3Error {
    S3Error::new(
        StatusCode::NOT_FOUND,
        "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration",
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RetentionDocument {
    mode: Option<String>,
    retain_until_date: Option<String>,
    event_hold: Option<IgnoredAny>,
    event_hold_duration: Option<IgnoredAny>,
}

/// Reads a document. Unlike elsewhere, none at all is one that is malformed.
fn parse<D: DeserializeOwned>(bytes: &[u8]) -> Result<D, S3Error> {
    if bytes.is_empty() { Err(S3Error::malformed_xml()) } else { xml::parse(bytes) }
}

/// The retention that the document asks for; an empty one removes it.
fn read_retention(bytes: &[u8], now: Timestamp) -> Result<Option<Retention>, S3Error> {
    let document: RetentionDocument = parse(bytes)?;
    if document.event_hold.is_some() || document.event_hold_duration.is_some() {
        return Err(S3Error::not_implemented("Event holds are not implemented"));
    }
    match (document.mode, document.retain_until_date) {
        (None, None) => Ok(None),
        (Some(mode), Some(date)) => {
            let mode = parse_mode(&mode).ok_or_else(S3Error::malformed_xml)?;
            let until = time::parse_iso8601(&date).ok_or_else(S3Error::malformed_xml)?;
            check_until(until, now)?;
            Ok(Some(Retention { mode, until }))
        }
        _ => Err(S3Error::malformed_xml()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct LegalHoldDocument {
    status: String,
}

fn read_hold(bytes: &[u8]) -> Result<LegalHold, S3Error> {
    let document: LegalHoldDocument = parse(bytes)?;
    parse_hold(&document.status).ok_or_else(S3Error::malformed_xml)
}

#[cfg(test)]
mod tests {
    use strata_storage::{LegalHold, Retention, RetentionMode, Timestamp};

    use super::{read_hold, read_retention};

    #[test]
    fn retentions() {
        fn check(inside: &str, expected: Result<Option<Retention>, &str>) {
            let text = format!("<Retention>{inside}</Retention>");
            let found = read_retention(text.as_bytes(), Timestamp::from_secs(1_790_848_800));
            assert_eq!(found.map_err(|error| error.code), expected, "{inside}");
        }
        let date = |text: &str| format!("<RetainUntilDate>{text}</RetainUntilDate>");
        let until = Timestamp::from_secs(1_893_456_000);
        let (mode, good) = ("<Mode>COMPLIANCE</Mode>", date("2030-01-01T00:00:00Z"));
        check(&format!("{mode}{good}"), Ok(Some(Retention { mode: RetentionMode::Compliance, until })));
        check("", Ok(None));
        check(&format!("{mode}{}", date("2020-01-01T00:00:00Z")), Err("InvalidArgument"));
        for inside in [mode, &good, &format!("<Mode>compliance</Mode>{good}"), &format!("{mode}{}", date("soon"))] {
            check(inside, Err("MalformedXML"));
        }
        check("<Other/>", Err("MalformedXML"));
        check("<EventHold>ON</EventHold>", Err("NotImplemented"));
        assert_eq!(read_retention(b"", until).expect_err("no document").code, "MalformedXML");
    }

    #[test]
    fn holds() {
        fn check(inside: &str, expected: Result<LegalHold, &str>) {
            let found = read_hold(format!("<LegalHold>{inside}</LegalHold>").as_bytes());
            assert_eq!(found.map_err(|error| error.code), expected, "{inside}");
        }
        check("<Status>ON</Status>", Ok(LegalHold::On));
        check("<Status>OFF</Status>", Ok(LegalHold::Off));
        for inside in ["", "<Status/>", "<Status>on</Status>", "<Status>ON</Status><Status>ON</Status>"] {
            check(inside, Err("MalformedXML"));
        }
        assert_eq!(read_hold(b"").expect_err("no document").code, "MalformedXML");
    }
}

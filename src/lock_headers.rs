//! Object Lock in headers: what writes ask for, who may bypass governance, what reads tell.

use http::{HeaderMap, HeaderName};
use strata_storage::{Bucket, Governance, LegalHold, Lock, ObjectInfo, Retention, RetentionMode, Timestamp};

use crate::authorize::{self, Resource};
use crate::checksum_headers;
use crate::error::S3Error;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::time;

const MODE: HeaderName = HeaderName::from_static("x-amz-object-lock-mode");
const RETAIN_UNTIL: HeaderName = HeaderName::from_static("x-amz-object-lock-retain-until-date");
const LEGAL_HOLD: HeaderName = HeaderName::from_static("x-amz-object-lock-legal-hold");
const BYPASS: &str = "x-amz-bypass-governance-retention";
/// What else begins like the headers of locks belongs to event holds.
const PREFIX: &str = "x-amz-object-lock-";
/// S3's longest retention, 100 years.
const RETENTION_DAYS_MAX: u64 = 36_525;

/// The lock that a write asks for, if its caller may have it. What it does not ask for is the bucket's default, which
/// the engine knows.
pub async fn lock(ctx: &Context, bucket: &Bucket, request: &Request) -> Result<Lock, S3Error> {
    let lock = read(&request.headers, request.now)?;
    if lock == Lock::default() {
        return Ok(lock);
    }
    if bucket.object_lock.is_none() {
        return Err(strata_storage::Error::NoObjectLock.into());
    }
    let resource = Resource::Object(request.bucket()?, request.key()?, None);
    if lock.retention.is_some() {
        authorize::require(ctx, request, "s3:PutObjectRetention", resource).await?;
    }
    if lock.legal_hold.is_some() {
        authorize::require(ctx, request, "s3:PutObjectLegalHold", resource).await?;
    }
    Ok(lock)
}

/// Refuses a body without a digest of its client's for an object that will be locked.
pub fn require_digest(headers: &HeaderMap, bucket: &Bucket, lock: &Lock) -> Result<(), S3Error> {
    let has_default = bucket.object_lock.is_some_and(|lock| lock.default.is_some());
    let is_locked = has_default || *lock != Lock::default();
    if !is_locked || headers.contains_key("content-md5") || checksum_headers::expected(headers)?.is_some() {
        return Ok(());
    }
    Err(S3Error::invalid_request(
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
    ))
}

/// Whether governance binds the request. Clients send the header with every delete, so who may not bypass is not
/// refused for it: what he deletes may be free.
pub async fn governance(ctx: &Context, request: &Request, resource: Resource<'_>) -> Result<Governance, S3Error> {
    match request.headers.get(BYPASS).map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"false") => return Ok(Governance::Binding),
        Some(b"true") => {}
        Some(other) => {
            let message = "The value of x-amz-bypass-governance-retention must be true or false";
            return Err(S3Error::invalid_argument(message, BYPASS, String::from_utf8_lossy(other)));
        }
    }
    match authorize::require(ctx, request, "s3:BypassGovernanceRetention", resource).await {
        Ok(()) => Ok(Governance::Bypassed),
        Err(error) if error.code == "AccessDenied" => Ok(Governance::Binding),
        Err(error) => Err(error),
    }
}

/// Sets the headers of a version's lock, each if the caller may see it.
pub async fn set_visible(
    ctx: &Context,
    request: &Request,
    resource: Resource<'_>,
    info: &ObjectInfo,
    response: &mut Response,
) -> Result<(), S3Error> {
    let mut lock = info.protection.lock;
    if lock.retention.is_some() && !may(ctx, request, "s3:GetObjectRetention", resource).await? {
        lock.retention = None;
    }
    if lock.legal_hold.is_some() && !may(ctx, request, "s3:GetObjectLegalHold", resource).await? {
        lock.legal_hold = None;
    }
    set(lock, response);
    Ok(())
}

/// Sets the headers of a lock.
pub fn set(lock: Lock, response: &mut Response) {
    if let Some(retention) = lock.retention {
        response.set(MODE, mode_name(retention.mode));
        response.set(RETAIN_UNTIL, time::iso8601(retention.until));
    }
    if let Some(hold) = lock.legal_hold {
        response.set(LEGAL_HOLD, hold_name(hold));
    }
}

async fn may(ctx: &Context, request: &Request, action: &'static str, resource: Resource<'_>) -> Result<bool, S3Error> {
    match authorize::require(ctx, request, action, resource).await {
        Ok(()) => Ok(true),
        Err(error) if error.code == "AccessDenied" => Ok(false),
        Err(error) => Err(error),
    }
}

/// S3's word for a mode.
pub fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// The mode of that name; case counts.
pub fn parse_mode(text: &str) -> Option<RetentionMode> {
    [RetentionMode::Governance, RetentionMode::Compliance].into_iter().find(|&mode| mode_name(mode) == text)
}

/// S3's word for a legal hold.
pub fn hold_name(hold: LegalHold) -> &'static str {
    match hold {
        LegalHold::On => "ON",
        LegalHold::Off => "OFF",
    }
}

/// The legal hold of that name; case counts.
pub fn parse_hold(text: &str) -> Option<LegalHold> {
    [LegalHold::On, LegalHold::Off].into_iter().find(|&hold| hold_name(hold) == text)
}

/// Refuses an end that is not in the future, or farther away than S3 takes (its answer to that is unconfirmed).
pub fn check_until(until: Timestamp, now: Timestamp) -> Result<(), S3Error> {
    if until <= now {
        return Err(strata_storage::Error::RetentionOver.into());
    }
    if until.since(now).as_secs() > RETENTION_DAYS_MAX * 86_400 {
        let message = "The retain until date must be at most 100 years in the future";
        return Err(S3Error::invalid_argument(message, RETAIN_UNTIL.as_str(), time::iso8601(until)));
    }
    Ok(())
}

/// What the three headers say. Mode and date need each other; others of the family are not honoured.
fn read(headers: &HeaderMap, now: Timestamp) -> Result<Lock, S3Error> {
    let known = [MODE, RETAIN_UNTIL, LEGAL_HOLD];
    if let Some(other) = headers.keys().find(|name| name.as_str().starts_with(PREFIX) && !known.contains(name)) {
        return Err(crate::metadata_headers::not_implemented(other.as_str()));
    }
    let text = |name: &HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let retention = match (text(&MODE), text(&RETAIN_UNTIL)) {
        (None, None) => None,
        (Some(mode), Some(date)) => {
            let unknown = || S3Error::invalid_argument("Unknown wormMode directive.", MODE.as_str(), mode.as_ref());
            let mode = parse_mode(&mode).ok_or_else(unknown)?;
            let until = time::parse_iso8601(&date).ok_or_else(|| {
                let message = "The retain until date must be provided in ISO 8601 format";
                S3Error::invalid_argument(message, RETAIN_UNTIL.as_str(), date.as_ref())
            })?;
            check_until(until, now)?;
            Some(Retention { mode, until })
        }
        (mode, _) => {
            let missing = if mode.is_some() { RETAIN_UNTIL } else { MODE };
            let message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
            return Err(S3Error::invalid_argument(message, missing.as_str(), ""));
        }
    };
    let legal_hold = text(&LEGAL_HOLD).map(|hold| {
        let message = "Legal Hold must be either of 'ON' or 'OFF'";
        parse_hold(&hold).ok_or_else(|| S3Error::invalid_argument(message, LEGAL_HOLD.as_str(), hold.as_ref()))
    });
    Ok(Lock { retention, legal_hold: legal_hold.transpose()? })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{Bucket, LegalHold, Lock, ObjectLock, Retention, RetentionMode, RetentionPeriod, Timestamp};

    use super::{read, require_digest};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn locks_are_read() {
        fn check(pairs: &[(&'static str, &'static str)], expected: Result<Lock, (&str, &str)>) {
            let found = read(&headers(pairs), Timestamp::from_secs(1_790_848_800));
            let found = found.as_ref().map_err(|error| (error.code, error.message.as_ref()));
            assert_eq!(found.copied(), expected, "{pairs:?}");
        }
        const MODE: &str = "x-amz-object-lock-mode";
        const DATE: &str = "x-amz-object-lock-retain-until-date";
        const HOLD: &str = "x-amz-object-lock-legal-hold";
        let refused = |message| Err(("InvalidArgument", message));
        check(&[], Ok(Lock::default()));
        let until = Timestamp::from_secs(1_893_456_000);
        let retention = |mode| Some(Retention { mode, until });
        let locked = Lock { retention: retention(RetentionMode::Governance), legal_hold: None };
        check(&[(MODE, "GOVERNANCE"), (DATE, "2030-01-01T00:00:00Z")], Ok(locked));
        let both = Lock { retention: retention(RetentionMode::Compliance), legal_hold: Some(LegalHold::On) };
        check(&[(MODE, "COMPLIANCE"), (DATE, "2030-01-01T01:00:00.000+01:00"), (HOLD, "ON")], Ok(both));
        check(&[(HOLD, "OFF")], Ok(Lock { retention: None, legal_hold: Some(LegalHold::Off) }));
        let pair = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied";
        check(&[(MODE, "GOVERNANCE")], refused(pair));
        check(&[(DATE, "2030-01-01T00:00:00Z")], refused(pair));
        check(&[(MODE, "governance"), (DATE, "2030-01-01T00:00:00Z")], refused("Unknown wormMode directive."));
        let format = "The retain until date must be provided in ISO 8601 format";
        check(&[(MODE, "GOVERNANCE"), (DATE, "Tue, 01 Jan 2030 00:00:00 GMT")], refused(format));
        let future = "The retain until date must be in the future!";
        check(&[(MODE, "GOVERNANCE"), (DATE, "2020-01-01T00:00:00Z")], refused(future));
        let far = "The retain until date must be at most 100 years in the future";
        check(&[(MODE, "GOVERNANCE"), (DATE, "2130-01-01T00:00:00Z")], refused(far));
        check(&[(HOLD, "on")], refused("Legal Hold must be either of 'ON' or 'OFF'"));
        let message = "A header you provided implies functionality that is not implemented";
        check(&[("x-amz-object-lock-event-hold", "ON")], Err(("NotImplemented", message)));
    }

    #[test]
    fn locked_bodies_come_with_a_digest() {
        fn check(bucket: Option<ObjectLock>, lock: Lock, sent: &[(&'static str, &'static str)], expected: bool) {
            let bucket = Bucket { object_lock: bucket, ..Bucket::default() };
            assert_eq!(require_digest(&headers(sent), &bucket, &lock).is_ok(), expected, "{bucket:?} {lock:?}");
        }
        let default = ObjectLock { default: Some((RetentionMode::Governance, RetentionPeriod::Days(1))) };
        let held = Lock { retention: None, legal_hold: Some(LegalHold::On) };
        let md5 = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
        check(None, Lock::default(), &[], true);
        check(Some(ObjectLock::default()), Lock::default(), &[], true);
        check(Some(ObjectLock::default()), held, &[], false);
        check(Some(default), Lock::default(), &[], false);
        check(Some(default), held, &md5, true);
        check(Some(default), held, &[("x-amz-checksum-crc32", "AAAAAA==")], true);
        check(Some(default), held, &[("x-amz-trailer", "x-amz-checksum-crc32")], true);
    }
}

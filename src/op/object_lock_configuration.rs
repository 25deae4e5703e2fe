//! GetObjectLockConfiguration and PutObjectLockConfiguration: whether a bucket locks versions, and which retention new
//! ones get.

use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use strata_storage::{BucketChange, Error, ObjectLock, RetentionPeriod};

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::lock_headers::{mode_name, parse_mode};
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml::{self, Writer};

/// The longest default retention, in days and in years.
const DAYS_MAX: i64 = 36_500;
const YEARS_MAX: i64 = 100;

/// Answers `GET /bucket?object-lock`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    match &bucket::find(ctx, name).await?.object_lock {
        Some(lock) => Ok(Response::xml(document(lock))),
        None => Err(S3Error::new(
            StatusCode::NOT_FOUND,
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        )
        .with("BucketName", name.as_str())),
    }
}

/// Answers `PUT /bucket?object-lock`, which also enables Object Lock in a bucket that is versioned.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Required).await?;
    let change = BucketChange::ObjectLock(read(&bytes)?);
    match ctx.store.change_bucket(&name, change).await {
        Ok(()) => Ok(Response::empty(StatusCode::OK)),
        Err(Error::BucketState(_)) => Err(S3Error::new(
            StatusCode::CONFLICT,
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )),
        Err(error) => Err(bucket::error(error, &name)),
    }
}

fn document(lock: &ObjectLock) -> String {
    let mut writer = Writer::new("ObjectLockConfiguration");
    writer.element("ObjectLockEnabled", "Enabled");
    if let Some((mode, period)) = lock.default {
        writer.open("Rule").open("DefaultRetention").element("Mode", mode_name(mode));
        match period {
            RetentionPeriod::Days(days) => writer.element("Days", days.to_string()),
            RetentionPeriod::Years(years) => writer.element("Years", years.to_string()),
        };
    }
    writer.finish()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    object_lock_enabled: String,
    rule: Option<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Rule {
    default_retention: Option<DefaultRetention>,
    default_event_hold: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DefaultRetention {
    mode: String,
    days: Option<i64>,
    years: Option<i64>,
}

fn read(bytes: &[u8]) -> Result<ObjectLock, S3Error> {
    let document: Document = xml::parse(bytes)?;
    if document.object_lock_enabled != "Enabled" {
        return Err(S3Error::malformed_xml());
    }
    let Some(rule) = document.rule else { return Ok(ObjectLock::default()) };
    if rule.default_event_hold.is_some() {
        return Err(S3Error::not_implemented("Event holds are not implemented"));
    }
    let DefaultRetention { mode, days, years } = rule.default_retention.ok_or_else(S3Error::malformed_xml)?;
    let mode = parse_mode(&mode).ok_or_else(S3Error::malformed_xml)?;
    let period = match (days, years) {
        (Some(days), None) => RetentionPeriod::Days(within(days, DAYS_MAX, "Days")?),
        (None, Some(years)) => RetentionPeriod::Years(within(years, YEARS_MAX, "Years")?),
        _ => return Err(S3Error::malformed_xml()),
    };
    Ok(ObjectLock { default: Some((mode, period)) })
}

fn within(count: i64, most: i64, name: &'static str) -> Result<u32, S3Error> {
    let message = match count {
        ..=0 => "Default retention period must be a positive integer value",
        _ if count > most => "Default retention period too large",
        _ => return u32::try_from(count).map_err(S3Error::internal),
    };
    Err(S3Error::invalid_argument(message, name, count.to_string()))
}

#[cfg(test)]
mod tests {
    use strata_storage::{ObjectLock, RetentionMode, RetentionPeriod};

    use super::{document, read};

    #[test]
    fn documents() {
        fn check(inside: &str, expected: Result<Option<(RetentionMode, RetentionPeriod)>, &str>) {
            let text = format!("<ObjectLockConfiguration>{inside}</ObjectLockConfiguration>");
            let found = read(text.as_bytes()).map(|lock| lock.default).map_err(|error| error.code);
            assert_eq!(found, expected, "{inside}");
        }
        let enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>";
        let rule = |inside: &str| format!("{enabled}<Rule><DefaultRetention>{inside}</DefaultRetention></Rule>");
        check(enabled, Ok(None));
        let (days, years) = (RetentionPeriod::Days(36_500), RetentionPeriod::Years(100));
        let governance = "<Mode>GOVERNANCE</Mode>";
        check(&rule(&format!("{governance}<Days>36500</Days>")), Ok(Some((RetentionMode::Governance, days))));
        check(&rule("<Mode>COMPLIANCE</Mode><Years>100</Years>"), Ok(Some((RetentionMode::Compliance, years))));
        for inside in ["<Days>0</Days>", "<Days>-1</Days>", "<Days>36501</Days>", "<Years>101</Years>"] {
            check(&rule(&format!("{governance}{inside}")), Err("InvalidArgument"));
        }
        for inside in ["", "<Days>1</Days><Years>1</Years>", "<Days>one</Days>", "<Other/>"] {
            check(&rule(&format!("{governance}{inside}")), Err("MalformedXML"));
        }
        check(&rule("<Mode>governance</Mode><Days>1</Days>"), Err("MalformedXML"));
        check(&rule("<Days>1</Days>"), Err("MalformedXML"));
        check("", Err("MalformedXML"));
        check("<ObjectLockEnabled>Disabled</ObjectLockEnabled>", Err("MalformedXML"));
        check(&format!("{enabled}<Rule/>"), Err("MalformedXML"));
        check(&format!("{enabled}<Rule><DefaultEventHold/></Rule>"), Err("NotImplemented"));
    }

    #[test]
    fn documents_read_back() {
        for default in [None, Some((RetentionMode::Compliance, RetentionPeriod::Years(2)))] {
            let lock = ObjectLock { default };
            assert_eq!(read(document(&lock).as_bytes()).expect("our own document"), lock);
        }
    }
}

//! RestoreObject: an archived object shall be readable for some days, or come back for good.

use http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use strata_storage::{Error, RestoreOutcome, RestoreRequest, RestoreSpeed};

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::op::target::{self, Target};
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml;

/// Runs the operation.
pub async fn run(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let target = Target::of(ctx, &request).await?;
    bucket::find(ctx, &target.bucket).await?;
    let bytes = bucket::read_document(&mut request, ctx.config.limits.xml_bytes, Need::Optional).await?;
    let Asked { days, speed } = read(&bytes)?;
    let version = target.selector();
    let restore = RestoreRequest { bucket: target.bucket, key: target.key, version, days, speed };
    let outcome = request.store(ctx).restore(restore).await.map_err(|error| match error {
        // Unconfirmed: S3's code for a request that lacks what this object needs.
        Error::RestoreDays(_) if days.is_none() => S3Error::malformed_xml(),
        error => target::change_error(error),
    })?;
    Ok(Response::empty(status(outcome)))
}

/// Only what the copy's expiry changed for is answered 200; a restore made faster counts as accepted (unconfirmed).
fn status(outcome: RestoreOutcome) -> StatusCode {
    match outcome {
        RestoreOutcome::Started => StatusCode::ACCEPTED,
        RestoreOutcome::Extended { .. } => StatusCode::OK,
    }
}

/// What the document asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    /// For how many days; none is what INTELLIGENT_TIERING needs, and nothing else may go without.
    days: Option<u32>,
    /// How fast.
    speed: Option<RestoreSpeed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    days: Option<i32>,
    glacier_job_parameters: Option<JobParameters>,
    tier: Option<Speed>,
    /// Free text, which nothing shows again.
    #[serde(rename = "Description")]
    _description: Option<String>,
    r#type: Option<Kind>,
    select_parameters: Option<IgnoredAny>,
    output_location: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct JobParameters {
    tier: Speed,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Speed {
    Expedited,
    Standard,
    Bulk,
}

#[derive(Deserialize)]
enum Kind {
    #[serde(rename = "SELECT")]
    Select,
}

/// Reads the document. What only a select asks for is refused by name: a plain restore is not what the client wants.
fn read(bytes: &[u8]) -> Result<Asked, S3Error> {
    let document: Document = xml::parse(bytes)?;
    for (element, present) in [
        ("Type", matches!(document.r#type, Some(Kind::Select))),
        ("SelectParameters", document.select_parameters.is_some()),
        ("OutputLocation", document.output_location.is_some()),
    ] {
        if present {
            let message = format!("Restores that select from the content are not implemented: {element}");
            return Err(S3Error::not_implemented(message).with("Element", element));
        }
    }
    let inside = document.glacier_job_parameters.map(|parameters| parameters.tier);
    let speed = match (inside, document.tier) {
        // Unconfirmed: S3's answer to two tiers.
        (Some(inside), Some(outside)) if inside != outside => return Err(S3Error::malformed_xml()),
        (inside, outside) => inside.or(outside).map(speed),
    };
    Ok(Asked { days: document.days.map(days).transpose()?, speed })
}

fn days(days: i32) -> Result<u32, S3Error> {
    let positive = u32::try_from(days).ok().filter(|&days| days > 0);
    positive.ok_or_else(|| S3Error::invalid_argument("'Days' must be a positive integer", "Days", days.to_string()))
}

fn speed(speed: Speed) -> RestoreSpeed {
    match speed {
        Speed::Expedited => RestoreSpeed::Expedited,
        Speed::Standard => RestoreSpeed::Standard,
        Speed::Bulk => RestoreSpeed::Bulk,
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{RestoreOutcome, RestoreSpeed, Timestamp};

    use super::{Asked, read, status};

    fn document(inside: &str) -> String {
        format!("<RestoreRequest xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</RestoreRequest>")
    }

    #[test]
    fn requests() {
        fn check(inside: &str, days: Option<u32>, speed: Option<RestoreSpeed>) {
            let found = read(document(inside).as_bytes()).expect(inside);
            assert_eq!(found, Asked { days, speed }, "{inside}");
        }
        let job = |tier: &str| format!("<GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters>");
        check("", None, None);
        check("<Days>7</Days>", Some(7), None);
        check(&format!("<Days>1</Days>{}", job("Expedited")), Some(1), Some(RestoreSpeed::Expedited));
        check(&job("Standard"), None, Some(RestoreSpeed::Standard));
        check(&format!("{}<Days>2147483647</Days>", job("Bulk")), Some(2_147_483_647), Some(RestoreSpeed::Bulk));
        check("<Tier>Bulk</Tier><Description>for &lt;audit&gt;</Description>", None, Some(RestoreSpeed::Bulk));
        check(&format!("<Tier>Bulk</Tier>{}", job("Bulk")), None, Some(RestoreSpeed::Bulk));
    }

    #[test]
    fn faults() {
        fn check(bytes: &[u8], code: &str) {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(read(bytes).expect_err(&text).code, code, "{text}");
        }
        check(b"", "MissingRequestBodyError");
        for days in ["0", "-1"] {
            check(document(&format!("<Days>{days}</Days>")).as_bytes(), "InvalidArgument");
        }
        for inside in [
            "<Days/>",
            "<Days>x</Days>",
            "<Days>1.5</Days>",
            "<Days>2147483648</Days>",
            "<Days>1</Days><Days>1</Days>",
            "<Hours>1</Hours>",
            "<GlacierJobParameters/>",
            "<GlacierJobParameters><Tier/></GlacierJobParameters>",
            "<GlacierJobParameters><Tier>expedited</Tier></GlacierJobParameters>",
            "<GlacierJobParameters><Tier>Bulk</Tier><More/></GlacierJobParameters>",
            "<GlacierJobParameters><Tier>Bulk</Tier></GlacierJobParameters><Tier>Standard</Tier>",
            "<Tier>Fast</Tier>",
            "<Type>COPY</Type>",
        ] {
            check(document(inside).as_bytes(), "MalformedXML");
        }
    }

    #[test]
    fn selects_are_named() {
        fn check(inside: &str, element: &str) {
            let error = read(document(inside).as_bytes()).expect_err(inside);
            assert_eq!((error.status.as_u16(), error.code), (501, "NotImplemented"), "{inside}");
            assert_eq!(error.fields, [("Element", element.to_owned())], "{inside}");
        }
        check("<Type>SELECT</Type><Days>1</Days>", "Type");
        check("<SelectParameters><Expression>x</Expression></SelectParameters>", "SelectParameters");
        check("<OutputLocation><S3><BucketName>b</BucketName></S3></OutputLocation>", "OutputLocation");
    }

    #[test]
    fn statuses() {
        assert_eq!(status(RestoreOutcome::Started).as_u16(), 202);
        assert_eq!(status(RestoreOutcome::Extended { expires: Timestamp::from_secs(1) }).as_u16(), 200);
    }
}

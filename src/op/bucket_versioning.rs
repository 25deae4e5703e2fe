//! GetBucketVersioning and PutBucketVersioning.

use http::StatusCode;
use serde::Deserialize;
use strata_storage::{BucketChange, Error, Versioning};

use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml::{self, Writer};

/// The most bytes of a versioning document, S3's limit.
const DOCUMENT_BYTES_MAX: usize = 1024;

const LOCKED: &str =
    "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.";
const REPLICATED: &str = "A replication configuration is present on this bucket, so you cannot change the versioning \
    state. To change the versioning state, first delete the replication configuration.";

/// Answers `GET /bucket?versioning`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = bucket::find(ctx, request.bucket()?).await?;
    Ok(Response::xml(document(bucket.versioning)))
}

/// Answers `PUT /bucket?versioning`.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let bucket = bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, DOCUMENT_BYTES_MAX, Need::Optional).await?;
    let change = BucketChange::Versioning(read(&bytes)?);
    match ctx.store.change_bucket(&name, change).await {
        Ok(()) => Ok(Response::empty(StatusCode::OK)),
        Err(Error::BucketState(_)) => {
            let message = if bucket.object_lock.is_some() { LOCKED } else { REPLICATED };
            Err(S3Error::new(StatusCode::CONFLICT, "InvalidBucketState", message))
        }
        Err(error) => Err(bucket::error(error, &name)),
    }
}

fn document(versioning: Versioning) -> String {
    let mut writer = Writer::new("VersioningConfiguration");
    match versioning {
        Versioning::Unversioned => &mut writer,
        Versioning::Enabled => writer.element("Status", "Enabled"),
        Versioning::Suspended => writer.element("Status", "Suspended"),
    };
    writer.finish()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    status: Option<String>,
    mfa_delete: Option<String>,
}

/// The state that the document asks for. MFA delete is refused as long as it can't be enforced.
fn read(bytes: &[u8]) -> Result<Versioning, S3Error> {
    let document: Document = xml::parse(bytes)?;
    let status = match document.status.as_deref() {
        None | Some("") => None,
        Some("Enabled") => Some(Versioning::Enabled),
        Some("Suspended") => Some(Versioning::Suspended),
        Some(_) => return Err(S3Error::malformed_xml()),
    };
    match document.mfa_delete.as_deref() {
        None | Some("" | "Disabled") => {}
        Some("Enabled") => return Err(S3Error::not_implemented("MFA delete is not implemented")),
        Some(_) => return Err(S3Error::malformed_xml()),
    }
    status.ok_or_else(|| {
        let message = "The Versioning element must be specified";
        S3Error::new(StatusCode::BAD_REQUEST, "IllegalVersioningConfigurationException", message)
    })
}

#[cfg(test)]
mod tests {
    use strata_storage::Versioning;

    use super::{document, read};

    #[test]
    fn requests() {
        fn check(text: &str, expected: Result<Versioning, &str>) {
            assert_eq!(read(text.as_bytes()).map_err(|error| error.code), expected, "{text}");
        }
        let configuration = |inside: &str| format!("<VersioningConfiguration>{inside}</VersioningConfiguration>");
        check(&configuration("<Status>Enabled</Status>"), Ok(Versioning::Enabled));
        check(&configuration("<Status>Suspended</Status><MfaDelete>Disabled</MfaDelete>"), Ok(Versioning::Suspended));
        check(&configuration("<MfaDelete/><Status>Enabled</Status>"), Ok(Versioning::Enabled));
        check("<Other xmlns='x'><Status>Enabled</Status></Other>", Ok(Versioning::Enabled));
        check("", Err("MissingRequestBodyError"));
        for inside in ["", "<Status/>", "<Status></Status>", "<MfaDelete>Disabled</MfaDelete>"] {
            check(&configuration(inside), Err("IllegalVersioningConfigurationException"));
        }
        for inside in [
            "<Status>enabled</Status>",
            "<Status> Enabled</Status>",
            "<Status>On</Status>",
            "<Other/>",
            "<Status>Enabled</Status><Status>Enabled</Status>",
            "<Status>Enabled</Status><MfaDelete>on</MfaDelete>",
        ] {
            check(&configuration(inside), Err("MalformedXML"));
        }
        check(&configuration("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>"), Err("NotImplemented"));
    }

    #[test]
    fn answers() {
        fn check(versioning: Versioning, ending: &str) {
            assert!(document(versioning).ends_with(ending), "{versioning:?}");
        }
        check(Versioning::Unversioned, "2006-03-01/\"></VersioningConfiguration>");
        check(Versioning::Enabled, "<Status>Enabled</Status></VersioningConfiguration>");
        check(Versioning::Suspended, "<Status>Suspended</Status></VersioningConfiguration>");
    }
}

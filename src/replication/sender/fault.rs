//! Why a version did not reach its destination, and whether it may later.

use crate::outbound::Answer;
use crate::replication::{RegionError, Unresolved, error_code};
use http::StatusCode;
use strata_storage::Error;

/// What a request was for; S3's reasons of failure tell that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To write an object at once.
    Put,
    /// To begin an upload.
    Begin,
    /// To send a part.
    Part,
    /// To complete an upload.
    Complete,
    /// To make a delete marker.
    Marker,
    /// To set tags, and with a Strata list and lock.
    Tags,
}

impl Step {
    /// The reason of failure where the destination does not permit it.
    const fn not_permitted(self) -> &'static str {
        match self {
            Step::Put => "DstPutObjectNotPermitted",
            Step::Begin => "DstMultipartInitNotPermitted",
            Step::Part => "DstMultipartUploadNotPermitted",
            Step::Complete => "DstMultipartCompleteNotPermitted",
            Step::Marker => "DstDelObjNotPermitted",
            Step::Tags => "DstPutTaggingNotPermitted",
        }
    }
}

/// The reason of failure where the destination has no version to change.
pub const VERSION_NOT_FOUND: &str = "DstVersionNotFound";

/// Why a task was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may work later: the destination does not answer, is busy or full, or does not accept our credentials for now.
    #[error("{0}")]
    Passing(String),
    /// It will not work unless somebody changes something. The reason is one of S3's where it has one.
    #[error("{0}")]
    Lasting(String),
    /// What was to be sent cannot be read here: it is damaged. Waiting for the destination does not help.
    #[error("{0}")]
    Source(String),
    /// The destination has no version to change. It is a replica here too: it may still be on its way there from its origin.
    #[error("{VERSION_NOT_FOUND}")]
    Early,
    /// What was to be sent is not there any more.
    #[error("it is gone")]
    Gone,
}

impl Fault {
    /// Of an answer that is no success.
    pub fn of(step: Step, answer: &Answer) -> Fault {
        let code = error_code(&answer.body);
        let status = answer.status;
        let told = || match code.is_empty() {
            true => format!("the destination answers {}", status.as_u16()),
            false => format!("the destination answers {} {code}", status.as_u16()),
        };
        match code.as_str() {
            // The credentials are those of the settings, so that all versions wait for them to be mended.
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "ExpiredToken"
            | "InvalidToken"
            | "QuotaExceeded"
            | "RequestTimeout"
            | "SlowDown"
            | "OperationAborted"
            | "NoSuchUpload" => Fault::Passing(told()),
            "NoSuchBucket" => Fault::Lasting("DstBucketNotFound".to_owned()),
            "NoSuchVersion" | "NoSuchKey" => Fault::Lasting(VERSION_NOT_FOUND.to_owned()),
            "InvalidBucketState" => Fault::Lasting("DstBucketUnversioned".to_owned()),
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Fault::Lasting(step.not_permitted().to_owned()),
            "KMS.NotFoundException" => Fault::Lasting("DstKmsKeyNotFound".to_owned()),
            "KMS.DisabledException" | "KMS.KMSInvalidStateException" => {
                Fault::Lasting("DstKmsKeyInvalidState".to_owned())
            }
            "InvalidRequest" if step == Step::Put && body_names_lock(&answer.body) => {
                Fault::Lasting("DstBucketObjectLockConfigMissing".to_owned())
            }
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Fault::Passing(told()),
            _ if status == StatusCode::FORBIDDEN => Fault::Lasting(step.not_permitted().to_owned()),
            _ => Fault::Lasting(told()),
        }
    }
}

impl From<&Error> for Fault {
    /// Of this store, when it was asked for what is to be sent.
    fn from(error: &Error) -> Fault {
        match error {
            Error::Corrupt { what, .. } => {
                tracing::error!(%error, "what is to be replicated is damaged");
                // Where it lies is for those who look after the store, not for those who get events.
                Fault::Source(format!("the source is damaged: its {what} is corrupt"))
            }
            error => Fault::Passing(error.to_string()),
        }
    }
}

/// Whether an error document says that the bucket has no Object Lock, for which S3 has no code of its own.
fn body_names_lock(body: &[u8]) -> bool {
    let needle = b"Object Lock Configuration";
    body.windows(needle.len()).any(|window| window == needle)
}

impl From<RegionError> for Fault {
    fn from(error: RegionError) -> Fault {
        match error {
            RegionError::Invalid(reason) => Fault::Lasting(reason),
            other => Fault::Passing(other.to_string()),
        }
    }
}

impl From<Unresolved> for Fault {
    fn from(unresolved: Unresolved) -> Fault {
        match unresolved {
            Unresolved::NotABucket(_) | Unresolved::Missing => Fault::Lasting("DstBucketNotFound".to_owned()),
            other => Fault::Passing(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::{Fault, Step};
    use crate::outbound::Answer;

    #[test]
    fn answers_tell_whether_waiting_helps() {
        fn check(step: Step, status: u16, code: &str, expected: Result<&str, ()>) {
            let body = match code {
                "" => Bytes::new(),
                code => Bytes::from(format!("<Error><Code>{code}</Code><Message>m</Message></Error>")),
            };
            let status = StatusCode::from_u16(status).expect("a status");
            let found = Fault::of(step, &Answer { status, headers: HeaderMap::new(), body });
            match expected {
                Ok(reason) => assert_eq!(found, Fault::Lasting(reason.to_owned()), "{status} {code}"),
                Err(()) => assert!(matches!(found, Fault::Passing(_)), "{status} {code}: {found:?}"),
            }
        }
        check(Step::Put, 503, "SlowDown", Err(()));
        check(Step::Put, 500, "", Err(()));
        check(Step::Put, 429, "", Err(()));
        check(Step::Put, 403, "InvalidAccessKeyId", Err(()));
        check(Step::Put, 403, "QuotaExceeded", Err(()));
        check(Step::Part, 404, "NoSuchUpload", Err(()));
        check(Step::Put, 403, "AccessDenied", Ok("DstPutObjectNotPermitted"));
        check(Step::Marker, 403, "", Ok("DstDelObjNotPermitted"));
        check(Step::Tags, 404, "NoSuchVersion", Ok("DstVersionNotFound"));
        check(Step::Begin, 404, "NoSuchBucket", Ok("DstBucketNotFound"));
        check(Step::Put, 409, "InvalidBucketState", Ok("DstBucketUnversioned"));
        check(Step::Put, 400, "EntityTooLarge", Ok("the destination answers 400 EntityTooLarge"));
        check(Step::Put, 301, "", Ok("the destination answers 301"));
    }
}

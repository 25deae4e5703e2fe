//! S3's error answers: one type, one table of codes, one conversion from the engine's errors.

use std::borrow::Cow;
use std::fmt;

use http::header::{ALLOW, LAST_MODIFIED};
use http::{HeaderName, HeaderValue, StatusCode};
use strata_storage::{Entity, Error, StorageClass, Tier, Timestamp, VersionId};

/// An error as S3 answers it.
#[derive(Debug, Clone)]
pub struct S3Error {
    /// The HTTP status.
    pub status: StatusCode,
    /// S3's code.
    pub code: &'static str,
    /// The message.
    pub message: Cow<'static, str>,
    /// Elements between `Message` and `Resource`, in order.
    pub fields: Vec<(&'static str, String)>,
    /// Headers that go with the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the connection can't be used any more, as when the body was left unread.
    pub close: bool,
    /// What the log says of it and the client is not told.
    pub detail: Option<String>,
}

impl S3Error {
    /// Any error.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error {
            status,
            code,
            message: message.into(),
            fields: Vec::new(),
            headers: Vec::new(),
            close: false,
            detail: None,
        }
    }

    /// The same with one more element.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> S3Error {
        self.fields.push((name, value.into()));
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> S3Error {
        self.headers.push((name, value));
        self
    }

    /// The same with something for the log.
    #[must_use]
    pub fn with_detail(mut self, detail: impl std::fmt::Display) -> S3Error {
        self.detail = Some(detail.to_string());
        self
    }

    /// 400 `InvalidArgument`, with `ArgumentName` and `ArgumentValue`.
    pub fn invalid_argument(
        message: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> S3Error {
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// 400 `InvalidRequest`.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    /// 400 `MalformedXML`.
    pub fn malformed_xml() -> S3Error {
        S3Error::new(
            StatusCode::BAD_REQUEST,
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    }

    /// 403 `AccessDenied`.
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// 404 `NoSuchBucket`.
    pub fn no_such_bucket(name: impl Into<String>) -> S3Error {
        not_found(Entity::Bucket).with("BucketName", name)
    }

    /// 404 `NoSuchKey`.
    pub fn no_such_key(key: impl Into<String>) -> S3Error {
        not_found(Entity::Key).with("Key", key)
    }

    /// 404 `NoSuchVersion`.
    pub fn no_such_version(key: impl Into<String>, version_id: impl Into<String>) -> S3Error {
        not_found(Entity::Version).with("Key", key).with("VersionId", version_id)
    }

    /// 405 `MethodNotAllowed`. `resource_type` is S3's upper-case word, `allow` the methods that are.
    pub fn method_not_allowed(method: &http::Method, resource_type: &str, allow: &str) -> S3Error {
        let mut error = not_allowed().with("Method", method.as_str()).with("ResourceType", resource_type);
        if let Ok(value) = HeaderValue::from_str(allow) {
            error = error.with_header(ALLOW, value);
        }
        error
    }

    /// 412 `PreconditionFailed`; `condition` names the header that did not hold.
    pub fn precondition_failed(condition: &'static str) -> S3Error {
        precondition().with("Condition", condition)
    }

    /// 501 `NotImplemented`, for what S3 defines and this server does not offer.
    pub fn not_implemented(message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// 503 `SlowDown`; clients try again later.
    pub fn slow_down() -> S3Error {
        S3Error::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
    }

    /// 500 `InternalError`. `reason` goes to the log, never to the client.
    pub fn internal(reason: impl std::fmt::Display) -> S3Error {
        S3Error::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "We encountered an internal error. Please try again.",
        )
        .with_detail(reason)
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// So that it can pass through the body of a request.
impl std::error::Error for S3Error {}

/// The engine's errors with S3's codes. Operations add what only they know: key, version, upload, condition.
impl From<Error> for S3Error {
    fn from(error: Error) -> S3Error {
        match error {
            Error::NotFound(entity) => not_found(entity),
            Error::DeleteMarker { version_id, modified, by_id } => delete_marker(version_id, modified, by_id),
            Error::BucketExists => conflict(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
            ),
            Error::BucketNotEmpty => conflict("BucketNotEmpty", "The bucket you tried to delete is not empty"),
            Error::BucketState(reason) => conflict("InvalidBucketState", reason),
            Error::TooManyConfigurations { most } => S3Error::new(
                StatusCode::BAD_REQUEST,
                "TooManyConfigurations",
                format!(
                    "You are attempting to create a new configuration but have already reached the {most}-configuration \
                     limit."
                ),
            ),
            Error::DocumentTooLarge => S3Error::new(
                StatusCode::BAD_REQUEST,
                "EntityTooLarge",
                "The configuration is larger than this server keeps.",
            ),
            Error::ObjectLocked { .. } => {
                S3Error::access_denied("Access Denied because object protected by object lock.")
            }
            Error::NoObjectLock => S3Error::invalid_request("Bucket is missing Object Lock Configuration"),
            Error::RetentionOver => bad_request("InvalidArgument", "The retain until date must be in the future!"),
            // S3 has no quotas; other stores answer with this code.
            Error::QuotaExceeded(exceeded) => {
                S3Error::new(StatusCode::FORBIDDEN, "QuotaExceeded", exceeded.to_string())
                    .with("Limit", exceeded.limit.to_string())
                    .with("Left", exceeded.left.to_string())
            }
            Error::Precondition => precondition(),
            Error::Conflict => conflict(
                "ConditionalRequestConflict",
                "The conditional request cannot succeed due to a conflicting operation against this resource.",
            ),
            Error::InvalidPart { number, etag } => bad_request(
                "InvalidPart",
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the \
                 specified entity tag may not match the part's entity tag.",
            )
            .with("PartNumber", number.to_string())
            .with("ETag", etag),
            Error::PartTooSmall { number, size, least, etag } => {
                bad_request("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
                    .with("ProposedSize", size.to_string())
                    .with("MinSizeAllowed", least.to_string())
                    .with("PartNumber", number.to_string())
                    .with("ETag", etag.to_string())
            }
            Error::SizeMismatch { expected, actual } => S3Error::invalid_request(format!(
                "The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {actual}"
            )),
            Error::TooLarge { size, most } => {
                bad_request("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
                    .with("ProposedSize", size.to_string())
                    .with("MaxSizeAllowed", most.to_string())
            }
            Error::ChecksumMismatch => bad_request(
                "BadDigest",
                "The Content-MD5 or checksum value that you specified did not match what the server received.",
            ),
            Error::Archived { class, tier } => archived(class, tier),
            Error::Sealed => S3Error::invalid_request(
                "The object was stored using a form of Server Side Encryption. The correct parameters must be provided \
                 to retrieve the object.",
            ),
            Error::WrongKey => S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
            Error::RestoreInProgress => conflict("RestoreAlreadyInProgress", "Object restore is already in progress"),
            // The model calls it ObjectAlreadyInActiveTierError; S3 was seen to send this.
            Error::NotArchived { class } => S3Error::new(
                StatusCode::FORBIDDEN,
                "InvalidObjectState",
                "Restore is not allowed for the object's current storage class",
            )
            .with("StorageClass", class.name()),
            Error::Busy => S3Error::slow_down(),
            // The reference names no status; with this one clients that do not know the code try again.
            Error::RestoresThrottled => {
                S3Error::new(StatusCode::SERVICE_UNAVAILABLE, "ThrottlingException", "Please reduce your request rate.")
            }
            Error::RestoreSpeedUnavailable => S3Error::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "GlacierExpeditedRetrievalNotAvailable",
                "Glacier expedited retrievals are currently not available, please try again later",
            ),
            // Unconfirmed: S3's code for both.
            Error::RestoreSpeedNotOffered => S3Error::invalid_argument(
                "Expedited retrievals are not offered for objects of the deep archive",
                "Tier",
                "Expedited",
            ),
            Error::RestoreDays(reason) => S3Error::new(
                StatusCode::BAD_REQUEST,
                "InvalidArgument",
                format!("The number of days is not valid: {reason}"),
            )
            .with("ArgumentName", "Days"),
            Error::BadMarker => bad_request("InvalidArgument", "The marker provided is incorrect"),
            Error::NoSpace { .. } => {
                unavailable("The server's disk is full; free space and try again.").with_detail(error)
            }
            Error::Poisoned => unavailable(
                "The server refuses writes because its disk failed to store earlier ones; it must be restarted.",
            )
            .with_detail(error),
            error if error.is_out_of_files() => {
                unavailable("The server has too many files open at present. Please try again later.").with_detail(error)
            }
            Error::ZoneAway => {
                unavailable("A disk that holds this object cannot be reached at present. Please try again later.")
                    .with_detail(error)
            }
            Error::Closed => unavailable("The server is shutting down. Please try again."),
            Error::Corrupt { .. }
            | Error::UnknownFormat { .. }
            | Error::Zone(_)
            | Error::Backup(_)
            | Error::Locked
            | Error::MasterKeyMissing
            | Error::MasterKeyWrong
            | Error::SealMismatch
            | Error::Io { .. }
            | Error::Index { .. } => S3Error::internal(error),
        }
    }
}

fn not_found(entity: Entity) -> S3Error {
    let (code, message) = match entity {
        Entity::Bucket => ("NoSuchBucket", "The specified bucket does not exist"),
        Entity::Key => ("NoSuchKey", "The specified key does not exist."),
        Entity::Version => ("NoSuchVersion", "The specified version does not exist."),
        Entity::Upload => (
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
             or completed.",
        ),
        Entity::Configuration => ("NoSuchConfiguration", "The specified configuration does not exist."),
    };
    S3Error::new(StatusCode::NOT_FOUND, code, message)
}

/// 404 for a key whose current version is a marker, 405 for a marker asked for by its id; the operation adds
/// `Method` to the latter.
fn delete_marker(version_id: VersionId, modified: Timestamp, by_id: bool) -> S3Error {
    let mut error = if by_id { not_allowed().with("ResourceType", "DeleteMarker") } else { not_found(Entity::Key) };
    error = error.with_header(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    if let Ok(value) = HeaderValue::from_str(&version_id.to_string()) {
        error = error.with_header(HeaderName::from_static("x-amz-version-id"), value);
    }
    if by_id {
        if let Ok(value) = HeaderValue::from_str(&crate::time::http_date(modified)) {
            error = error.with_header(LAST_MODIFIED, value);
        }
        error = error.with_header(ALLOW, HeaderValue::from_static("DELETE"));
    }
    error
}

/// What must be restored first. The tier is told for INTELLIGENT_TIERING only.
fn archived(class: StorageClass, tier: Tier) -> S3Error {
    let message = "The operation is not valid for the object's storage class";
    let error = S3Error::new(StatusCode::FORBIDDEN, "InvalidObjectState", message).with("StorageClass", class.name());
    match archive_tier_name(tier) {
        Some(name) => error.with("AccessTier", name),
        None => error,
    }
}

/// What answers call the tiers that must be restored; they never tell the others apart.
pub fn archive_tier_name(tier: Tier) -> Option<&'static str> {
    match tier {
        Tier::Archive => Some("ARCHIVE_ACCESS"),
        Tier::DeepArchive => Some("DEEP_ARCHIVE_ACCESS"),
        Tier::Frequent | Tier::Infrequent | Tier::ArchiveInstant => None,
    }
}

fn not_allowed() -> S3Error {
    S3Error::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )
}

fn precondition() -> S3Error {
    S3Error::new(
        StatusCode::PRECONDITION_FAILED,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    )
}

fn bad_request(code: &'static str, message: &'static str) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, code, message)
}

fn conflict(code: &'static str, message: &'static str) -> S3Error {
    S3Error::new(StatusCode::CONFLICT, code, message)
}

fn unavailable(message: &'static str) -> S3Error {
    S3Error::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

#[cfg(test)]
mod tests {
    use strata_storage::{
        Entity, Error, Lock, QuotaExceeded, QuotaResource, QuotaScope, StorageClass, Tier, Timestamp, VersionId,
    };

    use super::S3Error;

    #[test]
    fn engine_errors_have_codes() {
        fn check(error: Error, status: u16, code: &str) {
            let converted = S3Error::from(error);
            assert_eq!((converted.status.as_u16(), converted.code), (status, code));
        }
        let marker =
            |by_id| Error::DeleteMarker { version_id: VersionId::Null, modified: Timestamp::from_secs(0), by_id };
        check(Error::NotFound(Entity::Bucket), 404, "NoSuchBucket");
        check(Error::NotFound(Entity::Key), 404, "NoSuchKey");
        check(Error::NotFound(Entity::Version), 404, "NoSuchVersion");
        check(Error::NotFound(Entity::Upload), 404, "NoSuchUpload");
        check(marker(false), 404, "NoSuchKey");
        check(marker(true), 405, "MethodNotAllowed");
        check(Error::NotFound(Entity::Configuration), 404, "NoSuchConfiguration");
        check(Error::TooManyConfigurations { most: 1000 }, 400, "TooManyConfigurations");
        check(Error::BucketExists, 409, "BucketAlreadyOwnedByYou");
        check(Error::Precondition, 412, "PreconditionFailed");
        check(Error::ObjectLocked { lock: Lock::default() }, 403, "AccessDenied");
        check(Error::NoObjectLock, 400, "InvalidRequest");
        check(Error::RetentionOver, 400, "InvalidArgument");
        let (scope, resource) = (QuotaScope::Bucket, QuotaResource::Bytes);
        let exceeded = QuotaExceeded { scope, resource, limit: 10, left: 1 };
        check(Error::QuotaExceeded(exceeded), 403, "QuotaExceeded");
        check(Error::Conflict, 409, "ConditionalRequestConflict");
        check(Error::InvalidPart { number: 1, etag: "e".to_owned() }, 400, "InvalidPart");
        check(Error::TooLarge { size: 2, most: 1 }, 400, "EntityTooLarge");
        check(Error::RestoreInProgress, 409, "RestoreAlreadyInProgress");
        check(Error::NotArchived { class: StorageClass::GlacierIr }, 403, "InvalidObjectState");
        check(Error::Busy, 503, "SlowDown");
        check(Error::RestoresThrottled, 503, "ThrottlingException");
        check(Error::RestoreSpeedUnavailable, 503, "GlacierExpeditedRetrievalNotAvailable");
        check(Error::RestoreSpeedNotOffered, 400, "InvalidArgument");
        check(Error::RestoreDays("a reason"), 400, "InvalidArgument");
        check(Error::NoSpace { action: "write" }, 503, "ServiceUnavailable");
        check(Error::Poisoned, 503, "ServiceUnavailable");
        check(Error::ZoneAway, 503, "ServiceUnavailable");
        check(Error::Corrupt { what: "a record", place: "here".to_owned() }, 500, "InternalError");
    }

    #[test]
    fn what_is_archived_names_its_class_and_tier() {
        fn check(class: StorageClass, tier: Tier, expected: &[(&'static str, &str)]) {
            let error = S3Error::from(Error::Archived { class, tier });
            let fields: Vec<(&str, &str)> = error.fields.iter().map(|(name, text)| (*name, text.as_str())).collect();
            assert_eq!((error.status.as_u16(), error.code, fields), (403, "InvalidObjectState", expected.to_vec()));
        }
        let tiering = StorageClass::IntelligentTiering;
        let class = ("StorageClass", "INTELLIGENT_TIERING");
        check(StorageClass::Glacier, Tier::Frequent, &[("StorageClass", "GLACIER")]);
        check(StorageClass::DeepArchive, Tier::Frequent, &[("StorageClass", "DEEP_ARCHIVE")]);
        check(tiering, Tier::Archive, &[class, ("AccessTier", "ARCHIVE_ACCESS")]);
        check(tiering, Tier::DeepArchive, &[class, ("AccessTier", "DEEP_ARCHIVE_ACCESS")]);
    }

    #[test]
    fn a_marker_asked_for_by_id_says_when_it_was_made() {
        let modified = Timestamp::from_secs(784_111_777);
        let error = S3Error::from(Error::DeleteMarker { version_id: VersionId::Null, modified, by_id: true });
        let headers: Vec<(&str, &str)> =
            error.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(
            headers,
            [
                ("x-amz-delete-marker", "true"),
                ("x-amz-version-id", "null"),
                ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("allow", "DELETE"),
            ]
        );
    }

    #[test]
    fn details_stay_out_of_the_message() {
        let error = S3Error::internal("the secret reason");
        assert_eq!(error.detail.as_deref(), Some("the secret reason"));
        assert!(!error.message.contains("secret"));
    }
}

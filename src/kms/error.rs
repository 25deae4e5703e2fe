//! What a key management service refuses, by KMS's names.

use std::borrow::Cow;

use http::StatusCode;

use crate::error::S3Error;

/// A refusal: KMS's code and its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct KmsError {
    /// KMS's code: `NotFoundException`.
    pub code: Cow<'static, str>,
    /// What is wrong.
    pub message: String,
}

impl KmsError {
    /// Any refusal.
    pub fn new(code: &'static str, message: impl Into<String>) -> KmsError {
        KmsError { code: Cow::Borrowed(code), message: message.into() }
    }

    /// There is no such key, or it is another account's.
    pub fn not_found(name: &str) -> KmsError {
        KmsError::new("NotFoundException", format!("Invalid keyId '{name}'"))
    }

    /// The key is disabled.
    pub fn disabled(arn: &str) -> KmsError {
        KmsError::new("DisabledException", format!("{arn} is disabled."))
    }

    /// The key waits for its deletion, or is gone.
    pub fn invalid_state(arn: &str, state: &str) -> KmsError {
        KmsError::new("KMSInvalidStateException", format!("{arn} is {state}."))
    }

    /// What was to be decrypted is not what this service encrypted, or its context is another.
    pub fn invalid_ciphertext() -> KmsError {
        KmsError::new("InvalidCiphertextException", "")
    }

    /// A parameter is missing or wrong.
    pub fn validation(message: impl Into<String>) -> KmsError {
        KmsError::new("ValidationException", message)
    }

    /// The caller may not.
    pub fn access_denied(arn: &str, action: &str, resource: &str) -> KmsError {
        let message = format!("User: {arn} is not authorized to perform: {action} on resource: {resource}");
        KmsError::new("AccessDeniedException", message)
    }

    /// Something failed that the caller cannot change.
    pub fn internal(reason: impl std::fmt::Display) -> KmsError {
        tracing::error!(%reason, "the key store failed");
        KmsError::new("KMSInternalException", "The request was rejected because an internal exception occurred.")
    }

    /// The HTTP status in KMS's own protocol.
    pub fn status(&self) -> StatusCode {
        match self.code.as_ref() {
            "KMSInternalException" | "DependencyTimeoutException" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// How S3 passes a refusal on: `KMS.NotFoundException`, and `AccessDenied` where the caller may not use the key.
impl From<KmsError> for S3Error {
    fn from(error: KmsError) -> S3Error {
        let code = match error.code.as_ref() {
            "AccessDeniedException" => return S3Error::access_denied(error.message),
            "NotFoundException" => "KMS.NotFoundException",
            "DisabledException" => "KMS.DisabledException",
            "KMSInvalidStateException" => "KMS.KMSInvalidStateException",
            "InvalidCiphertextException" => "KMS.InvalidCiphertextException",
            "IncorrectKeyException" => "KMS.IncorrectKeyException",
            "InvalidKeyUsageException" => "KMS.InvalidKeyUsageException",
            "ValidationException" => return S3Error::invalid_request(error.message),
            _ => {
                return S3Error::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ServiceUnavailable",
                    "Reduce your request rate.",
                )
                .with_detail(error);
            }
        };
        S3Error::new(StatusCode::BAD_REQUEST, code, error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::KmsError;
    use crate::error::S3Error;

    #[test]
    fn refusals_pass_through() {
        fn check(error: KmsError, status: u16, code: &str) {
            let passed = S3Error::from(error);
            assert_eq!((passed.status.as_u16(), passed.code), (status, code));
        }
        check(KmsError::not_found("k"), 400, "KMS.NotFoundException");
        check(KmsError::disabled("k"), 400, "KMS.DisabledException");
        check(KmsError::invalid_state("k", "pending deletion"), 400, "KMS.KMSInvalidStateException");
        check(KmsError::access_denied("a", "kms:Decrypt", "k"), 403, "AccessDenied");
        check(KmsError::new("ThrottlingException", ""), 503, "ServiceUnavailable");
    }
}

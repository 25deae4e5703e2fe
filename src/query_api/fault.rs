//! The errors of the query APIs.

use std::borrow::Cow;

use http::StatusCode;

use crate::credentials::RandomnessError;
use crate::directory::DirectoryError;
use crate::policy::PolicyFault;

use super::form::member;

/// An error as a query API answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The HTTP status.
    pub status: StatusCode,
    /// AWS's code.
    pub code: &'static str,
    /// The message.
    pub message: Cow<'static, str>,
    /// What the log says of it and the client is not told.
    pub detail: Option<String>,
}

impl Fault {
    /// Any error.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { status, code, message: message.into(), detail: None }
    }

    /// 400 `ValidationError`.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }

    /// 400 `ValidationError` in AWS's words for one value.
    pub fn constraint(name: &str, value: &str, constraint: &str) -> Fault {
        Fault::validation(format!(
            "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: {constraint}",
            member(name)
        ))
    }

    /// 400 `InvalidInput`.
    pub fn invalid_input(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    }

    /// 404 `NoSuchEntity`.
    pub fn no_such_entity(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, "NoSuchEntity", message)
    }

    /// 409 `DeleteConflict`.
    pub fn delete_conflict(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::CONFLICT, "DeleteConflict", message)
    }

    /// 409 `LimitExceeded`.
    pub fn limit_exceeded(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::CONFLICT, "LimitExceeded", message)
    }

    /// 403 `AccessDenied`.
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// 500 `ServiceFailure`. `reason` goes to the log, never to the client.
    pub fn internal(reason: impl std::fmt::Display) -> Fault {
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        Fault {
            detail: Some(reason.to_string()),
            ..Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceFailure", message)
        }
    }
}

impl From<PolicyFault> for Fault {
    fn from(fault: PolicyFault) -> Fault {
        let message = match &fault.detail {
            Some(detail) => Cow::Owned(format!("{}: {detail}", fault.message)),
            None => fault.message,
        };
        Fault::new(StatusCode::BAD_REQUEST, "MalformedPolicyDocument", message)
    }
}

impl From<RandomnessError> for Fault {
    fn from(error: RandomnessError) -> Fault {
        Fault::internal(error)
    }
}

impl From<DirectoryError> for Fault {
    fn from(error: DirectoryError) -> Fault {
        use strata_storage::Error;
        match error {
            DirectoryError::Store(Error::DocumentTooLarge) => {
                Fault::limit_exceeded("The entity with all its policies is larger than this server keeps.")
            }
            DirectoryError::Store(Error::NoSpace { .. } | Error::Poisoned | Error::Closed) => Fault {
                detail: Some(error.to_string()),
                ..Fault::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ServiceUnavailable",
                    "The server cannot store changes at present.",
                )
            },
            error => Fault::internal(error),
        }
    }
}

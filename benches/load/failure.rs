//! What can go wrong while loading an endpoint, grouped by what it says about the run.

/// Why one request, or the whole run, did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection or the disk refused. The worker reconnects and goes on.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, in the present tense.
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The endpoint answered with a status other than the one expected.
    #[error("{operation}: status {status} {code}")]
    Refused {
        /// The request.
        operation: &'static str,
        /// The HTTP status.
        status: u16,
        /// The S3 error code, empty where there was none.
        code: String,
    },
    /// The bytes that came back are not HTTP as this client understands it.
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    /// The answer is well formed and wrong: the endpoint lost, mixed up or invented data.
    #[error("{operation}: wrong answer: {what}")]
    Wrong {
        /// The request.
        operation: &'static str,
        /// What differs.
        what: String,
    },
    /// The options cannot be honoured.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    /// For `map_err`: an I/O failure while doing `action`.
    pub fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Failure {
        move |source| Failure::Io { action, source }
    }
}

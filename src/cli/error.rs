//! Why a command failed. The messages say what to do.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::cost::PricesError;
use crate::credentials::CredentialsError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// What was typed, or a setting, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that was named cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The table of prices cannot be used.
    #[error(transparent)]
    Prices(#[from] PricesError),
    /// There are no credentials.
    #[error(
        "{0}; name the server's data directory with --data, or give --endpoint and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Credentials(#[from] CredentialsError),
    /// Nobody answers.
    #[error(
        "no server answers at {endpoint}: {reason}; start one with `strata serve`, or name its URL with --endpoint"
    )]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// The server was there, and its answer broke off.
    #[error("the connection to {endpoint} was lost: {reason}; what happened since is not shown")]
    Lost {
        /// Which server.
        endpoint: String,
        /// The reason.
        reason: String,
    },
    /// The server does not accept the credentials.
    #[error(
        "the server at {endpoint} does not accept these credentials ({code}); name its data directory with --data, or \
         give --endpoint and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Forbidden {
        /// The server.
        endpoint: String,
        /// The error's code.
        code: String,
    },
    /// A store that was checked is not sound.
    #[error("the store has faults: {0}")]
    Faults(u64),
    /// A store could not be checked.
    #[error("cannot check the store in {data}: {reason}", data = .data.display())]
    Unchecked {
        /// Its data directory.
        data: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A backup, or what was to be done with one, did not succeed, or is not whole.
    #[error("{0}")]
    Backup(String),
    /// A backup, or what was to be done with one, was not begun.
    #[error("{0}")]
    NotBegun(String),
    /// Buckets that were compared are not the same.
    #[error("the two sides are not the same; differences: {0}")]
    Differences(u64),
    /// An export or import is without some of the versions or configurations, each of which was named.
    #[error("not everything is there; left out: {0}")]
    LeftOut(u64),
    /// An export or import could not be done.
    #[error("{0}")]
    NotDone(String),
    /// The server refused the request.
    #[error("{message} ({code})")]
    Refused {
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
    /// What answers is not a server of this version.
    #[error("the answer of {0} is not understood; is it a Strata server of this version?")]
    Answer(String),
    /// The output is closed.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// The exit status if what was asked for could not be begun.
const EXIT_NOT_BEGUN: u8 = 2;

impl CliError {
    /// The exit status of the program: 2 if what was typed is wrong, or a store could not be checked or moved, else 1.
    pub fn exit_status(&self) -> u8 {
        let not_begun = matches!(
            self,
            CliError::Usage(_)
                | CliError::Config(_)
                | CliError::Prices(_)
                | CliError::File { .. }
                | CliError::Unchecked { .. }
                | CliError::NotDone(_)
                | CliError::NotBegun(_)
        );
        if not_begun { EXIT_NOT_BEGUN } else { 1 }
    }
}

//! STS's query API: who calls, and temporary credentials.

use crate::config::Config;
use crate::directory::Directory;
use crate::query_api::{Fault, QueryApi, QueryCall};
use crate::response::Response;

/// What STS works with; one per server.
pub struct Sts {
    _directory: Directory,
}

impl Sts {
    /// Over that directory.
    pub fn new(directory: Directory, _config: &Config) -> Sts {
        Sts { _directory: directory }
    }
}

/// Answers a call.
pub async fn answer(_sts: &Sts, call: QueryCall) -> Response {
    QueryApi::Sts.fault(&Fault::validation("No action is known."), &call.name)
}

/// Whether an action is for those who have no credentials yet.
pub fn is_unsigned(action: &str) -> bool {
    action == "AssumeRoleWithWebIdentity"
}

//! STS's query API: who calls, and temporary credentials.
//!
//! Nothing is stored: what a session is travels sealed in its token. The directory says at each request whether its user,
//! role and account are still there.

mod assume_role;
mod caller_identity;
mod federation_token;
mod issue;
mod jwks;
mod session_token;
mod web_identity;

use std::sync::Arc;

use http::StatusCode;

use crate::config::{Config, OidcIssuer};
use crate::directory::Directory;
use crate::query_api::{Answer, Fault, QueryApi, QueryCall};
use crate::response::Response;

use jwks::Jwks;

/// What STS works with; one per server.
pub struct Sts {
    directory: Directory,
    /// The identity providers that every account can trust.
    issuers: Vec<OidcIssuer>,
    jwks: Jwks,
}

impl Sts {
    /// Over that directory.
    pub fn new(directory: Directory, config: &Config) -> Sts {
        Sts { directory, issuers: config.oidc.clone(), jwks: Jwks::new() }
    }
}

/// Answers a call.
pub async fn answer(sts: &Sts, call: QueryCall) -> Response {
    let name = Arc::clone(&call.name);
    match run(sts, &call).await {
        Ok(answer) => answer.finish(&name),
        Err(fault) => QueryApi::Sts.fault(&fault, &name),
    }
}

/// Whether an action is for those who have no credentials yet.
pub fn is_unsigned(action: &str) -> bool {
    action == "AssumeRoleWithWebIdentity"
}

async fn run(sts: &Sts, call: &QueryCall) -> Result<Answer, Fault> {
    let (form, action) = (&call.form, call.form.action());
    let mut answer = QueryApi::Sts.answer(action);
    let is_known_version = form.version().is_none_or(|version| version == QueryApi::Sts.version());
    match action {
        "GetCallerIdentity" if is_known_version => {
            form.check(&[])?;
            caller_identity::run(call, &mut answer)?;
        }
        "AssumeRole" if is_known_version => {
            form.check(assume_role::PARAMETERS)?;
            assume_role::run(sts, call, &mut answer)?;
        }
        "AssumeRoleWithWebIdentity" if is_known_version => {
            form.check(web_identity::PARAMETERS)?;
            web_identity::run(sts, call, &mut answer).await?;
        }
        "GetFederationToken" if is_known_version => {
            form.check(federation_token::PARAMETERS)?;
            federation_token::run(sts, call, &mut answer)?;
        }
        "GetSessionToken" if is_known_version => {
            form.check(session_token::PARAMETERS)?;
            session_token::run(sts, call, &mut answer)?;
        }
        _ => {
            let version = form.version().unwrap_or(QueryApi::Sts.version());
            let message = format!("Could not find operation {action} for version {version}");
            return Err(Fault::new(StatusCode::BAD_REQUEST, "InvalidAction", message));
        }
    }
    Ok(answer)
}

//! GetSessionToken: temporary credentials of a user or a root for themselves.

use crate::directory::token::{Session, Subject};
use crate::identity::Who;
use crate::query_api::{Answer, Fault, QueryCall};
use crate::sts::{Sts, issue};

/// The parameters; there are no second factors.
pub const PARAMETERS: &[&str] = &["DurationSeconds"];

const USER_SECONDS_DEFAULT: u32 = 43_200;
const USER_SECONDS_MAX: u32 = 129_600;
const ROOT_SECONDS_MAX: u32 = 3600;

/// Gives credentials. As at AWS, those with long-lived keys need no permission for it.
pub fn run(sts: &Sts, call: &QueryCall, answer: &mut Answer) -> Result<(), Fault> {
    if call.caller.issued.is_some() {
        return Err(Fault::access_denied("Cannot call GetSessionToken with session credentials"));
    }
    let (subject, seconds) = match &call.caller.who {
        Who::Root => (Subject::Root, seconds(call, true)?),
        Who::User { id, .. } => (Subject::User(id.clone()), seconds(call, false)?),
        Who::Anonymous | Who::Role { .. } | Who::FederatedUser { .. } => {
            return Err(Fault::access_denied("Access Denied"));
        }
    };
    let session = Session {
        account: call.account()?,
        subject,
        issued: call.now,
        expires: issue::end(call.now, seconds),
        policy: None,
        policy_arns: Vec::new(),
        tags: Vec::new(),
        transitive: Vec::new(),
        provider: None,
        source_identity: None,
    };
    issue::credentials(&sts.directory, &session, answer)
}

/// How long a session lasts that somebody asks for with long-lived keys, in seconds; those of a root last an hour at most.
pub fn seconds(call: &QueryCall, is_root: bool) -> Result<u32, Fault> {
    let asked = call.form.number("DurationSeconds", issue::SECONDS_MIN, USER_SECONDS_MAX)?;
    Ok(match is_root {
        true => asked.unwrap_or(ROOT_SECONDS_MAX).min(ROOT_SECONDS_MAX),
        false => asked.unwrap_or(USER_SECONDS_DEFAULT),
    })
}

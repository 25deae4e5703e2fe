//! GetFederationToken: temporary credentials for somebody whom a user, or a root, lets act for it.
//!
//! The session may do what both its user and its session policies allow; without session policies nothing, but for what
//! policies of resources say of the session itself.

use crate::directory::token::{Session, Subject};
use crate::identity::Who;
use crate::policy::{Action, ConditionKey, KeyValue};
use crate::query_api::{Answer, CallKeys, Fault, QueryCall};
use crate::sts::issue::{self, SessionPolicies};
use crate::sts::{Sts, session_token};

/// The parameters.
pub const PARAMETERS: &[&str] = &["Name", "Policy", "PolicyArns", "DurationSeconds", "Tags"];

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 32;

/// Gives credentials.
pub fn run(sts: &Sts, call: &QueryCall, answer: &mut Answer) -> Result<(), Fault> {
    let form = &call.form;
    if call.caller.issued.is_some() {
        return Err(Fault::access_denied("Cannot call GetFederationToken with session credentials"));
    }
    let name = name(form.required("Name")?)?;
    let tags = issue::tags(form)?;
    let account = call.account()?;
    let user = match &call.caller.who {
        Who::Root => None,
        Who::User { id, .. } => Some(id.clone()),
        Who::Anonymous | Who::Role { .. } | Who::FederatedUser { .. } => {
            return Err(Fault::access_denied("Access Denied"));
        }
    };
    let seconds = session_token::seconds(call, user.is_none())?;
    let arn = format!("arn:aws:sts::{account}:federated-user/{name}");
    if user.is_some() {
        let duration = KeyValue::Number(seconds.into());
        let keys = CallKeys::new(call).with_tags(&tags).with(ConditionKey::StsDurationSeconds, duration);
        call.require(Action::known("sts:GetFederationToken"), &arn, &keys)?;
        if !tags.is_empty() {
            call.require(Action::known("sts:TagSession"), &arn, &keys)?;
        }
    }
    let snapshot = sts.directory.snapshot();
    let roster = snapshot.roster(account).ok_or_else(|| Fault::access_denied("Access Denied"))?;
    let SessionPolicies { text, arns } = SessionPolicies::read(form, roster)?;
    let session = Session {
        account,
        subject: Subject::Federated { user, name: name.to_owned() },
        issued: call.now,
        expires: issue::end(call.now, seconds),
        policy: text,
        policy_arns: arns,
        tags,
        transitive: Vec::new(),
        provider: None,
        source_identity: None,
    };
    issue::credentials(&sts.directory, &session, answer)?;
    let writer = answer.result();
    writer.open("FederatedUser").element("FederatedUserId", format!("{account}:{name}")).element("Arn", arn).close();
    Ok(())
}

fn name(name: &str) -> Result<&str, Fault> {
    let is_name = (2..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
    match is_name {
        true => Ok(name),
        false => Err(Fault::constraint(
            "Name",
            name,
            "Member must have length from 2 to 32 and satisfy regular expression pattern: [\\w+=,.@-]*",
        )),
    }
}

//! What all actions share that give temporary credentials: their parameters, and writing the credentials.

use std::time::Duration;

use http::StatusCode;

use crate::credentials::Secret;
use crate::directory::entity::Tags;
use crate::directory::roster::Roster;
use crate::directory::token::{Session, TOKEN_BYTES_MAX};
use crate::directory::{Directory, id, managed};
use crate::iam::policy_chars;
use crate::policy::{Policy, PolicyKind};
use crate::query_api::{Answer, Fault, Form};
use crate::time::iso8601_second;

/// The shortest session, in seconds.
pub const SECONDS_MIN: u32 = 900;
/// How long a session of a role lasts unless the call says otherwise, in seconds.
pub const SECONDS_DEFAULT: u32 = 3600;

const POLICY_CHARS_MAX: usize = 2048;
const POLICY_ARNS_MAX: usize = 10;
const TAGS_MAX: usize = 50;

/// The session policies of a call.
pub struct SessionPolicies {
    /// The text of the one in the call.
    pub text: Option<String>,
    /// The ARNs of managed ones.
    pub arns: Vec<String>,
}

impl SessionPolicies {
    /// Reads `Policy` and `PolicyArns`; managed policies are those that the role's account has.
    pub fn read(form: &Form, roster: &Roster) -> Result<SessionPolicies, Fault> {
        let text = form.get("Policy").map(str::to_owned);
        if let Some(text) = &text {
            if policy_chars(text) > POLICY_CHARS_MAX {
                return Err(Fault::constraint("Policy", text, "Member must have length less than or equal to 2048"));
            }
            Policy::parse(text.as_bytes(), &PolicyKind::Session)?;
        }
        let mut arns = Vec::new();
        for member in form.members("PolicyArns") {
            let arn = member.get("arn").unwrap_or_default();
            if managed::find(arn).is_none() && roster.policy(arn).is_none() {
                return Err(Fault::validation(format!("The policy {arn} does not exist or is not attachable.")));
            }
            arns.push(arn.to_owned());
        }
        if arns.len() > POLICY_ARNS_MAX {
            return Err(Fault::validation(format!("A session can have up to {POLICY_ARNS_MAX} managed policies.")));
        }
        Ok(SessionPolicies { text, arns })
    }
}

/// The name of a session of a role.
pub fn session_name<'f>(form: &'f Form, parameter: &str) -> Result<&'f str, Fault> {
    let name = form.required(parameter)?;
    let is_name = (2..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte));
    match is_name {
        true => Ok(name),
        false => Err(Fault::constraint(
            parameter,
            name,
            "Member must have length from 2 to 64 and satisfy regular expression pattern: [\\w+=,.@-]*",
        )),
    }
}

/// The tags of a session.
pub fn tags(form: &Form) -> Result<Tags, Fault> {
    let mut tags: Tags = Vec::new();
    for tag in form.members("Tags") {
        let (key, value) = (tag.get("Key").unwrap_or_default(), tag.get("Value").unwrap_or_default());
        let is_tag = (1..=128).contains(&key.chars().count())
            && value.chars().count() <= 256
            && !key.chars().chain(value.chars()).any(char::is_control)
            && !key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
        if !is_tag {
            return Err(Fault::constraint(
                "Tags",
                key,
                "Member must be a key of 1 to 128 and a value of up to 256 characters",
            ));
        }
        if tags.iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            return Err(Fault::validation("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    match tags.len() <= TAGS_MAX {
        true => Ok(tags),
        false => Err(Fault::validation(format!("A session can have up to {TAGS_MAX} tags."))),
    }
}

/// How long the session lasts, within what its role allows.
pub fn role_seconds(form: &Form, most: u32) -> Result<u32, Fault> {
    let seconds = form.number("DurationSeconds", SECONDS_MIN, 43_200)?;
    match seconds {
        Some(seconds) if seconds > most => {
            Err(Fault::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
        }
        seconds => Ok(seconds.unwrap_or(SECONDS_DEFAULT)),
    }
}

/// When a session ends that begins now and lasts so many seconds.
pub fn end(issued: strata_storage::Timestamp, seconds: u32) -> strata_storage::Timestamp {
    issued.plus(Duration::from_secs(seconds.into()))
}

/// Makes the credentials of a session, and writes them. They are told nowhere else.
pub fn credentials(directory: &Directory, session: &Session, answer: &mut Answer) -> Result<(), Fault> {
    let access_key = id::generate(id::IdKind::TemporaryKey, session.account)?;
    let secret = Secret::generate()?;
    let token = directory.token(&access_key, &secret, session)?.ok_or_else(|| {
        let message = "Packed size of session policy, tags and other session data exceeds the allowed quota";
        Fault::new(StatusCode::BAD_REQUEST, "PackedPolicyTooLarge", message)
    })?;
    let writer = answer.result();
    writer.open("Credentials").element("AccessKeyId", &access_key).element("SecretAccessKey", secret.expose());
    writer.element("SessionToken", &token).element("Expiration", iso8601_second(session.expires)).close();
    if session.policy.is_some() || !session.policy_arns.is_empty() || !session.tags.is_empty() {
        // In percent of what a token holds; base64 makes four letters of three bytes.
        let percent = (token.len() / 4 * 3 * 100).div_ceil(TOKEN_BYTES_MAX).min(100);
        writer.element("PackedPolicySize", percent.to_string());
    }
    Ok(())
}

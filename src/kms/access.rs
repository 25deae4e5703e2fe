//! Who may use a key: its key policy and the caller's own policies together.

use std::borrow::Cow;
use std::net::IpAddr;

use strata_storage::{AccountId, Timestamp};

use super::context::EncryptionContext;
use super::error::KmsError;
use super::key::Key;
use crate::identity::Identity;
use crate::policy::{
    Action, ConditionKey, ConditionKeys, KeyValue, Opinions, Outcome, Policy, PolicyKind, Question, Ruling, combine,
};

/// The largest key policy, in bytes.
const POLICY_BYTES_MAX: usize = 32 << 10;

/// What a key is used for.
#[derive(Clone, Copy, Default)]
pub struct Usage<'a> {
    /// The encryption context.
    pub context: Option<&'a EncryptionContext>,
    /// The service that uses the key in the caller's name: `s3.us-east-1.amazonaws.com`.
    pub via: Option<&'a str>,
}

impl<'a> Usage<'a> {
    /// The caller's own use in that context.
    pub fn of(context: &'a EncryptionContext) -> Usage<'a> {
        Usage { context: Some(context), via: None }
    }
}

/// What conditions about keys are asked of.
pub struct KmsConditions<'a> {
    /// Who asks.
    pub caller: &'a Identity,
    /// From where, if that is known.
    pub source: Option<IpAddr>,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// When.
    pub now: Timestamp,
    /// For what.
    pub usage: Usage<'a>,
}

impl ConditionKeys for KmsConditions<'_> {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        let text = |text: String| Some(KeyValue::Text(Cow::Owned(text)));
        match key {
            ConditionKey::AwsSourceIp => self.source.map(KeyValue::Ip),
            ConditionKey::AwsSecureTransport => Some(KeyValue::Bool(self.secure)),
            ConditionKey::AwsCurrentTime => Some(KeyValue::Date(self.now)),
            ConditionKey::AwsEpochTime => i64::try_from(self.now.as_secs()).ok().map(KeyValue::Number),
            ConditionKey::AwsPrincipalArn => text(self.caller.principal_arn()),
            ConditionKey::AwsPrincipalAccount => text(self.caller.account_id()?.to_string()),
            ConditionKey::AwsUserId => text(self.caller.user_id()),
            ConditionKey::KmsViaService => self.usage.via.map(|via| KeyValue::Text(Cow::Borrowed(via))),
            ConditionKey::KmsCallerAccount => text(self.caller.account_id()?.to_string()),
            ConditionKey::KmsEncryptionContext => {
                let value = self.usage.context?.get(name?)?;
                Some(KeyValue::Text(Cow::Borrowed(value)))
            }
            _ => None,
        }
    }
}

/// Refuses unless the caller may do `action` with the key, or, without one, at all.
pub fn authorize(
    caller: &Identity,
    key: Option<&Key>,
    region: &str,
    action: &'static str,
    conditions: &KmsConditions<'_>,
) -> Result<(), KmsError> {
    let arn = key.map_or_else(|| "*".to_owned(), |key| key.arn(region));
    let denied = || KmsError::access_denied(&caller.arn(), action, &arn);
    let principal = caller.principal();
    let action = Action::named(action).ok_or_else(|| KmsError::internal("an action without a name"))?;
    let question = Question { principal: &principal, action, resource: &arn, keys: conditions };
    let mine = caller.decisions(&question);
    let owner = key.map(|key| key.account).or(caller.account_id()).ok_or_else(denied)?;
    let resource = match key {
        Some(key) => vec![policy_of(key, region)?.decide(&question)],
        None => Vec::new(),
    };
    let owner = owner.to_string();
    let outcome = combine(&Opinions {
        principal: &principal,
        owner: &owner,
        identity: &mine.identity,
        resource: &resource,
        session: mine.session,
        boundary: mine.boundary,
        ruling: if key.is_some() { Ruling::ResourceMust } else { Ruling::Either },
    });
    if let Outcome::Allowed { .. } = outcome { Ok(()) } else { Err(denied()) }
}

/// Refuses unless the caller's own policies allow `action` with a key of another service, which has a say as well.
pub fn authorize_foreign(
    caller: &Identity,
    arn: &str,
    action: &'static str,
    conditions: &KmsConditions<'_>,
) -> Result<(), KmsError> {
    let denied = || KmsError::access_denied(&caller.arn(), action, arn);
    let principal = caller.principal();
    let action = Action::named(action).ok_or_else(|| KmsError::internal("an action without a name"))?;
    let question = Question { principal: &principal, action, resource: arn, keys: conditions };
    let mine = caller.decisions(&question);
    let owner = caller.account_id().ok_or_else(denied)?.to_string();
    let outcome = combine(&Opinions {
        principal: &principal,
        owner: &owner,
        identity: &mine.identity,
        resource: &[],
        session: mine.session,
        boundary: mine.boundary,
        ruling: Ruling::Either,
    });
    if let Outcome::Allowed { .. } = outcome { Ok(()) } else { Err(denied()) }
}

fn policy_of(key: &Key, region: &str) -> Result<Policy, KmsError> {
    let text = if key.policy.is_empty() { default_policy(key.account) } else { key.policy.clone() };
    Policy::parse(text.as_bytes(), &PolicyKind::Key { arn: key.arn(region) })
        .map_err(|fault| KmsError::internal(fault.to_string()))
}

/// Checks a key policy, and gives its normalised text.
pub fn key_policy(text: &str) -> Result<String, KmsError> {
    let malformed = |message: String| KmsError::new("MalformedPolicyDocumentException", message);
    if text.len() > POLICY_BYTES_MAX {
        return Err(malformed("The key policy is longer than 32768 bytes.".to_owned()));
    }
    // A key policy's resource is `*`; the ARN does not matter here.
    let kind = PolicyKind::Key { arn: String::new() };
    Policy::parse(text.as_bytes(), &kind).map(|policy| policy.text()).map_err(|fault| malformed(fault.to_string()))
}

/// The policy of keys that came without one: the account decides, by its users' policies.
pub fn default_policy(account: AccountId) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\",\"Statement\":[{{\"Sid\":\"Enable IAM User \
         Permissions\",\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"arn:aws:iam::{account}:root\"}},\"Action\":\"kms:*\",\
         \"Resource\":\"*\"}}]}}"
    )
}

//! Who may use a key: its key policy and the caller's own policies together.

use std::borrow::Cow;
use std::cell::Cell;

use strata_storage::{AccountId, Timestamp};

use super::context::EncryptionContext;
use super::error::KmsError;
use super::key::Key;
use super::store::KeyStore;
use crate::directory::Snapshot;
use crate::identity::Identity;
use crate::origin::Origin;
use crate::policy::{
    Action, ConditionKey, ConditionKeys, Decision, KeyValue, Opinions, Outcome, Policy, PolicyFault, PolicyKind,
    Question, Ruling, combine,
};

/// The largest key policy, in bytes.
const POLICY_BYTES_MAX: usize = 32 << 10;

/// What a key is used for: what a request says to conditions besides who sends it.
#[derive(Clone, Copy, Default)]
pub struct Usage<'a> {
    /// The encryption context.
    pub context: Option<&'a EncryptionContext>,
    /// The service that uses the key in the caller's name: `s3.us-east-1.amazonaws.com`.
    pub via: Option<&'a str>,
    /// The name that the request gives for the key.
    pub name: Option<&'a str>,
    /// The tags that it would set.
    pub tags: &'a [(String, String)],
    /// The keys of the tags that it would remove.
    pub tag_keys: &'a [String],
    /// After how many days the key would be deleted.
    pub window_days: Option<u64>,
    /// Whether it asks for no check against locking oneself out.
    pub bypass: Option<bool>,
}

impl<'a> Usage<'a> {
    /// The caller's own use in that context.
    pub fn of(context: &'a EncryptionContext) -> Usage<'a> {
        Usage { context: Some(context), ..Usage::default() }
    }
}

/// Who asks, from where, when and for what.
#[derive(Clone, Copy)]
pub struct KmsConditions<'a> {
    /// Who asks.
    pub caller: &'a Identity,
    /// From where.
    pub origin: Origin,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
    /// When.
    pub now: Timestamp,
    /// For what.
    pub usage: Usage<'a>,
}

/// A key as policies are asked about it: its ARN, and what else it is known by.
pub struct Subject<'a> {
    /// The key; `None` for what is about no key yet.
    pub key: Option<&'a Key>,
    /// Where its aliases are, if they are known here.
    pub store: Option<&'a KeyStore>,
    /// The region of this server.
    pub region: &'a str,
}

/// What one question is answered from.
struct Keys<'a> {
    asked: &'a KmsConditions<'a>,
    subject: &'a Subject<'a>,
    /// Whether a key was asked for whose value nobody can tell: then nothing is allowed.
    unknown: Cell<bool>,
}

impl ConditionKeys for Keys<'_> {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        fn text<'a>(value: impl Into<Cow<'a, str>>) -> Option<KeyValue<'a>> {
            Some(KeyValue::Text(value.into()))
        }
        let KmsConditions { caller, origin, user_agent, now, usage } = *self.asked;
        match key {
            ConditionKey::AwsSourceIp
            | ConditionKey::AwsVpcSourceIp
            | ConditionKey::AwsSourceVpc
            | ConditionKey::AwsSourceVpce
            | ConditionKey::AwsSecureTransport => origin.condition(key),
            ConditionKey::AwsUserAgent => user_agent.and_then(text),
            ConditionKey::AwsCurrentTime | ConditionKey::AwsEpochTime => Some(KeyValue::Date(now)),
            ConditionKey::AwsRequestedRegion => text(self.subject.region),
            ConditionKey::AwsResourceAccount => {
                let account = self.subject.key.map(|key| key.account).or(caller.account_id());
                text(account?.to_string())
            }
            ConditionKey::AwsResourceTag => tag(&self.subject.key?.tags, name?),
            ConditionKey::AwsRequestTag => tag(usage.tags, name?),
            ConditionKey::AwsTagKeys => {
                let set = usage.tags.iter().map(|(key, _)| key);
                texts(set.chain(usage.tag_keys).map(|key| Cow::Borrowed(key.as_str())).collect())
            }
            ConditionKey::KmsViaService => usage.via.and_then(text),
            ConditionKey::KmsCallerAccount => text(caller.account_id()?.to_string()),
            ConditionKey::KmsEncryptionContext => usage.context?.get(name?).and_then(text),
            ConditionKey::KmsEncryptionContextKeys => texts(usage.context?.names().map(Cow::Borrowed).collect()),
            ConditionKey::KmsEncryptionAlgorithm => usage.context.and_then(|_| text("SYMMETRIC_DEFAULT")),
            ConditionKey::KmsKeySpec => text("SYMMETRIC_DEFAULT"),
            ConditionKey::KmsKeyUsage => text("ENCRYPT_DECRYPT"),
            ConditionKey::KmsKeyOrigin => text("AWS_KMS"),
            ConditionKey::KmsRequestAlias => {
                let name = usage.name?;
                let alias = name.rsplit(':').next().unwrap_or(name);
                alias.starts_with("alias/").then(|| text(alias.to_owned())).flatten()
            }
            ConditionKey::KmsResourceAliases => {
                let (key, store) = (self.subject.key?, self.subject.store?);
                let aliases = store.aliases(key.account).into_iter().filter(|(_, id)| *id == key.id);
                texts(aliases.map(|(alias, _)| Cow::Owned(alias)).collect())
            }
            ConditionKey::KmsScheduleKeyDeletionPendingWindowInDays => {
                usage.window_days.and_then(|days| i64::try_from(days).ok()).map(KeyValue::Number)
            }
            ConditionKey::KmsBypassPolicyLockoutSafetyCheck => usage.bypass.map(KeyValue::Bool),
            // There are no grants.
            ConditionKey::KmsGrantIsForAwsResource => None,
            key if key.name().starts_with("kms:") => {
                self.unknown.set(true);
                None
            }
            key => caller.condition(key, name),
        }
    }
}

fn tag<'a>(tags: &'a [(String, String)], name: &str) -> Option<KeyValue<'a>> {
    let found = tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| KeyValue::Text(Cow::Borrowed(value.as_str())))
}

fn texts(texts: Vec<Cow<'_, str>>) -> Option<KeyValue<'_>> {
    (!texts.is_empty()).then_some(KeyValue::Texts(texts))
}

/// Refuses unless the caller may do `action` with the key, or, where there is none, at all.
pub fn authorize(asked: &KmsConditions<'_>, subject: &Subject<'_>, action: &'static str) -> Result<(), KmsError> {
    let arn = subject.key.map_or_else(|| "*".to_owned(), |key| key.arn(subject.region));
    let owner = subject.key.map(|key| key.account);
    let policy = subject.key.map(|key| key.compiled(subject.region)).transpose().map_err(KmsError::internal)?;
    decide(asked, subject, action, (&arn, owner), policy.as_deref())
}

/// Refuses unless the caller's own policies allow `action` with a key of another service, which has a say as well.
pub fn authorize_foreign(
    asked: &KmsConditions<'_>,
    region: &str,
    arn: &str,
    action: &'static str,
) -> Result<(), KmsError> {
    decide(asked, &Subject { key: None, store: None, region }, action, (arn, None), None)
}

fn decide(
    asked: &KmsConditions<'_>,
    subject: &Subject<'_>,
    action: &'static str,
    (arn, owner): (&str, Option<AccountId>),
    policy: Option<&Policy>,
) -> Result<(), KmsError> {
    let caller = asked.caller;
    let denied = || KmsError::access_denied(&caller.arn(), action, arn);
    let principal = caller.principal();
    let named = Action::named(action).ok_or_else(|| KmsError::internal("an action without a name"))?;
    let keys = Keys { asked, subject, unknown: Cell::new(false) };
    let question = Question { principal: &principal, action: named, resource: arn, keys: &keys };
    let mine = caller.decisions(&question);
    let of_key: Vec<Decision> = policy.iter().map(|policy| policy.decide(&question)).collect();
    let owner = owner.or(caller.account_id()).ok_or_else(denied)?.to_string();
    let outcome = combine(&Opinions {
        principal: &principal,
        owner: &owner,
        identity: &mine.identity,
        resource: &of_key,
        session: mine.session,
        boundary: mine.boundary,
        ruling: if policy.is_some() { Ruling::ResourceMust } else { Ruling::Either },
    });
    match outcome {
        Outcome::Allowed { .. } if !keys.unknown.get() => Ok(()),
        _ => Err(denied()),
    }
}

/// Checks a key policy, and gives its normal form: whom it names must exist, and is kept by unique id. `arn` is the key's,
/// which a key that is not there yet has none of.
pub fn key_policy(text: &str, arn: &str, directory: &Snapshot) -> Result<String, KmsError> {
    let malformed = |fault: PolicyFault| KmsError::new("MalformedPolicyDocumentException", fault.to_string());
    if text.len() > POLICY_BYTES_MAX {
        return Err(KmsError::new("LimitExceededException", "The key policy is longer than 32768 bytes."));
    }
    let policy = Policy::parse(text.as_bytes(), &PolicyKind::Key { arn: arn.to_owned() }).map_err(malformed)?;
    Ok(policy.bind(&|name| directory.unique_id(name)).map_err(malformed)?.text())
}

/// The policy of keys that came without one: the account decides, by its users' policies.
pub fn default_policy(account: AccountId) -> String {
    format!(
        "{{\"Version\":\"2012-10-17\",\"Id\":\"key-default-1\",\"Statement\":[{{\"Sid\":\"Enable IAM User \
         Permissions\",\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"arn:aws:iam::{account}:root\"}},\"Action\":\"kms:*\",\
         \"Resource\":\"*\"}}]}}"
    )
}

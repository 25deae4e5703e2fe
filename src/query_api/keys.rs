//! Condition keys of calls to the query APIs: what is known of the caller, the way of the call, and its parameters.

use std::borrow::Cow;

use crate::policy::{ConditionKey, ConditionKeys, KeyValue};
use crate::query_api::QueryCall;

/// The keys of one question about a call.
pub struct CallKeys<'a> {
    call: &'a QueryCall,
    /// The account that the resource belongs to.
    account: String,
    /// The tags of the resource.
    resource_tags: &'a [(String, String)],
    /// The tags that the call would set.
    request_tags: &'a [(String, String)],
    /// The keys of the tags that the call names.
    tag_keys: Vec<&'a str>,
    /// Keys that only some actions have.
    others: Vec<(ConditionKey, KeyValue<'a>)>,
}

impl<'a> CallKeys<'a> {
    /// Those of the caller and the way of the call; the resource is the caller's account's.
    pub fn new(call: &'a QueryCall) -> CallKeys<'a> {
        let account = call.caller.account_id().map(|id| id.to_string()).unwrap_or_default();
        let (others, tag_keys) = (Vec::new(), Vec::new());
        CallKeys { call, account, resource_tags: &[], request_tags: &[], tag_keys, others }
    }

    /// With the account that the resource belongs to.
    #[must_use]
    pub fn of_account(self, account: String) -> CallKeys<'a> {
        CallKeys { account, ..self }
    }

    /// With the tags of the resource.
    #[must_use]
    pub fn on(self, tags: &'a [(String, String)]) -> CallKeys<'a> {
        CallKeys { resource_tags: tags, ..self }
    }

    /// With the tags that the call would set.
    #[must_use]
    pub fn with_tags(self, tags: &'a [(String, String)]) -> CallKeys<'a> {
        let tag_keys = tags.iter().map(|(key, _)| key.as_str()).collect();
        CallKeys { request_tags: tags, tag_keys, ..self }
    }

    /// With the keys of the tags that the call would remove.
    #[must_use]
    pub fn with_tag_keys(self, tag_keys: Vec<&'a str>) -> CallKeys<'a> {
        CallKeys { tag_keys, ..self }
    }

    /// With one more key.
    #[must_use]
    pub fn with(mut self, key: ConditionKey, value: KeyValue<'a>) -> CallKeys<'a> {
        self.others.push((key, value));
        self
    }
}

impl ConditionKeys for CallKeys<'_> {
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        if let Some((_, value)) = self.others.iter().find(|(other, _)| *other == key) {
            return Some(borrowed(value));
        }
        match key {
            ConditionKey::AwsSourceIp
            | ConditionKey::AwsVpcSourceIp
            | ConditionKey::AwsSourceVpc
            | ConditionKey::AwsSourceVpce
            | ConditionKey::AwsSecureTransport => self.call.origin.condition(key),
            ConditionKey::AwsCurrentTime | ConditionKey::AwsEpochTime => Some(KeyValue::Date(self.call.now)),
            ConditionKey::AwsRequestedRegion => Some(text(self.call.region.as_str())),
            ConditionKey::AwsUserAgent => self.call.user_agent.as_deref().map(text),
            ConditionKey::AwsResourceAccount => Some(text(self.account.as_str())),
            ConditionKey::AwsResourceTag | ConditionKey::IamResourceTag => tag(self.resource_tags, name),
            ConditionKey::AwsRequestTag => tag(self.request_tags, name),
            ConditionKey::AwsTagKeys => {
                let keys = || self.tag_keys.iter().map(|key| Cow::Borrowed(*key)).collect();
                (!self.tag_keys.is_empty()).then(|| KeyValue::Texts(keys()))
            }
            _ => self.call.caller.condition(key, name),
        }
    }
}

fn text<'a>(value: impl Into<Cow<'a, str>>) -> KeyValue<'a> {
    KeyValue::Text(value.into())
}

fn tag<'a>(tags: &'a [(String, String)], name: Option<&str>) -> Option<KeyValue<'a>> {
    let name = name?;
    tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| text(value.as_str()))
}

fn borrowed<'a>(value: &'a KeyValue<'_>) -> KeyValue<'a> {
    match value {
        KeyValue::Text(text) => KeyValue::Text(Cow::Borrowed(text)),
        KeyValue::Texts(texts) => KeyValue::Texts(texts.iter().map(|text| Cow::Borrowed(&**text)).collect()),
        KeyValue::Number(number) => KeyValue::Number(*number),
        KeyValue::Bool(flag) => KeyValue::Bool(*flag),
        KeyValue::Date(date) => KeyValue::Date(*date),
        KeyValue::Ip(address) => KeyValue::Ip(*address),
    }
}

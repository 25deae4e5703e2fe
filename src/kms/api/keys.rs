//! Operations on keys themselves: made, described, enabled, scheduled for deletion; their aliases, policies and tags.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use strata_storage::Timestamp;

use super::{KmsCall, account, permitted, permitted_without_key, read};
use crate::kms::access::{self, Usage};
use crate::kms::error::KmsError;
use crate::kms::key::{Key, KeyState};
use crate::kms::store::{KeyStore, NewKey};
use crate::policy::{Action, Decision, NoKeys, Policy, PolicyKind, Question};

/// The most that one page of a list has.
const PAGE_MAX: usize = 1000;
const PAGE: usize = 100;
/// How long a key waits for its deletion unless the request says so.
const WINDOW_DAYS: u64 = 30;
const DAY: Duration = Duration::from_hours(24);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Create {
    #[serde(default)]
    description: String,
    policy: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    key_usage: Option<String>,
    key_spec: Option<String>,
    customer_master_key_spec: Option<String>,
    origin: Option<String>,
    multi_region: Option<bool>,
    bypass_policy_lockout_safety_check: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    tag_key: String,
    tag_value: String,
}

/// A request that names a key, and what else some of them carry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Named {
    key_id: String,
    description: Option<String>,
    pending_window_in_days: Option<u64>,
    policy: Option<String>,
    policy_name: Option<String>,
    bypass_policy_lockout_safety_check: Option<bool>,
    rotation_period_in_days: Option<u32>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    tag_keys: Vec<String>,
    limit: Option<usize>,
    marker: Option<String>,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Alias {
    alias_name: String,
    target_key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct List {
    limit: Option<usize>,
    marker: Option<String>,
    key_id: Option<String>,
}

pub(super) async fn create(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: Create = read(call)?;
    let tags = tags(asked.tags)?;
    let usage = Usage { tags: &tags, bypass: asked.bypass_policy_lockout_safety_check, ..Usage::default() };
    let account = permitted_without_key(keys, call, "kms:CreateKey", usage)?;
    let is = |given: &Option<String>, only: &str| given.as_deref().is_none_or(|given| given == only);
    let spec = is(&asked.key_spec, "SYMMETRIC_DEFAULT") && is(&asked.customer_master_key_spec, "SYMMETRIC_DEFAULT");
    if !spec
        || !is(&asked.key_usage, "ENCRYPT_DECRYPT")
        || !is(&asked.origin, "AWS_KMS")
        || asked.multi_region == Some(true)
    {
        let message = "This server has symmetric keys for encryption, of its own making, in one region.";
        return Err(KmsError::new("UnsupportedOperationException", message));
    }
    if asked.description.len() > 8192 {
        return Err(KmsError::validation("The description is longer than 8192 bytes."));
    }
    let policy = match &asked.policy {
        Some(policy) => access::key_policy(policy, "", &call.directory)?,
        None => String::new(),
    };
    check_lockout(call, &policy, "", asked.bypass_policy_lockout_safety_check)?;
    let key = keys.create(account, NewKey { description: asked.description, policy, tags }).await?;
    Ok(json!({"KeyMetadata": metadata(&key, keys.region())}))
}

pub(super) fn describe(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let key = named(keys, call, "kms:DescribeKey")?.1;
    Ok(json!({"KeyMetadata": metadata(&key, keys.region())}))
}

pub(super) fn list(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: List = read(call)?;
    let account = permitted_without_key(keys, call, "kms:ListKeys", Usage::default())?;
    let limit = page(asked.limit)?;
    let mut found = keys.list(account, asked.marker.as_deref(), limit + 1);
    let truncated = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| truncated).map(|key| key.id.clone());
    let rows: Vec<Value> = found.iter().map(|key| json!({"KeyId": key.id, "KeyArn": key.arn(keys.region())})).collect();
    Ok(paged(json!({"Keys": rows}), next))
}

pub(super) async fn enable(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    set_state(keys, call, "kms:EnableKey", KeyState::Enabled).await
}

pub(super) async fn disable(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    set_state(keys, call, "kms:DisableKey", KeyState::Disabled).await
}

async fn set_state(keys: &KeyStore, call: &KmsCall, action: &'static str, state: KeyState) -> Result<Value, KmsError> {
    let (_, key) = named(keys, call, action)?;
    let arn = own(&key, keys.region())?;
    let change = |key: &mut Key| {
        if let KeyState::PendingDeletion(_) = key.state {
            return Err(KmsError::invalid_state(&arn, "pending deletion"));
        }
        key.state = state;
        Ok(())
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) async fn schedule_deletion(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:ScheduleKeyDeletion")?;
    let arn = own(&key, keys.region())?;
    let days = asked.pending_window_in_days.unwrap_or(WINDOW_DAYS);
    if !(7..=30).contains(&days) {
        return Err(KmsError::validation("PendingWindowInDays must be between 7 and 30."));
    }
    let at = call.now.plus(DAY * u32::try_from(days).map_err(KmsError::internal)?);
    let change = |key: &mut Key| match key.state {
        KeyState::PendingDeletion(_) => Err(KmsError::invalid_state(&arn, "pending deletion")),
        _ => {
            key.state = KeyState::PendingDeletion(at);
            Ok(())
        }
    };
    let key = keys.change(&key.id, change).await?;
    Ok(json!({
        "KeyId": key.arn(keys.region()),
        "DeletionDate": seconds(at),
        "KeyState": key.state.name(),
        "PendingWindowInDays": days,
    }))
}

pub(super) async fn cancel_deletion(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (_, key) = named(keys, call, "kms:CancelKeyDeletion")?;
    let arn = own(&key, keys.region())?;
    let change = |key: &mut Key| match key.state {
        KeyState::PendingDeletion(_) => {
            key.state = KeyState::Disabled;
            Ok(())
        }
        _ => Err(KmsError::invalid_state(&arn, "not pending deletion")),
    };
    let key = keys.change(&key.id, change).await?;
    Ok(json!({"KeyId": key.arn(keys.region())}))
}

pub(super) async fn update_description(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:UpdateKeyDescription")?;
    own(&key, keys.region())?;
    let description = asked.description.ok_or_else(|| KmsError::validation("Description is missing."))?;
    if description.len() > 8192 {
        return Err(KmsError::validation("The description is longer than 8192 bytes."));
    }
    let change = |key: &mut Key| {
        key.description = description;
        Ok(())
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) fn get_policy(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:GetKeyPolicy")?;
    check_policy_name(asked.policy_name.as_deref())?;
    let compiled = key.compiled(keys.region()).map_err(KmsError::internal)?;
    let policy = compiled.shown(&|id| call.directory.arn_of(id));
    Ok(json!({"Policy": policy, "PolicyName": "default"}))
}

pub(super) async fn put_policy(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:PutKeyPolicy")?;
    check_policy_name(asked.policy_name.as_deref())?;
    let policy = asked.policy.ok_or_else(|| KmsError::validation("Policy is missing."))?;
    let arn = own(&key, keys.region())?;
    let policy = access::key_policy(&policy, &arn, &call.directory)?;
    check_lockout(call, &policy, &arn, asked.bypass_policy_lockout_safety_check)?;
    let change = |key: &mut Key| {
        key.policy = policy;
        Ok(())
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) fn list_policies(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    named(keys, call, "kms:ListKeyPolicies")?;
    Ok(json!({"PolicyNames": ["default"], "Truncated": false}))
}

/// Refuses a policy under which the caller could not change it any more, unless that is wanted. `arn` is the key's, or
/// empty if there is none yet.
fn check_lockout(call: &KmsCall, policy: &str, arn: &str, bypass: Option<bool>) -> Result<(), KmsError> {
    if bypass == Some(true) || policy.is_empty() {
        return Ok(());
    }
    let policy = Policy::parse(policy.as_bytes(), &PolicyKind::Key { arn: arn.to_owned() });
    let policy = policy.map_err(KmsError::internal)?;
    let resource = if arn.is_empty() { "*" } else { arn };
    let action = Action::known("kms:PutKeyPolicy");
    let decision = policy.decide(&Question { principal: &call.caller.principal(), action, resource, keys: &NoKeys });
    if let Decision::Allow { .. } = decision {
        return Ok(());
    }
    Err(KmsError::new(
        "MalformedPolicyDocumentException",
        "The new key policy will not allow you to update the key policy in the future.",
    ))
}

fn check_policy_name(name: Option<&str>) -> Result<(), KmsError> {
    match name {
        None | Some("default") => Ok(()),
        Some(_) => Err(KmsError::new("NotFoundException", "No such policy exists")),
    }
}

pub(super) async fn create_alias(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    point_alias(keys, call, "kms:CreateAlias", false).await
}

pub(super) async fn update_alias(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    point_alias(keys, call, "kms:UpdateAlias", true).await
}

async fn point_alias(keys: &KeyStore, call: &KmsCall, action: &'static str, exists: bool) -> Result<Value, KmsError> {
    let asked: Alias = read(call)?;
    check_alias(&asked.alias_name)?;
    let target = asked.target_key_id.ok_or_else(|| KmsError::validation("TargetKeyId is missing."))?;
    let key = permitted(keys, call, &target, action, Usage::default())?;
    if key.account != account(call)? {
        return Err(KmsError::not_found(&target));
    }
    keys.set_alias(key.account, &asked.alias_name, Some(&key.id), exists).await?;
    Ok(Value::Null)
}

pub(super) async fn delete_alias(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: Alias = read(call)?;
    check_alias(&asked.alias_name)?;
    let account = account(call)?;
    match keys.find(account, &asked.alias_name) {
        Ok(_) => drop(permitted(keys, call, &asked.alias_name, "kms:DeleteAlias", Usage::default())?),
        // The key behind it is gone; the alias may go, too.
        Err(_) => drop(permitted_without_key(keys, call, "kms:DeleteAlias", Usage::default())?),
    }
    keys.set_alias(account, &asked.alias_name, None, true).await?;
    Ok(Value::Null)
}

fn check_alias(name: &str) -> Result<(), KmsError> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "/_-".contains(character);
    let is_name = name.strip_prefix("alias/").is_some_and(|rest| !rest.is_empty() && rest.chars().all(allowed));
    if !is_name || name.len() > 256 {
        return Err(KmsError::new("InvalidAliasNameException", "Alias must start with the prefix \"alias/\"."));
    }
    if name.starts_with("alias/aws/") {
        return Err(KmsError::new(
            "NotAuthorizedException",
            "Aliases that begin with alias/aws/ are the server's own.",
        ));
    }
    Ok(())
}

pub(super) fn list_aliases(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: List = read(call)?;
    let account = permitted_without_key(keys, call, "kms:ListAliases", Usage::default())?;
    let of_key = asked.key_id.map(|name| keys.find(account, &name)).transpose()?;
    let limit = page(asked.limit)?;
    let all = keys.aliases(account).into_iter();
    let wanted = all.filter(|(_, id)| of_key.as_ref().is_none_or(|key| key.id == *id));
    let mut found: Vec<(String, String)> =
        wanted.filter(|(alias, _)| asked.marker.as_ref().is_none_or(|after| alias > after)).take(limit + 1).collect();
    let truncated = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| truncated).map(|(alias, _)| alias.clone());
    let region = keys.region();
    let row = |(alias, id): &(String, String)| {
        json!({
            "AliasName": alias,
            "AliasArn": format!("arn:aws:kms:{region}:{account}:{alias}"),
            "TargetKeyId": id,
        })
    };
    Ok(paged(json!({"Aliases": found.iter().map(row).collect::<Vec<Value>>()}), next))
}

pub(super) async fn tag(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:TagResource")?;
    own(&key, keys.region())?;
    let added = tags(asked.tags)?;
    let change = |key: &mut Key| {
        key.tags.retain(|(name, _)| added.iter().all(|(new, _)| new != name));
        key.tags.extend(added);
        if key.tags.len() > 50 { Err(too_many_tags()) } else { Ok(()) }
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) async fn untag(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:UntagResource")?;
    own(&key, keys.region())?;
    let change = |key: &mut Key| {
        key.tags.retain(|(name, _)| !asked.tag_keys.contains(name));
        Ok(())
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) fn list_tags(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (_, key) = named(keys, call, "kms:ListResourceTags")?;
    let rows: Vec<Value> = key.tags.iter().map(|(name, value)| json!({"TagKey": name, "TagValue": value})).collect();
    Ok(json!({"Tags": rows, "Truncated": false}))
}

pub(super) async fn enable_rotation(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (asked, key) = named(keys, call, "kms:EnableKeyRotation")?;
    own(&key, keys.region())?;
    if asked.rotation_period_in_days.is_some_and(|days| days != 365) {
        return Err(KmsError::new("UnsupportedOperationException", "Keys are rotated every 365 days here."));
    }
    let change = |key: &mut Key| {
        key.rotation = key.rotation.or(Some(call.now));
        Ok(())
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) async fn disable_rotation(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (_, key) = named(keys, call, "kms:DisableKeyRotation")?;
    own(&key, keys.region())?;
    let change = |key: &mut Key| {
        key.rotation = None;
        Ok(())
    };
    keys.change(&key.id, change).await?;
    Ok(Value::Null)
}

pub(super) fn rotation_status(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (_, key) = named(keys, call, "kms:GetKeyRotationStatus")?;
    let mut status = json!({"KeyId": key.arn(keys.region()), "KeyRotationEnabled": key.rotation.is_some()});
    if let Some(last) = key.rotation {
        status["RotationPeriodInDays"] = json!(365);
        status["NextRotationDate"] = seconds(last.plus(DAY * 365));
    }
    Ok(status)
}

pub(super) async fn rotate(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (_, key) = named(keys, call, "kms:RotateKeyOnDemand")?;
    own(&key, keys.region())?;
    key.usable(keys.region())?;
    let key = keys.rotate(&key.id).await?;
    Ok(json!({"KeyId": key.arn(keys.region())}))
}

/// The request, and the key that it names, if the caller may do `action` with it.
fn named(keys: &KeyStore, call: &KmsCall, action: &'static str) -> Result<(Named, std::sync::Arc<Key>), KmsError> {
    let asked: Named = read(call)?;
    if !asked.grant_tokens.is_empty() {
        return Err(KmsError::new("InvalidGrantTokenException", "This server issues no grants."));
    }
    if asked.marker.is_some() || asked.limit.is_some_and(|limit| limit == 0) {
        return Err(KmsError::new("InvalidMarkerException", "Such lists have one page here."));
    }
    let tags: Vec<(String, String)> =
        asked.tags.iter().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())).collect();
    let usage = Usage {
        tags: &tags,
        tag_keys: &asked.tag_keys,
        window_days: (action == "kms:ScheduleKeyDeletion").then(|| asked.pending_window_in_days.unwrap_or(WINDOW_DAYS)),
        bypass: asked.bypass_policy_lockout_safety_check,
        ..Usage::default()
    };
    let key = permitted(keys, call, &asked.key_id, action, usage)?;
    Ok((asked, key))
}

/// Refuses changes of the keys that the server keeps itself. The key's ARN otherwise.
fn own(key: &Key, region: &str) -> Result<String, KmsError> {
    let arn = key.arn(region);
    if key.managed {
        return Err(KmsError::access_denied("the caller", "to change the server's own key", &arn));
    }
    Ok(arn)
}

fn tags(tags: Vec<Tag>) -> Result<Vec<(String, String)>, KmsError> {
    let tags: Vec<(String, String)> = tags.into_iter().map(|tag| (tag.tag_key, tag.tag_value)).collect();
    let is_tag = |(key, value): &(String, String)| !key.is_empty() && key.len() <= 128 && value.len() <= 256;
    let is_repeated = |at: usize| tags[..at].iter().any(|(key, _)| *key == tags[at].0);
    if !tags.iter().all(is_tag) || (0..tags.len()).any(is_repeated) {
        return Err(KmsError::new("TagException", "A tag is too long, has no key, or is there twice."));
    }
    if tags.len() > 50 { Err(too_many_tags()) } else { Ok(tags) }
}

fn too_many_tags() -> KmsError {
    KmsError::new("LimitExceededException", "A key can have 50 tags.")
}

fn page(limit: Option<usize>) -> Result<usize, KmsError> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&limit) { Ok(limit) } else { Err(KmsError::validation("Limit must be 1 to 1000.")) }
}

fn paged(mut document: Value, next: Option<String>) -> Value {
    document["Truncated"] = json!(next.is_some());
    if let Some(next) = next {
        document["NextMarker"] = json!(next);
    }
    document
}

fn metadata(key: &Key, region: &str) -> Value {
    let mut metadata = json!({
        "AWSAccountId": key.account.to_string(),
        "KeyId": key.id,
        "Arn": key.arn(region),
        "CreationDate": seconds(key.created),
        "Enabled": key.state == KeyState::Enabled,
        "Description": key.description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": key.state.name(),
        "Origin": "AWS_KMS",
        "KeyManager": if key.managed { "AWS" } else { "CUSTOMER" },
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    });
    if let KeyState::PendingDeletion(at) = key.state {
        metadata["DeletionDate"] = seconds(at);
    }
    metadata
}

/// A time as the JSON protocol has it: seconds since 1970 with a fraction.
fn seconds(moment: Timestamp) -> Value {
    json!(moment.as_nanos() as f64 / 1e9)
}

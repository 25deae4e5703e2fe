//! KMS's API: JSON 1.1 with the operation in `X-Amz-Target`.

mod keys;
mod material;

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strata_storage::{AccountId, Timestamp};

use super::access::{KmsConditions, Usage, authorize};
use super::error::KmsError;
use super::key::Key;
use super::service::KmsService;
use super::store::KeyStore;
use crate::directory::Snapshot;
use crate::identity::Identity;
use crate::origin::Origin;
use crate::response::{Payload, Response};

/// What `X-Amz-Target` begins with.
const SERVICE: &str = "TrentService.";

/// One authenticated request.
pub struct KmsCall {
    /// Who asks.
    pub caller: Arc<Identity>,
    /// From where.
    pub origin: Origin,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Whom key policies can name.
    pub directory: Arc<Snapshot>,
    /// `X-Amz-Target`
    pub target: String,
    /// The body.
    pub body: Bytes,
    /// When the request arrived.
    pub now: Timestamp,
}

/// Answers a request; refusals are answers too.
pub async fn answer(service: &KmsService, call: &KmsCall) -> Response {
    let outcome = match service {
        KmsService::Local(keys) => run(keys, call).await,
        KmsService::External(_) => {
            let message = "Keys are in another service, at kms.endpoint of the settings.";
            Err(KmsError::new("UnsupportedOperationException", message))
        }
    };
    match outcome {
        Ok(document) => document_response(StatusCode::OK, &document),
        Err(error) => refusal(&error),
    }
}

/// A refusal as KMS answers it.
pub fn refusal(error: &KmsError) -> Response {
    document_response(error.status(), &json!({"__type": error.code, "message": error.message}))
}

fn document_response(status: StatusCode, document: &Value) -> Response {
    let mut response = Response::empty(status);
    response.set(CONTENT_TYPE, "application/x-amz-json-1.1");
    // Operations without a result answer an empty body.
    response.body = match document {
        Value::Null => Payload::Empty,
        document => Payload::Bytes(document.to_string().into()),
    };
    response
}

async fn run(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    match call.target.strip_prefix(SERVICE).unwrap_or_default() {
        "CreateKey" => keys::create(keys, call).await,
        "DescribeKey" => keys::describe(keys, call),
        "ListKeys" => keys::list(keys, call),
        "EnableKey" => keys::enable(keys, call).await,
        "DisableKey" => keys::disable(keys, call).await,
        "ScheduleKeyDeletion" => keys::schedule_deletion(keys, call).await,
        "CancelKeyDeletion" => keys::cancel_deletion(keys, call).await,
        "UpdateKeyDescription" => keys::update_description(keys, call).await,
        "GetKeyPolicy" => keys::get_policy(keys, call),
        "PutKeyPolicy" => keys::put_policy(keys, call).await,
        "ListKeyPolicies" => keys::list_policies(keys, call),
        "CreateAlias" => keys::create_alias(keys, call).await,
        "UpdateAlias" => keys::update_alias(keys, call).await,
        "DeleteAlias" => keys::delete_alias(keys, call).await,
        "ListAliases" => keys::list_aliases(keys, call),
        "TagResource" => keys::tag(keys, call).await,
        "UntagResource" => keys::untag(keys, call).await,
        "ListResourceTags" => keys::list_tags(keys, call),
        "EnableKeyRotation" => keys::enable_rotation(keys, call).await,
        "DisableKeyRotation" => keys::disable_rotation(keys, call).await,
        "GetKeyRotationStatus" => keys::rotation_status(keys, call),
        "RotateKeyOnDemand" => keys::rotate(keys, call).await,
        "Encrypt" => material::encrypt(keys, call).await,
        "Decrypt" => material::decrypt(keys, call),
        "ReEncrypt" => material::re_encrypt(keys, call).await,
        "GenerateDataKey" => material::generate(keys, call).await,
        "GenerateDataKeyWithoutPlaintext" => material::generate_without_plaintext(keys, call).await,
        "GenerateRandom" => material::random(keys, call),
        _ => Err(KmsError::new("UnknownOperationException", "The operation is not one that this server has.")),
    }
}

/// Reads the request's document. What it does not know is refused: it might restrict what is asked.
fn read<T: DeserializeOwned>(call: &KmsCall) -> Result<T, KmsError> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|error| KmsError::new("SerializationException", error.to_string()))
}

fn account(call: &KmsCall) -> Result<AccountId, KmsError> {
    let denied = || KmsError::access_denied("anonymous", "kms", "*");
    call.caller.account_id().ok_or_else(denied)
}

/// The key of that name, if the caller may do `action` with it.
fn permitted(
    keys: &KeyStore,
    call: &KmsCall,
    name: &str,
    action: &'static str,
    usage: Usage<'_>,
) -> Result<Arc<Key>, KmsError> {
    let key = keys.find(account(call)?, name)?;
    let subject = keys.subject(Some(&key));
    authorize(&conditions(call, Usage { name: Some(name), ..usage }), &subject, action)?;
    Ok(key)
}

/// Refuses unless the caller may do `action`, which is about no key.
fn permitted_without_key(
    keys: &KeyStore,
    call: &KmsCall,
    action: &'static str,
    usage: Usage<'_>,
) -> Result<AccountId, KmsError> {
    authorize(&conditions(call, usage), &keys.subject(None), action)?;
    account(call)
}

fn conditions<'a>(call: &'a KmsCall, usage: Usage<'a>) -> KmsConditions<'a> {
    KmsConditions {
        caller: &call.caller,
        origin: call.origin,
        user_agent: call.user_agent.as_deref(),
        now: call.now,
        usage,
    }
}

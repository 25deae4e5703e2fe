//! Encrypt, Decrypt, GenerateDataKey and their like: what keys are for.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{KmsCall, permitted, permitted_without_key, read};
use crate::kms::access::Usage;
use crate::kms::context::EncryptionContext;
use crate::kms::error::KmsError;
use crate::kms::key::Key;
use crate::kms::store::KeyStore;

/// The most bytes that Encrypt takes.
const PLAIN_BYTES_MAX: usize = 4096;
/// The most bytes that Decrypt takes.
const CIPHERTEXT_BYTES_MAX: usize = 6144;
/// The most random bytes, or bytes of a data key.
const RANDOM_BYTES_MAX: usize = 1024;
const ALGORITHM: &str = "SYMMETRIC_DEFAULT";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Encrypt {
    key_id: String,
    plaintext: String,
    #[serde(default)]
    encryption_context: EncryptionContext,
    encryption_algorithm: Option<String>,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Decrypt {
    key_id: Option<String>,
    ciphertext_blob: String,
    #[serde(default)]
    encryption_context: EncryptionContext,
    encryption_algorithm: Option<String>,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReEncrypt {
    ciphertext_blob: String,
    source_key_id: Option<String>,
    #[serde(default)]
    source_encryption_context: EncryptionContext,
    destination_key_id: String,
    #[serde(default)]
    destination_encryption_context: EncryptionContext,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Generate {
    key_id: String,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    #[serde(default)]
    encryption_context: EncryptionContext,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Random {
    number_of_bytes: usize,
}

pub(super) async fn encrypt(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: Encrypt = read(call)?;
    check(asked.encryption_algorithm.as_deref(), &asked.grant_tokens, &asked.encryption_context)?;
    let plain = bytes(&asked.plaintext, PLAIN_BYTES_MAX, "Plaintext")?;
    let key = permitted(keys, call, &asked.key_id, "kms:Encrypt", Usage::of(&asked.encryption_context))?;
    let sealed = keys.encrypt(&key, &asked.encryption_context, &plain).await?;
    Ok(json!({
        "CiphertextBlob": STANDARD.encode(sealed),
        "KeyId": key.arn(keys.region()),
        "EncryptionAlgorithm": ALGORITHM,
    }))
}

pub(super) fn decrypt(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: Decrypt = read(call)?;
    check(asked.encryption_algorithm.as_deref(), &asked.grant_tokens, &asked.encryption_context)?;
    let sealed = bytes(&asked.ciphertext_blob, CIPHERTEXT_BYTES_MAX, "CiphertextBlob")?;
    let usage = Usage::of(&asked.encryption_context);
    let name = match asked.key_id {
        Some(name) => name,
        None => keys.key_of(&sealed)?.arn(keys.region()),
    };
    let key = permitted(keys, call, &name, "kms:Decrypt", usage)?;
    let plain = keys.decrypt(&key, &asked.encryption_context, &sealed)?;
    Ok(json!({
        "Plaintext": STANDARD.encode(&*plain),
        "KeyId": key.arn(keys.region()),
        "EncryptionAlgorithm": ALGORITHM,
    }))
}

pub(super) async fn re_encrypt(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let asked: ReEncrypt = read(call)?;
    let (from_context, to_context) = (&asked.source_encryption_context, &asked.destination_encryption_context);
    check(None, &asked.grant_tokens, from_context)?;
    to_context.check()?;
    let sealed = bytes(&asked.ciphertext_blob, CIPHERTEXT_BYTES_MAX, "CiphertextBlob")?;
    let from = match asked.source_key_id {
        Some(name) => name,
        None => keys.key_of(&sealed)?.arn(keys.region()),
    };
    let from = permitted(keys, call, &from, "kms:ReEncryptFrom", Usage::of(from_context))?;
    let to = permitted(keys, call, &asked.destination_key_id, "kms:ReEncryptTo", Usage::of(to_context))?;
    let plain = keys.decrypt(&from, from_context, &sealed)?;
    let sealed = keys.encrypt(&to, to_context, &plain).await?;
    Ok(json!({
        "CiphertextBlob": STANDARD.encode(sealed),
        "SourceKeyId": from.arn(keys.region()),
        "KeyId": to.arn(keys.region()),
        "SourceEncryptionAlgorithm": ALGORITHM,
        "DestinationEncryptionAlgorithm": ALGORITHM,
    }))
}

pub(super) async fn generate(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (key, plain, wrapped) = new_data_key(keys, call, "kms:GenerateDataKey").await?;
    Ok(json!({"CiphertextBlob": wrapped, "Plaintext": plain, "KeyId": key}))
}

pub(super) async fn generate_without_plaintext(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let (key, _, wrapped) = new_data_key(keys, call, "kms:GenerateDataKeyWithoutPlaintext").await?;
    Ok(json!({"CiphertextBlob": wrapped, "KeyId": key}))
}

/// The key's ARN, and the data key in plain and wrapped, in base64.
async fn new_data_key(
    keys: &KeyStore,
    call: &KmsCall,
    action: &'static str,
) -> Result<(String, String, String), KmsError> {
    let asked: Generate = read(call)?;
    check(None, &asked.grant_tokens, &asked.encryption_context)?;
    let size = match (asked.key_spec.as_deref(), asked.number_of_bytes) {
        (Some("AES_256"), None) => 32,
        (Some("AES_128"), None) => 16,
        (None, Some(size)) if (1..=RANDOM_BYTES_MAX).contains(&size) => size,
        _ => return Err(KmsError::validation("Please specify either number of bytes or key spec.")),
    };
    let key: std::sync::Arc<Key> = permitted(keys, call, &asked.key_id, action, Usage::of(&asked.encryption_context))?;
    let pair = keys.generate(&key, &asked.encryption_context, size).await?;
    Ok((key.arn(keys.region()), STANDARD.encode(&*pair.plain), STANDARD.encode(pair.wrapped)))
}

pub(super) fn random(keys: &KeyStore, call: &KmsCall) -> Result<Value, KmsError> {
    let Random { number_of_bytes: size } = read(call)?;
    permitted_without_key(keys, call, "kms:GenerateRandom", Usage::default())?;
    if !(1..=RANDOM_BYTES_MAX).contains(&size) {
        return Err(KmsError::validation("NumberOfBytes must be between 1 and 1024."));
    }
    let mut plain = vec![0; size];
    rand::fill(&mut plain).map_err(|_| KmsError::internal("the operating system gives no randomness"))?;
    Ok(json!({"Plaintext": STANDARD.encode(plain)}))
}

fn check(algorithm: Option<&str>, grants: &[String], context: &EncryptionContext) -> Result<(), KmsError> {
    if algorithm.is_some_and(|algorithm| algorithm != ALGORITHM) {
        let message = "Only the encryption algorithm SYMMETRIC_DEFAULT is supported by these keys.";
        return Err(KmsError::new("InvalidKeyUsageException", message));
    }
    if !grants.is_empty() {
        return Err(KmsError::new("InvalidGrantTokenException", "This server issues no grants."));
    }
    context.check()
}

fn bytes(text: &str, most: usize, name: &str) -> Result<Vec<u8>, KmsError> {
    let bytes = STANDARD.decode(text).map_err(|_| KmsError::validation(format!("{name} is not base64.")))?;
    if bytes.is_empty() || bytes.len() > most {
        return Err(KmsError::validation(format!("{name} must have 1 to {most} bytes.")));
    }
    Ok(bytes)
}

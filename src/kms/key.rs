//! A key: its identity, its state, and its materials, sealed.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use strata_storage::{AccountId, Timestamp};

use super::access;
use super::error::KmsError;
use crate::policy::{Policy, PolicyFault, PolicyKind};

/// Whether a key can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// For everything.
    Enabled,
    /// For nothing, until it is enabled again.
    Disabled,
    /// For nothing; it is removed at that time unless the deletion is cancelled.
    PendingDeletion(Timestamp),
}

impl KeyState {
    /// KMS's word.
    pub fn name(self) -> &'static str {
        match self {
            KeyState::Enabled => "Enabled",
            KeyState::Disabled => "Disabled",
            KeyState::PendingDeletion(_) => "PendingDeletion",
        }
    }
}

/// A symmetric key of an account. Its materials are sealed with the store's own key; the newest one encrypts.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// A UUID.
    pub id: String,
    /// The account that it belongs to.
    pub account: AccountId,
    /// When it was made.
    pub created: Timestamp,
    /// What its owner says of it.
    pub description: String,
    /// Whether it can be used.
    pub state: KeyState,
    /// The key policy in its normal form; empty for the one that keys have who come without.
    pub policy: String,
    /// Tags, in the order set.
    pub tags: Vec<(String, String)>,
    /// Whether the server made it for the account by itself.
    pub managed: bool,
    /// Whether it gets new material each year, and when it got the last.
    pub rotation: Option<Timestamp>,
    /// The materials, oldest first, each sealed and in hex.
    pub materials: Vec<String>,
    /// The key policy as it was compiled when it was first asked.
    #[serde(skip)]
    pub compiled: OnceLock<Arc<Policy>>,
}

impl Key {
    /// The key's ARN.
    pub fn arn(&self, region: &str) -> String {
        format!("arn:aws:kms:{region}:{}:key/{}", self.account, self.id)
    }

    /// The text of the key policy in force.
    pub fn policy_text(&self) -> String {
        if self.policy.is_empty() { access::default_policy(self.account) } else { self.policy.clone() }
    }

    /// The key policy in force, ready to be asked.
    pub fn compiled(&self, region: &str) -> Result<Arc<Policy>, PolicyFault> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(Arc::clone(compiled));
        }
        let kind = PolicyKind::Key { arn: self.arn(region) };
        let compiled = Arc::new(Policy::parse(self.policy_text().as_bytes(), &kind)?);
        Ok(Arc::clone(self.compiled.get_or_init(|| compiled)))
    }

    /// Refuses to use the key unless it is enabled.
    pub fn usable(&self, region: &str) -> Result<&Key, KmsError> {
        match self.state {
            KeyState::Enabled => Ok(self),
            KeyState::Disabled => Err(KmsError::disabled(&self.arn(region))),
            KeyState::PendingDeletion(_) => Err(KmsError::invalid_state(&self.arn(region), "pending deletion")),
        }
    }

    /// The id as the 16 bytes that ciphertexts carry.
    pub fn id_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        // Only ids that `uuid` made are kept.
        let _ = hex::decode_to_slice(self.id.replace('-', ""), &mut bytes);
        bytes
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

/// The text of a random UUID made of these bits.
pub fn uuid(bits: [u8; 16]) -> String {
    let mut bits = bits;
    bits[6] = bits[6] & 0x0f | 0x40;
    bits[8] = bits[8] & 0x3f | 0x80;
    let text = hex::encode(bits);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// The id in the head of a ciphertext, as text.
pub fn uuid_text(bytes: [u8; 16]) -> String {
    let text = hex::encode(bytes);
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

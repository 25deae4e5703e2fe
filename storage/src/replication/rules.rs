//! Replication rules, as S3's two forms of the document have them, and which of them apply. Pure.

use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::configuration::ConfigurationFilter;
use crate::object::{StorageClass, Tag};

/// A bucket's replication configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Replication {
    /// The ARN of the role that reads the source and writes to the destinations. The engine never looks into it.
    pub role: String,
    /// The rules, in the order given; at most one of each `(priority, destination bucket)`.
    pub rules: Vec<ReplicationRule>,
}

/// How a rule was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicationForm {
    /// V1: a prefix, no `Filter`. Delete markers are always replicated.
    Prefix,
    /// V2: a `Filter`, a priority.
    Filter,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationRule {
    /// Its id, unique within the bucket.
    pub id: String,
    /// How it was written.
    pub form: ReplicationForm,
    /// Of rules with one destination bucket that choose an object, the highest applies.
    pub priority: i32,
    /// Whether it is `Enabled`.
    pub enabled: bool,
    /// Which objects.
    pub filter: ConfigurationFilter,
    /// `SourceSelectionCriteria/SseKmsEncryptedObjects`; `None` if it is not there.
    pub kms_encrypted: Option<bool>,
    /// `SourceSelectionCriteria/ReplicaModifications`; `None` if it is not there.
    pub replica_modifications: Option<bool>,
    /// `DeleteMarkerReplication`; `None` if it is not there.
    pub delete_markers: Option<bool>,
    /// `ExistingObjectReplication`; `None` if it is not there.
    pub existing_objects: Option<bool>,
    /// Where to.
    pub destination: Destination,
}

/// Where a rule sends replicas, and how they differ from their sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The ARN of the bucket.
    pub bucket: String,
    /// The account that owns it, if it was named.
    pub account: Option<AccountId>,
    /// The class of replicas; `None` is the source's.
    pub class: Option<StorageClass>,
    /// `AccessControlTranslation`: replicas belong to the destination bucket's owner.
    pub owner_override: bool,
    /// `EncryptionConfiguration`: the key that replicas are encrypted with.
    pub kms_key: Option<String>,
    /// `ReplicationTime`, always 15 minutes; `None` if it is not there.
    pub time_control: Option<bool>,
    /// `Metrics`, always with a threshold of 15 minutes if it has one; `None` if it is not there.
    pub metrics: Option<bool>,
}

/// What is asked of rules about a version.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The object's key.
    pub key: &'a str,
    /// Its tags.
    pub tags: &'a [Tag],
    /// Whether a key management service has its key.
    pub kms_encrypted: bool,
}

impl ReplicationRule {
    /// Whether delete markers made by requests are replicated.
    pub fn takes_markers(&self) -> bool {
        self.form == ReplicationForm::Prefix || self.delete_markers == Some(true)
    }

    fn chooses(&self, candidate: Candidate<'_>) -> bool {
        let has_key = !candidate.kms_encrypted || self.kms_encrypted == Some(true);
        self.enabled && has_key && self.filter.matches(candidate.key, candidate.tags)
    }
}

impl Replication {
    /// The rules that apply to a version: of each destination bucket the one of the highest priority.
    pub fn applying<'a>(&'a self, candidate: Candidate<'_>) -> Vec<&'a ReplicationRule> {
        let mut found: Vec<&ReplicationRule> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.chooses(candidate)) {
            match found.iter_mut().find(|other| other.destination.bucket == rule.destination.bucket) {
                Some(other) if other.priority < rule.priority => *other = rule,
                Some(_) => {}
                None => found.push(rule),
            }
        }
        found
    }

    /// The rules that a delete marker is sent by.
    pub fn for_marker(&self, key: &str) -> Vec<&ReplicationRule> {
        let candidate = Candidate { key, tags: &[], kms_encrypted: false };
        self.applying(candidate).into_iter().filter(|rule| rule.takes_markers()).collect()
    }

    /// The rule of that id.
    pub fn rule(&self, id: &str) -> Option<&ReplicationRule> {
        self.rules.iter().find(|rule| rule.id == id)
    }
}

//! What an account has: users, groups, roles, managed policies, identity providers, and the keys of roots and users.
//!
//! Each is stored as one document. Policies are kept as the text that was given, and parsed when they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strata_storage::{AccountId, Quota, Timestamp};

use crate::identity::PublicAccessBlock;
use crate::policy::{Policy, PolicyFault, PolicyKind};

/// A key and its value. The keys of one entity differ, whatever their case.
pub type Tags = Vec<(String, String)>;

/// The text of a policy with what it means.
#[derive(Debug, Clone)]
pub struct Document {
    /// As it was given; of a trust policy, with unique ids in place of the names of principals.
    pub text: String,
    /// What it means.
    pub policy: Arc<Policy>,
}

/// A policy of what its bearer may do.
#[derive(Debug, Clone)]
pub struct Permission(pub Document);

/// A policy of who may take on a role.
#[derive(Debug, Clone)]
pub struct Trust(pub Document);

/// What a user, group or role may do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Permissions {
    /// Policies of its own, by name.
    pub inline: BTreeMap<String, Permission>,
    /// The ARNs of managed policies.
    pub attached: BTreeSet<String>,
}

/// An access key. Its secret is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// The sealed secret.
    pub sealed: Vec<u8>,
    /// Whether it is accepted.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// An account as stored. That of the store's root has no keys here: its credentials are the server's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Its id.
    pub id: AccountId,
    /// What it is called in lists.
    pub display_name: String,
    /// The address of whoever answers for it.
    pub email: Option<String>,
    /// Whether its keys are refused.
    pub disabled: bool,
    /// How much it may hold.
    pub quota: Quota,
    /// What is blocked in all its buckets.
    pub public_access_block: Option<PublicAccessBlock>,
    /// When it was made.
    pub created: Timestamp,
    /// The keys of its root.
    pub keys: Vec<AccessKey>,
}

/// An IAM user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// Its name.
    pub name: String,
    /// `/` or `/division/`.
    pub path: String,
    /// Its unique id, `AIDA...`.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// Its access keys.
    pub keys: Vec<AccessKey>,
    /// What it may do.
    pub permissions: Permissions,
    /// The ARN of the policy that bounds what it may do.
    pub boundary: Option<String>,
    /// The unique ids of the groups that it is in.
    pub groups: BTreeSet<String>,
}

/// A group of users.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `/` or `/division/`.
    pub path: String,
    /// Its unique id, `AGPA...`.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// What its users may do.
    pub permissions: Permissions,
}

/// An IAM role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `/` or `/division/`.
    pub path: String,
    /// Its unique id, `AROA...`.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Who may take it on.
    pub trust: Trust,
    /// How long a session may last.
    pub session_seconds_max: u32,
    /// What its sessions may do.
    pub permissions: Permissions,
    /// The ARN of the policy that bounds what they may do.
    pub boundary: Option<String>,
}

/// A policy that users, groups and roles can share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Its name.
    pub name: String,
    /// `/` or `/division/`.
    pub path: String,
    /// Its unique id, `ANPA...`.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// When a version was added, removed or made the default one.
    pub updated: Timestamp,
    /// What it is for.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Its versions, oldest first; one of them is the default.
    pub versions: Vec<PolicyVersion>,
    /// The number of the version in force.
    pub default: u32,
    /// The number of the version that comes next: numbers are never used twice.
    pub next: u32,
}

/// One version of a managed policy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// 3 is `v3`.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// What it allows.
    pub document: Permission,
}

/// An OpenID Connect identity provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Provider {
    /// Its URL without `https://`: what ARNs and condition keys name it by.
    pub url: String,
    /// The audiences that its tokens may be for.
    pub client_ids: BTreeSet<String>,
    /// Fingerprints of certificates, which are kept and shown; certificates are judged by the system's authorities.
    pub thumbprints: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

impl Document {
    fn parse(text: String, kind: &PolicyKind) -> Result<Document, PolicyFault> {
        let policy = Arc::new(Policy::parse(text.as_bytes(), kind)?);
        Ok(Document { text, policy })
    }
}

impl Permission {
    /// Reads a policy of what its bearer may do.
    pub fn parse(text: String) -> Result<Permission, PolicyFault> {
        Document::parse(text, &PolicyKind::Identity).map(Permission)
    }
}

impl Trust {
    /// Reads a trust policy whose principals exist: `resolve` gives the unique ids of those that do.
    pub fn parse(
        text: &str,
        resolve: &dyn Fn(&crate::policy::PrincipalName) -> Option<String>,
    ) -> Result<Trust, PolicyFault> {
        let policy = Policy::parse(text.as_bytes(), &PolicyKind::Trust)?.bind(resolve)?;
        Ok(Trust(Document { text: policy.text(), policy: Arc::new(policy) }))
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Permission, D::Error> {
        Permission::parse(String::deserialize(deserializer)?).map_err(|fault| serde::de::Error::custom(fault.message))
    }
}

impl Serialize for Trust {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.text)
    }
}

impl<'de> Deserialize<'de> for Trust {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Trust, D::Error> {
        let document = Document::parse(String::deserialize(deserializer)?, &PolicyKind::Trust);
        document.map(Trust).map_err(|fault| serde::de::Error::custom(fault.message))
    }
}

impl ManagedPolicy {
    /// The version in force.
    pub fn in_force(&self) -> Option<&PolicyVersion> {
        self.version(self.default)
    }

    /// The version of that number.
    pub fn version(&self, number: u32) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.number == number)
    }
}

//! What an access point is: a name with a policy of its own through which one bucket is used.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strata_storage::{AccountId, Timestamp};

use crate::policy::{Policy, PolicyFault, PolicyKind};
use crate::public_access_block::PublicAccessBlock;

/// The end of every alias, which no access point's name and no bucket's name may have.
pub const ALIAS_END: &str = "-s3alias";

/// An access point's name, valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccessPointName(String);

impl AccessPointName {
    /// Reads a name: 3 to 50 lower-case letters, digits and hyphens, no hyphen at the ends.
    pub fn parse(text: &str) -> Option<AccessPointName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (3..=50).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.ends_with(ALIAS_END)
            && !text.ends_with("-ext-s3alias");
        is_name.then(|| AccessPointName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessPointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// From where an access point may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkOrigin {
    /// From everywhere.
    Internet,
    /// From the networks that the configuration gives that VPC id.
    Vpc(String),
}

impl NetworkOrigin {
    /// S3's word.
    pub fn name(&self) -> &'static str {
        match self {
            NetworkOrigin::Internet => "Internet",
            NetworkOrigin::Vpc(_) => "VPC",
        }
    }
}

/// An access point.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessPoint {
    /// Its name, unique in its account.
    pub name: AccessPointName,
    /// The account that owns it.
    pub account: AccountId,
    /// The bucket.
    pub bucket: String,
    /// The bucket's id: a bucket made anew under the old name is not served.
    pub bucket_id: u64,
    /// The account that owns the bucket.
    pub bucket_account: AccountId,
    /// From where it may be used; fixed at creation.
    pub origin: NetworkOrigin,
    /// Block Public Access; fixed at creation.
    pub block: PublicAccessBlock,
    /// When it was made.
    pub created: Timestamp,
    /// Its policy, as normalised text.
    pub policy: Option<String>,
    /// The policy as it was compiled when it was first asked.
    #[serde(skip)]
    pub compiled: OnceLock<Arc<Policy>>,
}

impl AccessPoint {
    /// Its ARN.
    pub fn arn(&self, region: &str) -> String {
        format!("arn:aws:s3:{region}:{}:accesspoint/{}", self.account, self.name)
    }

    /// The name under which it can be used like a bucket: the same for the same account and name, and hard to guess.
    pub fn alias(&self) -> String {
        let digest = Sha256::digest(format!("{}/{}/{}", self.account, self.name, self.created.as_nanos()));
        let letters =
            digest.iter().take(22).map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)]));
        // At most 63 characters, as a bucket's name.
        let start: String = self.name.0.chars().take(32).collect();
        format!("{}-{}{ALIAS_END}", start.trim_end_matches('-'), letters.collect::<String>())
    }

    /// The policy, ready to be asked.
    pub fn compiled(&self, region: &str) -> Result<Option<Arc<Policy>>, PolicyFault> {
        let Some(text) = &self.policy else { return Ok(None) };
        if let Some(compiled) = self.compiled.get() {
            return Ok(Some(Arc::clone(compiled)));
        }
        let kind = PolicyKind::AccessPoint { arn: self.arn(region) };
        let compiled = Arc::new(Policy::parse(text.as_bytes(), &kind)?);
        Ok(Some(Arc::clone(self.compiled.get_or_init(|| compiled))))
    }

    /// The first label of its own host: `NAME-ACCOUNT`.
    pub fn label(&self) -> String {
        format!("{}-{}", self.name, self.account)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use strata_storage::{AccountId, Timestamp};

    use super::{AccessPoint, AccessPointName, NetworkOrigin};
    use crate::public_access_block::PublicAccessBlock;

    #[test]
    fn names() {
        let long = "a".repeat(50);
        for name in ["abc", "a-c", "123", "a--c", long.as_str()] {
            assert!(AccessPointName::parse(name).is_some(), "{name}");
        }
        let longer = "a".repeat(51);
        for name in ["", "ab", "-abc", "abc-", "Abc", "a.c", "a_c", "abc-s3alias", "abc-ext-s3alias", longer.as_str()] {
            assert!(AccessPointName::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn aliases_are_names_of_buckets() {
        for name in ["abc".to_owned(), "a".repeat(50), format!("{}-b", "a".repeat(31))] {
            let point = AccessPoint {
                name: AccessPointName::parse(&name).expect("a valid name"),
                account: AccountId::ROOT,
                bucket: "bucket".to_owned(),
                bucket_id: 1,
                bucket_account: AccountId::ROOT,
                origin: NetworkOrigin::Internet,
                block: PublicAccessBlock::ALL,
                created: Timestamp::from_secs(1),
                policy: None,
                compiled: OnceLock::new(),
            };
            let alias = point.alias();
            assert!(alias.len() <= 63 && alias.ends_with("-s3alias"), "{alias}");
            assert_eq!(alias, point.alias());
            assert_ne!(AccessPoint { account: AccountId::new(1).expect("an id"), ..point }.alias(), alias);
        }
    }
}

//! Block Public Access: the four switches of a bucket, an account or an access point, and which of them are in force.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, BucketDocument};

use crate::error::S3Error;
use crate::request::Context;
use crate::xml::{self, Writer};

/// The format byte of a stored document; the switches follow as bits.
const FORMAT: u8 = 1;

/// What is blocked. By default nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    /// `BlockPublicAcls`: requests that would set a public ACL are refused.
    pub block_public_acls: bool,
    /// `IgnorePublicAcls`: what ACLs grant to everybody has no effect.
    pub ignore_public_acls: bool,
    /// `BlockPublicPolicy`: public policies are refused.
    pub block_public_policy: bool,
    /// `RestrictPublicBuckets`: a public policy gives nothing to other accounts.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// Everything is blocked.
    pub const ALL: PublicAccessBlock = PublicAccessBlock {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };

    /// What two levels block together.
    #[must_use]
    pub fn or(self, other: PublicAccessBlock) -> PublicAccessBlock {
        PublicAccessBlock {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }

    /// Reads a `PublicAccessBlockConfiguration`. A switch that it does not name is off; it must name one.
    pub fn parse(bytes: &[u8]) -> Result<PublicAccessBlock, S3Error> {
        let document: Document = xml::parse(bytes)?;
        let switches = [
            document.block_public_acls,
            document.ignore_public_acls,
            document.block_public_policy,
            document.restrict_public_buckets,
        ];
        if switches.iter().all(Option::is_none) {
            return Err(S3Error::invalid_request("Must specify at least one configuration."));
        }
        let [block_public_acls, ignore_public_acls, block_public_policy, restrict_public_buckets] =
            switches.map(|switch| switch.map_or(Ok(false), |text| boolean(&text)));
        Ok(PublicAccessBlock {
            block_public_acls: block_public_acls?,
            ignore_public_acls: ignore_public_acls?,
            block_public_policy: block_public_policy?,
            restrict_public_buckets: restrict_public_buckets?,
        })
    }

    /// The `PublicAccessBlockConfiguration`.
    pub fn document(self) -> String {
        let mut writer = Writer::new("PublicAccessBlockConfiguration");
        for (name, value) in [
            ("BlockPublicAcls", self.block_public_acls),
            ("IgnorePublicAcls", self.ignore_public_acls),
            ("BlockPublicPolicy", self.block_public_policy),
            ("RestrictPublicBuckets", self.restrict_public_buckets),
        ] {
            writer.element(name, if value { "true" } else { "false" });
        }
        writer.finish()
    }

    /// The stored form.
    pub fn to_stored(self) -> Vec<u8> {
        let switches =
            [self.block_public_acls, self.ignore_public_acls, self.block_public_policy, self.restrict_public_buckets];
        let bits = switches.iter().enumerate().map(|(position, &switch)| u8::from(switch) << position).sum();
        vec![FORMAT, bits]
    }

    /// Reads the stored form.
    pub fn from_stored(document: &[u8]) -> Result<PublicAccessBlock, S3Error> {
        let &[FORMAT, bits @ 0..16] = document else {
            return Err(S3Error::internal("a stored public access block is damaged"));
        };
        let is_on = |position: u8| bits & 1 << position != 0;
        Ok(PublicAccessBlock {
            block_public_acls: is_on(0),
            ignore_public_acls: is_on(1),
            block_public_policy: is_on(2),
            restrict_public_buckets: is_on(3),
        })
    }

    /// What the bucket itself says; `None` if it says nothing.
    pub fn set_on(bucket: &Bucket) -> Result<Option<PublicAccessBlock>, S3Error> {
        let document = bucket.documents.get(&BucketDocument::PublicAccessBlock);
        document.map(|document| PublicAccessBlock::from_stored(document)).transpose()
    }
}

/// What is in force for a bucket: its own switches, and those of its owner's account.
pub fn effective(ctx: &Context, bucket: &Bucket) -> Result<PublicAccessBlock, S3Error> {
    let own = PublicAccessBlock::set_on(bucket)?.unwrap_or_default();
    Ok(own.or(of_account(ctx, bucket.owner)))
}

/// What an account blocks in all of its buckets.
pub fn of_account(_ctx: &Context, _account: strata_storage::AccountId) -> PublicAccessBlock {
    PublicAccessBlock::default()
}

/// 404 for what was never set, or was removed.
pub fn not_found() -> S3Error {
    S3Error::new(
        StatusCode::NOT_FOUND,
        "NoSuchPublicAccessBlockConfiguration",
        "The public access block configuration was not found",
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    block_public_acls: Option<String>,
    ignore_public_acls: Option<String>,
    block_public_policy: Option<String>,
    restrict_public_buckets: Option<String>,
}

fn boolean(text: &str) -> Result<bool, S3Error> {
    match text.trim() {
        "true" | "TRUE" | "True" | "1" => Ok(true),
        "false" | "FALSE" | "False" | "0" => Ok(false),
        _ => Err(S3Error::malformed_xml()),
    }
}

#[cfg(test)]
mod tests {
    use super::PublicAccessBlock;

    const ACLS: PublicAccessBlock = PublicAccessBlock {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: false,
        restrict_public_buckets: false,
    };

    #[test]
    fn documents() {
        fn check(inside: &str, expected: Result<PublicAccessBlock, &str>) {
            let text = format!("<PublicAccessBlockConfiguration>{inside}</PublicAccessBlockConfiguration>");
            assert_eq!(PublicAccessBlock::parse(text.as_bytes()).map_err(|error| error.code), expected, "{inside}");
        }
        check("<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>TRUE</IgnorePublicAcls>", Ok(ACLS));
        check("<BlockPublicPolicy>false</BlockPublicPolicy>", Ok(PublicAccessBlock::default()));
        check("", Err("InvalidRequest"));
        check("<BlockPublicAcls>on</BlockPublicAcls>", Err("MalformedXML"));
        check("<BlockAll>true</BlockAll>", Err("MalformedXML"));
        assert_eq!(PublicAccessBlock::parse(b"").map_err(|error| error.code), Err("MissingRequestBodyError"));
        for block in [PublicAccessBlock::ALL, ACLS, PublicAccessBlock::default()] {
            assert_eq!(PublicAccessBlock::parse(block.document().as_bytes()).ok(), Some(block));
        }
    }

    #[test]
    fn stored_documents() {
        for (block, bytes) in
            [(PublicAccessBlock::ALL, [1, 15]), (ACLS, [1, 3]), (PublicAccessBlock::default(), [1, 0])]
        {
            assert_eq!(block.to_stored(), bytes);
            assert_eq!(PublicAccessBlock::from_stored(&bytes).ok(), Some(block));
        }
        for damaged in [&[][..], &[1], &[1, 16], &[2, 0], &[1, 0, 0]] {
            assert!(PublicAccessBlock::from_stored(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn the_stricter_level_wins() {
        let others = PublicAccessBlock { block_public_policy: true, ..PublicAccessBlock::default() };
        assert_eq!(ACLS.or(others), PublicAccessBlock { block_public_policy: true, ..ACLS });
        assert_eq!(ACLS.or(PublicAccessBlock::default()), ACLS);
    }
}

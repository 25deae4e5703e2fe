//! A bucket's default encryption: its document, and what it means for a write that asks for nothing.

use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, BucketDocument};

use super::asked::AskedKms;
use crate::config::{NewBucketEncryption, NewBucketSettings};
use crate::error::S3Error;
use crate::kms::EncryptionContext;
use crate::xml::{self, Writer};

/// The format byte of the stored document.
const FORMAT: u8 = 1;

/// How objects are encrypted that come without encryption headers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DefaultEncryption {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The KMS key, as it was given; `None` is the caller's account's default.
    pub key: Option<String>,
    /// Whether a key of the bucket is used.
    pub bucket_key: bool,
    /// Whether writes with customers' keys are refused.
    pub blocks_customer_keys: bool,
}

/// An algorithm of server-side encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Algorithm {
    /// `AES256`
    #[default]
    Store,
    /// `aws:kms`
    Kms,
    /// `aws:kms:dsse`
    DualKms,
}

impl Algorithm {
    /// S3's name.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Store => "AES256",
            Algorithm::Kms => "aws:kms",
            Algorithm::DualKms => "aws:kms:dsse",
        }
    }

    fn parse(name: &str) -> Option<Algorithm> {
        [Algorithm::Store, Algorithm::Kms, Algorithm::DualKms].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl DefaultEncryption {
    /// The bucket's; SSE-S3 if it has no document.
    pub fn of(bucket: &Bucket) -> Result<DefaultEncryption, S3Error> {
        let Some(stored) = bucket.documents.get(&BucketDocument::Encryption) else {
            return Ok(DefaultEncryption::default());
        };
        match stored.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(S3Error::internal),
            _ => Err(S3Error::internal("a default encryption of unknown format")),
        }
    }

    /// What a new bucket begins with.
    pub fn of_new(settings: &NewBucketSettings) -> DefaultEncryption {
        let (algorithm, key) = match &settings.encryption {
            NewBucketEncryption::Store => (Algorithm::Store, None),
            NewBucketEncryption::Kms => (Algorithm::Kms, None),
            NewBucketEncryption::KmsKey(arn) => (Algorithm::Kms, Some(arn.clone())),
        };
        let (bucket_key, blocks_customer_keys) = (algorithm == Algorithm::Kms, settings.block_sse_c);
        DefaultEncryption { algorithm, key, bucket_key, blocks_customer_keys }
    }

    /// The stored form.
    pub fn to_stored(&self) -> Result<Vec<u8>, S3Error> {
        postcard::to_extend(self, vec![FORMAT]).map_err(S3Error::internal)
    }

    /// What a write asks for by asking for nothing; `None` is SSE-S3.
    pub fn asked(&self) -> Option<AskedKms> {
        let dual = self.algorithm == Algorithm::DualKms;
        (self.algorithm != Algorithm::Store).then(|| AskedKms {
            key: self.key.clone(),
            context: EncryptionContext::default(),
            bucket_key: Some(self.bucket_key && !dual),
            dual,
        })
    }

    /// Reads the request's document. `before` says what goes on where the document is silent.
    pub fn parse(bytes: &[u8], before: &DefaultEncryption) -> Result<DefaultEncryption, S3Error> {
        let document: Document = xml::parse(bytes)?;
        let Ok([rule]) = <[Rule; 1]>::try_from(document.rules) else { return Err(S3Error::malformed_xml()) };
        let bucket_key = match rule.bucket_key.as_deref() {
            None => false,
            Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(S3Error::malformed_xml()),
        };
        let blocks_customer_keys = match rule.blocked {
            None => before.blocks_customer_keys,
            Some(blocked) => blocks(&blocked.types)?,
        };
        let apply = rule.apply.unwrap_or(Apply { algorithm: Algorithm::Store.name().to_owned(), key: None });
        let algorithm = Algorithm::parse(&apply.algorithm).ok_or_else(S3Error::malformed_xml)?;
        let key = apply.key.filter(|key| !key.is_empty());
        if algorithm == Algorithm::Store && key.is_some() {
            let message =
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse";
            return Err(S3Error::invalid_argument(message, "ApplyServerSideEncryptionByDefault", ""));
        }
        Ok(DefaultEncryption { algorithm, key, bucket_key, blocks_customer_keys })
    }

    /// The document as GetBucketEncryption shows it.
    pub fn document(&self) -> String {
        let mut writer = Writer::new("ServerSideEncryptionConfiguration");
        writer.open("Rule").open("ApplyServerSideEncryptionByDefault");
        writer.element("SSEAlgorithm", self.algorithm.name());
        if let Some(key) = &self.key {
            writer.element("KMSMasterKeyID", key);
        }
        writer.close();
        writer.element("BucketKeyEnabled", if self.bucket_key { "true" } else { "false" });
        if self.blocks_customer_keys {
            writer.open("BlockedEncryptionTypes").element("EncryptionType", "SSE-C").close();
        }
        writer.close();
        writer.finish()
    }
}

fn blocks(types: &[String]) -> Result<bool, S3Error> {
    match types.iter().map(String::as_str).collect::<Vec<&str>>()[..] {
        ["SSE-C"] => Ok(true),
        ["NONE"] => Ok(false),
        _ => Err(S3Error::malformed_xml()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "ApplyServerSideEncryptionByDefault")]
    apply: Option<Apply>,
    #[serde(rename = "BucketKeyEnabled")]
    bucket_key: Option<String>,
    #[serde(rename = "BlockedEncryptionTypes")]
    blocked: Option<Blocked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apply {
    #[serde(rename = "SSEAlgorithm")]
    algorithm: String,
    #[serde(rename = "KMSMasterKeyID")]
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocked {
    #[serde(rename = "EncryptionType", default)]
    types: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, DefaultEncryption};

    #[test]
    fn documents() {
        fn check(rules: &str, expected: Result<(Algorithm, Option<&str>, bool, bool), &str>) {
            let text = format!("<ServerSideEncryptionConfiguration>{rules}</ServerSideEncryptionConfiguration>");
            let found = DefaultEncryption::parse(text.as_bytes(), &DefaultEncryption::default());
            let told = found.as_ref().map_err(|error| error.code);
            let told = told.map(|e| (e.algorithm, e.key.as_deref(), e.bucket_key, e.blocks_customer_keys));
            assert_eq!(told, expected, "{rules}");
            if let Ok(found) = found {
                let again = DefaultEncryption::parse(found.document().as_bytes(), &DefaultEncryption::default());
                assert_eq!(again.expect("its own document"), found, "{rules}");
            }
        }
        let apply = |inner: &str| {
            format!("<Rule><ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault></Rule>")
        };
        let aes = "<SSEAlgorithm>AES256</SSEAlgorithm>";
        let kms = "<SSEAlgorithm>aws:kms</SSEAlgorithm>";
        let key = "<KMSMasterKeyID>k</KMSMasterKeyID>";
        check(&apply(aes), Ok((Algorithm::Store, None, false, false)));
        check(&apply(&format!("{kms}{key}")), Ok((Algorithm::Kms, Some("k"), false, false)));
        check(&apply("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>"), Ok((Algorithm::DualKms, None, false, false)));
        check(&apply(&format!("{aes}{key}")), Err("InvalidArgument"));
        check(&apply("<SSEAlgorithm>aes</SSEAlgorithm>"), Err("MalformedXML"));
        check(&apply(""), Err("MalformedXML"));
        check("", Err("MalformedXML"));
        check(&(apply(aes) + &apply(aes)), Err("MalformedXML"));
        check("<Rule><Other/></Rule>", Err("MalformedXML"));
        let blocked = |kind: &str| {
            format!(
                "<Rule><BucketKeyEnabled>true</BucketKeyEnabled><BlockedEncryptionTypes><EncryptionType>{kind}\
                 </EncryptionType></BlockedEncryptionTypes></Rule>"
            )
        };
        check(&blocked("SSE-C"), Ok((Algorithm::Store, None, true, true)));
        check(&blocked("NONE"), Ok((Algorithm::Store, None, true, false)));
        check(&blocked("OTHER"), Err("MalformedXML"));
    }
}

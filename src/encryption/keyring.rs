//! Data keys of objects: made for writes, found again for reads, by whichever key management service is configured.
//!
//! With a bucket key one call to the service serves many objects: a key of the bucket stands between, kept in memory
//! for some minutes. What an object keeps is its wrapped data key:
//!
//! ```text
//! without  0 u8 · what the service wrapped
//! with     1 u8 · length u16 · the bucket's key as the service wrapped it · the data key wrapped with the bucket's key
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strata_storage::{DataKey, Entropy, KmsEncryption, Timestamp};
use zeroize::Zeroizing;

use crate::error::S3Error;
use crate::identity::Identity;
use crate::kms::{EncryptionContext, KmsConditions, KmsService, Usage};
use crate::origin::Origin;

/// How long a bucket's key is kept: what was taken from a caller, or a key disabled, counts at the latest then.
const KEPT: Duration = Duration::from_mins(5);
/// How many bucket keys are kept.
const KEPT_MAX: usize = 256;
const DIRECT: u8 = 0;
const BY_BUCKET_KEY: u8 = 1;

/// Makes and opens data keys; one per server.
pub struct Keyring {
    service: KmsService,
    entropy: Arc<dyn Entropy>,
    bucket_keys: Mutex<Vec<BucketKey>>,
}

/// A bucket's key in memory.
#[derive(Clone)]
struct BucketKey {
    /// The KMS key and the encryption context that it belongs to.
    of: (String, String),
    wrapped: Vec<u8>,
    key: DataKey,
    since: Timestamp,
}

/// Who wants a data key, from where and when.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The caller.
    pub caller: &'a Identity,
    /// Where the request came from.
    pub origin: Origin,
    /// What the client calls itself.
    pub user_agent: Option<&'a str>,
    /// When.
    pub now: Timestamp,
    /// The service that asks in the caller's name: `s3.REGION.amazonaws.com`.
    pub via: &'a str,
}

impl Keyring {
    /// Uses that service.
    pub fn new(service: KmsService, entropy: Arc<dyn Entropy>) -> Keyring {
        Keyring { service, entropy, bucket_keys: Mutex::default() }
    }

    /// The service, for its own API.
    pub fn service(&self) -> &KmsService {
        &self.service
    }

    /// Makes a data key under the KMS key of that name, for an object in that context. With `bucket` it is wrapped with
    /// the key of the bucket, whose context that is.
    pub async fn make(
        &self,
        asker: &Asker<'_>,
        name: Option<&str>,
        context: EncryptionContext,
        bucket: Option<EncryptionContext>,
    ) -> Result<(KmsEncryption, DataKey), S3Error> {
        let used = bucket.as_ref().unwrap_or(&context);
        let arn = self.permit(asker, name, "kms:GenerateDataKey", used).await?;
        let (wrapped, key) = match &bucket {
            None => {
                let pair = self.service.generate(&arn, &context).await?;
                let key = data_key(&pair.plain)?;
                ([&[DIRECT][..], &pair.wrapped].concat(), key)
            }
            Some(bucket) => {
                let stands = self.bucket_key(&arn, bucket, asker.now).await?;
                let key = DataKey::random(&*self.entropy);
                let length = u16::try_from(stands.wrapped.len()).map_err(S3Error::internal)?.to_be_bytes();
                let inner = key.wrap(stands.key.expose(), context.text().as_bytes());
                ([&[BY_BUCKET_KEY][..], &length, &stands.wrapped, &inner].concat(), key)
            }
        };
        let encryption =
            KmsEncryption { key_arn: arn, context: context.text(), bucket_key: bucket.is_some(), dual: false, wrapped };
        Ok((encryption, key))
    }

    /// The data key of an object. With `bucket`, the context of the bucket's key.
    pub async fn open(
        &self,
        asker: &Asker<'_>,
        encryption: &KmsEncryption,
        bucket: EncryptionContext,
    ) -> Result<DataKey, S3Error> {
        let corrupt = || S3Error::internal("a wrapped data key has no known form");
        let own = EncryptionContext::parse(encryption.context.as_bytes())?;
        let arn = encryption.key_arn.as_str();
        let (form, rest) = encryption.wrapped.split_first().ok_or_else(corrupt)?;
        let context = if *form == DIRECT { &own } else { &bucket };
        self.permit(asker, Some(arn), "kms:Decrypt", context).await?;
        match *form {
            DIRECT => data_key(&self.service.decrypt(arn, &own, rest).await?),
            BY_BUCKET_KEY => {
                let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(corrupt)?;
                let (wrapped, inner) =
                    rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(corrupt)?;
                let stands = self.known_bucket_key(wrapped, arn, &bucket, asker.now).await?;
                DataKey::unwrap(inner, stands.expose(), own.text().as_bytes()).map_err(S3Error::from)
            }
            _ => Err(corrupt()),
        }
    }

    async fn permit(
        &self,
        asker: &Asker<'_>,
        name: Option<&str>,
        action: &'static str,
        context: &EncryptionContext,
    ) -> Result<String, S3Error> {
        let Asker { caller, origin, user_agent, now, via } = *asker;
        let usage = Usage { context: Some(context), via: Some(via), name, ..Usage::default() };
        let asked = KmsConditions { caller, origin, user_agent, now, usage };
        Ok(self.service.permit(&asked, name, action).await?)
    }

    /// The key that stands for this bucket now.
    async fn bucket_key(&self, arn: &str, context: &EncryptionContext, now: Timestamp) -> Result<BucketKey, S3Error> {
        let of = (arn.to_owned(), context.text());
        if let Some(found) = self.kept(now, |kept| kept.of == of) {
            return Ok(found);
        }
        let pair = self.service.generate(arn, context).await?;
        let made = BucketKey { of, wrapped: pair.wrapped, key: data_key(&pair.plain)?, since: now };
        self.keep(made.clone());
        Ok(made)
    }

    /// The key of a bucket that was wrapped so.
    async fn known_bucket_key(
        &self,
        wrapped: &[u8],
        arn: &str,
        context: &EncryptionContext,
        now: Timestamp,
    ) -> Result<DataKey, S3Error> {
        if let Some(found) = self.kept(now, |kept| kept.wrapped == wrapped) {
            return Ok(found.key);
        }
        let key = data_key(&self.service.decrypt(arn, context, wrapped).await?)?;
        let of = (arn.to_owned(), context.text());
        self.keep(BucketKey { of, wrapped: wrapped.to_vec(), key: key.clone(), since: now });
        Ok(key)
    }

    fn kept(&self, now: Timestamp, wanted: impl Fn(&BucketKey) -> bool) -> Option<BucketKey> {
        let mut kept = self.bucket_keys.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back ends a key's time, too.
        kept.retain(|key| now >= key.since && now.since(key.since) < KEPT);
        kept.iter().rev().find(|key| wanted(key)).cloned()
    }

    fn keep(&self, key: BucketKey) {
        let mut kept = self.bucket_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push(key);
    }
}

fn data_key(plain: &Zeroizing<Vec<u8>>) -> Result<DataKey, S3Error> {
    let bytes: [u8; 32] = plain[..].try_into().map_err(|_| S3Error::internal("a data key has not 32 bytes"))?;
    Ok(DataKey::new(bytes))
}

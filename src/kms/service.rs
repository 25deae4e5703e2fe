//! The key management service that objects' data keys come from: this server's own keys, or another's by its API.

use zeroize::Zeroizing;

use super::access::{KmsConditions, authorize, authorize_foreign};
use super::context::EncryptionContext;
use super::error::KmsError;
use super::external::External;
use super::store::{DataKeyPair, KeyStore};

/// The size of an object's data key, in bytes.
const DATA_KEY_BYTES: usize = 32;

/// Where keys are.
pub enum KmsService {
    /// In this server.
    Local(KeyStore),
    /// Behind an endpoint that speaks KMS's API.
    External(Box<External>),
}

impl KmsService {
    /// The ARN of the key of that name (`None` is the caller's account's default), if the caller may do `action` with
    /// it and it can be used.
    pub async fn permit(
        &self,
        asked: &KmsConditions<'_>,
        name: Option<&str>,
        action: &'static str,
    ) -> Result<String, KmsError> {
        let denied = || KmsError::access_denied("anonymous", action, name.unwrap_or("*"));
        let account = asked.caller.account_id().ok_or_else(denied)?;
        match self {
            KmsService::Local(keys) => {
                let key = match name {
                    Some(name) => keys.find(account, name)?,
                    None => keys.default_key(account).await?,
                };
                authorize(asked, &keys.subject(Some(&key)), action)?;
                key.usable(keys.region())?;
                Ok(key.arn(keys.region()))
            }
            KmsService::External(external) => {
                let arn = external.arn(name.unwrap_or(super::store::DEFAULT_ALIAS)).await?;
                authorize_foreign(asked, external.region(), &arn, action)?;
                Ok(arn)
            }
        }
    }

    /// A data key under the key of that ARN.
    pub async fn generate(&self, arn: &str, context: &EncryptionContext) -> Result<DataKeyPair, KmsError> {
        match self {
            KmsService::Local(keys) => keys.generate(&*keys.by_arn(arn)?, context, DATA_KEY_BYTES).await,
            KmsService::External(external) => external.generate(arn, context).await,
        }
    }

    /// What the key of that ARN encrypted.
    pub async fn decrypt(
        &self,
        arn: &str,
        context: &EncryptionContext,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, KmsError> {
        match self {
            KmsService::Local(keys) => keys.decrypt(&*keys.by_arn(arn)?, context, ciphertext),
            KmsService::External(external) => external.decrypt(arn, context, ciphertext).await,
        }
    }
}

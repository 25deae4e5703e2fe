//! How a new object is encrypted: what its request asks for, else what its bucket says.

use strata_storage::{Bucket, BucketName, CustomerEncryption, DataKey, Encryption, ObjectKey};

use super::asked::{Asked, AskedKms, asked};
use super::customer::CustomerKey;
use super::default::DefaultEncryption;
use super::keyring::Asker;
use crate::error::S3Error;
use crate::kms::EncryptionContext;
use crate::request::{Context, Request};

/// The name of the pair that S3 adds to each encryption context.
const ARN: &str = "aws:s3:arn";
/// What a customer's wrapped data key is bound to.
pub const CUSTOMER_CONTEXT: &[u8] = b"SSE-C";

/// How a new object is encrypted, and the key to seal it with.
pub struct Sealing {
    /// What is kept with the object.
    pub encryption: Encryption,
    /// The data key; `None` for SSE-S3.
    pub key: Option<DataKey>,
}

/// What a write of `key` into `bucket` shall be sealed with.
///
/// `Err` is S3's refusal: headers that contradict each other, a kind that the bucket blocks, a key that is not there or
/// may not be used.
pub async fn sealing(
    ctx: &Context,
    request: &Request,
    name: &BucketName,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Sealing, S3Error> {
    let secure = is_secure(ctx, request);
    let default = DefaultEncryption::of(bucket)?;
    let wanted = match asked(&request.headers, secure)? {
        Some(Asked::Customer(_)) if default.blocks_customer_keys => {
            return Err(S3Error::access_denied(
                "The bucket does not accept objects that are encrypted with customer-provided keys (SSE-C).",
            ));
        }
        Some(Asked::Customer(customer)) => return customers(ctx, &customer),
        Some(Asked::Store) => None,
        Some(Asked::Kms(kms)) => Some(kms),
        None => default.asked(),
    };
    let Some(kms) = wanted else { return Ok(Sealing { encryption: Encryption::Store, key: None }) };
    by_kms(ctx, request, (name, key), &default, kms).await
}

fn customers(ctx: &Context, customer: &CustomerKey) -> Result<Sealing, S3Error> {
    let with = customer.bytes().ok_or_else(|| S3Error::internal("a customer's key was not checked"))?;
    let key = DataKey::random(&*ctx.entropy);
    let wrapped = key.wrap(with, CUSTOMER_CONTEXT);
    let encryption = Encryption::Customer(CustomerEncryption { key_md5: customer.md5(), wrapped });
    Ok(Sealing { encryption, key: Some(key) })
}

async fn by_kms(
    ctx: &Context,
    request: &Request,
    (bucket, key): (&BucketName, &ObjectKey),
    default: &DefaultEncryption,
    asked: AskedKms,
) -> Result<Sealing, S3Error> {
    check_kms(ctx, request)?;
    let object = format!("arn:aws:s3:::{bucket}/{}", key.as_str());
    let context = asked.context.with(ARN, &object);
    context.check()?;
    let by_bucket = asked.bucket_key.unwrap_or(default.bucket_key) && !asked.dual;
    let bucket = by_bucket.then(|| bucket_context(bucket));
    let via = via(ctx);
    let (mut encryption, key) = ctx.keyring.make(&asker(request, &via), asked.key.as_deref(), context, bucket).await?;
    encryption.dual = asked.dual;
    Ok(Sealing { encryption: Encryption::Kms(encryption), key: Some(key) })
}

/// The context of a bucket's key.
pub(super) fn bucket_context(bucket: &BucketName) -> EncryptionContext {
    EncryptionContext::default().with(ARN, &format!("arn:aws:s3:::{bucket}"))
}

/// SSE-KMS needs a signature and a connection that nobody listens to.
pub(super) fn check_kms(ctx: &Context, request: &Request) -> Result<(), S3Error> {
    const NEEDS: &str = "Requests specifying Server Side Encryption with AWS KMS managed keys";
    const HEADER: &str = "x-amz-server-side-encryption";
    if request.caller.account.is_none() {
        let message = format!("{NEEDS} require AWS Signature Version 4.");
        return Err(S3Error::invalid_argument(message, "Authorization", "null"));
    }
    if !is_secure(ctx, request) {
        let message = format!("{NEEDS} must be made over a secure connection.");
        return Err(S3Error::invalid_argument(message, HEADER, "aws:kms"));
    }
    Ok(())
}

/// Whether keys may travel on the request's connection.
pub(super) fn is_secure(ctx: &Context, request: &Request) -> bool {
    request.origin.secure || !ctx.config.encryption.require_tls
}

pub(super) fn via(ctx: &Context) -> String {
    format!("s3.{}.amazonaws.com", ctx.config.region)
}

pub(super) fn asker<'a>(request: &'a Request, via: &'a str) -> Asker<'a> {
    let user_agent = request.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Asker { caller: &request.caller, origin: request.origin, user_agent, now: request.now, via }
}

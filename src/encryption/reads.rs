//! Whether a request brings, or may use, the key of the object that it reads.

use http::HeaderMap;
use strata_storage::{BucketName, CustomerEncryption, DataKey, Encryption, Error, ObjectInfo, OpenObject};

use super::asked;
use super::customer::{CustomerKey, Side, missing_key, needless_key, unlike_upload, wrong_key};
use super::writes::{CUSTOMER_CONTEXT, asker, bucket_context, check_kms, is_secure, via};
use crate::error::S3Error;
use crate::request::{Context, Request};

const PREFIX: &str = "x-amz-server-side-encryption";
const CUSTOMER: &str = "x-amz-server-side-encryption-customer-";

/// Refuses encryption headers that reads do not have.
pub fn refuse_on_read(headers: &HeaderMap) -> Result<(), S3Error> {
    let names = headers.keys().map(http::HeaderName::as_str);
    match names.into_iter().find(|name| name.starts_with(PREFIX) && !name.starts_with(CUSTOMER)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("{name} header is not supported for this operation.");
            Err(S3Error::invalid_argument(message, name, ""))
        }
    }
}

/// Gives an open object its key, so that it can be read. `bucket` is the object's.
pub async fn unseal(
    ctx: &Context,
    request: &Request,
    bucket: &BucketName,
    object: &mut OpenObject,
    side: Side,
) -> Result<(), S3Error> {
    let encryption = object.info().protection.encryption.clone();
    if let Some(key) = key_of(ctx, request, bucket, &encryption, side).await? {
        object.unseal(&key);
    }
    Ok(())
}

/// Refuses a HEAD that does not bring the customer's key. Keys of a key management service are not asked for: no content
/// is told.
pub fn check_head(ctx: &Context, request: &Request, info: &ObjectInfo) -> Result<(), S3Error> {
    let customer = CustomerKey::parse(&request.headers, Side::Read, is_secure(ctx, request))?;
    match &info.protection.encryption {
        Encryption::Customer(kept) => customers(customer, kept, Side::Read).map(drop),
        Encryption::Store | Encryption::Kms(_) if customer.is_some() => Err(needless_key()),
        Encryption::Store | Encryption::Kms(_) => Ok(()),
    }
}

/// The key that a part of an upload is sealed with; the upload says who has it.
pub async fn part_key(
    ctx: &Context,
    request: &Request,
    bucket: &BucketName,
    upload: &Encryption,
) -> Result<Option<DataKey>, S3Error> {
    asked::bucket_key(&request.headers)?;
    let brings_key = CustomerKey::parse(&request.headers, Side::Write, is_secure(ctx, request))?.is_some();
    if brings_key != matches!(upload, Encryption::Customer(_)) {
        return Err(unlike_upload());
    }
    key_of(ctx, request, bucket, upload, Side::Write).await
}

/// Checks the customer's key of a completion, which need not bring one. Whether it lacks the one that the upload has.
pub fn check_completion(ctx: &Context, request: &Request, upload: &Encryption) -> Result<bool, S3Error> {
    let customer = CustomerKey::parse(&request.headers, Side::Write, is_secure(ctx, request))?;
    match upload {
        Encryption::Customer(_) if customer.is_none() => Ok(true),
        Encryption::Customer(kept) => customers(customer, kept, Side::Write).map(|_| false),
        Encryption::Store | Encryption::Kms(_) if customer.is_some() => Err(unlike_upload()),
        Encryption::Store | Encryption::Kms(_) => Ok(false),
    }
}

async fn key_of(
    ctx: &Context,
    request: &Request,
    bucket: &BucketName,
    encryption: &Encryption,
    side: Side,
) -> Result<Option<DataKey>, S3Error> {
    let customer = CustomerKey::parse(&request.headers, side, is_secure(ctx, request))?;
    match encryption {
        Encryption::Customer(kept) => customers(customer, kept, side).map(Some),
        Encryption::Store | Encryption::Kms(_) if customer.is_some() => Err(needless_key()),
        Encryption::Store => Ok(None),
        Encryption::Kms(kms) => {
            check_kms(ctx, request)?;
            let via = via(ctx);
            ctx.keyring.open(&asker(request, &via), kms, bucket_context(bucket)).await.map(Some)
        }
    }
}

fn customers(sent: Option<CustomerKey>, kept: &CustomerEncryption, side: Side) -> Result<DataKey, S3Error> {
    let sent = sent.ok_or_else(missing_key)?;
    let with = sent.bytes().ok_or_else(|| wrong_key(side))?;
    DataKey::unwrap(&kept.wrapped, with, CUSTOMER_CONTEXT).map_err(|error| match error {
        Error::WrongKey => wrong_key(side),
        other => S3Error::from(other),
    })
}

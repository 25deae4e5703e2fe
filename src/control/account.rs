//! Block Public Access of an account.

use http::StatusCode;

use super::{Call, document, no_content};
use crate::error::S3Error;
use crate::public_access_block::PublicAccessBlock;
use crate::response::Response;

pub(super) async fn put_block(call: &Call<'_>) -> Result<Response, S3Error> {
    call.require("s3:PutAccountPublicAccessBlock", "*").await?;
    let block = PublicAccessBlock::parse(&call.request.body)?;
    set(call, Some(block)).await?;
    Ok(Response::empty(StatusCode::OK))
}

pub(super) async fn get_block(call: &Call<'_>) -> Result<Response, S3Error> {
    call.require("s3:GetAccountPublicAccessBlock", "*").await?;
    let directory = call.ctx.directory.snapshot();
    let block = directory.account(call.account).and_then(|account| account.public_access_block);
    let block = block.ok_or_else(|| {
        let message = "The public access block configuration was not found";
        S3Error::new(StatusCode::NOT_FOUND, "NoSuchPublicAccessBlockConfiguration", message)
            .with("AccountId", call.account.to_string())
    })?;
    let mut writer = document::writer("PublicAccessBlockConfiguration");
    for (name, value) in [
        ("BlockPublicAcls", block.block_public_acls),
        ("IgnorePublicAcls", block.ignore_public_acls),
        ("BlockPublicPolicy", block.block_public_policy),
        ("RestrictPublicBuckets", block.restrict_public_buckets),
    ] {
        writer.element(name, value.to_string());
    }
    Ok(Response::xml(writer.finish()))
}

pub(super) async fn delete_block(call: &Call<'_>) -> Result<Response, S3Error> {
    call.require("s3:PutAccountPublicAccessBlock", "*").await?;
    set(call, None).await?;
    Ok(no_content())
}

async fn set(call: &Call<'_>, block: Option<PublicAccessBlock>) -> Result<(), S3Error> {
    call.ctx.directory.set_public_access_block(call.account, block).await.map_err(S3Error::internal)
}

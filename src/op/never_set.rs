//! What buckets of this server cannot be given, read as from a bucket that was never given it: which clients ask of every
//! bucket that they look at. To set any of it is refused.

use http::StatusCode;

use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::route::Operation;
use crate::xml::Writer;

/// Answers the reads of who pays, acceleration, the website, inventories and metrics.
pub async fn read(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    bucket::find(ctx, name).await?;
    let document = match request.operation {
        Operation::GetBucketRequestPayment => document("RequestPaymentConfiguration", "Payer", "BucketOwner"),
        Operation::GetBucketAccelerateConfiguration => Writer::new("AccelerateConfiguration").finish(),
        Operation::ListBucketInventoryConfigurations => {
            document("ListInventoryConfigurationsResult", "IsTruncated", "false")
        }
        Operation::ListBucketMetricsConfigurations => {
            document("ListMetricsConfigurationsResult", "IsTruncated", "false")
        }
        Operation::GetBucketWebsite => {
            let message = "The specified bucket does not have a website configuration";
            return Err(absent("NoSuchWebsiteConfiguration", message).with("BucketName", name.as_str()));
        }
        _ => return Err(absent("NoSuchConfiguration", "The specified configuration does not exist.")),
    };
    Ok(Response::xml(document))
}

fn document(root: &str, element: &str, text: &str) -> String {
    let mut writer = Writer::new(root);
    writer.element(element, text);
    writer.finish()
}

fn absent(code: &'static str, message: &'static str) -> S3Error {
    S3Error::new(StatusCode::NOT_FOUND, code, message)
}

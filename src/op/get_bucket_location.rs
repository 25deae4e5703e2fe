//! GetBucketLocation: the region, by the name that a location constraint would have.

use crate::error::S3Error;
use crate::op::bucket;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::xml::Writer;

/// Answers `GET /bucket?location`.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let bucket = bucket::find(ctx, request.bucket()?).await?;
    Ok(Response::xml(document(&bucket.region)))
}

/// The oldest region has no location constraint, so its document is empty.
fn document(region: &str) -> String {
    let mut writer = Writer::new("LocationConstraint");
    if region != "us-east-1" {
        writer.text(region);
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::document;

    #[test]
    fn documents() {
        fn check(region: &str, ending: &str) {
            assert!(document(region).ends_with(ending), "{region}");
        }
        check("us-east-1", "2006-03-01/\"></LocationConstraint>");
        check("eu-central-1", "2006-03-01/\">eu-central-1</LocationConstraint>");
    }
}

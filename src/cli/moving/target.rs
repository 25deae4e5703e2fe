//! The bucket that is imported into: made, or looked at, before the first version comes.

use http::{HeaderName, HeaderValue, Method};

use super::configuration::{self, ACCESS_BLOCK, OBJECT_LOCK, OWNERSHIP, VERSIONING};
use super::document::{BucketDocument, Configuration};
use super::listing::{Listing, Which};
use super::place::{Ask, Place};
use super::report::Report;
use crate::cli::CliError;

/// What the caller asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// A bucket with versions may be taken.
    pub into_existing: bool,
    /// Versions need not keep their ids.
    pub as_new: bool,
    /// The bucket is to be configured as the exported one was.
    pub configured: bool,
}

/// The region whose buckets name none.
const DEFAULT_REGION: &str = "us-east-1";

/// Makes the bucket ready for the versions of `bucket`. `Ok(true)` if it may hold some of them.
pub async fn prepare(
    place: &Place,
    bucket: &BucketDocument,
    wishes: Wishes,
    report: &mut Report<'_>,
) -> Result<bool, CliError> {
    if !wishes.as_new && !bucket.strata {
        let message = "the file does not come from a Strata, so its version ids cannot be kept; say --as-new";
        return Err(CliError::NotDone(message.to_owned()));
    }
    let (is_strata, exists) = match place.is_strata().await? {
        Some(is_strata) => (is_strata, true),
        None => {
            create(place, bucket).await?;
            (place.is_strata().await? == Some(true), false)
        }
    };
    if !wishes.as_new && !is_strata {
        if !exists {
            place.need(&Ask::new(Method::DELETE, None), "remove").await?;
        }
        let message = "the target is no Strata, which keeps version ids and times; say --as-new";
        return Err(CliError::NotDone(message.to_owned()));
    }
    let holds = exists && !Listing::new(place, "", Which::Versions).next_key().await?.is_empty();
    if holds && !wishes.into_existing {
        let message = format!("the bucket {} is not empty; say --into-existing to add to it, or go on", place.bucket());
        return Err(CliError::NotDone(message));
    }
    if !exists && bucket.strata && wishes.configured {
        for name in [OWNERSHIP, ACCESS_BLOCK] {
            if configuration::named(&bucket.configuration, name).is_none() {
                // New buckets have what was taken off the one that was exported.
                place.need(&Ask::new(Method::DELETE, None).with(name, ""), "set up").await?;
            }
        }
    }
    if wishes.configured || !exists {
        ready(place, bucket, wishes, report).await?;
    } else if wishes.as_new && configuration::named(&bucket.configuration, VERSIONING).is_some() {
        let answer = place.need(&Ask::new(Method::GET, None).with(VERSIONING, ""), "look at the versioning of").await?;
        if !String::from_utf8_lossy(&answer.body).contains("<Status>Enabled</Status>") {
            let message = format!("{} keeps one version of a key; enable versioning, or configure it", place.bucket());
            return Err(CliError::NotDone(message));
        }
    }
    Ok(holds)
}

async fn create(place: &Place, bucket: &BucketDocument) -> Result<(), CliError> {
    let mut ask = Ask::new(Method::PUT, None);
    if place.region() != DEFAULT_REGION {
        let region = place.region();
        ask = ask.document(&format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        ));
    }
    if configuration::named(&bucket.configuration, OBJECT_LOCK).is_some() {
        const LOCK: HeaderName = HeaderName::from_static("x-amz-bucket-object-lock-enabled");
        ask.headers.insert(LOCK, HeaderValue::from_static("true"));
    }
    place.need(&ask, "make the bucket").await.map(drop)
}

/// Sets what the versions need: that they are kept, and whose they are.
async fn ready(
    place: &Place,
    bucket: &BucketDocument,
    wishes: Wishes,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    if let Some(ownership) = configuration::named(&bucket.configuration, OWNERSHIP) {
        configuration::put(place, ownership, report).await?;
    }
    if let Some(versioning) = configuration::named(&bucket.configuration, VERSIONING) {
        // New versions are only kept beside each other while versioning is enabled; that it was suspended comes last.
        let document = match wishes.as_new {
            true => versioning.document.replace(">Suspended<", ">Enabled<"),
            false => versioning.document.clone(),
        };
        let left_out = report.left_out();
        configuration::put(place, &Configuration { document, ..versioning.clone() }, report).await?;
        if report.left_out() > left_out {
            return Err(CliError::NotDone(format!("{} does not keep versions", place.bucket())));
        }
    }
    Ok(())
}

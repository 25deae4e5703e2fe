//! Storage-class analysis: its configurations, and the daily report on who reads what at which age. No I/O.
//!
//! Once a day the objects of a bucket are summed by class and [`AgeGroup`] into a [`DayUsage`], for each
//! configuration whose filter chooses them. [`Analysis`] remembers the last days and says from which age on objects
//! would be cheaper in `STANDARD_IA`; [`rows`] writes the day down as S3 does.

use serde::{Deserialize, Serialize};

use crate::configuration::{Configuration, ConfigurationFilter};
use crate::name::BucketName;

mod heat;
mod report;
mod usage;

pub use heat::Analysis;
pub use report::{COLUMNS, rows};
pub use usage::{AgeGroup, ClassUsage, DayUsage, Usage};

/// Analyses the access to the chosen objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsConfiguration {
    /// Unique among the bucket's analytics configurations.
    pub id: String,
    /// The objects that it is about.
    pub filter: ConfigurationFilter,
    /// Where the daily report goes; `None` writes none.
    pub export: Option<AnalyticsExport>,
}

/// Where the daily report of an analysis goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyticsExport {
    /// The destination bucket's ARN.
    pub bucket_arn: String,
    /// The account that is to own the destination bucket; `None` leaves it unchecked.
    pub account: Option<String>,
    /// What the report's key begins with; then come the analyzed bucket and the configuration's id.
    pub prefix: Option<String>,
}

impl AnalyticsExport {
    /// The destination bucket, if the ARN names one.
    pub fn bucket(&self) -> Option<BucketName> {
        self.bucket_arn.split_once(":s3:::").and_then(|(_, name)| BucketName::parse(name).ok())
    }
}

impl Configuration for AnalyticsConfiguration {
    fn id(&self) -> &str {
        &self.id
    }
}

//! Reports of storage-class analysis: each day's becomes an object of the bucket that its configuration names.
//!
//! Nobody asks a policy when a report is put, so only a bucket of the same account takes it. That is looked at when it is
//! configured, and again at each report: the bucket may have been deleted since, and made anew by somebody else.

use std::fmt;
use std::sync::Arc;

use crate::analytics::{Analysis, AnalyticsConfiguration, AnalyticsExport, COLUMNS, DayUsage, rows};
use crate::bucket::Bucket;
use crate::error::{Entity, Error, Result};
use crate::name::{BucketName, ObjectKey};
use crate::object::Metadata;
use crate::protection::{ObjectOwner, Protection};
use crate::put::PutObject;
use crate::store::Store;

/// Whether reports may be put into a bucket, as far as the engine cannot tell.
pub type TakesReports = dyn Fn(&Bucket) -> bool + Send + Sync;

/// Why a bucket takes no reports of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportRefusal {
    /// It is not there.
    Missing,
    /// It is another account's.
    OtherOwner,
    /// It is not of the account that the configuration names.
    OtherAccount,
    /// [`TakesReports`] says so.
    Refused,
}

impl fmt::Display for ReportRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReportRefusal::Missing => "The destination bucket does not exist.",
            ReportRefusal::OtherOwner => {
                "The destination bucket must be owned by the account that owns the analyzed bucket."
            }
            ReportRefusal::OtherAccount => "The destination bucket is not owned by the account of BucketAccountId.",
            ReportRefusal::Refused => "The destination bucket must not have a default encryption with KMS keys.",
        })
    }
}

/// Why there is no report.
pub(super) enum Unreported {
    Refused(ReportRefusal),
    Failed(Error),
}

impl From<Error> for Unreported {
    fn from(error: Error) -> Unreported {
        Unreported::Failed(error)
    }
}

impl fmt::Display for Unreported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreported::Refused(refusal) => refusal.fmt(f),
            Unreported::Failed(error) => error.fmt(f),
        }
    }
}

impl Store {
    /// Whether the reports of a bucket may be put where `export` says.
    pub async fn check_report(&self, source: &Bucket, export: &AnalyticsExport) -> Result<Option<ReportRefusal>> {
        Ok(self.report_bucket(source, export).await?.err())
    }

    /// The bucket that takes the reports.
    async fn report_bucket(
        &self,
        source: &Bucket,
        export: &AnalyticsExport,
    ) -> Result<std::result::Result<(BucketName, Arc<Bucket>), ReportRefusal>> {
        let Some(name) = export.bucket() else { return Ok(Err(ReportRefusal::Missing)) };
        let bucket = match self.bucket(&name).await {
            Ok(bucket) => bucket,
            Err(Error::NotFound(_)) => return Ok(Err(ReportRefusal::Missing)),
            Err(error) => return Err(error),
        };
        if bucket.owner != source.owner {
            return Ok(Err(ReportRefusal::OtherOwner));
        }
        if export.account.as_ref().is_some_and(|account| *account != bucket.owner.to_string()) {
            return Ok(Err(ReportRefusal::OtherAccount));
        }
        if !(self.inner.takes_reports)(&bucket) {
            return Ok(Err(ReportRefusal::Refused));
        }
        Ok(Ok((name, bucket)))
    }

    /// Puts the report of a day into the bucket that it is for, as any object of its owner.
    pub(super) async fn report(
        &self,
        source: &Bucket,
        (configuration, export): (&AnalyticsConfiguration, &AnalyticsExport),
        (day, analysis): (&DayUsage, &Analysis),
    ) -> std::result::Result<(), Unreported> {
        let (name, bucket) = self.report_bucket(source, export).await?.map_err(Unreported::Refused)?;
        let key = ObjectKey::parse(&key(source, configuration, export, day));
        let key = key.map_err(|_| Error::NotFound(Entity::Key))?;
        let lines: Vec<String> =
            std::iter::once(COLUMNS.to_owned()).chain(rows(configuration, day, analysis)).collect();
        let staged = self.stage_bytes(lines.join("\n") + "\n").await?;
        let owner = ObjectOwner { account: bucket.owner, acl: None };
        let request = PutObject {
            metadata: Metadata { content_type: Some("text/csv".to_owned()), ..Metadata::default() },
            protection: Protection { owner, ..Protection::default() },
            ..PutObject::new(name, key, staged)
        };
        self.put(request).await?;
        Ok(())
    }
}

/// `PREFIX/BUCKET/ID/DATE.csv`: what shares a destination and a prefix is kept apart.
fn key(source: &Bucket, configuration: &AnalyticsConfiguration, export: &AnalyticsExport, day: &DayUsage) -> String {
    let prefix = export.prefix.as_deref().unwrap_or_default().trim_end_matches('/');
    let separator = if prefix.is_empty() { "" } else { "/" };
    let date = day.date.to_datetime().format("%Y-%m-%dT%H-%M-%SZ");
    format!("{prefix}{separator}{}/{}/{date}.csv", source.name, configuration.id)
}

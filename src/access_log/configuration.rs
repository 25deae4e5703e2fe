//! `BucketLoggingStatus` documents, both ways, and their stored form: a format byte, then postcard's encoding.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, BucketDocument, BucketName, ObjectKey};

use crate::error::S3Error;
use crate::xml::{self, Writer};

const FORMAT: u8 = 1;

/// The longest key that the engine takes.
const KEY_BYTES_MAX: usize = 1024;

/// The longest that follows a prefix: account, region and bucket, the date as path, the name.
const NAME_BYTES_MAX: usize = 12 + 1 + 63 + 1 + 63 + 1 + 11 + 20 + 16;

/// Where the requests to a bucket are logged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Logging {
    target: String,
    prefix: String,
    format: Option<KeyFormat>,
}

/// How the keys of logs are made, if the document says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyFormat {
    /// `SimplePrefix`, which is also what no format means.
    Simple,
    /// `PartitionedPrefix`
    Partitioned(DateSource),
}

/// Which time the keys of a partitioned log have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DateSource {
    /// The day of the requests, without time of day.
    EventTime,
    /// When the log was written.
    DeliveryTime,
}

impl DateSource {
    fn name(self) -> &'static str {
        match self {
            DateSource::EventTime => "EventTime",
            DateSource::DeliveryTime => "DeliveryTime",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    logging_enabled: Option<Enabled>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Enabled {
    target_bucket: String,
    target_prefix: String,
    target_grants: Option<Grants>,
    target_object_key_format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grants {
    #[serde(rename = "Grant", default)]
    grants: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Format {
    simple_prefix: Option<Simple>,
    partitioned_prefix: Option<Partitioned>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Simple {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Partitioned {
    partition_date_source: String,
}

impl Logging {
    /// The bucket's; `None` if it has none. `Err` if what is stored cannot be read.
    pub fn of(bucket: &Bucket) -> Result<Option<Logging>, S3Error> {
        match bucket.documents.get(&BucketDocument::Logging).map(|stored| &stored[..]) {
            None => Ok(None),
            Some([FORMAT, rest @ ..]) => postcard::from_bytes(rest).map(Some).map_err(S3Error::internal),
            Some(_) => Err(S3Error::internal("a logging configuration of unknown format")),
        }
    }

    /// The stored form.
    pub fn to_stored(&self) -> Result<Vec<u8>, S3Error> {
        postcard::to_extend(self, vec![FORMAT]).map_err(S3Error::internal)
    }

    /// Reads a document; `None` ends logging.
    ///
    /// Grants to read the logs are refused: they belong to the owner of the target bucket, whose policy can share them.
    pub fn parse(bytes: &[u8]) -> Result<Option<Logging>, S3Error> {
        let Document { logging_enabled } = xml::parse(bytes)?;
        let Some(enabled) = logging_enabled else { return Ok(None) };
        if enabled.target_grants.is_some_and(|grants| !grants.grants.is_empty()) {
            return Err(S3Error::not_implemented(
                "Target grants are not implemented by this server; use a bucket policy.",
            ));
        }
        let format = enabled.target_object_key_format.map(key_format).transpose()?;
        // The target's name is looked up, so one that cannot be a name is a bucket that does not exist.
        let logging = Logging { target: enabled.target_bucket, prefix: enabled.target_prefix, format };
        let longest = logging.prefix.len() + NAME_BYTES_MAX;
        if ObjectKey::parse(&format!("{}-", logging.prefix)).is_err() || longest > KEY_BYTES_MAX {
            let message = "The target prefix is too long";
            return Err(S3Error::invalid_argument(message, "TargetPrefix", logging.prefix));
        }
        Ok(Some(logging))
    }

    /// The document; without configuration an empty one.
    pub fn document(logging: Option<&Logging>) -> String {
        let mut writer = Writer::new("BucketLoggingStatus");
        let Some(logging) = logging else { return writer.finish() };
        writer.open("LoggingEnabled").element("TargetBucket", &logging.target).element("TargetPrefix", &logging.prefix);
        if let Some(format) = logging.format {
            writer.open("TargetObjectKeyFormat");
            match format {
                KeyFormat::Simple => writer.open("SimplePrefix"),
                KeyFormat::Partitioned(source) => {
                    writer.open("PartitionedPrefix").element("PartitionDateSource", source.name())
                }
            };
        }
        writer.finish()
    }

    /// The bucket that the log is written to.
    pub fn target(&self) -> Result<BucketName, S3Error> {
        BucketName::parse(&self.target).map_err(|_| invalid_target("The target bucket for logging does not exist"))
    }

    /// What its keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Which time partitions have; `None` without partitions.
    pub fn date_source(&self) -> Option<DateSource> {
        match self.format {
            Some(KeyFormat::Partitioned(source)) => Some(source),
            Some(KeyFormat::Simple) | None => None,
        }
    }
}

fn key_format(format: Format) -> Result<KeyFormat, S3Error> {
    match (format.simple_prefix, format.partitioned_prefix) {
        (Some(Simple {}), None) => Ok(KeyFormat::Simple),
        (None, Some(Partitioned { partition_date_source })) => [DateSource::EventTime, DateSource::DeliveryTime]
            .into_iter()
            .find(|source| source.name() == partition_date_source)
            .map(KeyFormat::Partitioned)
            .ok_or_else(S3Error::malformed_xml),
        _ => Err(S3Error::malformed_xml()),
    }
}

/// 400 `InvalidTargetBucketForLogging`.
pub fn invalid_target(message: &'static str) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidTargetBucketForLogging", message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strata_storage::{Bucket, BucketDocument};

    use super::Logging;

    #[test]
    fn documents() {
        fn check(inside: &str) {
            let text = format!("<BucketLoggingStatus>{inside}</BucketLoggingStatus>");
            let logging = Logging::parse(text.as_bytes()).unwrap();
            let shown = Logging::document(logging.as_ref());
            assert!(shown.ends_with(&format!(">{inside}</BucketLoggingStatus>")), "{shown}");
            let Some(logging) = logging else { return };
            let mut bucket = Bucket::default();
            bucket.documents.insert(BucketDocument::Logging, Arc::from(logging.to_stored().unwrap()));
            assert_eq!(Logging::of(&bucket).unwrap(), Some(logging));
        }
        let target = "<TargetBucket>logs</TargetBucket><TargetPrefix>a/</TargetPrefix>";
        let format = |inside: &str| {
            format!("<LoggingEnabled>{target}<TargetObjectKeyFormat>{inside}</TargetObjectKeyFormat></LoggingEnabled>")
        };
        check("");
        check(&format!("<LoggingEnabled>{target}</LoggingEnabled>"));
        check("<LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix></TargetPrefix></LoggingEnabled>");
        check(&format("<SimplePrefix></SimplePrefix>"));
        for source in ["EventTime", "DeliveryTime"] {
            let partitioned = format!("<PartitionDateSource>{source}</PartitionDateSource>");
            check(&format(&format!("<PartitionedPrefix>{partitioned}</PartitionedPrefix>")));
        }
    }

    #[test]
    fn faults() {
        fn check(inside: &str, code: &str) {
            let text = format!("<B><LoggingEnabled>{inside}</LoggingEnabled></B>");
            assert_eq!(Logging::parse(text.as_bytes()).unwrap_err().code, code, "{inside}");
        }
        let target = "<TargetBucket>logs</TargetBucket>";
        check(target, "MalformedXML");
        check("<TargetPrefix>a</TargetPrefix>", "MalformedXML");
        let whole = format!("{target}<TargetPrefix>a</TargetPrefix>");
        check(&format!("{whole}<Other/>"), "MalformedXML");
        let format = |inside: &str| format!("{whole}<TargetObjectKeyFormat>{inside}</TargetObjectKeyFormat>");
        check(&format(""), "MalformedXML");
        check(&format("<PartitionedPrefix/>"), "MalformedXML");
        let never = "<PartitionDateSource>Never</PartitionDateSource>";
        check(&format(&format!("<PartitionedPrefix>{never}</PartitionedPrefix>")), "MalformedXML");
        check(&format!("{whole}<TargetGrants><Grant/></TargetGrants>"), "NotImplemented");
        let long = format!("{target}<TargetPrefix>{}</TargetPrefix>", "p".repeat(1000));
        check(&long, "InvalidArgument");
    }
}

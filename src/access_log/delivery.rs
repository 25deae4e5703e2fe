//! Writes gathered lines as objects of the target buckets.
//!
//! A crash before an object is committed loses its lines, and no object is ever written twice: best effort, as at S3.

use std::sync::PoisonError;

use strata_storage::{Metadata, ObjectKey, ObjectOwner, Protection, PutObject, Timestamp};

use super::buffer::{Lines, Stream};
use super::configuration::DateSource;
use super::{AccessLog, SECONDS_PER_DAY, target};
use crate::error::S3Error;
use crate::time;

impl AccessLog {
    /// Offers every line gathered so far to its target. What is refused is kept for the next time, within bounds.
    pub async fn deliver(&self) {
        let _turn = self.0.delivering.lock().await;
        self.keep_deeds().await;
        let taken = self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (stream, lines) in taken {
            if let Err(error) = self.write(&stream, &lines).await {
                let (source, count, code) = (&stream.source, lines.count(), error.code);
                let detail = error.detail.as_deref().unwrap_or(&error.message);
                tracing::warn!(bucket = %source, lines = count, code, detail, "an access log cannot be delivered");
                self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner).give_back(stream, lines);
            }
        }
        let lost = self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner).take_lost();
        if lost > 0 {
            tracing::warn!(
                lines = lost,
                "lines of access logs are lost: their targets refuse them, or there are too many"
            );
        }
    }

    async fn write(&self, stream: &Stream, lines: &Lines) -> Result<(), S3Error> {
        let name = stream.logging.target()?;
        let bucket = self.0.store.bucket(&name).await?;
        let now = self.0.clock.now();
        let key = ObjectKey::parse(&key(stream, now, self.0.entropy.next_u64())).map_err(S3Error::internal)?;
        let source = (&stream.source, stream.owner, &*stream.region);
        target::check(&self.0.policies, &stream.logging, source, &bucket, (&key, now))?;
        let staged = self.0.store.stage_bytes(lines.text()).await?;
        let owner = ObjectOwner { account: bucket.owner, acl: None };
        let put = PutObject {
            metadata: Metadata { content_type: Some("text/plain".to_owned()), ..Metadata::default() },
            protection: Protection { owner, ..Protection::default() },
            ..PutObject::new(name, key, staged)
        };
        self.0.store.put(put).await?;
        Ok(())
    }
}

/// The key of an object of the log.
fn key(stream: &Stream, now: Timestamp, unique: u64) -> String {
    let at = match (stream.logging.date_source(), stream.day) {
        (Some(DateSource::EventTime), Some(day)) => Timestamp::from_secs(day * SECONDS_PER_DAY),
        _ => now,
    };
    let date = time::dashed(at);
    let prefix = stream.logging.prefix();
    match stream.logging.date_source() {
        None => format!("{prefix}{date}-{unique:016X}"),
        Some(_) => {
            let Stream { source, owner, region, .. } = stream;
            let day = date[..10].replace('-', "/");
            format!("{prefix}{owner}/{region}/{source}/{day}/{date}-{unique:016X}")
        }
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, BucketName, Timestamp};

    use super::super::buffer::Stream;
    use super::super::configuration::Logging;
    use super::key;

    #[test]
    fn keys() {
        fn check(format: &str, day: Option<u64>, expected: &str) {
            let document = format!(
                "<B><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>p/</TargetPrefix>{format}\
                 </LoggingEnabled></B>"
            );
            let logging = Logging::parse(document.as_bytes()).unwrap().unwrap();
            let source = BucketName::parse("bucket").unwrap();
            let stream = Stream { source, owner: AccountId::ROOT, region: "r".to_owned(), logging, day };
            assert_eq!(key(&stream, Timestamp::from_secs(1_767_323_045), 0xab), expected);
        }
        check("", None, "p/2026-01-02-03-04-05-00000000000000AB");
        let partitioned = |source: &str| {
            let source = format!("<PartitionDateSource>{source}</PartitionDateSource>");
            format!("<TargetObjectKeyFormat><PartitionedPrefix>{source}</PartitionedPrefix></TargetObjectKeyFormat>")
        };
        let delivered = "p/000000000000/r/bucket/2026/01/02/2026-01-02-03-04-05-00000000000000AB";
        check(&partitioned("DeliveryTime"), None, delivered);
        let of_day = "p/000000000000/r/bucket/2019/02/06/2019-02-06-00-00-00-00000000000000AB";
        check(&partitioned("EventTime"), Some(17_933), of_day);
    }
}

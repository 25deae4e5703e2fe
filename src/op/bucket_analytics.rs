//! Put, Get, List and Delete of the configurations of storage-class analysis.

use http::StatusCode;
use serde::Deserialize;
use strata_storage::{AnalyticsConfiguration, AnalyticsExport, BucketChange, BucketName};

use crate::error::S3Error;
use crate::op::bucket_configurations::{self, Kind, Operations};
use crate::op::configuration_filter::{self, FilterElement};
use crate::request::{Context, Query, Request};
use crate::response::Response;
use crate::xml::{self, Writer};

const KIND: Kind<AnalyticsConfiguration> = Kind {
    list: "ListBucketAnalyticsConfigurationResult",
    element: "AnalyticsConfiguration",
    id: |configuration| &configuration.id,
    write,
};

/// The operations on `/bucket?analytics`.
pub static OPERATIONS: Operations<AnalyticsConfiguration> = Operations {
    kind: KIND,
    of: |bucket| &bucket.analytics,
    read,
    put: BucketChange::PutAnalytics,
    delete: BucketChange::DeleteAnalytics,
};

/// Answers `PUT /bucket?analytics&id=ID`. Whether the destination takes the reports is checked now, and at each of them.
///
/// Unconfirmed: S3's answer. S3 asks the destination's policy; here only the same account's buckets take reports.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let (source, configuration) = OPERATIONS.receive(ctx, &mut request).await?;
    if let Some(export) = &configuration.export
        && let Some(refusal) = ctx.store.check_report(&source, export).await?
    {
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidS3DestinationBucket", refusal.to_string()));
    }
    OPERATIONS.store(ctx, &request, configuration).await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    id: String,
    filter: Option<FilterElement>,
    storage_class_analysis: AnalysisElement,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AnalysisElement {
    data_export: Option<ExportElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ExportElement {
    output_schema_version: String,
    destination: DestinationElement,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DestinationElement {
    #[serde(rename = "S3BucketDestination")]
    s3_bucket_destination: BucketDestinationElement,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BucketDestinationElement {
    format: String,
    bucket_account_id: Option<String>,
    bucket: String,
    prefix: Option<String>,
}

fn read(bytes: &[u8], query: &Query) -> Result<AnalyticsConfiguration, S3Error> {
    let Document { id, filter, storage_class_analysis } = xml::parse_root(bytes, KIND.element)?;
    let id = bucket_configurations::stored_id(query, id)?;
    let filter = configuration_filter::read(filter)?;
    let export = storage_class_analysis.data_export.map(read_export).transpose()?;
    Ok(AnalyticsConfiguration { id, filter, export })
}

fn read_export(element: ExportElement) -> Result<AnalyticsExport, S3Error> {
    let ExportElement { output_schema_version, destination } = element;
    let BucketDestinationElement { format, bucket_account_id, bucket, prefix } = destination.s3_bucket_destination;
    if output_schema_version != "V_1" || format != "CSV" {
        return Err(S3Error::malformed_xml());
    }
    if !is_bucket_arn(&bucket) {
        return Err(S3Error::invalid_argument("Invalid bucket ARN", "Bucket", bucket));
    }
    let is_account = |account: &str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(account) = bucket_account_id.as_deref().filter(|account| !is_account(account)) {
        return Err(S3Error::invalid_argument("Invalid account ID", "BucketAccountId", account));
    }
    configuration_filter::check_prefix(prefix.as_deref())?;
    Ok(AnalyticsExport { bucket_arn: bucket, account: bucket_account_id, prefix })
}

/// Whether a text is `arn:PARTITION:s3:::BUCKET`.
fn is_bucket_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [arn, partition, service, region, account, bucket] = parts[..] else { return false };
    let is_partition = matches!(partition, "aws" | "aws-cn" | "aws-us-gov");
    (arn, service, region, account) == ("arn", "s3", "", "") && is_partition && BucketName::parse(bucket).is_ok()
}

fn write(writer: &mut Writer, configuration: &AnalyticsConfiguration) {
    writer.element("Id", &configuration.id);
    configuration_filter::write(writer, &configuration.filter);
    writer.open("StorageClassAnalysis");
    if let Some(AnalyticsExport { bucket_arn, account, prefix }) = &configuration.export {
        writer.open("DataExport").element("OutputSchemaVersion", "V_1");
        writer.open("Destination").open("S3BucketDestination").element("Format", "CSV");
        if let Some(account) = account {
            writer.element("BucketAccountId", account);
        }
        writer.element("Bucket", bucket_arn);
        if let Some(prefix) = prefix {
            writer.element("Prefix", prefix);
        }
        writer.close().close().close();
    }
    writer.close();
}

#[cfg(test)]
mod tests {
    use strata_storage::{AnalyticsConfiguration, AnalyticsExport};

    use super::{KIND, is_bucket_arn, read};
    use crate::error::S3Error;
    use crate::op::bucket_configurations;
    use crate::request::Query;

    fn parse(inside: &str) -> Result<AnalyticsConfiguration, S3Error> {
        let text = format!("<AnalyticsConfiguration>{inside}</AnalyticsConfiguration>");
        read(text.as_bytes(), &Query(vec![("id".to_string(), "id".to_string())]))
    }

    fn exporting(destination: &str) -> String {
        format!(
            "<Id>id</Id><StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1</OutputSchemaVersion><Destination>\
             <S3BucketDestination>{destination}</S3BucketDestination></Destination></DataExport></StorageClassAnalysis>"
        )
    }

    #[test]
    fn configurations_read_back() {
        fn check(text: &str, export: Option<(&str, Option<&str>, Option<&str>)>) {
            let found = parse(text).expect(text);
            let expected = export.map(|(bucket_arn, account, prefix)| AnalyticsExport {
                bucket_arn: bucket_arn.to_string(),
                account: account.map(str::to_string),
                prefix: prefix.map(str::to_string),
            });
            assert_eq!(found.export, expected, "{text}");
            let written = bucket_configurations::document(&KIND, &[found], "id").expect("it is there");
            assert!(written.ends_with(&format!(">{text}</AnalyticsConfiguration>")), "{written}");
        }
        check("<Id>id</Id><StorageClassAnalysis></StorageClassAnalysis>", None);
        check("<Id>id</Id><Filter><Prefix>a</Prefix></Filter><StorageClassAnalysis></StorageClassAnalysis>", None);
        let arn = "arn:aws:s3:::reports";
        check(&exporting(&format!("<Format>CSV</Format><Bucket>{arn}</Bucket>")), Some((arn, None, None)));
        let full = format!(
            "<Format>CSV</Format><BucketAccountId>123456789012</BucketAccountId><Bucket>{arn}</Bucket>\
             <Prefix>a/</Prefix>"
        );
        check(&exporting(&full), Some((arn, Some("123456789012"), Some("a/"))));
        assert_eq!(parse("<Id>id</Id><StorageClassAnalysis/>").expect("the short form").export, None);
    }

    #[test]
    fn other_documents_are_refused() {
        fn check(inside: &str, code: &str) {
            assert_eq!(parse(inside).expect_err(inside).code, code, "{inside}");
        }
        let bucket = "<Bucket>arn:aws:s3:::reports</Bucket>";
        let whole = exporting(&format!("<Format>CSV</Format>{bucket}"));
        for inside in [
            "",
            "<Id>id</Id>",
            "<StorageClassAnalysis/>",
            "<Id>other</Id><StorageClassAnalysis/>",
            "<Id>id</Id><StorageClassAnalysis/><Other/>",
            "<Id>id</Id><Filter/><StorageClassAnalysis/>",
            "<Id>id</Id><StorageClassAnalysis><DataExport/></StorageClassAnalysis>",
            &exporting(""),
            &exporting(bucket),
            &exporting("<Format>CSV</Format>"),
            &exporting(&format!("<Format>ORC</Format>{bucket}")),
            &whole.replace("V_1", "V_2"),
        ] {
            check(inside, "MalformedXML");
        }
        check(&whole.replace("arn:aws:s3:::reports", "reports"), "InvalidArgument");
        check(&whole.replace("<Bucket>", "<BucketAccountId>12</BucketAccountId><Bucket>"), "InvalidArgument");
        let long = format!("</Bucket><Prefix>{}</Prefix>", "p".repeat(1025));
        check(&whole.replace("</Bucket>", &long), "InvalidArgument");
    }

    #[test]
    fn arns() {
        fn check(text: &str, expected: bool) {
            assert_eq!(is_bucket_arn(text), expected, "{text}");
        }
        check("arn:aws:s3:::reports", true);
        check("arn:aws-cn:s3:::reports", true);
        for text in [
            "",
            "reports",
            "arn:aws:s3:::",
            "arn:aws:s3:::Reports",
            "arn:aws:s3:::reports/key",
            "arn:aws:s3:::reports:x",
            "arn:aws:s3:us-east-1::reports",
            "arn:aws:sqs:::reports",
            "arn:other:s3:::reports",
        ] {
            check(text, false);
        }
    }
}

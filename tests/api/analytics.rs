//! The configurations of storage-class analysis.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    AnalyticsAndOperator, AnalyticsConfiguration, AnalyticsExportDestination, AnalyticsFilter,
    AnalyticsS3BucketDestination, AnalyticsS3ExportFileFormat, StorageClassAnalysis, StorageClassAnalysisDataExport,
    StorageClassAnalysisSchemaVersion, Tag,
};

use crate::people::account;
use crate::support::{Fixture, Sdk};

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().expect("a tag")
}

fn configuration(id: &str, filter: Option<AnalyticsFilter>, analysis: StorageClassAnalysis) -> AnalyticsConfiguration {
    let builder = AnalyticsConfiguration::builder().id(id).set_filter(filter).storage_class_analysis(analysis);
    builder.build().expect("a configuration")
}

fn silent() -> StorageClassAnalysis {
    StorageClassAnalysis::builder().build()
}

fn exporting(account: Option<&str>, prefix: Option<&str>) -> StorageClassAnalysis {
    let bucket = AnalyticsS3BucketDestination::builder()
        .format(AnalyticsS3ExportFileFormat::Csv)
        .bucket("arn:aws:s3:::reports")
        .set_bucket_account_id(account.map(str::to_owned))
        .set_prefix(prefix.map(str::to_owned))
        .build()
        .expect("a destination");
    let export = StorageClassAnalysisDataExport::builder()
        .output_schema_version(StorageClassAnalysisSchemaVersion::V1)
        .destination(AnalyticsExportDestination::builder().s3_bucket_destination(bucket).build())
        .build()
        .expect("an export");
    StorageClassAnalysis::builder().data_export(export).build()
}

async fn put(s3: &Sdk, configuration: &AnalyticsConfiguration) {
    let put = s3.put_bucket_analytics_configuration().bucket("bucket").id(configuration.id());
    put.analytics_configuration(configuration.clone()).send().await.expect("a configuration");
}

async fn get(s3: &Sdk, id: &str) -> Result<AnalyticsConfiguration, Option<String>> {
    match s3.get_bucket_analytics_configuration().bucket("bucket").id(id).send().await {
        Ok(found) => Ok(found.analytics_configuration.expect("a configuration")),
        Err(error) => Err(error.code().map(str::to_owned)),
    }
}

#[tokio::test]
async fn life_of_configurations() {
    let fixture = Fixture::with_bucket("bucket").await;
    let s3 = &fixture.s3;
    s3.create_bucket().bucket("reports").send().await.expect("a bucket");
    let and = AnalyticsAndOperator::builder().prefix("logs/").tags(tag("team", "red")).build();
    let all = [
        configuration("and", Some(AnalyticsFilter::And(and)), exporting(Some("000000000000"), Some("analysis/"))),
        configuration("everything", None, silent()),
        configuration("logs", Some(AnalyticsFilter::Prefix("logs/".to_owned())), exporting(None, None)),
        configuration("red", Some(AnalyticsFilter::Tag(tag("team", "red"))), silent()),
    ];
    for configuration in all.iter().rev() {
        assert_eq!(get(s3, configuration.id()).await, Err(Some("NoSuchConfiguration".to_owned())));
        put(s3, configuration).await;
        assert_eq!(get(s3, configuration.id()).await.as_ref(), Ok(configuration));
    }
    let listed = s3.list_bucket_analytics_configurations().bucket("bucket").send().await.expect("a list");
    assert_eq!(listed.analytics_configuration_list(), all);
    assert_eq!((listed.is_truncated(), listed.next_continuation_token()), (Some(false), None));

    let replaced = configuration("logs", None, silent());
    put(s3, &replaced).await;
    assert_eq!(get(s3, "logs").await, Ok(replaced));

    let delete = |id: &str| s3.delete_bucket_analytics_configuration().bucket("bucket").id(id).send();
    delete("logs").await.expect("it is there");
    assert_eq!(get(s3, "logs").await, Err(Some("NoSuchConfiguration".to_owned())));
    assert_eq!(delete("logs").await.expect_err("it is gone").code(), Some("NoSuchConfiguration"));
    assert!(get(s3, "red").await.is_ok());
    fixture.stop().await;
}

#[tokio::test]
async fn reports_stay_within_the_account() {
    let fixture = Fixture::with_bucket("victims").await;
    let root = &fixture.raw;
    let (id, stranger) = account(root, "stranger").await;
    for name in ["mine", "reports", "sealed"] {
        stranger.put(&format!("/{name}"), "").await.is(200);
    }
    let sealed = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms\
                  </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>";
    stranger.put("/sealed?encryption", sealed).await.is(200);
    let put = async |bucket: &str, account: &str| {
        let account = match account {
            "" => String::new(),
            id => format!("<BucketAccountId>{id}</BucketAccountId>"),
        };
        let document = format!(
            "<AnalyticsConfiguration><Id>a</Id><StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1\
             </OutputSchemaVersion><Destination><S3BucketDestination><Format>CSV</Format>{account}\
             <Bucket>arn:aws:s3:::{bucket}</Bucket></S3BucketDestination></Destination></DataExport>\
             </StorageClassAnalysis></AnalyticsConfiguration>"
        );
        stranger.put("/mine?analytics&id=a", document).await
    };
    for (bucket, account) in [
        ("victims", ""),
        ("victims", "000000000000"),
        ("nowhere", ""),
        ("sealed", ""),
        ("reports", "999999999999"),
        ("reports", "000000000000"),
    ] {
        put(bucket, account).await.fails(400, "InvalidS3DestinationBucket");
        stranger.get("/mine?analytics&id=a").await.fails(404, "NoSuchConfiguration");
    }
    put("reports", "").await.is(200);
    put("reports", &id).await.is(200);
    fixture.stop().await;
}

fn document(id: &str) -> String {
    format!(
        "<AnalyticsConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Id>{id}</Id>\
         <StorageClassAnalysis></StorageClassAnalysis></AnalyticsConfiguration>"
    )
}

#[tokio::test]
async fn answers() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let place = "/bucket?analytics&id=a";
    raw.put(place, document("a")).await.is(200).has_body("");
    let stored = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", document("a"));
    raw.get(place).await.is(200).has_body(stored).has_header("content-type", Some("application/xml"));
    raw.delete(place).await.is(204).has_body("");
    let missing = "The specified configuration does not exist.";
    raw.get(place).await.fails_saying(404, "NoSuchConfiguration", missing);
    raw.delete(place).await.fails_saying(404, "NoSuchConfiguration", missing);
    raw.put(place, document("b")).await.fails(400, "MalformedXML");
    raw.put(place, "").await.fails(400, "MissingRequestBodyError");
    raw.put("/bucket?analytics", document("a")).await.fails(400, "InvalidArgument").has("ArgumentName", "id");
    raw.delete("/bucket?analytics").await.fails(400, "InvalidArgument").has("ArgumentName", "id");
    raw.request("POST", place).send().await.fails(405, "MethodNotAllowed");
    // The two kinds of configurations know nothing of each other.
    raw.put(place, document("a")).await.is(200);
    raw.get("/bucket?intelligent-tiering&id=a").await.fails(404, "NoSuchConfiguration");
    let other = "/missing?analytics&id=a";
    raw.put(other, document("a")).await.fails(404, "NoSuchBucket").has("BucketName", "missing");
    raw.get(other).await.fails(404, "NoSuchBucket");
    raw.get("/missing?analytics").await.fails(404, "NoSuchBucket");
    raw.delete(other).await.fails(404, "NoSuchBucket");
    fixture.stop().await;
}

#[tokio::test]
async fn pages() {
    let fixture = Fixture::with_bucket("bucket").await;
    let (raw, s3) = (&fixture.raw, &fixture.s3);
    for number in 0..101 {
        let id = format!("id-{number:03}");
        raw.put(&format!("/bucket?analytics&id={id}"), document(&id)).await.is(200);
    }
    let list = || s3.list_bucket_analytics_configurations().bucket("bucket");
    let first = list().send().await.expect("a page");
    assert_eq!((first.is_truncated(), first.analytics_configuration_list().len()), (Some(true), 100));
    let token = first.next_continuation_token().expect("a token");
    let last = list().continuation_token(token).send().await.expect("a page");
    assert_eq!((last.is_truncated(), last.continuation_token()), (Some(false), Some(token)));
    let ids: Vec<&str> = last.analytics_configuration_list().iter().map(|configuration| configuration.id()).collect();
    assert_eq!(ids, ["id-100"]);
    fixture.stop().await;
}

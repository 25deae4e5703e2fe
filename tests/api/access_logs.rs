//! Server access logs: configurations, what is delivered and where, and targets that refuse.

use std::sync::Arc;
use std::time::Duration;

use strata_storage::SystemClock;

use crate::support::{Answer, Fixture, elements};

const FIELDS: usize = 27;

fn document(target: &str, prefix: &str, more: &str) -> String {
    format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>{target}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>\
         {more}</LoggingEnabled></BucketLoggingStatus>"
    )
}

fn policy(effect: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":{{"Service":"logging.s3.amazonaws.com"}},
        "Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/*"{condition}}}]}}"#
    )
}

async fn configure(fixture: &Fixture, document: &str) -> Answer {
    fixture.raw.put("/bucket?logging", document.to_owned()).await
}

/// A server with the buckets `bucket` and `logs`, the second of which takes logs.
async fn with_target() -> Fixture {
    // Only what the test asks for is delivered.
    let fixture =
        Fixture::start_with(|config| config.access_log.flush = Duration::from_secs(3600), Arc::new(SystemClock)).await;
    for name in ["bucket", "logs"] {
        fixture.raw.put(&format!("/{name}"), "").await.is(200);
    }
    fixture.raw.put("/logs?policy", policy("Allow", "")).await.is(204);
    fixture
}

/// The keys of the delivered logs, in their order.
async fn keys(fixture: &Fixture) -> Vec<String> {
    elements(&fixture.raw.get("/logs?list-type=2").await.is(200).text(), "Key")
}

/// All lines delivered so far, each as its fields.
async fn lines(fixture: &Fixture) -> Vec<Vec<String>> {
    fixture.deliver_access_logs().await;
    let mut lines = Vec::new();
    for key in keys(fixture).await {
        let text = fixture.raw.get(&format!("/logs/{key}")).await.is(200).text();
        lines.extend(text.lines().map(fields));
    }
    lines
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut closing) = (vec![String::new()], None);
    for character in line.chars() {
        match (character, closing) {
            (' ', None) => fields.push(String::new()),
            ('"', None) => closing = Some('"'),
            ('[', None) => closing = Some(']'),
            (character, Some(end)) if character == end => closing = None,
            (character, _) => fields.last_mut().expect("one field").push(character),
        }
    }
    assert_eq!(fields.len(), FIELDS, "{line}");
    fields
}

#[tokio::test]
async fn configurations() {
    let fixture = with_target().await;
    let raw = &fixture.raw;
    raw.get("/bucket?logging").await.is(200).lacks("LoggingEnabled");
    let more = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource>\
                </PartitionedPrefix></TargetObjectKeyFormat>";
    for document in [document("logs", "a/", ""), document("logs", "", ""), document("logs", "a/", more)] {
        configure(&fixture, &document).await.is(200);
        let shown = raw.get("/bucket?logging").await.is(200).text();
        assert!(shown.ends_with(document.trim_start_matches("<BucketLoggingStatus>")), "{shown}");
    }
    configure(&fixture, "<BucketLoggingStatus/>").await.is(200);
    raw.get("/bucket?logging").await.is(200).lacks("LoggingEnabled");
    configure(&fixture, "<BucketLoggingStatus><Other/></BucketLoggingStatus>").await.fails(400, "MalformedXML");
    fixture.stop().await;
}

#[tokio::test]
async fn targets_that_cannot_take_logs() {
    let fixture = with_target().await;
    let raw = &fixture.raw;
    let code = "InvalidTargetBucketForLogging";
    let gone = "The target bucket for logging does not exist";
    configure(&fixture, &document("nowhere", "", "")).await.fails_saying(400, code, gone);
    configure(&fixture, &document("NO", "", "")).await.fails_saying(400, code, gone);
    configure(&fixture, &document("bucket", "", "")).await.fails(400, code);
    let here = r#","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::bucket"},"StringEquals":{"aws:SourceAccount":"000000000000"}}"#;
    raw.put("/logs?policy", policy("Allow", here)).await.is(204);
    configure(&fixture, &document("logs", "", "")).await.is(200);
    raw.put("/logs?policy", policy("Allow", &here.replace("arn:aws:s3:::bucket", "arn:aws:s3:::other"))).await.is(204);
    configure(&fixture, &document("logs", "", "")).await.fails(400, code);
    raw.put("/logs?policy", policy("Deny", "")).await.is(204);
    configure(&fixture, &document("logs", "", "")).await.fails(400, code);
    raw.delete("/logs?policy").await.is(204);
    let preferred = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule>\
                     </OwnershipControls>";
    raw.request("PUT", "/logs?ownershipControls").md5_of(preferred.as_bytes()).body(preferred).send().await.is(200);
    configure(&fixture, &document("logs", "", "")).await.fails(400, code);
    raw.request("PUT", "/logs?acl").header("x-amz-acl", "log-delivery-write").send().await.is(200);
    configure(&fixture, &document("logs", "", "")).await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn requests_are_logged() {
    let fixture = with_target().await;
    let raw = &fixture.raw;
    raw.put("/bucket/before", "x").await.is(200);
    configure(&fixture, &document("logs", "a/", "")).await.is(200);
    let agent = ("user-agent", "agent \"quoted\" \\ 1");
    raw.request("PUT", "/bucket/a%20b?x-id=PutObject").headers(&[agent]).body("hello").send().await.is(200);
    raw.get("/bucket/a%20b").await.is(200).has_body("hello");
    raw.head("/bucket/a%20b").await.is(200);
    raw.get("/bucket/missing?versionId=null").await.is(404);
    raw.request("GET", "/bucket/a%20b").unsigned().send().await.is(403);
    raw.request("GET", "/bucket/a%20b").presigned(Duration::from_secs(60)).send().await.is(200);
    let source = ("x-amz-copy-source", "/bucket/a%20b");
    raw.request("PUT", "/bucket/copy").headers(&[source]).send().await.is(200);
    let delete = "<Delete><Object><Key>a b</Key></Object><Object><Key>copy</Key></Object></Delete>";
    raw.request("POST", "/bucket?delete").md5_of(delete.as_bytes()).body(delete).send().await.is(200);
    raw.get("/bucket").await.is(200);
    let lines = lines(&fixture).await;
    let found: Vec<[&str; 5]> =
        lines.iter().map(|line| [&*line[6], &*line[7], &*line[9], &*line[10], &*line[12]]).collect();
    let expected = [
        ["REST.PUT.OBJECT", "a%20b", "200", "-", "5"],
        ["REST.GET.OBJECT", "a%20b", "200", "-", "5"],
        ["REST.HEAD.OBJECT", "a%20b", "200", "-", "5"],
        ["REST.GET.OBJECT", "missing", "404", "NoSuchVersion", "-"],
        ["REST.GET.OBJECT", "a%20b", "403", "AccessDenied", "-"],
        ["REST.GET.OBJECT", "a%20b", "200", "-", "5"],
        ["REST.COPY.OBJECT", "copy", "200", "-", "-"],
        ["REST.COPY.OBJECT_GET", "a%20b", "200", "-", "-"],
        ["REST.POST.MULTI_OBJECT_DELETE", "-", "200", "-", "-"],
        ["BATCH.DELETE.OBJECT", "a%20b", "204", "-", "-"],
        ["BATCH.DELETE.OBJECT", "copy", "204", "-", "-"],
        ["REST.GET.BUCKET", "-", "200", "-", "-"],
    ];
    assert_eq!(found, expected);
    assert_eq!(
        (&*lines[0][8], &*lines[0][16]),
        ("PUT /bucket/a%20b?x-id=PutObject HTTP/1.1", "agent %22quoted%22 %5C 1")
    );
    assert_eq!((&*lines[0][19], &*lines[0][21], &*lines[1][11]), ("SigV4", "AuthHeader", "5"));
    assert_eq!((&*lines[4][4], &*lines[4][19], &*lines[5][21]), ("-", "-", "QueryString"));
    assert_eq!((&*lines[3][17], &*lines[0][4]), ("null", &*lines[0][0]));
    assert!(lines[5][8].contains("X-Amz-Signature=<redacted>"), "{}", lines[5][8]);
    // Without logging nothing is gathered any more, and deliveries are no requests.
    configure(&fixture, "<BucketLoggingStatus/>").await.is(200);
    raw.get("/bucket").await.is(200);
    fixture.deliver_access_logs().await;
    let keys = keys(&fixture).await;
    assert!(keys.len() <= 2 && keys.iter().all(|key| key.starts_with("a/")), "{keys:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn each_delivery_is_an_object_and_a_stop_loses_nothing() {
    let fixture = with_target().await;
    configure(&fixture, &document("logs", "a/", "")).await.is(200);
    fixture.raw.put("/bucket/one", "").await.is(200);
    fixture.deliver_access_logs().await;
    fixture.raw.put("/bucket/two", "").await.is(200);
    fixture.deliver_access_logs().await;
    assert_eq!(keys(&fixture).await.len(), 2);
    fixture.raw.put("/bucket/three", "").await.is(200);
    let fixture = fixture.restart().await;
    let mut lines: Vec<String> = lines(&fixture).await.into_iter().map(|line| line[7].clone()).collect();
    lines.sort();
    assert_eq!(lines, ["one", "three", "two"]);
    fixture.raw.put("/bucket/four", "").await.is(200);
    fixture.deliver_access_logs().await;
    assert_eq!(keys(&fixture).await.len(), 4);
    fixture.stop().await;
}

#[tokio::test]
async fn refused_lines_wait_for_their_target() {
    let fixture = with_target().await;
    let raw = &fixture.raw;
    let more = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>DeliveryTime</PartitionDateSource>\
                </PartitionedPrefix></TargetObjectKeyFormat>";
    configure(&fixture, &document("logs", "a/", more)).await.is(200);
    raw.put("/bucket/one", "").await.is(200);
    raw.delete("/logs").await.is(204);
    fixture.deliver_access_logs().await;
    raw.put("/bucket/two", "").await.is(200);
    raw.put("/logs", "").await.is(200);
    // A bucket of the same name is not trusted with logs before its policy says so.
    fixture.deliver_access_logs().await;
    assert_eq!(keys(&fixture).await.len(), 0);
    raw.put("/logs?policy", policy("Allow", "")).await.is(204);
    let found: Vec<String> = lines(&fixture).await.into_iter().map(|line| line[7].clone()).collect();
    assert_eq!(found, ["one", "two"]);
    let keys = keys(&fixture).await;
    assert!(keys[0].starts_with("a/000000000000/us-east-1/bucket/20"), "{keys:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn what_rules_and_restores_do_is_logged() {
    let flush = |config: &mut strata::Config| config.access_log.flush = Duration::from_secs(3600);
    let (fixture, clock) = Fixture::with_clock("bucket", flush).await;
    let raw = &fixture.raw;
    for name in ["logs", "silent"] {
        raw.put(&format!("/{name}"), "").await.is(200);
    }
    raw.put("/logs?policy", policy("Allow", "")).await.is(204);
    configure(&fixture, &document("logs", "a/", "")).await.is(200);
    fixture.set_versioning("bucket", "Enabled").await;
    let rule = |id: &str, action: &str| {
        format!("<Rule><ID>{id}</ID><Filter><Prefix>{id}/</Prefix></Filter><Status>Enabled</Status>{action}</Rule>")
    };
    let rules = [
        rule("end", "<Expiration><Days>1</Days></Expiration>"),
        rule("old", "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"),
        rule("cold", "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
        rule(
            "open",
            "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        ),
    ];
    let rules = format!("<LifecycleConfiguration>{}</LifecycleConfiguration>", rules.concat());
    let large = "x".repeat(200_000);
    for bucket in ["bucket", "silent"] {
        let put = raw.request("PUT", &format!("/{bucket}?lifecycle")).md5_of(rules.as_bytes());
        put.body(rules.clone()).send().await.is(200);
        for key in ["end/a", "old/a", "old/a"] {
            raw.put(&format!("/{bucket}/{key}"), "hello").await.is(200);
        }
        raw.put(&format!("/{bucket}/cold/a"), large.clone()).await.is(200);
        raw.post(&format!("/{bucket}/open/a?uploads"), "").await.is(200);
    }
    clock.advance(Duration::from_hours(72));
    fixture.store().evaluate().await.expect("what is due");
    fixture.store().settle().await.expect("an archived object");
    let restore = "<RestoreRequest><Days>1</Days><GlacierJobParameters><Tier>Expedited</Tier></GlacierJobParameters>\
                   </RestoreRequest>";
    for bucket in ["bucket", "silent"] {
        raw.post(&format!("/{bucket}/cold/a?restore"), restore).await.is(202);
    }
    clock.advance(Duration::from_mins(5));
    fixture.store().settle().await.expect("a restored object");

    let lines = lines(&fixture).await;
    let mut deeds: Vec<&Vec<String>> = lines.iter().filter(|line| line[6].starts_with("S3.")).collect();
    deeds.sort_by_key(|line| (line[7].clone(), line[6].clone()));
    let told: Vec<[&str; 3]> = deeds.iter().map(|line| [7, 6, 12].map(|field| line[field].as_str())).collect();
    let expected = [
        ["cold/a", "S3.RESTORE.OBJECT", "200000"],
        ["cold/a", "S3.TRANSITION.OBJECT", "200000"],
        ["end/a", "S3.CREATE.DELETEMARKER", "-"],
        ["old/a", "S3.EXPIRE.OBJECT", "5"],
        ["open/a", "S3.DELETE.UPLOAD", "-"],
    ];
    assert_eq!(told, expected);
    for line in deeds {
        assert_eq!([1, 3, 4, 8, 9, 10].map(|field| line[field].as_str()), ["bucket", "-", "AmazonS3", "-", "-", "-"]);
        assert_eq!(line[17] == "-", line[6] == "S3.DELETE.UPLOAD", "{line:?}");
    }
    fixture.stop().await;
}

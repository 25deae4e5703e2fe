//! Event notifications: configurations, what changes of objects tell, and a target that receives it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use strata::config::{Config, Sources, TargetSettings};
use strata_storage::SystemClock;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::{Answer, Fixture};

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:queue";
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:topic";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";
const BUS: &str = "arn:aws:events:us-east-1:000000000000:event-bus/default";
const OTHERS: &str = "arn:aws:sqs:us-east-1:000000000000:others";
const GONE: &str = "arn:aws:sqs:us-east-1:000000000000:gone";
const PATIENCE: Duration = Duration::from_secs(60);

/// Receives what is posted to a URL.
struct Receiver {
    url: String,
    posted: UnboundedReceiver<Value>,
}

impl Receiver {
    async fn start() -> Receiver {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, posted) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let sender = sender.clone();
                    async move {
                        let body = request.into_body().collect().await.expect("a whole body").to_bytes();
                        if let Ok(document) = serde_json::from_slice(&body) {
                            let _ = sender.send(document);
                        }
                        Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::new())))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Receiver { url, posted }
    }

    async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.posted.recv()).await;
        next.expect("a message in time").expect("the receiver lives")
    }

    /// The name and the key of the next event.
    async fn next_event(&mut self) -> (String, Value) {
        let record = self.next().await["Records"][0].clone();
        (record["eventName"].as_str().unwrap_or_default().to_owned(), record["s3"]["object"].clone())
    }
}

/// Webhooks at one URL, by ARNs of all services; one that belongs to another account; and one where nobody answers.
fn targets(url: &str) -> Vec<TargetSettings> {
    let mut text = String::new();
    for (arn, more) in [
        (QUEUE, format!("url = \"{url}\"")),
        (TOPIC, format!("url = \"{url}\"")),
        (FUNCTION, format!("url = \"{url}\"")),
        (BUS, format!("url = \"{url}\"\nformat = \"eventbridge\"")),
        (OTHERS, format!("url = \"{url}\"\naccounts = [\"999999999999\"]")),
        (GONE, "url = \"http://127.0.0.1:1/\"".to_owned()),
    ] {
        text.push_str(&format!("[[events.targets]]\narn = \"{arn}\"\nkind = \"webhook\"\n{more}\n"));
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("a file that can be written");
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    Config::load(&sources).expect("a valid file").event_targets
}

async fn start() -> (Fixture, Receiver) {
    let receiver = Receiver::start().await;
    let targets = targets(&receiver.url);
    let fixture = Fixture::start_with(|config| config.event_targets = targets, Arc::new(SystemClock)).await;
    fixture.raw.put("/bucket", "").await.is(200);
    (fixture, receiver)
}

fn entry(kind: &str, arn: &str, more: &str) -> String {
    let element = kind.replace("Configuration", "");
    format!("<{kind}><Id>{element}</Id><{element}>{arn}</{element}>{more}</{kind}>")
}

fn queue(arn: &str, more: &str) -> String {
    entry("QueueConfiguration", arn, more)
}

const ALL: &str = "<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event><Event>s3:ObjectTagging:*</Event>\
                   <Event>s3:ObjectAcl:Put</Event>";
const CREATED: &str = "<Event>s3:ObjectCreated:*</Event>";

async fn configure(fixture: &Fixture, inside: &str) -> Answer {
    let document = format!("<NotificationConfiguration>{inside}</NotificationConfiguration>");
    fixture.raw.put("/bucket?notification", document).await
}

#[tokio::test]
async fn configurations() {
    let (fixture, mut receiver) = start().await;
    let raw = &fixture.raw;
    let shown = raw.get("/bucket?notification").await.is(200).text();
    assert!(shown.ends_with(
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></NotificationConfiguration>"
    ));
    let topic = entry("TopicConfiguration", TOPIC, "<Event>s3:ObjectRemoved:Delete</Event>");
    let function = entry("CloudFunctionConfiguration", FUNCTION, "<Event>s3:ObjectTagging:Put</Event>");
    let filter = "<Filter><S3Key><FilterRule><Name>Prefix</Name><Value>a/</Value></FilterRule></S3Key></Filter>";
    let whole = format!(
        "{topic}{}{function}<EventBridgeConfiguration></EventBridgeConfiguration>",
        queue(QUEUE, &format!("{CREATED}{filter}"))
    );
    configure(&fixture, &whole).await.is(200).has_body("");
    let shown = raw.get("/bucket?notification").await.is(200).text();
    assert!(shown.ends_with(&format!(">{whole}</NotificationConfiguration>")), "{shown}");
    // The topic and the queue got a test message, the function and the bus none.
    for _ in 0..2 {
        let test = receiver.next().await;
        assert_eq!((&test["Service"], &test["Event"]), (&"Amazon S3".into(), &"s3:TestEvent".into()));
        assert_eq!(test["Bucket"], "bucket");
        assert!(test["Time"].is_string() && test["RequestId"].is_string() && test["HostId"].is_string());
    }
    // They are not new any more.
    configure(&fixture, &whole).await.is(200);
    raw.put("/bucket/b", "x").await.is(200);
    let bus = receiver.next().await;
    assert_eq!((&bus["detail-type"], &bus["detail"]["object"]["key"]), (&"Object Created".into(), &"b".into()));
    configure(&fixture, "").await.is(200);
    raw.get("/bucket?notification").await.is(200).lacks("QueueConfiguration").lacks("EventBridgeConfiguration");
    raw.get("/missing?notification").await.fails(404, "NoSuchBucket");
    let generated = queue(QUEUE, CREATED).replace("<Id>Queue</Id>", "");
    configure(&fixture, &generated).await.is(200);
    let id = raw.get("/bucket?notification").await.is(200).element("Id").unwrap();
    assert!(id.len() == 32, "{id}");
    fixture.stop().await;
}

#[tokio::test]
async fn faults() {
    let (fixture, _receiver) = start().await;
    let unable = "Unable to validate the following destination configurations";
    let named = |arn: &str, reason: &str, answer: Answer| {
        let answer = answer.fails_saying(400, "InvalidArgument", unable).has("ArgumentName1", arn);
        answer.has("ArgumentValue1", reason);
    };
    let unknown = "arn:aws:sqs:us-east-1:000000000000:unknown";
    let missing = "The destination queue does not exist";
    named(unknown, missing, configure(&fixture, &queue(unknown, CREATED)).await);
    let forbidden = "Permissions on the destination queue do not allow S3 to publish notifications from this bucket";
    named(OTHERS, forbidden, configure(&fixture, &queue(OTHERS, CREATED)).await);
    named(GONE, "The destination queue does not take messages", configure(&fixture, &queue(GONE, CREATED)).await);
    for (wrong, message) in [
        ("queue", "The ARN could not be parsed"),
        (TOPIC, "The ARN could not be parsed"),
        ("arn:aws:sqs:us-east-1:000000000000:q.fifo", "FIFO queues and topics are not supported as destinations"),
    ] {
        configure(&fixture, &queue(wrong, CREATED))
            .await
            .refuses_argument("Queue", message)
            .has("ArgumentValue", wrong);
    }
    configure(&fixture, "<QueueConfiguration/>").await.fails(400, "MalformedXML");
    let document =
        |arn: &str| format!("<NotificationConfiguration>{}</NotificationConfiguration>", queue(arn, CREATED));
    let skipping = |arn: &str, value: &str| {
        let request = fixture.raw.request("PUT", "/bucket?notification").body(document(arn));
        request.header("x-amz-skip-destination-validation", value).send()
    };
    named(unknown, missing, skipping(unknown, "true").await);
    skipping(GONE, "maybe").await.fails(400, "InvalidArgument");
    fixture.raw.get("/bucket?notification").await.is(200).lacks("QueueConfiguration");
    skipping(GONE, "true").await.is(200);
    fixture.raw.get("/bucket?notification").await.is(200).has("Queue", GONE);
    // Nobody waits for a target that does not answer.
    fixture.raw.put("/bucket/key", "x").await.is(200);
    let status = fixture.raw.get("/-/admin/v1/events").await.is(200).text();
    let status: Value = serde_json::from_str(&status).unwrap();
    let gone = status["targets"].as_array().unwrap().iter().find(|target| target["target"] == GONE).unwrap();
    assert_eq!((&gone["waiting"], &gone["delivered"]), (&1.into(), &0.into()));
    fixture.stop().await;
}

#[tokio::test]
async fn changes_are_told_in_their_order() {
    let (fixture, mut receiver) = start().await;
    let raw = &fixture.raw;
    configure(&fixture, &queue(QUEUE, ALL)).await.is(200);
    assert_eq!(receiver.next().await["Event"], "s3:TestEvent");
    let request_id = raw.put("/bucket/a%20b", "content").await.is(200).header("x-amz-request-id").unwrap().to_owned();
    let first = receiver.next().await["Records"][0].clone();
    assert_eq!(first["responseElements"]["x-amz-request-id"], request_id.as_str());
    assert_eq!((&first["awsRegion"], &first["eventVersion"]), (&"us-east-1".into(), &"2.1".into()));
    assert_eq!((&first["s3"]["configurationId"], &first["s3"]["object"]["key"]), (&"Queue".into(), &"a+b".into()));
    assert_eq!(first["s3"]["object"]["size"], 7);
    assert!(first["s3"]["object"].get("versionId").is_none());
    let tagging = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    raw.put("/bucket/a%20b?tagging", tagging).await.is(200);
    raw.delete("/bucket/a%20b?tagging").await.is(204);
    raw.request("PUT", "/bucket/a%20b")
        .header("x-amz-copy-source", "/bucket/a%20b")
        .header("x-amz-metadata-directive", "REPLACE")
        .send()
        .await
        .is(200);
    let upload = raw.post("/bucket/a%20b?uploads", "").await.is(200).element("UploadId").unwrap();
    let part = raw.put(&format!("/bucket/a%20b?partNumber=1&uploadId={upload}"), "part").await.is(200).etag();
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part></CompleteMultipartUpload>"
    );
    raw.post(&format!("/bucket/a%20b?uploadId={upload}"), parts).await.is(200);
    raw.delete("/bucket/a%20b").await.is(204);
    // Nothing is there to be removed.
    raw.delete("/bucket/a%20b").await.is(204);
    fixture.set_versioning("bucket", "Enabled").await;
    let version = raw.put("/bucket/a%20b", "again").await.is(200).version();
    let marker = raw.delete("/bucket/a%20b").await.is(204).version();
    raw.delete(&format!("/bucket/a%20b?versionId={marker}")).await.is(204);
    let mut sequencer = first["s3"]["object"]["sequencer"].as_str().unwrap().to_owned();
    for (name, expected) in [
        ("ObjectTagging:Put", None),
        ("ObjectTagging:Delete", None),
        ("ObjectCreated:Copy", None),
        ("ObjectCreated:CompleteMultipartUpload", None),
        ("ObjectRemoved:Delete", None),
        ("ObjectCreated:Put", Some(&version)),
        ("ObjectRemoved:DeleteMarkerCreated", Some(&marker)),
        ("ObjectRemoved:Delete", Some(&marker)),
    ] {
        let (found, object) = receiver.next_event().await;
        assert_eq!(found, name);
        assert_eq!(object.get("versionId").and_then(Value::as_str), expected.map(|id| &**id), "{name}");
        let next = object["sequencer"].as_str().unwrap().to_owned();
        assert!(next.len() == 16 && next > sequencer, "{name}: {sequencer} {next}");
        sequencer = next;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn only_what_matches_is_told() {
    let (fixture, mut receiver) = start().await;
    let filter = "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule>\
                  <FilterRule><Name>suffix</Name><Value>.jpg</Value></FilterRule></S3Key></Filter>";
    configure(&fixture, &queue(QUEUE, &format!("{CREATED}{filter}"))).await.is(200);
    assert_eq!(receiver.next().await["Event"], "s3:TestEvent");
    for key in ["out/a.jpg", "in/a.png", "in/a.jpg"] {
        fixture.raw.put(&format!("/bucket/{key}"), "x").await.is(200);
    }
    fixture.raw.delete("/bucket/in/a.jpg").await.is(204);
    fixture.raw.put("/bucket/in/last.jpg", "x").await.is(200);
    let (_, first) = receiver.next_event().await;
    let (_, second) = receiver.next_event().await;
    let mut keys = [first["key"].as_str().unwrap(), second["key"].as_str().unwrap()];
    keys.sort_unstable();
    assert_eq!(keys, ["in/a.jpg", "in/last.jpg"]);
    fixture.stop().await;
}

#[tokio::test]
async fn what_waits_is_delivered_after_a_restart() {
    let (fixture, mut receiver) = start().await;
    configure(&fixture, &queue(QUEUE, CREATED)).await.is(200);
    assert_eq!(receiver.next().await["Event"], "s3:TestEvent");
    fixture.raw.put("/bucket/a", "x").await.is(200);
    assert_eq!(receiver.next_event().await.1["key"], "a");
    let fixture = fixture.restart().await;
    fixture.raw.put("/bucket/b", "x").await.is(200);
    assert_eq!(receiver.next_event().await.1["key"], "b");
    fixture.stop().await;
}

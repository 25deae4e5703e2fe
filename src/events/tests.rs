//! The targets that speak HTTP, each against a local endpoint: what arrives, and what its answers come to.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::{NOW, Received, Receiver, clock, letters, message};
use super::target::{DeliveryError, Message, Target};
use super::targets::Targets;
use crate::config::{Config, Sources};

const SCOPE_START: &str = "20130524/us-east-1";
const KEYS: &str = "access_key = \"AK\"\nsecret_key = \"secret-of-a-test\"\n";

/// The target of a table, opened as the server opens it. `Err` says what is wrong.
fn try_open(service: &str, rest: &str) -> Result<Arc<dyn Target>, String> {
    let resource = if service == "lambda" { "function:f" } else { "name" };
    let arn = format!("arn:aws:{service}:us-east-1:000000000000:{resource}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[[events.targets]]\narn = \"{arn}\"\n{rest}")).unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    let config = Config::load(&sources).map_err(|error| error.to_string())?;
    let targets = Targets::open(&config.event_targets, &clock()).map_err(|error| error.to_string())?;
    assert!(targets.get("arn:aws:sns:us-east-1:000000000000:other").is_none());
    assert_eq!(targets.iter().count(), 1);
    Ok(Arc::clone(&targets.get(&arn).unwrap().target))
}

fn open(service: &str, rest: &str) -> Arc<dyn Target> {
    try_open(service, rest).unwrap()
}

fn records(keys: &str) -> Vec<Message> {
    let one = |key: &str| message("b", &key[..1], &format!("{{\"Records\":[{{\"key\":\"{key}\"}}]}}"));
    keys.split(' ').map(one).collect()
}

fn body(received: &Received) -> Value {
    serde_json::from_str(&received.body).unwrap()
}

/// What one message comes to when the endpoint answers so.
async fn outcome(service: &str, table: &str, answer: (u16, &'static [(&'static str, &'static str)], &str)) -> String {
    let receiver = Receiver::saying(answer.0, answer.1, answer.2).await;
    letters(&open(service, &table.replace("URL", &receiver.url)).deliver(&records("a")).await)
}

#[tokio::test]
async fn lambda_is_invoked_as_s3_does() {
    let receiver = Receiver::saying(202, &[], "").await;
    let table = format!("kind = \"lambda\"\nendpoint = \"{}\"\nfunction = \"thumbs:$LATEST\"\n{KEYS}", receiver.url);
    let target = open("lambda", &table);
    assert_eq!(letters(&target.deliver(&records("a b a2 c d")).await), ".....");
    let received = receiver.received();
    let first = received.iter().find(|received| received.body.contains("\"a\"")).unwrap();
    assert_eq!(first.line, "POST /2015-03-31/functions/thumbs/invocations?Qualifier=%24LATEST");
    assert_eq!(first.body, "{\"Records\":[{\"key\":\"a\"}]}");
    assert_eq!(first.headers["x-amz-invocation-type"], "Event");
    assert_eq!(first.headers["x-amz-date"], "20130524T000000Z");
    for received in &received {
        assert!(received.is_signed(&format!("{SCOPE_START}/lambda/aws4_request"), "secret-of-a-test"), "{received:?}");
        assert!(!received.is_signed(&format!("{SCOPE_START}/lambda/aws4_request"), "another"), "{received:?}");
    }
    let place = |key: &str| received.iter().position(|received| received.body.contains(key));
    assert!(place("\"a\"") < place("\"a2\""), "events of one object are in order");
    assert!(receiver.connections() <= 4, "connections are used again: {}", receiver.connections());
}

#[tokio::test]
async fn what_lambda_answers() {
    let table = "kind = \"lambda\"\nendpoint = \"URL\"";
    let error: &[_] = &[("x-amzn-errortype", "InvalidRequestContentException")];
    let throttled: &[_] = &[("x-amzn-errortype", "TooManyRequestsException:http://internal.amazon.com/")];
    for (status, headers, text, expected) in [
        (202, &[][..], "", "."),
        (200, &[], "\"done\"", "."),
        (200, &[("x-amz-function-error", "Unhandled")], "{\"errorMessage\":\"x\"}", "r"),
        (400, error, "{\"message\":\"bad\"}", "r"),
        (400, throttled, "{}", "u"),
        // What meets every event alike is waited for.
        (404, &[("x-amzn-errortype", "ResourceNotFoundException")], "{}", "u"),
        (413, &[], "", "r"),
        (404, &[], "404 page not found", "r"),
        // An answer about the key that signs says nothing about the event.
        (403, &[], "{\"__type\":\"com.amazon#AccessDeniedException\"}", "u"),
        (429, &[], "", "u"),
        (500, &[], "", "u"),
        (503, &[], "", "u"),
        (302, &[("location", "http://127.0.0.1:1/")], "", "r"),
        (204, &[], "", "r"),
    ] {
        assert_eq!(outcome("lambda", table, (status, headers, text)).await, expected, "{status} {text}");
    }
}

#[tokio::test]
async fn lambda_is_asked_whether_it_is_there() {
    for (status, headers, text, expected) in [
        (200, &[][..], "{\"Configuration\":{}}", true),
        (404, &[("x-amzn-errortype", "ResourceNotFoundException")][..], "{}", false),
        (404, &[], "{\"Type\":\"User\",\"message\":\"Function not found\"}", false),
        // A runtime interface emulator.
        (404, &[], "404 page not found\n", true),
        (405, &[], "", true),
        (403, &[], "{\"message\":\"no\"}", false),
        (502, &[], "", false),
    ] {
        let receiver = Receiver::saying(status, headers, text).await;
        let target = open("lambda", &format!("kind = \"lambda\"\nendpoint = \"{}\"", receiver.url));
        assert_eq!(target.check().await.is_ok(), expected, "{status} {text}");
        let received = receiver.received();
        assert_eq!(received[0].line, "GET /2015-03-31/functions/f");
        assert!(!received[0].headers.contains_key("authorization"), "without keys nothing is signed");
    }
}

#[tokio::test]
async fn sqs_takes_batches() {
    let answer = r#"{"Successful":[{"Id":"0"},{"Id":"1"}],"Failed":[{"Id":"3","Code":"InvalidMessageContents","SenderFault":true},
                     {"Id":"4","Code":"InternalError","Message":"later","SenderFault":false}]}"#;
    let receiver = Receiver::saying(200, &[], answer).await;
    let table = format!("kind = \"sqs\"\nqueue_url = \"{}/000000000000/q\"\n{KEYS}", receiver.url);
    let target = open("sqs", &table);
    assert_eq!((target.batch_max(), target.check().await), (10, Ok(())));
    // The second about "a" waits for the first, and is not sent any more once the service failed.
    assert_eq!(letters(&target.deliver(&records("a b a2 c d")).await), "..uru");
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].headers["x-amz-target"], "AmazonSQS.GetQueueAttributes");
    let sent = &received[1];
    assert_eq!((sent.line.as_str(), sent.headers["x-amz-target"].as_str()), ("POST /", "AmazonSQS.SendMessageBatch"));
    assert_eq!(sent.headers["content-type"], "application/x-amz-json-1.0");
    let entry =
        |id: &str, key: &str| json!({"Id": id, "MessageBody": format!("{{\"Records\":[{{\"key\":\"{key}\"}}]}}")});
    let entries = [entry("0", "a"), entry("1", "b"), entry("3", "c"), entry("4", "d")];
    assert_eq!(body(sent), json!({"QueueUrl": format!("{}/000000000000/q", receiver.url), "Entries": entries}));
    assert!(
        received
            .iter()
            .all(|received| { received.is_signed(&format!("{SCOPE_START}/sqs/aws4_request"), "secret-of-a-test") })
    );
}

#[tokio::test]
async fn sqs_batches_stay_within_256_kib() {
    let answer = |received: &Received| {
        let entries = body(received)["Entries"].as_array().unwrap().clone();
        let taken: Vec<Value> = entries.iter().map(|entry| json!({"Id": entry["Id"]})).collect();
        Some((200, &[][..], json!({"Successful": taken}).to_string()))
    };
    let receiver = Receiver::start(answer).await;
    let target = open("sqs", &format!("kind = \"sqs\"\nqueue_url = \"{}/q\"", receiver.url));
    let large = "x".repeat(100 << 10);
    let messages: Vec<Message> = ["a", "b", "c", "d"].iter().map(|key| message("b", key, &large)).collect();
    assert_eq!(letters(&target.deliver(&messages).await), "....");
    let entries = |received: &Received| body(received)["Entries"].as_array().unwrap().len();
    assert_eq!(receiver.received().iter().map(entries).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn what_sqs_answers() {
    let table = "kind = \"sqs\"\nqueue_url = \"URL/q\"";
    for (status, text, expected) in [
        (200, "{\"Successful\":[{\"Id\":\"0\"}]}", "."),
        (200, "{\"Successful\":[]}", "u"),
        (200, "nonsense", "u"),
        (400, "{\"__type\":\"com.amazonaws.sqs#BatchRequestTooLong\",\"message\":\"x\"}", "r"),
        (400, "{\"__type\":\"com.amazonaws.sqs#RequestThrottled\"}", "u"),
        (400, "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\"}", "u"),
        (500, "", "u"),
    ] {
        assert_eq!(outcome("sqs", table, (status, &[], text)).await, expected, "{status} {text}");
    }
}

#[tokio::test]
async fn sns_takes_batches() {
    let answer = "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult><Failed><member>\
                  <Id>1</Id><Code>InvalidParameter</Code><Message>bad</Message><SenderFault>true</SenderFault></member></Failed>\
                  <Successful><member><MessageId>m</MessageId><Id>0</Id></member><member><Id>3</Id></member></Successful>\
                  </PublishBatchResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>";
    let receiver = Receiver::saying(200, &[], answer).await;
    let target = open("sns", &format!("kind = \"sns\"\nendpoint = \"{}\"\n{KEYS}", receiver.url));
    assert_eq!(target.check().await, Ok(()));
    assert_eq!(letters(&target.deliver(&records("a b b2 c")).await), ".ru.");
    let received = receiver.received();
    let pairs = |received: &Received| -> Vec<(String, String)> {
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        received
            .body
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(n, v)| (decoded(n), decoded(v)))
            .collect()
    };
    let arn = "arn:aws:sns:us-east-1:000000000000:name";
    let texts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
    let head = [("Action", "GetTopicAttributes"), ("Version", "2010-03-31"), ("TopicArn", arn)];
    assert_eq!(pairs(&received[0]), texts(&head));
    assert_eq!(received[1].headers["content-type"], "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(
        pairs(&received[1])[..6],
        texts(&[
            ("Action", "PublishBatch"),
            ("Version", "2010-03-31"),
            ("TopicArn", arn),
            ("PublishBatchRequestEntries.member.1.Id", "0"),
            ("PublishBatchRequestEntries.member.1.Message", "{\"Records\":[{\"key\":\"a\"}]}"),
            ("PublishBatchRequestEntries.member.1.Subject", "Amazon S3 Notification"),
        ])
    );
    assert!(
        received
            .iter()
            .all(|received| { received.is_signed(&format!("{SCOPE_START}/sns/aws4_request"), "secret-of-a-test") })
    );
}

#[tokio::test]
async fn what_sns_answers() {
    let table = "kind = \"sns\"\nendpoint = \"URL\"";
    let error =
        |code: &str| format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>");
    for (status, text, expected) in [
        (200, "<PublishBatchResponse><PublishBatchResult/></PublishBatchResponse>".to_owned(), "u"),
        (200, "nonsense".to_owned(), "u"),
        (400, error("InvalidParameter"), "r"),
        (400, error("Throttling"), "u"),
        (404, error("NotFound"), "u"),
        (403, error("AuthorizationError"), "u"),
        (500, String::new(), "u"),
    ] {
        assert_eq!(outcome("sns", table, (status, &[], &text)).await, expected, "{status} {text}");
    }
}

fn envelope(key: &str, detail: &str) -> Message {
    let text = format!(
        "{{\"version\":\"0\",\"id\":\"1\",\"detail-type\":\"Object Created\",\"source\":\"aws.s3\",\"account\":\"0\",\
         \"time\":\"2013-05-24T00:00:00Z\",\"region\":\"r\",\"resources\":[\"arn:aws:s3:::b\"],\"detail\":{detail}}}"
    );
    message("b", key, &text)
}

#[tokio::test]
async fn event_bridge_gets_entries() {
    let answer = r#"{"FailedEntryCount":2,"Entries":[{"EventId":"1"},{"ErrorCode":"MalformedDetail","ErrorMessage":"bad"},
                     {"ErrorCode":"ThrottlingException"}]}"#;
    let receiver = Receiver::saying(200, &[], answer).await;
    let table = format!("kind = \"event_bridge\"\nendpoint = \"{}\"\nevent_bus_name = \"mine\"\n{KEYS}", receiver.url);
    let target = open("events", &table);
    assert_eq!(target.check().await, Ok(()));
    let messages = [
        envelope("a", "{ \"z\":1,\"a\":\"\\u0001\"}"),
        message("b", "x", "{}"),
        envelope("b", "{}"),
        envelope("c", "{}"),
    ];
    assert_eq!(letters(&target.deliver(&messages).await), ".rru");
    let received = receiver.received();
    assert_eq!(received[0].headers["x-amz-target"], "AWSEvents.DescribeEventBus");
    assert_eq!(body(&received[0]), json!({"Name": "mine"}));
    assert_eq!(received[1].headers["x-amz-target"], "AWSEvents.PutEvents");
    let entries = body(&received[1])["Entries"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 3);
    let expected = json!({"Source": "aws.s3", "DetailType": "Object Created", "Detail": "{ \"z\":1,\"a\":\"\\u0001\"}",
        "Resources": ["arn:aws:s3:::b"], "EventBusName": "mine", "Time": NOW});
    assert_eq!(entries[0], expected, "the detail is as it came");
    assert!(
        received
            .iter()
            .all(|received| { received.is_signed(&format!("{SCOPE_START}/events/aws4_request"), "secret-of-a-test") })
    );

    let receiver = Receiver::saying(200, &[], "{\"Entries\":[{\"EventId\":\"1\"}]}").await;
    let table = format!("kind = \"event_bridge\"\nendpoint = \"{}\"\nsource = \"strata.s3\"", receiver.url);
    assert_eq!(letters(&open("events", &table).deliver(&[envelope("a", "{}")]).await), ".");
    assert_eq!(body(&receiver.received()[0])["Entries"][0]["Source"], "strata.s3");
}

#[tokio::test]
async fn what_event_bridge_answers() {
    for (status, text, expected) in [
        (200, "{\"Entries\":[{\"EventId\":\"1\"}]}", "."),
        (200, "{\"Entries\":[{\"ErrorCode\":\"MalformedDetail\"}]}", "r"),
        (200, "{\"Entries\":[{\"ErrorCode\":\"InternalFailure\"}]}", "u"),
        (200, "{\"Entries\":[]}", "u"),
        (200, "nonsense", "u"),
        (400, "{\"__type\":\"ValidationException\",\"message\":\"x\"}", "r"),
        (400, "{\"__type\":\"ThrottlingException\"}", "u"),
        (400, "{\"__type\":\"ResourceNotFoundException\"}", "u"),
        (403, "{\"__type\":\"AccessDeniedException\"}", "u"),
        (413, "", "r"),
        (500, "", "u"),
    ] {
        let receiver = Receiver::saying(status, &[], text).await;
        let target = open("events", &format!("kind = \"event_bridge\"\nendpoint = \"{}\"", receiver.url));
        assert_eq!(letters(&target.deliver(&[envelope("a", "{}")]).await), expected, "{status} {text}");
        // What is no envelope is refused whatever the service says, and is not sent.
        assert_eq!(letters(&target.deliver(&[message("b", "a", "{}")]).await), "r");
        assert_eq!(receiver.received().len(), 1);
    }
}

#[tokio::test]
async fn webhooks_are_signed() {
    let receiver = Receiver::saying(204, &[], "").await;
    let table = format!("kind = \"webhook\"\nurl = \"{}/in?x=1\"\nsecret = \"shared\"\ntoken = \"abc\"", receiver.url);
    let target = open("sns", &table);
    assert_eq!(letters(&target.deliver(&records("a")).await), ".");
    let received = receiver.received().remove(0);
    assert_eq!(received.line, "POST /in?x=1");
    assert_eq!(received.body, "{\"Records\":[{\"key\":\"a\"}]}");
    assert_eq!(received.headers["authorization"], "Bearer abc");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.headers["x-strata-message-id"], "id-a");
    // printf '1369353600.{"Records":[{"key":"a"}]}' | openssl dgst -sha256 -hmac shared
    let signature = "e79fe2b3fe3af592fb2dbea151cc2ea0594ca8a7ee4e4caa0f285c020580afc3";
    assert_eq!(received.headers["x-strata-signature"], format!("t={NOW},v1={signature}"));

    let table =
        format!("kind = \"webhook\"\nurl = \"{}\"\ntoken = \"Basic eDp5\"\nformat = \"cloudevents\"", receiver.url);
    assert_eq!(letters(&open("sns", &table).deliver(&records("a")).await), ".");
    let received = receiver.received().remove(1);
    assert_eq!(received.headers["authorization"], "Basic eDp5");
    assert_eq!(received.headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert!(!received.headers.contains_key("x-strata-signature"));
}

#[tokio::test]
async fn what_webhooks_answer() {
    let table = "kind = \"webhook\"\nurl = \"URL/\"";
    for (status, expected) in [
        (200, "."),
        (201, "."),
        (204, "."),
        (301, "r"),
        (307, "r"),
        (400, "r"),
        (404, "r"),
        (410, "r"),
        (422, "r"),
        (401, "u"),
        (403, "u"),
        (408, "u"),
        (429, "u"),
        (500, "u"),
        (503, "u"),
    ] {
        let headers: &[_] = &[("location", "/elsewhere"), ("retry-after", "7")];
        assert_eq!(outcome("sns", table, (status, headers, "")).await, expected, "{status}");
    }
    let receiver = Receiver::saying(503, &[("retry-after", "7")], "").await;
    let target = open("sns", &format!("kind = \"webhook\"\nurl = \"{}\"", receiver.url));
    let deliveries = target.deliver(&records("a b")).await;
    assert_eq!(deliveries[0], Err(DeliveryError::Unavailable("status 503, retry after 7".to_owned())));
    assert_eq!(letters(&deliveries), "uu");
    assert!(target.check().await.is_err());
    let receiver = Receiver::saying(405, &[], "").await;
    let target = open("sns", &format!("kind = \"webhook\"\nurl = \"{}\"", receiver.url));
    assert_eq!((target.check().await, receiver.received()[0].line.as_str()), (Ok(()), "HEAD /"));
}

#[tokio::test]
async fn calls_are_bounded_in_time_and_size() {
    let silent = Receiver::start(|_| None).await;
    let huge = Receiver::saying(200, &[], &"x".repeat(1 << 20)).await;
    let closed = {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for (url, reason) in [(&silent.url, "no answer within 0.050 s"), (&huge.url, "limit"), (&closed, "refused")] {
        for (service, table) in [
            ("lambda", format!("kind = \"lambda\"\nendpoint = \"{url}\"\ntimeout = \"50ms\"")),
            ("sqs", format!("kind = \"sqs\"\nqueue_url = \"{url}/q\"\ntimeout = \"50ms\"")),
            ("sns", format!("kind = \"sns\"\nendpoint = \"{url}\"\ntimeout = \"50ms\"")),
            ("events", format!("kind = \"event_bridge\"\nendpoint = \"{url}\"\ntimeout = \"50ms\"")),
            ("sns", format!("kind = \"webhook\"\nurl = \"{url}\"\ntimeout = \"50ms\"")),
        ] {
            // Reading what is too large may also take too long.
            let deliveries = open(service, &table).deliver(&[envelope("a", "{}")]).await;
            let Err(DeliveryError::Unavailable(said)) = &deliveries[0] else { panic!("{table}: {deliveries:?}") };
            assert!(said.contains(reason) || (reason == "limit" && said.contains("no answer")), "{table}: {said}");
        }
    }
}

#[test]
fn settings_that_cannot_be_used() {
    fn check(service: &str, table: &str, expected: &str) {
        let reason = try_open(service, table).err().unwrap();
        assert!(reason.contains(expected) && reason.contains("arn:aws:"), "{reason}");
    }
    check("sqs", "kind = \"lambda\"", "set function to the function's name");
    check("lambda", "kind = \"lambda\"\nfunction = \"a/b\"", "function must be a name");
    check(
        "lambda",
        "kind = \"lambda\"\nendpoint = \"localhost:9001\"",
        "endpoint must be a URL such as https://host:port",
    );
    check("lambda", "kind = \"lambda\"\nendpoint = \"ftp://h\"", "endpoint must be a URL");
    check("lambda", "kind = \"lambda\"\naccess_key = \"AK\"", "set both access_key and secret_key");
    check("lambda", "kind = \"lambda\"\nendpoint = \"https://h\"\nca_file = \"/none.pem\"", "/none.pem cannot be read");
    check("sqs", "kind = \"sqs\"\nqueue_url = \"q\"", "queue_url must be a URL");
    check("sqs", "kind = \"sqs\"\nqueue_url = \"http://h/q.fifo\"", "FIFO");
    check("sqs", "kind = \"sns\"", "set topic_arn");
    check("sns", "kind = \"sns\"\ntopic_arn = \"arn:aws:sns:us-east-1:000000000000:t.fifo\"", "FIFO");
    check("events", "kind = \"event_bridge\"\nevent_bus_name = \"\"", "event_bus_name must not be empty");
    check("sns", "kind = \"webhook\"\nurl = \"http://user@h/\"", "url must be a URL");
    check("sns", "kind = \"webhook\"\nurl = \"http://h/\"\ntoken = \"a\\nb\"", "token must be a text");
}

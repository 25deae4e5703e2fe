//! The commands of the program against a server in this process.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::Fixture;

/// Runs the program with these arguments, and with nothing of this process's environment.
async fn strata(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata"));
    command.args(arguments).env_clear().envs(environment.iter().copied());
    // The server runs on this thread.
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    ran.expect("a thread").expect("the program runs")
}

/// The program as it is run against a server.
pub struct Shell<'f> {
    fixture: &'f Fixture,
    data: String,
}

impl Shell<'_> {
    /// Against that one.
    pub fn new(fixture: &Fixture) -> Shell<'_> {
        Shell { fixture, data: fixture.data().display().to_string() }
    }

    /// Runs a command against the server, and gives what it prints.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let (status, said, error) = self.end(arguments).await;
        assert_eq!(status, Some(0), "{arguments:?}: {error}");
        said
    }

    /// The exit status of a command, what it prints, and what it complains about.
    pub async fn end(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let endpoint = format!("http://{}", self.fixture.raw.authority);
        let more = ["--endpoint", &endpoint, "--data", &self.data];
        let output = strata(&[arguments, &more].concat(), &[]).await;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// What it prints as JSON.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

async fn filled() -> Fixture {
    let fixture = Fixture::with_bucket("bucket").await;
    let put = fixture.raw.request("PUT", "/bucket/key").header("x-amz-storage-class", "STANDARD_IA");
    put.body(vec![b'x'; 200_000]).send().await.is(200);
    fixture
}

#[tokio::test]
async fn info_and_status() {
    let fixture = filled().await;
    let shell = Shell::new(&fixture);
    let text = shell.run(&["info"]).await;
    assert!(text.contains("objects   1 (195.3 KiB)") && text.contains("STANDARD_IA"), "{text}");
    assert_eq!(shell.json(&["info"]).await["classes"][0]["objects"], 1);
    assert!(shell.run(&["status"]).await.starts_with("ready\n"));
    assert_eq!(shell.json(&["status"]).await["state"], "ready");
    fixture.stop().await;
}

#[tokio::test]
async fn costs() {
    let fixture = filled().await;
    let shell = Shell::new(&fixture);
    let text = shell.run(&["cost"]).await;
    assert!(text.contains("BUCKET") && text.contains("STANDARD_IA") && text.contains("USD"), "{text}");
    assert!(!text.contains("NEXT"), "{text}");
    let text = shell.run(&["cost", "bucket", "--days", "30"]).await;
    assert!(text.contains("NEXT 30 DAYS") && text.contains("Of 1 versions 0"), "{text}");
    let before = shell.json(&["cost", "bucket"]).await;
    assert_eq!((&before["days"], &before["projection"]["versions"]), (&Value::from(365), &Value::from(1)));
    let storage = |cost: &Value| cost["total"]["storage"].as_f64().expect("an amount");
    // Another table of prices: ten times as much for storage.
    let prices = shell.run_alone(&["prices"]).await.replace("gb_month = 0.0125 }", "gb_month = 0.125 }");
    let prices = write(fixture.data(), "prices.toml", &prices.replace("\"USD\"", "\"XTS\""));
    let after = shell.json(&["cost", "bucket", "--prices", &prices]).await;
    assert!((storage(&after) / storage(&before) - 10.0).abs() < 1e-9);
    assert_eq!(after["currency"], "XTS");
    let ratio = |cost: &Value| cost["projection"]["unchanged"].as_f64().expect("an amount");
    assert!((ratio(&after) / ratio(&before) - 10.0).abs() < 1e-6);
    fixture.stop().await;
}

impl Shell<'_> {
    /// Runs a command that needs no server.
    async fn run_alone(&self, arguments: &[&str]) -> String {
        String::from_utf8(strata(arguments, &[]).await.stdout).expect("text")
    }
}

#[tokio::test]
async fn lifecycle_previews() {
    let fixture = filled().await;
    let shell = Shell::new(&fixture);
    let rules = "<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status>\
                 <Expiration><Days>100</Days></Expiration></Rule></LifecycleConfiguration>";
    let file = write(fixture.data(), "rules.xml", rules);
    let text = shell.run(&["lifecycle", "preview", "bucket", "--rules", &file]).await;
    assert!(text.contains("expire") && text.contains("key") && text.contains("NEXT 365 DAYS"), "{text}");
    let json = shell.json(&["lifecycle", "preview", "bucket", "--rules", &file, "--days", "200"]).await;
    assert_eq!((&json["days"], &json["events"][0]["action"]), (&Value::from(200), &Value::from("expire")));
    assert_eq!(json["projection"]["removed_versions"], 1);
    let table = shell.run_alone(&["prices"]).await;
    let prices = write(fixture.data(), "prices.toml", &table.replace("currency = \"USD\"", "currency = \"EUR\""));
    let json = shell.json(&["lifecycle", "preview", "bucket", "--rules", &file, "--prices", &prices]).await;
    assert_eq!((&json["currency"], &json["projection"]["removed_versions"]), (&Value::from("EUR"), &Value::from(1)));
    let json = shell.json(&["lifecycle", "preview", "bucket", "--rules", &file, "--days", "50"]).await;
    assert_eq!(json["events"], Value::Array(vec![]));
    // The same in the words of aws-cli, with what it says of an upload.
    let upload = fixture.raw.post("/bucket/open?uploads", "").await.is(200).element("UploadId").expect("an upload");
    let rules = r#"{"Rules": [{"ID": "r", "Filter": {"Prefix": ""}, "Status": "Enabled", "Expiration": {"Days": 100},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]}"#;
    let file = write(fixture.data(), "rules.json", rules);
    for more in [&[][..], &["--prices", &prices]] {
        let json = shell.json(&[&["lifecycle", "preview", "bucket", "--rules", &file][..], more].concat()).await;
        let [expired, aborted] = &json["events"].as_array().expect("events")[..] else { panic!("{json}") };
        assert_eq!((&expired["action"], &aborted["action"]), (&Value::from("expire"), &Value::from("abort_upload")));
        assert_eq!((&aborted["key"], &aborted["upload_id"]), (&Value::from("open"), &Value::from(upload.as_str())));
        assert_eq!((&aborted["bytes"], aborted.get("version_id")), (&Value::from(0), None));
        assert_eq!(json["projection"]["aborted_uploads"], 1);
    }
    let text = shell.run(&["lifecycle", "preview", "bucket", "--rules", &file]).await;
    assert!(text.contains("abort upload (0 B)") && text.contains("Open uploads that are aborted: 1"), "{text}");
    fixture.stop().await;
}

#[tokio::test]
async fn failures_say_what_to_do() {
    async fn check(arguments: &[&str], environment: &[(&str, &str)], code: i32, expected: &[&str]) {
        let output = strata(arguments, environment).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for expected in expected {
            assert!(text.contains(expected), "{arguments:?}: {text}");
        }
    }
    let fixture = filled().await;
    let endpoint = format!("http://{}", fixture.raw.authority);
    let data = fixture.data().display().to_string();
    let empty = tempfile::tempdir().expect("a directory");
    let nothing = empty.path().display().to_string();
    check(&["info", "--data", &nothing], &[], 2, &["no root credentials", "strata serve"]).await;
    // Port 1 is nobody's.
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "nobody's secret")];
    let nobody = ["status", "--endpoint", "http://127.0.0.1:1"];
    check(&nobody, &keys, 1, &["no server answers at http://127.0.0.1:1", "strata serve"]).await;
    check(&["status", "--endpoint", &endpoint], &keys, 1, &["does not accept", "InvalidAccessKeyId"]).await;
    // Another server's requests are not signed with this one's root key.
    let configured = [("STRATA_DATA", data.as_str())];
    let foreign = ["status", "--endpoint", "http://198.51.100.1:9000"];
    check(&foreign, &configured, 2, &["198.51.100.1", "AWS_ACCESS_KEY_ID", "--data"]).await;
    let own =
        [("AWS_ACCESS_KEY_ID", fixture.raw.access_key.as_str()), ("AWS_SECRET_ACCESS_KEY", &fixture.raw.secret_key)];
    let output = strata(&["status", "--endpoint", &endpoint], &own).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let place = ["--endpoint", &endpoint, "--data", &data];
    check(&[&["cost", "missing"][..], &place].concat(), &[], 1, &["bucket does not exist", "NoSuchBucket"]).await;
    check(&[&["cost", "A"][..], &place].concat(), &[], 2, &["not the name of a bucket"]).await;
    check(&[&["cost", "--prices", "/missing"][..], &place].concat(), &[], 2, &["cannot read /missing"]).await;
    let bad = write(empty.path(), "prices.toml", "x = 1");
    check(&[&["cost", "--prices", &bad][..], &place].concat(), &[], 2, &["price table", "strata prices"]).await;
    let bad = write(empty.path(), "rules.xml", "<x");
    let preview = ["lifecycle", "preview", "bucket", "--rules", &bad];
    check(&[&preview[..], &place].concat(), &[], 1, &["not well-formed", "MalformedXML"]).await;
    let bad = write(empty.path(), "rules.json", r#"{"Rules": [{"Days": 3}]}"#);
    let preview = ["lifecycle", "preview", "bucket", "--rules", &bad];
    check(&[&preview[..], &place].concat(), &[], 1, &["Rule has no member", "Days"]).await;
    check(&["info", "--endpoint", "https://host"], &[], 2, &["AWS_ACCESS_KEY_ID", "--data"]).await;
    fixture.stop().await;
}

#[tokio::test]
async fn buckets_and_quotas() {
    let fixture = filled().await;
    let shell = Shell::new(&fixture);
    let text = shell.run(&["bucket", "list"]).await;
    assert!(text.contains("BUCKET") && text.contains("195.3 KiB"), "{text}");
    let text = shell.run(&["bucket", "quota", "bucket", "--bytes", "204800"]).await;
    assert!(text.contains("200.0 KiB"), "{text}");
    fixture.raw.put("/bucket/other", vec![b'x'; 10_000]).await.fails(403, "QuotaExceeded");
    let shown = shell.json(&["bucket", "quota", "bucket"]).await;
    assert_eq!(shown["buckets"][0]["quota_bytes"], 204_800);
    shell.run(&["bucket", "quota", "bucket", "--clear"]).await;
    fixture.raw.put("/bucket/other", vec![b'x'; 10_000]).await.is(200);
    let shown = shell.json(&["bucket", "info", "bucket"]).await;
    assert_eq!((&shown["buckets"][0]["objects"], &shown["buckets"][0]["quota_bytes"]), (&Value::from(2), &Value::Null));
    fixture.stop().await;
}

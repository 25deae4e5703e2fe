//! Zones as the admin API and the commands show and change them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use strata_storage::{SystemClock, ZoneOptions};

use crate::support::{Answer, Fixture};

const ZONES: &str = "/-/admin/v1/zones";
const INFO: &str = "/-/admin/v1/info";

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The names and states of the zones in a document.
fn states(document: &Value) -> Vec<(&str, &str)> {
    let zones = document["zones"].as_array().expect("zones");
    zones
        .iter()
        .map(|zone| (zone["name"].as_str().expect("a name"), zone["state"].as_str().expect("a state")))
        .collect()
}

/// What is said of a pool's redundancy.
fn redundancy<'v>(info: &'v Value, pool: &str) -> &'v str {
    let pools = info["pools"].as_array().expect("pools");
    let found = pools.iter().find(|found| found["pool"] == pool).expect("the pool");
    found["redundancy"].as_str().expect("a text")
}

/// A server with these zones, in directories side by side.
async fn with_zones(names: &[&str]) -> (Fixture, tempfile::TempDir) {
    let root = tempfile::tempdir().expect("a directory");
    let zone = |name: &&str| ZoneOptions { name: (*name).to_owned(), directory: root.path().join(name) };
    let zones = names.iter().map(zone).collect();
    let fixture = Fixture::start_with(|config| config.zones = zones, Arc::new(SystemClock)).await;
    fixture.raw.put("/bucket", "").await.is(200);
    (fixture, root)
}

fn shown(root: &Path, name: &str) -> String {
    root.join(name).display().to_string()
}

#[tokio::test]
async fn the_data_directory_is_the_only_zone_by_default() {
    let fixture = Fixture::start().await;
    let raw = &fixture.raw;
    let list = json(&raw.get(ZONES).await.is(200));
    assert_eq!(states(&list), [("data", "active")]);
    assert!(list["zones"][0]["free_bytes"].as_u64().expect("a number") > 0);
    let info = json(&raw.get(INFO).await.is(200));
    for pool in ["hot", "cool", "onezone", "archive"] {
        assert_eq!(redundancy(&info, pool), "one zone: nothing survives the loss of its disk");
    }
    let index = fixture.data().join("index");
    assert_eq!(info["index"]["directory"], index.display().to_string());
    assert!(info["index"]["redundancy"].as_str().expect("a text").contains("no copy"));
    let message = "the zone \"data\" is the last one in use; add another one first";
    raw.post(&format!("{ZONES}/drain?name=data"), "").await.fails_saying(400, "InvalidZone", message);
    fixture.stop().await;
}

#[tokio::test]
async fn zones_are_added_and_drained() {
    let (fixture, root) = with_zones(&["a", "b"]).await;
    let raw = &fixture.raw;
    raw.put("/bucket/key", vec![b'x'; 200_000]).await.is(200);
    let path = |name: &str| shown(root.path(), name);
    let added =
        json(&raw.post(&format!("{ZONES}/add?name=c&path={}", path("c d")).replace(' ', "%20"), "").await.is(200));
    assert_eq!(states(&added), [("a", "active"), ("b", "active"), ("c", "active")]);
    assert_eq!(added["zones"][2]["directory"], path("c d"));
    let add = async |query: String| raw.post(&format!("{ZONES}/add?{query}"), "").await;
    add("name=d&path=relative/d".to_owned()).await.refuses_argument("path", "The path of a zone must be absolute.");
    add(format!("path={}", path("d"))).await.refuses_argument("name", "The name of the zone is missing.");
    add("name=d".to_owned()).await.refuses_argument("path", "The path of the zone is missing.");
    for query in [
        format!("name=a&path={}", path("d")),
        format!("name=d&path={}", path("a")),
        format!("name=d&path={}", fixture.data().display()),
        format!("name=%2Fd&path={}", path("d")),
    ] {
        add(query).await.fails(400, "InvalidZone");
    }
    let message = "there is no zone \"x\"; there are a, b, c";
    raw.post(&format!("{ZONES}/drain?name=x"), "").await.fails_saying(400, "InvalidZone", message);
    raw.post(&format!("{ZONES}/drain?name=b"), "").await.is(200);
    fixture.store().heal().await.expect("a round");
    assert_eq!(states(&json(&raw.get(ZONES).await.is(200))), [("a", "active"), ("c", "active")]);
    raw.get("/bucket/key").await.is(200).has_body(vec![b'x'; 200_000]);
    raw.post(ZONES, "").await.fails(405, "MethodNotAllowed");
    raw.get(&format!("{ZONES}/add?name=d&path=/d")).await.fails(405, "MethodNotAllowed");
    fixture.stop().await;
}

#[tokio::test]
async fn info_tells_what_is_survived_and_what_is_lost() {
    let (fixture, root) = with_zones(&["a", "b", "c"]).await;
    let raw = &fixture.raw;
    raw.put("/bucket/hot", vec![b'x'; 200_000]).await.is(200);
    let body: Vec<u8> = b"compressed".iter().copied().cycle().take(200_000).collect();
    raw.request("PUT", "/bucket/one").header("x-amz-storage-class", "ONEZONE_IA").body(body).send().await.is(200);
    let store = fixture.store();
    store.settle().await.expect("settled");
    // What was on its way is collected in the second pass.
    for _ in 0..2 {
        store.collect().await.expect("collected");
    }
    let info = json(&raw.get(INFO).await.is(200));
    assert_eq!(redundancy(&info, "hot"), "2 copies; survives the loss of any 1 of 3 zones");
    assert_eq!(redundancy(&info, "cool"), "2 copies; survives the loss of any 1 of 3 zones");
    assert_eq!(redundancy(&info, "onezone"), "1 copy; lost with its zone");
    assert_eq!(redundancy(&info, "archive"), "2+1 Reed-Solomon; survives the loss of any 1 of 3 zones");
    let pools = info["pools"].as_array().expect("pools");
    let (hot, one) = (&pools[0], &pools[2]);
    assert_eq!((&hot["logical_bytes"], &one["logical_bytes"]), (&Value::from(200_000), &Value::from(200_000)));
    assert!(hot["physical_bytes"].as_u64().expect("a number") >= 400_000, "{hot}");
    assert!(one["compression"].as_f64().expect("a ratio") > 10.0, "{one}");
    assert_eq!((&info["lost"]["bytes"], &info["degraded_segments"]), (&Value::from(0), &Value::from(0)));

    let mut lost = 0;
    for name in ["a", "b", "c"] {
        let (place, aside) = (root.path().join(name), root.path().join("aside"));
        std::fs::rename(&place, &aside).expect("renamed");
        store.heal().await.expect("a round");
        let info = json(&raw.get(INFO).await.is(200));
        let zone = info["zones"].as_array().expect("zones").iter().find(|zone| zone["name"] == name).expect("the zone");
        assert_eq!((&zone["state"], &zone["free_bytes"]), (&Value::from("lost"), &Value::Null));
        assert!(zone["reason"].as_str().expect("a text").contains("missing"), "{zone}");
        assert_eq!(redundancy(&info, "hot"), "2 copies; survives the loss of any 1 of 2 zones");
        raw.get("/bucket/hot").await.is(200);
        let is_lost = info["lost"]["bytes"].as_u64().expect("a number") > 0;
        raw.get("/bucket/one").await.is(if is_lost { 503 } else { 200 });
        lost += u32::from(is_lost);
        std::fs::rename(&aside, &place).expect("renamed");
        store.heal().await.expect("a round");
    }
    assert_eq!(lost, 1, "it is in one zone");
    raw.get("/bucket/one").await.is(200);
    fixture.stop().await;
}

#[tokio::test]
async fn zones_from_the_command_line() {
    let (fixture, root) = with_zones(&["a", "b"]).await;
    let (endpoint, data) = (format!("http://{}", fixture.raw.authority), fixture.data().display().to_string());
    let strata = async |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_strata"));
        command.args(arguments).args(["--endpoint", &endpoint, "--data", &data]).env_clear();
        // The server runs on this thread.
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let place: PathBuf = root.path().join("c & d");
    let (code, text, _) = strata(&["zone", "add", "c", &place.display().to_string()]).await;
    assert!(code == Some(0) && text.contains("active") && text.contains("c & d"), "{text}");
    let (_, text, _) = strata(&["zone", "list", "--json"]).await;
    let list: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(states(&list), [("a", "active"), ("b", "active"), ("c", "active")]);
    let (code, text, _) = strata(&["zone", "drain", "a"]).await;
    assert!(code == Some(0) && text.starts_with("ZONE"), "{text}");
    let (_, text, _) = strata(&["info"]).await;
    assert!(text.contains("2 copies; survives"), "{text}");
    let (code, _, text) = strata(&["zone", "drain", "b", "--give-up"]).await;
    assert!(code == Some(1) && text.contains("is not lost"), "{text}");
    std::fs::remove_dir_all(root.path().join("b")).expect("removed");
    fixture.store().heal().await.expect("a round");
    let (code, _, text) = strata(&["zone", "drain", "b"]).await;
    assert!(code == Some(1) && text.contains("--give-up"), "{text}");
    let (code, text, _) = strata(&["zone", "drain", "b", "--give-up"]).await;
    assert!(code == Some(0) && text.starts_with("ZONE"), "{text}");
    let (code, _, text) = strata(&["zone", "drain", "nowhere"]).await;
    assert!(code == Some(1) && text.contains("no zone \"nowhere\""), "{text}");
    let (code, _, text) = strata(&["zone", "add", "d", "relative"]).await;
    assert!(code == Some(2) && text.contains("absolute"), "{text}");
    let (_, text, _) = strata(&["info"]).await;
    assert!(text.contains("no copy elsewhere") && text.contains("one zone: nothing survives"), "{text}");
    fixture.stop().await;
}

//! The master key of a server: generated, replaced while it runs, and given by settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use strata::Server;
use strata::config::{Config, EncryptionSettings};
use strata::credentials::Secret;

use crate::support::{Answer, Fixture};

const KEY: &str = "/-/admin/v1/key";

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn config(data: &Path) -> Config {
    Config { data: data.to_owned(), listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..Config::default() }
}

/// The key in a file, in hex.
fn key_in(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("the file is there");
    text.lines().last().expect("a line").to_owned()
}

#[tokio::test]
async fn the_master_key_is_generated_and_replaced() {
    let fixture = Fixture::with_bucket("bucket").await;
    let raw = &fixture.raw;
    let file = fixture.data().join("master-key");
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    raw.put("/bucket/before", "stored before").await.is(200);
    let before = json(&raw.get(KEY).await.is(200));
    assert_eq!((&before["data_keys"], &before["rotating"]), (&1.into(), &false.into()));
    assert_eq!(before["source"], file.display().to_string());

    let old = key_in(&file);
    let after = json(&raw.post(&format!("{KEY}/rotate"), "").await.is(200));
    assert_eq!((&after["data_keys"], &after["rotating"]), (&2.into(), &true.into()));
    assert_ne!(after["master_key_id"], before["master_key_id"]);
    assert_ne!(key_in(&file), old);
    assert!(!fixture.data().join("master-key.next").exists());
    raw.put("/bucket/after", "stored after").await.is(200);
    assert_eq!(raw.get("/bucket/before").await.is(200).body, "stored before");
    assert!(!String::from_utf8_lossy(&raw.get(KEY).await.is(200).body).contains(&key_in(&file)));

    // A copy opens with either key; with the new one, only that one does from then on.
    let copy = tempfile::tempdir().expect("a directory");
    let data = copy.path().join("data");
    fixture.store().checkpoint(&data).await.expect("a copy");
    for (key, opens) in [(&old, true), (&key_in(&file), true), (&old, false)] {
        let settings = Config { master_key: Some(Secret::new(key.clone())), ..config(&data) };
        match Server::start(settings).await {
            Ok(server) => {
                assert!(opens);
                server.shutdown().await.expect("an orderly end");
            }
            Err(error) => {
                assert!(!opens, "{error}");
                assert!(error.to_string().contains("master key is not the one"), "{error}");
            }
        }
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_lost_key_file_is_told_and_another_key_is_taken_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    Server::start(config(&data)).await.expect("a server").shutdown().await.expect("an orderly end");
    let file = data.join("master-key");
    let key = key_in(&file);
    std::fs::rename(&file, directory.path().join("kept")).expect("it is moved");
    let error = Server::start(config(&data)).await.err().expect("it cannot start");
    assert!(error.to_string().contains("put it back"), "{error}");
    assert!(!file.exists());

    // From a setting instead: with the key before, the store takes the new one.
    let next = "09".repeat(32);
    let taking = Config {
        master_key: Some(Secret::new(next.clone())),
        previous_master_key: Some(Secret::new(key)),
        ..config(&data)
    };
    for settings in [taking, Config { master_key: Some(Secret::new(next.clone())), ..config(&data) }] {
        Server::start(settings).await.expect("a server").shutdown().await.expect("an orderly end");
    }
    let encryption = EncryptionSettings { master_key_command: Some(format!("echo {next}")), ..Default::default() };
    Server::start(Config { encryption, ..config(&data) }).await.expect("a server").shutdown().await.expect("an end");
    let encryption = EncryptionSettings { master_key_file: Some(directory.path().join("kept")), ..Default::default() };
    let error = Server::start(Config { encryption, ..config(&data) }).await.err().expect("it has another key now");
    assert!(error.to_string().contains("master key is not the one"), "{error}");
}

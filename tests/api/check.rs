//! `strata check` and `strata scrub`, as they are run: what they print, and how they end.

use std::process::{Command, Output};

use serde_json::Value;
use strata::Server;

use crate::command_line::Shell;
use crate::support::Fixture;

/// Runs the program on a data directory, with nothing of this process's environment.
async fn check(data: &std::path::Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata"));
    command.arg("check").arg("--data").arg(data).args(more).env_clear();
    // A server may run on this thread.
    tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[tokio::test]
async fn a_store_is_checked_when_its_server_has_stopped() {
    let directory = tempfile::tempdir().expect("a directory");
    let nothing = check(directory.path(), &[]).await;
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("cannot check the store"), "{nothing:?}");

    let server = Server::start_local(directory.path()).await.expect("a server");
    let busy = check(directory.path(), &[]).await;
    assert_eq!(busy.status.code(), Some(2));
    assert!(text(&busy.stderr).contains("a server has it open"), "{busy:?}");
    server.shutdown().await.expect("it stops");

    // The last tasks of the server let go of the directory in a moment.
    let mut sound = check(directory.path(), &["--deep"]).await;
    while text(&sound.stderr).contains("a server has it open") {
        sound = check(directory.path(), &["--deep"]).await;
    }
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    assert!(text(&sound.stdout).ends_with("the store is sound\n"), "{sound:?}");
    assert!(sound.stderr.is_empty(), "no progress unless a terminal is there");
    let sound = check(directory.path(), &["--json"]).await;
    let summary: Value = serde_json::from_slice(&sound.stdout).expect("one line of JSON");
    assert_eq!((&summary["summary"]["sound"], &summary["summary"]["faults"]), (&true.into(), &0.into()));

    std::fs::remove_file(directory.path().join("master-key")).expect("it was made");
    let keyless = check(directory.path(), &[]).await;
    assert_eq!(keyless.status.code(), Some(2));
    assert!(!directory.path().join("master-key").exists(), "none is made");
}

#[tokio::test]
async fn scrubbing_is_asked_for_and_told() {
    let fixture = Fixture::with_bucket("bucket").await;
    fixture.raw.request("PUT", "/bucket/key").body(vec![b'x'; 200_000]).send().await.is(200);
    let shell = Shell::new(&fixture);
    let status = shell.json(&["scrub", "status"]).await;
    assert_eq!((&status["running"], &status["started"]), (&false.into(), &Value::Null));
    assert!(status["next"].is_string(), "it has a schedule: {status}");
    let ended = shell.json(&["scrub", "start", "--wait"]).await;
    assert_eq!((&ended["running"], &ended["damaged"], &ended["lost"]), (&false.into(), &0.into(), &0.into()));
    assert!(ended["finished"].is_string(), "{ended}");
    assert!(shell.run(&["scrub", "status"]).await.contains("found     0 damaged records"));
    let status = shell.json(&["status"]).await;
    let workers = status["workers"].as_array().expect("a list");
    assert!(workers.iter().any(|worker| worker["name"] == "scrub"), "{status}");
    fixture.stop().await;
}

//! Real programs: what they are given, what their ends mean, and that nothing of them is left.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::super::fixture::{letters, message};
use super::{Duration, Exec, ExecSettings, Message, Target as _, TargetArn};

/// A script that may write into a directory of its own, `$DIR`.
fn script(directory: &TempDir, text: &str) -> ExecSettings {
    let table = toml::toml! { command = ["/bin/sh", "-c"] };
    let mut settings: ExecSettings = toml::Value::Table(table).try_into().unwrap();
    settings.command.push(text.to_owned());
    settings.env.insert("DIR".to_owned(), crate::credentials::Secret::new(shown(directory.path())));
    settings
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn open(settings: &ExecSettings) -> Exec {
    Exec::open(settings, &TargetArn::parse("arn:aws:lambda:us-east-1:000000000000:function:f").unwrap()).unwrap()
}

fn record(key: &str) -> Message {
    message("b", key, &format!("{{\"Records\":[{{\"key\":\"{key}\"}}]}}"))
}

fn read(directory: &TempDir, name: &str) -> String {
    std::fs::read_to_string(directory.path().join(name)).unwrap()
}

/// Runs a script with one message; gives the outcome's letter and its reason.
async fn ends(text: &str, change: impl FnOnce(&mut ExecSettings)) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = script(&directory, text);
    change(&mut settings);
    let deliveries = open(&settings).deliver(&[record("k")]).await;
    let reason = deliveries[0].as_ref().err().map(ToString::to_string).unwrap_or_default();
    (letters(&deliveries), reason)
}

#[tokio::test]
async fn exit_statuses() {
    for (text, letter, reason) in [
        ("exit 0", ".", ""),
        ("cat > /dev/null", ".", ""),
        ("exit 75", "u", "not now"),
        ("exit 1", "r", "ended with 1"),
        ("exit 255", "r", "ended with 255"),
        ("kill -9 $$", "r", "signal 9"),
        // Output after what could be kept is read all the same.
        ("yes | head -c 3000000; yes | head -c 300000 >&2", ".", ""),
    ] {
        let (found, said) = ends(text, |_| ()).await;
        assert_eq!(found, letter, "{text}: {said}");
        assert!(said.contains(reason), "{text}: {said}");
    }
    let (found, said) = ends("", |settings| settings.command = vec!["/does/not/exist".to_owned()]).await;
    assert_eq!(found, "u");
    assert!(said.contains("/does/not/exist cannot be run"), "{said}");
}

#[tokio::test]
async fn what_a_program_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = script(
        &directory,
        "cat > \"$DIR/input\"; env > \"$DIR/env\"; pwd > \"$DIR/pwd\"; echo \"$0 $*\" > \"$DIR/arguments\"",
    );
    settings.command.extend(["$HOME;".to_owned(), "a b".to_owned()]);
    settings.directory = Some("/".into());
    settings.batch = 10;
    let large = "x".repeat(1 << 20);
    let messages = [record("one"), record("two"), record(&large)];
    assert_eq!(letters(&open(&settings).deliver(&messages).await), "...");
    let expected = format!("{{\"Records\":[{{\"key\":\"one\"}},{{\"key\":\"two\"}},{{\"key\":\"{large}\"}}]}}");
    assert!(read(&directory, "input") == expected, "the records of all");
    assert_eq!(read(&directory, "pwd"), "/\n");
    assert_eq!(read(&directory, "arguments"), "$HOME; a b\n", "no shell looked at the arguments");
    let environment = read(&directory, "env");
    let mut names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // The shell adds these.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["DIR", "HOME", "PATH"]);
}

#[tokio::test]
async fn documents_that_are_no_records_go_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = script(&directory, "cat >> \"$DIR/input\"; echo >> \"$DIR/input\"");
    settings.batch = 10;
    let test = "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}";
    let messages = [record("a"), message("b", "", test), record("c")];
    assert_eq!(letters(&open(&settings).deliver(&messages).await), "...");
    assert_eq!(
        read(&directory, "input"),
        format!("{{\"Records\":[{{\"key\":\"a\"}}]}}\n{test}\n{{\"Records\":[{{\"key\":\"c\"}}]}}\n")
    );
}

#[tokio::test]
async fn only_what_is_at_fault_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let text = "input=$(cat); echo run >> \"$DIR/runs\"; case $input in *bad*) exit 1;; *later*) exit 75;; esac";
    let mut settings = script(&directory, text);
    settings.batch = 10;
    let exec = open(&settings);
    let deliver = |keys: &str| {
        let messages: Vec<Message> =
            keys.split(' ').map(|key| message("b", &key[..1], &record(key).body_text())).collect();
        let exec = &exec;
        async move { letters(&exec.deliver(&messages).await) }
    };
    assert_eq!(deliver("a b").await, "..");
    assert_eq!(read(&directory, "runs").lines().count(), 1);
    assert_eq!(deliver("a bad c b2").await, ".r.u", "what follows of the same object waits");
    assert_eq!(deliver("a later c").await, "uuu", "a run is taken whole or not at all");
    assert_eq!(deliver("a bad later c").await, ".ruu");
}

#[tokio::test]
async fn what_takes_too_long_is_killed() {
    let late = |settings: &mut ExecSettings| settings.timeout = Duration::from_millis(50);
    let (letter, reason) = ends("sleep 1000 & sleep 1000", late).await;
    assert_eq!((letter.as_str(), reason.contains("longer than 0.05 s")), ("r", true), "{reason}");
    // One that reads nothing and writes nothing is no different.
    assert_eq!(ends("exec sleep 1000", late).await.0, "r");
}

/// A pipe with a name: whoever has it open for writing keeps its reader waiting.
fn fifo(directory: &TempDir) -> pipe::Receiver {
    let path = directory.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    pipe::OpenOptions::new().open_receiver(&path).unwrap()
}

#[tokio::test]
async fn grandchildren_die_with_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let mut alive = fifo(&directory);
    // The pipe tells that the grandchild runs, and ends when nobody holds it any more.
    let exec = open(&script(&directory, "(echo x; exec sleep 1000) > \"$DIR/fifo\" & wait"));
    let run = tokio::spawn(async move { exec.deliver(&[record("k")]).await });
    let mut byte = [0; 2];
    loop {
        alive.readable().await.unwrap();
        // Before anybody opens it for writing, the pipe looks ended.
        match alive.try_read(&mut byte) {
            Ok(0) => tokio::task::yield_now().await,
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    let mut rest = Vec::new();
    alive.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn what_a_program_leaves_behind_dies_when_it_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let mut alive = fifo(&directory);
    let exec = open(&script(&directory, "exec 3> \"$DIR/fifo\"; sleep 1000 & exit 0"));
    assert_eq!(letters(&exec.deliver(&[record("k")]).await), ".");
    let mut rest = Vec::new();
    alive.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn memory_is_bounded() {
    // The shell keeps what it reads in memory.
    let text = "x=$(head -c 64000000 /dev/zero | tr '\\0' x) || exit 3; [ ${#x} = 64000000 ]";
    assert_eq!(ends(text, |settings| settings.memory = 4 << 30).await.0, ".");
    assert_eq!(ends(text, |settings| settings.memory = 32 << 20).await.0, "r");
}

#[tokio::test]
async fn so_many_at_once() {
    let directory = tempfile::tempdir().unwrap();
    // A directory can be made only once: whoever finds it there is not alone.
    let mut settings = script(&directory, "mkdir \"$DIR/turn\" || exit 1; cat > /dev/null; rmdir \"$DIR/turn\"");
    settings.concurrency = 1.try_into().unwrap();
    let exec = open(&settings);
    let messages: Vec<Message> = ('a'..'i').map(|key| record(&key.to_string())).collect();
    let runs = messages.chunks(1).map(|one| exec.deliver(one));
    for deliveries in futures_util::future::join_all(runs).await {
        assert_eq!(letters(&deliveries), ".");
    }
}

#[tokio::test]
async fn programs_are_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = script(&directory, "");
    assert_eq!(open(&settings).check().await, Ok(()));
    settings.command = vec!["sh".to_owned()];
    assert_eq!(open(&settings).check().await, Ok(()));
    for missing in ["/does/not/exist", "no-such-program-anywhere", "/etc/passwd"] {
        settings.command = vec![missing.to_owned()];
        assert!(open(&settings).check().await.is_err(), "{missing}");
    }
}

#[test]
fn settings_that_cannot_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let check = |change: fn(&mut ExecSettings), expected: &str| {
        let mut settings = script(&directory, "");
        change(&mut settings);
        let arn = TargetArn::parse("arn:aws:lambda:us-east-1:000000000000:function:f").unwrap();
        let reason = Exec::open(&settings, &arn).err().unwrap();
        assert!(reason.contains(expected), "{reason}");
    };
    check(|settings| settings.command.clear(), "absolute path");
    check(|settings| settings.command = vec!["bin/x".to_owned()], "absolute path");
    check(|settings| settings.batch = 11, "from 1 to 10");
    check(|settings| settings.directory = Some("here".into()), "directory must be an absolute path");
    check(|settings| settings.command.push("\0".to_owned()), "zero bytes");
}

impl Message {
    fn body_text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}

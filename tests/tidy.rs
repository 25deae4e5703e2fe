//! The source tree keeps its rules: headers, lengths, and who may know what.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest file, in lines before its tests.
const LINES_MAX: usize = 600;

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).expect("the source tree can be read") {
            let path = entry.expect("the source tree can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(below), &mut found);
    assert!(!found.is_empty(), "{below} holds sources");
    found
}

fn everything() -> Vec<(PathBuf, String)> {
    let places = ["src", "storage/src", "storage/tests", "storage/examples", "tests", "benches"];
    places.into_iter().flat_map(sources).collect()
}

/// The text before a file's inline tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

#[test]
fn every_file_says_what_it_owns() {
    for (path, text) in everything() {
        assert!(text.starts_with("//! "), "{} does not begin with a `//!` sentence", path.display());
    }
}

#[test]
fn files_are_short() {
    for (path, text) in everything() {
        let lines = code(&text).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines; split it by purpose", path.display());
    }
}

#[test]
fn the_engine_knows_no_http() {
    for (path, text) in sources("storage/src") {
        for word in ["hyper::", "http::", "quick_xml", "StatusCode", "HeaderMap"] {
            assert!(!text.contains(word), "{} mentions {word}", path.display());
        }
    }
}

#[test]
fn only_the_index_knows_rocksdb() {
    for (path, text) in sources("src").into_iter().chain(sources("storage/src")) {
        let shown = path.display().to_string();
        // The error type carries RocksDB's reason; nothing else of it leaves the index.
        let allowed = shown.contains("storage/src/index/") || shown.ends_with("storage/src/error.rs");
        assert!(allowed || !text.contains("rocksdb::"), "{shown} mentions rocksdb::");
    }
}

#[test]
fn the_front_end_touches_no_file_but_its_own() {
    let allowed = [
        "src/config",
        "src/credentials.rs",
        "src/main.rs",
        "src/master_key.rs",
        "src/audit/file.rs",
        "src/cli",
        "src/server/tls.rs",
    ];
    for (path, text) in sources("src") {
        let shown = path.display().to_string();
        // Tests that have a file of their own are tests all the same.
        let exempt = shown.ends_with("tests.rs") || allowed.iter().any(|place| shown.contains(place));
        assert!(
            exempt || !(code(&text).contains("std::fs") || code(&text).contains("tokio::fs")),
            "{shown} opens files"
        );
    }
}

#[test]
fn nothing_is_left_open() {
    for (path, text) in sources("src").into_iter().chain(sources("storage/src")) {
        for word in ["todo!(", "unimplemented!(", "FIXME", "XXX"] {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

//! Stores that were written by released formats open, and are what they were: one small store of each format is kept.
//!
//! Format 4 is the first that is released; formats 1 to 3 were not, and are refused. The next format adds a file beside this one's
//! and keeps the test, with whatever its upgrade changes in what is expected.
//!
//! `cargo test --release -p strata-storage --test format -- --ignored` makes the fixture of the format that is written now, with a
//! clock that is moved and entropy from a seed, and writes beside it what is to be expected. It is made anew only before its
//! format is released.

mod pack;
mod picture;
mod shape;
mod story;

#[path = "../shared/sound.rs"]
mod sound;

use strata_storage::{Error, Store};

use crate::pack::{pack, unpack};
use crate::picture::picture;
use crate::shape::{Shape, manual_clock, options};
use crate::sound::assert_sound;

/// The stores, and beside them what is to be expected of each.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-4/stores.tar.zst");

fn expected(shape: Shape) -> std::path::PathBuf {
    std::path::Path::new(FIXTURE).with_file_name(format!("{}.txt", shape.name()))
}

#[tokio::test]
async fn a_store_of_format_4_opens_and_is_what_it_was() {
    let root = tempfile::tempdir().expect("a directory");
    unpack(FIXTURE, root.path());
    for shape in Shape::ALL {
        assert_sound(&shape.data(root.path()), shape.zones(root.path()), shape.master_key());
        let kept = std::fs::read_to_string(expected(shape)).expect("a picture");
        // Open twice: what the first one writes is of this format too.
        for pass in 0..2 {
            let clock = manual_clock(story::END_SECS + pass);
            let store = Store::open(options(shape, root.path(), &clock)).await.expect("it opens");
            let found = picture(&store).await;
            assert_eq!(found, kept, "{shape:?}, pass {pass}");
            story::go_on(&store, pass).await;
            store.close().await.expect("it closes");
        }
        assert_sound(&shape.data(root.path()), shape.zones(root.path()), shape.master_key());
    }
}

#[tokio::test]
async fn what_was_begun_in_format_4_is_ended() {
    let root = tempfile::tempdir().expect("a directory");
    unpack(FIXTURE, root.path());
    for shape in Shape::ALL {
        let clock = manual_clock(story::END_SECS);
        let store = Store::open(options(shape, root.path(), &clock)).await.expect("it opens");
        story::finish(&store, &clock).await;
        store.close().await.expect("it closes");
        drop(store);
        assert_sound(&shape.data(root.path()), shape.zones(root.path()), shape.master_key());
    }
}

#[tokio::test]
async fn formats_that_were_never_released_are_refused() {
    for format in [1, 2, 3, 5] {
        let directory = tempfile::tempdir().expect("a directory");
        let text = format!("strata {format} {}\n", "00".repeat(16));
        std::fs::write(directory.path().join("FORMAT"), text).expect("a file");
        let opened = Store::open(strata_storage::OpenOptions::new(directory.path())).await;
        let refused = opened.err().expect("it is refused");
        assert!(matches!(refused, Error::UnknownFormat { found, known: 4 } if found == format), "{refused}");
    }
}

#[tokio::test]
#[ignore = "it writes the fixture"]
async fn write_the_fixture() {
    let root = tempfile::tempdir().expect("a directory");
    for shape in Shape::ALL {
        let clock = manual_clock(story::BEGIN_SECS);
        let store = Store::open(options(shape, root.path(), &clock)).await.expect("a new store");
        story::tell(&store, &clock).await;
        store.close().await.expect("it closes");
        drop(store);
        assert_sound(&shape.data(root.path()), shape.zones(root.path()), shape.master_key());
        // Once more, so that a part is in RocksDB's files and a part in its log.
        let store = Store::open(options(shape, root.path(), &clock)).await.expect("it opens");
        story::tell_the_end(&store, &clock).await;
        let found = picture(&store).await;
        store.close().await.expect("it closes");
        std::fs::create_dir_all(expected(shape).parent().expect("a directory")).expect("it can be made");
        std::fs::write(expected(shape), found).expect("it is written");
    }
    pack(root.path(), FIXTURE);
}

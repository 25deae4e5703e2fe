//! How many objects a second the mover brings to another class: `cargo run --release -p strata-storage --example
//! transitions -- <empty directory> [objects]`. The objects have 64 KiB each, of text that no two share.

use std::path::Path;
use std::time::Instant;

use strata_storage::{BucketName, NewBucket, ObjectKey, OpenOptions, PutObject, StorageClass, Store};

const OBJECT_BYTES: usize = 64 << 10;
const CLASSES: [StorageClass; 2] = [StorageClass::StandardIa, StorageClass::Glacier];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("name an empty directory")?;
    let objects: u64 = arguments.next().map_or(Ok(2000), |count| count.parse())?;
    println!("| class       | objects | seconds | objects/s | MB/s |");
    println!("|-------------|--------:|--------:|----------:|-----:|");
    for class in CLASSES {
        let seconds = transitions(&Path::new(&directory).join(class.name()), class, objects).await?;
        let per_second = objects as f64 / seconds;
        let megabytes = per_second * OBJECT_BYTES as f64 / 1e6;
        println!("| {:<11} | {objects:>7} | {seconds:>7.2} | {per_second:>9.0} | {megabytes:>4.0} |", class.name());
    }
    Ok(())
}

/// Puts the objects, all of which enter the hot pool, and returns how long they take to their own, in seconds.
async fn transitions(directory: &Path, class: StorageClass, objects: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let mut options = OpenOptions::new(directory);
    (options.settle_every, options.collect_every) = (None, None);
    // The mover alone is measured, not what it is allowed beside requests.
    options.background_bytes_per_second = u64::MAX;
    let store = Store::open(options).await?;
    let bucket = BucketName::parse("bucket")?;
    store.create_bucket(&bucket, NewBucket::default()).await?;
    for number in 0..objects {
        let staged = store.stage_bytes(text(number)).await?;
        let mut request = PutObject::new(bucket.clone(), ObjectKey::parse(&format!("{number:08}"))?, staged);
        request.class = class;
        store.put(request).await?;
    }
    let start = Instant::now();
    let settled = store.settle().await?;
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(settled, objects, "every object moves");
    store.close().await?;
    Ok(seconds)
}

/// Words in an order that the seed decides: it compresses as text does.
fn text(seed: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "bucket ",
        "object ",
        "version ",
        "key ",
        "the ",
        "of ",
        "a ",
        "class ",
        "restore ",
        "archive ",
        "day ",
        "is ",
        "and ",
        "to ",
        "tier ",
        "segment\n",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = format!("{seed} ").into_bytes();
    while text.len() < OBJECT_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend_from_slice(WORDS[usize::try_from(state >> 60).expect("four bits are left")].as_bytes());
    }
    text.truncate(OBJECT_BYTES);
    text
}

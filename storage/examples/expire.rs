//! How fast due objects expire: `cargo run --release -p strata-storage --example expire -- [objects] [versioned]`.

use std::sync::Arc;
use std::time::Instant;

use strata_storage::{
    BucketChange, BucketName, Expiration, Filter, FilterForm, Lifecycle, ManualClock, NewBucket, ObjectKey,
    OpenOptions, PutObject, Rule, Status, Store, Timestamp, TransitionMinimum, Versioning, When,
};

/// Writers at once, so that writes share syncs.
const WRITERS: usize = 64;
const OBJECT_BYTES: usize = 1000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let objects: usize = arguments.next().map_or(Ok(100_000), |count| count.parse())?;
    let versioned = arguments.next().is_some_and(|word| word == "versioned");

    let directory = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_700_000_000)));
    let mut options = OpenOptions::new(directory.path());
    options.clock = clock.clone();
    options.evaluate_every = None;
    let store = Store::open(options).await?;
    let bucket = BucketName::parse("bucket")?;
    store.create_bucket(&bucket, NewBucket::default()).await?;
    if versioned {
        store.change_bucket(&bucket, BucketChange::Versioning(Versioning::Enabled)).await?;
    }
    store.change_bucket(&bucket, BucketChange::Lifecycle(Some(rules()))).await?;
    store.evaluate().await?;

    let begin = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let (store, bucket) = (store.clone(), bucket.clone());
        tokio::spawn(async move {
            for number in (writer..objects).step_by(WRITERS) {
                let staged = store.stage_bytes(vec![7_u8; OBJECT_BYTES]).await?;
                let key = ObjectKey::parse(&format!("logs/{number:09}")).expect("a valid key");
                store.put(PutObject::new(bucket.clone(), key, staged)).await?;
            }
            Ok::<_, strata_storage::Error>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    println!("put: {:.0} objects a second", objects as f64 / begin.elapsed().as_secs_f64());

    clock.advance(std::time::Duration::from_secs(2 * 86_400));
    let begin = Instant::now();
    let done = store.evaluate().await?;
    println!("{:.0} a second: {done:?}", objects as f64 / begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    store.evaluate().await?;
    println!("looking again took {:.1} ms", begin.elapsed().as_secs_f64() * 1000.0);
    store.close().await?;
    Ok(())
}

/// All objects expire after a day.
fn rules() -> Lifecycle {
    let filter = Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty };
    let rule = Rule {
        id: "all".to_owned(),
        status: Status::Enabled,
        filter,
        transitions: vec![],
        expiration: Some(Expiration::When(When::Days(1))),
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    };
    Lifecycle { rules: vec![rule], minimum: TransitionMinimum::default() }
}

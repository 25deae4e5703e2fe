//! Full zones: they are left out as long as there are enough others.

use crate::blob::tests::{append, content, options, zone};
use crate::blob::{Blobs, BlobsOptions};
use crate::fs::{FailingDisk, Failure};
use crate::pool::Pool;
use crate::room::Room;

const TOTAL_BYTES: u64 = 1 << 40;

/// Opens as many zones with room as there are, and `full` ones before them.
async fn check(zones: u16, full: u16, has_room: bool) {
    let directory = tempfile::tempdir().unwrap();
    let place = |id: u16| {
        let free_bytes = if id < full { 100 << 20 } else { TOTAL_BYTES / 2 };
        let disk = FailingDisk::new(0, Failure::Full).with_room(Room { free_bytes, total_bytes: TOTAL_BYTES });
        let zone = zone(id, &directory.path().join(id.to_string()), disk);
        std::fs::create_dir_all(&zone.directory).unwrap();
        zone
    };
    let all = (0..zones).map(place).collect();
    let blobs = Blobs::open(BlobsOptions { zones: all, ..options(directory.path()) }).unwrap();
    assert_eq!(blobs.has_room(Pool::Hot), has_room);
    for round in 0..4 {
        append(&blobs, &content(round, 10_000)).await.unwrap();
        blobs.seal_active().await.unwrap();
    }
    // The collector can go on in any case.
    let used = blobs.segments().into_iter().flat_map(|info| info.zones);
    assert_eq!(used.filter(|zone| zone.0 < full).count() == 0, has_room || full == 0);
    // What was written survives the loss of a zone if there are two with room.
    let least_parity = u8::from(zones - full > 1);
    assert!(!has_room || blobs.segments().iter().all(|info| info.layout.parity >= least_parity));
}

#[tokio::test]
async fn full_zones_are_left_out() {
    check(1, 0, true).await;
    check(1, 1, false).await;
    check(2, 1, false).await;
    check(3, 1, true).await;
    check(3, 2, false).await;
    check(4, 1, true).await;
    check(4, 2, true).await;
    check(4, 3, false).await;
    check(12, 2, true).await;
}

//! Content that is named instead of being sent.

use strata_storage::{
    ChecksumAlgorithm, DeleteCondition, DeleteObject, Digests, Governance, KnownChunk, PutObject, VersionSelector,
};

use crate::support::{Side, bucket, key};

const BYTES: usize = (9 << 20) + 5;

fn content() -> Vec<u8> {
    (0..BYTES).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

async fn put(side: &Side, name: &str, bytes: Vec<u8>) {
    let staged = side.store.stage_bytes(bytes).await.expect("staged");
    side.store.put(PutObject::new(bucket(), key(name), staged)).await.expect("written");
}

async fn chunks(side: &Side, name: &str, max: usize) -> Option<Vec<KnownChunk>> {
    let object = side.store.object(&bucket(), &key(name), VersionSelector::Current).await.expect("the object");
    object.chunks(0..object.info().size, max).await.expect("its places")
}

#[tokio::test]
async fn known_content_is_stored_without_its_bytes() {
    let (source, there) = (Side::new(1, 1000).await, Side::new(2, 1000).await);
    put(&source, "a", content()).await;
    put(&source, "small", b"small".to_vec()).await;
    assert_eq!(chunks(&source, "small", 10).await, None, "small bytes have no name");
    assert_eq!(chunks(&source, "a", 1).await, None, "there are more");
    let named = chunks(&source, "a", 10).await.expect("names");
    let digests = Digests::NONE.with(ChecksumAlgorithm::Crc32);
    assert!(there.store.stage_known(&named, digests).await.expect("looked").is_none(), "nobody has sent it");

    put(&there, "b", content()).await;
    let staged = there.store.stage_known(&named, digests).await.expect("looked").expect("it is known");
    let source_object = source.store.object(&bucket(), &key("a"), VersionSelector::Current).await.expect("the object");
    assert_eq!((staged.size(), staged.etag()), (BYTES as u64, source_object.info().etag));
    assert!(staged.checksum(ChecksumAlgorithm::Crc32).is_some());
    there.store.put(PutObject::new(bucket(), key("c"), staged)).await.expect("written");

    // It stays when the object goes that it was known by.
    for version in there.versions().await.iter().filter(|version| version.key == key("b")) {
        let delete = DeleteObject {
            bucket: bucket(),
            key: key("b"),
            version: Some(version.version_id),
            condition: DeleteCondition::None,
            governance: Governance::Binding,
        };
        there.store.delete(delete).await.expect("deleted");
    }
    there.store.collect().await.expect("collected");
    let object = there.store.object(&bucket(), &key("c"), VersionSelector::Current).await.expect("the object");
    let bytes = object.read(0..object.info().size).collect().await.expect("its bytes");
    assert!(bytes[..] == content()[..]);
}

#[tokio::test]
async fn what_is_no_part_of_a_blob_is_not_known() {
    let side = Side::new(1, 1000).await;
    put(&side, "a", content()).await;
    let named = chunks(&side, "a", 10).await.expect("names");
    let first = named[0];
    for wrong in [
        KnownChunk { offset: first.bytes, ..first },
        KnownChunk { offset: u32::MAX, ..first },
        KnownChunk { bytes: first.bytes + 1, ..first },
        KnownChunk { bytes: 0, ..first },
        KnownChunk { blob: [7; 32], ..first },
    ] {
        let staged = side.store.stage_known(&[first, wrong], Digests::NONE).await;
        assert!(staged.expect("looked").is_none(), "{wrong:?}");
    }
    let half = KnownChunk { offset: 3, bytes: first.bytes - 3, ..first };
    let staged = side.store.stage_known(&[half], Digests::NONE).await.expect("looked").expect("it is known");
    side.store.put(PutObject::new(bucket(), key("half"), staged)).await.expect("written");
    let object = side.store.object(&bucket(), &key("half"), VersionSelector::Current).await.expect("the object");
    let bytes = object.read(0..object.info().size).collect().await.expect("its bytes");
    assert!(bytes[..] == content()[3..first.bytes as usize]);
}

//! Contents that are sealed with a data key of their own: ranges, parts, copies, and what happens without the key.

use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, TestRunner};
use strata_storage::{
    ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyStage, DataKey, Digests, Error, NewUpload, OpenObject,
    PutObject, StageOptions, Staged, StorageClass, WriteCondition,
};

use crate::support::{Fixture, content, is_sealed, key, sealed_by, stage};

const PIECE: usize = 64 << 10;
const KEY: [u8; 32] = [7; 32];

fn data_key() -> DataKey {
    DataKey::new(KEY)
}

fn is_wrong(result: strata_storage::Result<Vec<u8>>) -> bool {
    matches!(result, Err(Error::WrongKey))
}

async fn range(object: &OpenObject, from: usize, to: usize) -> Vec<u8> {
    object.read(from as u64..to as u64).collect().await.expect("it reads").to_vec()
}

#[tokio::test]
async fn the_key_is_needed_to_read() {
    let fixture = Fixture::new(0).await;
    let key = data_key();
    for size in [1, 100, 4096, 4097, PIECE, PIECE + 1, (1 << 20) + 5, 9 << 20] {
        let name = format!("{size}");
        fixture.put(&name, StorageClass::Standard, &content(size), Some(&key)).await;
        assert!(fixture.read(&name, Some(&key)).await.expect("it reads") == content(size), "{size}");
        assert!(is_sealed(fixture.read(&name, None).await), "{size}");
        assert!(is_wrong(fixture.read(&name, Some(&DataKey::new([8; 32]))).await), "{size}");
        let object = fixture.object(&name, None).await;
        assert_eq!(object.info().size, size as u64);
        assert!(object.info().protection.encryption.is_sealed());
        // A copy reads, too.
        let copied = fixture.store().stage_copy(&object, CopyStage::default()).await;
        assert!(matches!(copied, Err(Error::Sealed)), "{size}");
    }
    fixture.put("empty", StorageClass::Standard, b"", Some(&key)).await;
    assert!(fixture.read("empty", None).await.expect("there is nothing to open").is_empty());
    // A key that nothing needs does no harm.
    fixture.put("plain", StorageClass::Standard, b"plain", None).await;
    assert_eq!(fixture.read("plain", Some(&key)).await.expect("it reads"), b"plain");
}

#[tokio::test]
async fn digests_are_of_the_plain_bytes_and_tags_are_not() {
    let fixture = Fixture::new(0).await;
    let bytes = content(200_000);
    let stage_with = async |seal: Option<DataKey>, size: Option<u64>| -> Staged {
        let digests = Digests::NONE.with(ChecksumAlgorithm::Sha256);
        let mut stage = fixture.store().stage(StageOptions { size, digests, seal });
        for some in bytes.chunks(77_777) {
            stage.write(some.to_vec().into()).await.expect("it is taken");
        }
        stage.finish().await.expect("it is staged")
    };
    let plain = stage_with(None, None).await;
    let sealed = stage_with(Some(data_key()), Some(200_000)).await;
    let again = stage_with(Some(data_key()), None).await;
    let other = stage_with(Some(DataKey::new([8; 32])), None).await;
    assert_eq!((plain.md5(), plain.size()), (sealed.md5(), sealed.size()));
    assert_eq!(plain.checksum(ChecksumAlgorithm::Sha256), sealed.checksum(ChecksumAlgorithm::Sha256));
    assert_eq!((plain.etag().digest, plain.is_sealed()), (plain.md5(), false));
    assert!(sealed.is_sealed() && sealed.etag() != plain.etag());
    assert_eq!(sealed.etag(), again.etag());
    assert_ne!(sealed.etag(), other.etag());

    let request = |staged| PutObject::new(fixture.bucket.clone(), key("a"), staged);
    assert!(matches!(fixture.store().put(request(sealed)).await, Err(Error::SealMismatch)));
    let refused = PutObject { protection: sealed_by(vec![1]), ..request(plain) };
    assert!(matches!(fixture.store().put(refused).await, Err(Error::SealMismatch)));
    let tag = again.etag();
    let written = fixture.store().put(PutObject { protection: sealed_by(vec![1]), ..request(again) }).await;
    assert_eq!(written.expect("it is put").etag, tag);
}

#[tokio::test]
async fn any_range_reads_back() {
    let fixture = Fixture::new(0).await;
    let data_key = data_key();
    let whole = content(10 << 20);
    fixture.put("large", StorageClass::Standard, &whole, Some(&data_key)).await;
    let object = fixture.object("large", Some(&data_key)).await;
    let piece = PIECE + 16;
    for at in [0, 1, PIECE - 1, PIECE, PIECE + 1, piece, 8 << 20, (8 << 20) / piece * PIECE, whole.len() - 1] {
        for bytes in [0, 1, 15, PIECE - 1, PIECE, PIECE + 1, 300_000] {
            let to = (at + bytes).min(whole.len());
            assert!(range(&object, at, to).await == whole[at..to], "{at}..{to}");
        }
    }
    // Around the limits of pieces, chosen at random.
    let near = (0_usize..5, 0_usize..40).prop_map(|(pieces, by)| (pieces * PIECE + by).saturating_sub(20));
    let strategy = (near.clone(), near.clone(), near, any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let outcome = runner.run(&strategy, |(size, from, to, sealed)| {
            runtime.block_on(async {
                let bytes = content(size);
                let seal = sealed.then_some(&data_key);
                fixture.put("some", StorageClass::Standard, &bytes, seal).await;
                let object = fixture.object("some", seal).await;
                let (from, to) = (from.min(size), to.min(size));
                let (from, to) = (from.min(to), from.max(to));
                assert!(range(&object, from, to).await == bytes[from..to], "{from}..{to} of {size}");
            });
            Ok(())
        });
        outcome.expect("every range reads back");
    })
    .await
    .expect("the cases end");
}

async fn complete(fixture: &Fixture, name: &str, parts: &[usize]) -> strata_storage::ETag {
    let (store, data_key) = (fixture.store(), data_key());
    let new = NewUpload { protection: sealed_by(vec![2]), ..NewUpload::default() };
    let id = store.create_upload(&fixture.bucket, &key(name), new).await.expect("it begins");
    let mut listed = Vec::new();
    for (number, &size) in (1..).zip(parts) {
        let plain = store.stage_bytes(content(size)).await.expect("it is staged");
        let refused = store.put_part(&fixture.bucket, &key(name), id, number, plain, None).await;
        assert!(matches!(refused, Err(Error::SealMismatch)));
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
        let seal = Some(data_key.clone());
        let mut stage = store.stage(StageOptions { size: Some(size as u64), digests, seal });
        stage.write(content(size).into()).await.expect("it is taken");
        let staged = stage.finish().await.expect("it is staged");
        let tag = staged.etag();
        let part = store.put_part(&fixture.bucket, &key(name), id, number, staged, None).await.expect("a part");
        assert_eq!((part.etag, part.size), (tag, size as u64));
        listed.push(CompletedPart { number, etag: tag.to_string(), checksum: None });
    }
    let (bucket, key) = (fixture.bucket.clone(), key(name));
    let condition = WriteCondition::None;
    let request =
        CompleteUpload { bucket, key, id, parts: listed, size: None, checksum: None, condition, replica: None };
    store.complete_upload(request).await.expect("it is completed").etag
}

#[tokio::test]
async fn parts_are_sealed_each_by_itself() {
    let fixture = Fixture::new(0).await;
    let sizes = [(5 << 20) + 3, 5000, (1 << 20) + 1, 10];
    let etag = complete(&fixture, "parts", &sizes).await;
    assert_eq!(etag.parts, 4);
    let whole: Vec<u8> = sizes.iter().flat_map(|&size| content(size)).collect();
    let data_key = data_key();
    assert!(fixture.read("parts", Some(&data_key)).await.expect("it reads") == whole);
    assert!(is_sealed(fixture.read("parts", None).await));
    assert!(is_wrong(fixture.read("parts", Some(&DataKey::new([9; 32]))).await));
    let object = fixture.object("parts", Some(&data_key)).await;
    let mut offset = 0_usize;
    for (position, &size) in (1..).zip(&sizes) {
        let part = object.part(position).await.expect("it is found").expect("it is there");
        assert_eq!((part.offset, part.size), (offset as u64, size as u64));
        for from in [offset.saturating_sub(100_000), offset, offset + size / 2] {
            let to = (from + 200_000).min(whole.len());
            assert!(range(&object, from, to).await == whole[from..to], "{from}..{to}");
        }
        offset += size;
    }
}

/// Stages a copy, puts it, and says which bytes it has.
async fn copy(
    fixture: &Fixture,
    from: (&str, Option<&DataKey>),
    to: (&str, Option<&DataKey>),
    range: Option<(u64, u64)>,
) {
    let source = fixture.object(from.0, from.1).await;
    let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
    let range = range.map(|(from, to)| from..to);
    let options = CopyStage { range, digests, seal: to.1.cloned(), ..CopyStage::default() };
    let staged = fixture.store().stage_copy(&source, options).await.expect("it is staged");
    assert_eq!(staged.is_sealed(), to.1.is_some());
    let protection = to.1.map_or_else(Default::default, |_| sealed_by(vec![3]));
    let request = PutObject { protection, ..PutObject::new(fixture.bucket.clone(), key(to.0), staged) };
    fixture.store().put(request).await.expect("it is put");
}

#[tokio::test]
async fn copies_are_sealed_anew() {
    let fixture = Fixture::new(0).await;
    let (key, other) = (data_key(), DataKey::new([8; 32]));
    for size in [10, 4096, 100_000, 9 << 20] {
        fixture.put("plain", StorageClass::Standard, &content(size), None).await;
        copy(&fixture, ("plain", None), ("sealed", Some(&key)), None).await;
        copy(&fixture, ("sealed", Some(&key)), ("other", Some(&other)), None).await;
        copy(&fixture, ("other", Some(&other)), ("opened", None), None).await;
        for (name, seal) in [("sealed", Some(&key)), ("other", Some(&other)), ("opened", None)] {
            assert!(fixture.read(name, seal).await.expect("it reads") == content(size), "{name} {size}");
        }
        // What was opened is the same as the plain one again, its tag as well.
        let (plain, opened) = (fixture.object("plain", None).await, fixture.object("opened", None).await);
        assert_eq!(plain.info().etag, opened.info().etag);
        let (from, to) = (size / 3, size / 2);
        copy(&fixture, ("other", Some(&other)), ("some", Some(&key)), Some((from as u64, to as u64))).await;
        assert!(fixture.read("some", Some(&key)).await.expect("it reads") == content(size)[from..to]);
    }
    complete(&fixture, "parts", &[100_000, 5]).await;
    copy(&fixture, ("parts", Some(&key)), ("opened", None), None).await;
    let whole = [content(100_000), content(5)].concat();
    assert!(fixture.read("opened", None).await.expect("it reads") == whole);
}

#[tokio::test]
async fn more_or_fewer_bytes_than_announced_are_refused() {
    let fixture = Fixture::new(0).await;
    for (announced, sent) in [(10, 11), (100_000, 99_999), (2 << 20, (2 << 20) + 1), (2 << 20, 1 << 20)] {
        let seal = Some(data_key());
        let mut stage =
            fixture.store().stage(StageOptions { size: Some(announced as u64), digests: Digests::NONE, seal });
        let outcome = match stage.write(content(sent).into()).await {
            Ok(()) => stage.finish().await.map(|_| ()),
            refused => refused,
        };
        assert!(matches!(outcome, Err(Error::SizeMismatch { .. })), "{announced} {sent}");
    }
    let staged = stage(fixture.store(), &content(7), Some(&data_key())).await.expect("it is staged");
    assert_eq!(staged.size(), 7);
}

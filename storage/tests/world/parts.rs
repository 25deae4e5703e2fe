//! Parts: taken from objects, listed while their upload is open, and told of by the object that they became. And content that
//! is stored again by the names of its chunks.

use proptest::prelude::{Strategy, any, prop_oneof};
use strata_storage::{
    Checksum, ChecksumAlgorithm, CopyStage, Digests, ETag, Entity, Error, OpenObject, PutObject, StorageClass,
    UploadsQuery, VersionSelector,
};

use crate::model::{Object, Part, Upload};
use crate::ops::KEYS;
use crate::run::Run;
use crate::support::{bucket, key, md5};

/// Content that comes from the store itself.
#[derive(Debug, Clone)]
pub enum Taken {
    /// A part that is a copy of the version at a place of a key's list, or of its middle third.
    Part { upload: usize, number: u16, from: usize, place: usize, whole: bool },
    /// An object of the same content, named by its chunks.
    Known { from: usize, place: usize, to: usize },
}

pub fn taken() -> impl Strategy<Value = Taken> {
    let (keys, places) = (0..KEYS.len(), 0..3_usize);
    prop_oneof![
        3 => (0..2_usize, 1..4_u16, keys.clone(), places.clone(), any::<bool>())
            .prop_map(|(upload, number, from, place, whole)| Taken::Part { upload, number, from, place, whole }),
        1 => (keys.clone(), places, keys).prop_map(|(from, place, to)| Taken::Known { from, place, to }),
    ]
}

impl Run {
    /// Does it.
    pub async fn take(&mut self, taken: &Taken) {
        match *taken {
            Taken::Part { upload, number, from, place, whole } => {
                self.copy_part(upload, number, (KEYS[from], place), whole).await;
            }
            Taken::Known { from, place, to } => self.put_known((KEYS[from], place), KEYS[to]).await,
        }
    }

    /// Opens the object at a place of a key's list, if its bytes can be had.
    async fn open_at(&mut self, (name, place): (&'static str, usize)) -> Option<(OpenObject, Object)> {
        let (id, object) = self.object_at(name, place)?;
        if !object.is_readable(self.now()) || self.model.zones.may_lack(object) {
            return None;
        }
        let object = object.clone();
        let open = self.world.store.object(&bucket(), &key(name), VersionSelector::Id(id)).await;
        Some((open.expect("the model has it"), object))
    }

    async fn copy_part(&mut self, place: usize, number: u16, from: (&'static str, usize), whole: bool) {
        let Some(upload) = self.model.uploads.get(place).cloned() else { return };
        let Some((source, object)) = self.open_at(from).await else { return };
        let size = object.bytes.len();
        let range = if whole { 0..size } else { size / 3..size * 2 / 3 };
        let bytes = object.bytes[range.clone()].to_vec();
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
        let options =
            CopyStage { range: Some(range.start as u64..range.end as u64), class: upload.class, digests, seal: None };
        let staged = self.world.store.stage_copy(&source, options).await.expect("it can be copied");
        self.accessed(from.0, from.1);
        assert_eq!(staged.md5(), md5(&bytes));
        let fits = self.model.has_room_for_part(&upload, number, bytes.len());
        let name = key(KEYS[upload.key]);
        match self.world.store.put_part(&bucket(), &name, upload.id, number, staged, None).await {
            Ok(part) => {
                assert!(fits && part.size == bytes.len() as u64);
                let upload = &mut self.model.uploads[place];
                upload.parts.insert(number, (Part(bytes), part.etag));
                self.model.count("part copied", 1);
            }
            Err(Error::QuotaExceeded(_)) => assert!(!fits),
            Err(error) => panic!("{error}"),
        }
    }

    async fn put_known(&mut self, from: (&'static str, usize), to: &'static str) {
        let Some((source, object)) = self.open_at(from).await else { return };
        let size = object.bytes.len() as u64;
        let Some(chunks) = source.chunks(0..size, 100).await.expect("the chunks are known") else { return };
        let staged = self.world.store.stage_known(&chunks, Digests::NONE).await.expect("the chunks can be read");
        let Some(staged) = staged else {
            return assert!(size <= 4096 || object.fragile, "{size} bytes are stored here");
        };
        let fits = self.model.has_room(to, object.bytes.len());
        match self.world.store.put(PutObject::new(bucket(), key(to), staged)).await {
            Ok(written) => {
                assert!(fits);
                self.written(to, object.bytes.to_vec(), StorageClass::Standard, &[], &written);
                self.model.made_at(to, written.modified.as_nanos()).checksum = None;
                self.model.count("stored by its names", 1);
            }
            Err(Error::QuotaExceeded(_)) => assert!(!fits),
            Err(error) => panic!("{error}"),
        }
    }

    /// Compares the parts of open uploads, one to a page, and the uploads, one to a page.
    pub async fn compare_parts(&self) {
        let store = &self.world.store;
        for Upload { key: at, id, parts, .. } in &self.model.uploads {
            let (mut found, mut after) = (Vec::new(), 0);
            loop {
                let page = store.list_parts(&bucket(), &key(KEYS[*at]), *id, after, 1).await.expect("it is open");
                found.extend(page.parts.iter().map(|part| (part.number, part.size, part.etag)));
                let Some(last) = page.parts.last().filter(|_| page.truncated) else { break };
                after = last.number;
            }
            let expected = parts.iter().map(|(number, (part, etag))| (*number, part.0.len() as u64, *etag));
            assert_eq!(found, expected.collect::<Vec<(u16, u64, ETag)>>());
            let elsewhere = store.upload(&bucket(), &key("nobody's"), *id).await.err();
            assert!(matches!(elsewhere, Some(Error::NotFound(Entity::Upload))), "{elsewhere:?}");
        }
        let (mut found, mut query) = (0, UploadsQuery { max: 1, ..UploadsQuery::default() });
        loop {
            let page = store.list_uploads(&bucket(), query.clone()).await.expect("the listing succeeds");
            found += page.uploads.len();
            let Some((key, upload)) = page.next.filter(|_| page.truncated) else { break };
            (query.key_marker, query.upload_marker) = (key, upload);
        }
        assert_eq!(found, self.model.uploads.len());
    }
}

/// Compares what is told of the parts of an object, and its checksum.
pub async fn compare_attributes(open: &OpenObject, object: &Object) {
    let info = open.info();
    assert_eq!(usize::from(info.parts_count), object.parts.len());
    assert_eq!(info.checksum, object.checksum);
    let (mut offset, mut expected) = (0, Vec::new());
    for (number, size) in &object.parts {
        expected.push((*number, offset, *size));
        offset += size;
    }
    let (found, more) = open.parts(0, 1000).await.expect("parts are listed");
    let found: Vec<_> = found.iter().map(|part| (part.number, part.offset, part.size)).collect();
    assert!(!more && found == expected, "{found:?} instead of {expected:?}");
    let last = u16::try_from(expected.len()).expect("there are few");
    let told = open.part(last).await.expect("a part is told of").map(|part| (part.number, part.offset, part.size));
    assert_eq!(told, expected.last().copied());
    let beyond = open.part(last.max(1) + 1).await.expect("a part is told of");
    assert_eq!(beyond, None);
}

/// The checksum that is kept of bytes that are put.
pub fn crc(bytes: &[u8]) -> Option<Checksum> {
    Some(Checksum::of(ChecksumAlgorithm::Crc64Nvme, bytes))
}

//! An export as it is read again: version by version, each with its content, nothing of which is given unverified to its end.
//!
//! The last piece of a content is held back until the seal behind it was read: whoever stores what comes can not have stored
//! all of it before it is known to be what was exported. The end of the versions is told only if counts and hash of the whole
//! file are as the manifest says.

use std::io::Read;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::archive::{ArchiveError, Reader, damaged};
use super::document::{self, BucketDocument, FORM, Manifest, Properties, Seal};
use super::name;

/// An export that is being read.
pub struct Pack<R> {
    reader: Reader<R>,
    bucket: BucketDocument,
    found: Manifest,
    version: Option<Open>,
}

/// The version at which reading is.
struct Open {
    properties: Properties,
    name: String,
    properties_hash: String,
    /// Hashes the content; `None` for a version without.
    content: Option<Sha256>,
    /// A piece that was read and not given yet.
    held: Bytes,
    /// What is left of a piece that was verified, or will be before the last one.
    rest: Bytes,
    is_verified: bool,
}

impl<R: Read> Pack<R> {
    /// Begins with the bucket's configuration.
    pub fn open(input: R) -> Result<Pack<R>, ArchiveError> {
        let mut reader = Reader::new(input);
        let first = reader.member()?;
        if first.name != name::BUCKET {
            return Err(damaged("it does not begin with a bucket"));
        }
        let bytes = reader.rest()?;
        let value: serde_json::Value = document::read(&bytes).map_err(|error| damaged(&error))?;
        match value.get("strata_export").and_then(serde_json::Value::as_u64) {
            Some(form) if form == u64::from(FORM) => {}
            form => {
                let form = form.map_or("none".to_owned(), |form| form.to_string());
                return Err(damaged(&format!("its form is {form}, and this version of strata reads form {FORM}")));
            }
        }
        let bucket = document::read(&bytes).map_err(|error| damaged(&error))?;
        Ok(Pack { reader, bucket, found: Manifest::default(), version: None })
    }

    /// The bucket.
    pub fn bucket(&self) -> &BucketDocument {
        &self.bucket
    }

    /// How many bytes of the file were read.
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// The next version; `None` at the end of a file that is whole. What is left of the one before is verified, not given.
    pub fn version(&mut self) -> Result<Option<Properties>, ArchiveError> {
        loop {
            match self.content(u64::MAX) {
                Ok(Some(_)) | Err(ArchiveError::Broken(_)) => {}
                Ok(None) => break,
                Err(error) => return Err(error),
            }
        }
        let member = self.reader.member()?;
        if member.name == name::MANIFEST {
            return self.manifest().map(|()| None);
        }
        let bytes = self.reader.rest()?;
        let properties: Properties = document::read(&bytes).map_err(|error| damaged(&error))?;
        if let Some(fault) = properties.fault() {
            return Err(damaged(&format!("{}: {fault}", member.name)));
        }
        let content_name = name::content(&properties.key, &properties.version_id);
        if member.name != name::properties(&content_name) {
            return Err(damaged(&format!("{} is not where it belongs", member.name)));
        }
        let has_content = !properties.delete_marker && properties.left_out.is_none();
        if has_content {
            let content = self.reader.member()?;
            if content.name != content_name || content.bytes != properties.size {
                return Err(damaged(&format!("{} is not where it belongs", content.name)));
            }
        }
        match (&properties.left_out, properties.delete_marker) {
            (Some(_), _) => self.found.left_out += 1,
            (None, true) => self.found.delete_markers += 1,
            (None, false) => {
                self.found.objects += 1;
                self.found.bytes = self.found.bytes.saturating_add(properties.size);
            }
        }
        self.version = Some(Open {
            properties: properties.clone(),
            name: content_name,
            properties_hash: document::hash(&bytes),
            content: has_content.then(Sha256::new),
            held: Bytes::new(),
            rest: Bytes::new(),
            is_verified: false,
        });
        Ok(Some(properties))
    }

    /// The next bytes of the version's content, at most so many; `None` once all of it was given and verified. `Err(Broken)` if
    /// the export has not all of it.
    pub fn content(&mut self, most: u64) -> Result<Option<Bytes>, ArchiveError> {
        loop {
            let Some(open) = &mut self.version else { return Ok(None) };
            if !open.rest.is_empty() {
                let length = open.rest.len().min(usize::try_from(most).unwrap_or(usize::MAX));
                return Ok(Some(open.rest.split_to(length)));
            }
            if open.is_verified {
                return Ok(None);
            }
            let piece = match &mut open.content {
                Some(hash) => {
                    let piece = self.reader.piece()?;
                    piece.iter().for_each(|piece| hash.update(piece));
                    piece
                }
                None => None,
            };
            match piece {
                Some(piece) => open.rest = std::mem::replace(&mut open.held, piece),
                None => {
                    self.verify()?;
                    if let Some(open) = &mut self.version {
                        (open.rest, open.is_verified) = (std::mem::take(&mut open.held), true);
                    }
                }
            }
        }
    }

    /// The whole content of a version that is small.
    pub fn collect(&mut self) -> Result<Bytes, ArchiveError> {
        let mut bytes = bytes::BytesMut::new();
        while let Some(piece) = self.content(u64::MAX)? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Compares the version's members with its seal.
    fn verify(&mut self) -> Result<(), ArchiveError> {
        let member = self.reader.member()?;
        let bytes = self.reader.rest()?;
        let Some(open) = self.version.take() else { return Ok(()) };
        let text = std::str::from_utf8(&bytes).ok().filter(|_| member.name == name::seal(&open.name));
        let found = text.and_then(|text| Seal::parse(text, &open.name));
        let content = open.content.clone().map(|hash| hex::encode(hash.finalize()));
        let expected = Seal::Whole { properties: open.properties_hash.clone(), content };
        match found {
            Some(seal) if seal == expected => {
                self.version = Some(open);
                Ok(())
            }
            Some(Seal::Broken(reason)) if open.content.is_some() => {
                self.found.objects -= 1;
                self.found.bytes -= open.properties.size;
                self.found.left_out += 1;
                Err(ArchiveError::Broken(reason))
            }
            _ => Err(damaged(&format!("{} is not what was exported", open.name))),
        }
    }

    fn manifest(&mut self) -> Result<(), ArchiveError> {
        let sha256 = self.reader.digest();
        let bytes = self.reader.rest()?;
        let manifest: Manifest = document::read(&bytes).map_err(|error| damaged(&error))?;
        if manifest != (Manifest { sha256, ..self.found.clone() }) || document::write(&manifest) != bytes {
            return Err(damaged("it does not hold what its manifest says"));
        }
        self.reader.end()
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::{ArchiveError, Writer};
    use super::super::document::{self, BucketDocument, FORM, Manifest, Part, Properties, Seal};
    use super::super::name;
    use super::Pack;

    /// A file with one version, whose parts can be other than they should.
    fn file(content: &[u8], seal: impl Fn(Seal) -> Seal, manifest: Manifest) -> Vec<u8> {
        let size = content.len() as u64;
        file_of(Properties { size, ..Properties::default() }, content, seal, manifest)
    }

    fn file_of(properties: Properties, content: &[u8], seal: impl Fn(Seal) -> Seal, manifest: Manifest) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        let bucket = BucketDocument {
            strata_export: FORM,
            bucket: "b".to_owned(),
            exported: String::new(),
            strata: true,
            prefix: String::new(),
            current_only: false,
            configuration: Vec::new(),
        };
        let properties = Properties { key: "k".to_owned(), version_id: "v".to_owned(), ..properties };
        let properties = document::write(&properties);
        let name = name::content("k", "v");
        let whole = Seal::Whole { properties: document::hash(&properties), content: Some(document::hash(content)) };
        writer.document(name::BUCKET, &document::write(&bucket), 0).unwrap();
        writer.document(&name::properties(&name), &properties, 0).unwrap();
        writer.document(&name, content, 0).unwrap();
        writer.document(&name::seal(&name), seal(whole).text(&name).as_bytes(), 0).unwrap();
        writer.finish(manifest, 0).unwrap()
    }

    #[test]
    fn contents_come_whole_and_in_pieces() {
        let content: Vec<u8> = (0..600_000_u32).map(|at| at as u8).collect();
        let bytes = file(&content, |seal| seal, Manifest { objects: 1, bytes: 600_000, ..Manifest::default() });
        let mut pack = Pack::open(&bytes[..]).unwrap();
        assert_eq!(pack.version().unwrap().map(|version| version.key).as_deref(), Some("k"));
        let mut found = Vec::new();
        while let Some(piece) = pack.content(1000).unwrap() {
            assert!((1..=1000).contains(&piece.len()));
            found.extend_from_slice(&piece);
        }
        assert_eq!(found, content);
        assert!(pack.version().unwrap().is_none());
    }

    #[test]
    fn the_last_piece_waits_for_the_seal() {
        let other = |_| Seal::Whole { properties: document::hash(b""), content: Some(document::hash(b"")) };
        let bytes = file(&vec![1; 600_000], other, Manifest { objects: 1, bytes: 600_000, ..Manifest::default() });
        let mut pack = Pack::open(&bytes[..]).unwrap();
        pack.version().unwrap();
        let mut given = 0;
        let error = loop {
            match pack.content(u64::MAX) {
                Ok(piece) => given += piece.expect("it does not end").len(),
                Err(error) => break error,
            }
        };
        assert!(given < 600_000 && matches!(error, ArchiveError::Damaged(_)), "{given} {error}");
    }

    #[test]
    fn what_was_broken_is_told_and_passed_over() {
        let broken = |_| Seal::Broken("lost".to_owned());
        let bytes = file(b"abc", broken, Manifest { left_out: 1, ..Manifest::default() });
        let mut pack = Pack::open(&bytes[..]).unwrap();
        pack.version().unwrap();
        assert!(matches!(pack.collect(), Err(ArchiveError::Broken(reason)) if reason == "lost"));
        assert!(pack.version().unwrap().is_none());
    }

    #[test]
    fn manifests_are_believed_only_if_they_are_right() {
        let bytes = file(b"abc", |seal| seal, Manifest { objects: 2, bytes: 3, ..Manifest::default() });
        let mut pack = Pack::open(&bytes[..]).unwrap();
        pack.version().unwrap();
        assert!(matches!(pack.version(), Err(ArchiveError::Damaged(_))));
    }

    #[test]
    fn what_no_export_says_is_refused() {
        let map = |name: &str| [(name.to_owned(), "x".to_owned())].into();
        let part = |size| Part { size, ..Part::default() };
        let refused = [
            Properties { headers: map("x-amz-acl"), ..Properties::default() },
            Properties { headers: map("authorization"), ..Properties::default() },
            Properties { checksums: map("x-amz-copy-source"), ..Properties::default() },
            Properties { delete_marker: true, size: 1, ..Properties::default() },
            Properties { parts: vec![part(u64::MAX), part(1)], ..Properties::default() },
        ];
        for properties in refused {
            let bytes = file_of(properties.clone(), b"", |seal| seal, Manifest::default());
            let found = Pack::open(&bytes[..]).unwrap().version();
            assert!(matches!(found, Err(ArchiveError::Damaged(_))), "{properties:?}");
        }
        let taken = Properties {
            headers: map("content-type"),
            checksums: map("x-amz-checksum-crc32"),
            ..Properties::default()
        };
        let bytes = file_of(taken, b"", |seal| seal, Manifest::default());
        assert!(Pack::open(&bytes[..]).unwrap().version().is_ok());
    }
}

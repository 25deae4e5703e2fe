//! An export's file: a tar archive of the pax form, written and read from its beginning to its end.
//!
//! ```text
//! bucket.json            how the bucket is configured
//! for each version       objects/..@..json, its content unless it is a delete marker, objects/..@..sha256
//! manifest.json          counts, and SHA-256 of all bytes before it
//! 1,024 zero bytes       the end of every tar archive
//! ```
//!
//! Names longer than tar's own field stand in a pax record before their member. Whatever else an archive may hold is refused:
//! what was packed anew by another tool has not the bytes that were exported.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::document::{self, Manifest};
use super::name::MANIFEST;

/// What tar counts in.
const BLOCK: u64 = 512;
/// The end of an archive.
const END_BYTES: usize = 1024;
/// The longest name that a header holds.
const NAME_BYTES_MAX: usize = 100;
/// What stands there in place of a longer one.
const LONG_NAME: &str = "long-name";
/// The longest pax record: a name of a key of 1,024 bytes, each of them encoded, and its cuts.
const RECORD_BYTES_MAX: u64 = 8 << 10;
/// The largest document that is read: a version with ten thousand parts, a bucket with all its rules.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// How much is read at once.
const PIECE_BYTES: usize = 256 << 10;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It ends too early.
    #[error("the file is cut off after {0} bytes; copy it again")]
    Truncated(u64),
    /// It is none of ours, or was changed.
    #[error("the file is damaged or was not written by `strata export`: {0}")]
    Damaged(String),
    /// A version's content could not be read to its end when it was exported.
    #[error("{0}")]
    Broken(String),
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A member that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Writes an archive.
pub struct Writer<W> {
    out: W,
    hash: Sha256,
    /// What is still to be written of a member, in bytes.
    left: u64,
    padding: usize,
}

impl<W: Write> Writer<W> {
    /// A new archive.
    pub fn new(out: W) -> Writer<W> {
        Writer { out, hash: Sha256::new(), left: 0, padding: 0 }
    }

    /// Begins a member whose content was changed at `seconds` since 1970. As many bytes as said are to follow.
    pub fn begin(&mut self, name: &str, bytes: u64, seconds: u64) -> io::Result<()> {
        debug_assert_eq!(self.left, 0, "the member before is complete");
        if name.len() > NAME_BYTES_MAX {
            let record = path_record(name);
            self.put(header("pax-path", record.len() as u64, seconds, EntryType::XHeader)?.as_bytes())?;
            self.put(&record)?;
            self.put(&vec![0; padding(record.len() as u64)])?;
        }
        // For readers that do not know pax. No part of the name: cut, it might lead elsewhere.
        let shown = if name.len() <= NAME_BYTES_MAX { name } else { LONG_NAME };
        self.put(header(shown, bytes, seconds, EntryType::Regular)?.as_bytes())?;
        (self.left, self.padding) = (bytes, padding(bytes));
        self.end_member()
    }

    /// Writes content of the member that was begun.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        self.put(bytes)?;
        self.end_member()
    }

    /// Bytes that are still to be written of the member.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Writes a whole member.
    pub fn document(&mut self, name: &str, bytes: &[u8], seconds: u64) -> io::Result<()> {
        self.begin(name, bytes.len() as u64, seconds)?;
        self.write(bytes)
    }

    /// Writes the manifest and the end, and gives what was written to.
    pub fn finish(mut self, manifest: Manifest, seconds: u64) -> io::Result<W> {
        let sized = Manifest { sha256: hex::encode([0; 32]), ..manifest };
        self.begin(MANIFEST, document::write(&sized).len() as u64, seconds)?;
        let sha256 = hex::encode(self.hash.clone().finalize());
        self.write(&document::write(&Manifest { sha256, ..sized }))?;
        self.put(&[0; END_BYTES])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_member(&mut self) -> io::Result<()> {
        if self.left == 0 {
            let padding = std::mem::take(&mut self.padding);
            self.put(&[0; BLOCK as usize][..padding])?;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }
}

/// What fills the last block of so many bytes.
fn padding(bytes: u64) -> usize {
    usize::try_from(bytes.wrapping_neg() % BLOCK).expect("less than a block")
}

fn header(name: &str, bytes: u64, seconds: u64, kind: EntryType) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(seconds);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

/// `<length> path=<name>\n`, where the length counts itself.
fn path_record(name: &str) -> Vec<u8> {
    let rest = format!(" path={name}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}").into_bytes()
}

/// The name in a record; `None` if it is not of that form.
fn path_of(record: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(record).ok()?;
    let name = text.split_once(" path=")?.1.strip_suffix('\n')?;
    (path_record(name) == record).then(|| name.to_owned())
}

/// Reads an archive.
pub struct Reader<R> {
    input: R,
    hash: Sha256,
    at: u64,
    left: u64,
    padding: usize,
}

impl<R: Read> Reader<R> {
    /// Of an archive that begins here.
    pub fn new(input: R) -> Reader<R> {
        Reader { input, hash: Sha256::new(), at: 0, left: 0, padding: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// SHA-256 of them, in hex.
    pub fn digest(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// The next member. What is left of the one before is passed over.
    pub fn member(&mut self) -> Result<Member, ArchiveError> {
        while self.piece()?.is_some() {}
        let (header, mut name) = self.header()?;
        let mut header = header;
        if header.entry_type() == EntryType::XHeader {
            let bytes = entry_size(&header)?;
            if bytes > RECORD_BYTES_MAX {
                return Err(damaged("a member's name is too long"));
            }
            self.start(bytes);
            let record = self.rest()?;
            let path = path_of(&record).ok_or_else(|| damaged("a member's name cannot be read"))?;
            (header, _) = self.header()?;
            name = path;
        }
        if header.entry_type() != EntryType::Regular {
            return Err(damaged(&format!("{name} is no file")));
        }
        let bytes = entry_size(&header)?;
        self.start(bytes);
        Ok(Member { name, bytes })
    }

    /// The next bytes of the member's content; `None` at its end.
    pub fn piece(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        if self.left == 0 {
            let mut filling = [0; BLOCK as usize];
            let padding = std::mem::take(&mut self.padding);
            self.fill(&mut filling[..padding])?;
            return match filling.iter().all(|byte| *byte == 0) {
                true => Ok(None),
                false => Err(damaged("there are bytes between members")),
            };
        }
        let length = PIECE_BYTES.min(usize::try_from(self.left).unwrap_or(PIECE_BYTES));
        let mut piece = BytesMut::zeroed(length);
        self.fill(&mut piece)?;
        self.left -= length as u64;
        Ok(Some(piece.freeze()))
    }

    /// The whole content of a member that is a document.
    pub fn rest(&mut self) -> Result<Vec<u8>, ArchiveError> {
        if self.left > DOCUMENT_BYTES_MAX {
            return Err(damaged("a document in it is too large"));
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece()? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// Reads what comes after the last member: the end, and nothing else.
    pub fn end(&mut self) -> Result<(), ArchiveError> {
        let mut end = [0; END_BYTES];
        self.fill(&mut end)?;
        let mut more = [0; END_BYTES];
        let length = self.input.read(&mut more)?;
        match end.iter().chain(&more[..length]).all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(damaged("there are bytes after its end")),
        }
    }

    fn start(&mut self, bytes: u64) {
        (self.left, self.padding) = (bytes, padding(bytes));
    }

    fn header(&mut self) -> Result<(Header, String), ArchiveError> {
        let mut header = Header::new_ustar();
        self.fill(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Err(damaged("it has no manifest"));
        }
        let told = header.cksum().map_err(|error| damaged(&error.to_string()))?;
        header.set_cksum();
        if header.cksum().ok() != Some(told) {
            return Err(damaged("a header does not match its checksum"));
        }
        let name = header.path_bytes();
        let name = std::str::from_utf8(&name).map_err(|_| damaged("a member's name is no text"))?.to_owned();
        Ok((header, name))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) => return Err(ArchiveError::Truncated(self.at)),
                Ok(count) => {
                    self.hash.update(&bytes[filled..filled + count]);
                    (filled, self.at) = (filled + count, self.at + count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn entry_size(header: &Header) -> Result<u64, ArchiveError> {
    header.entry_size().map_err(|error| damaged(&error.to_string()))
}

/// A file that is not what was exported.
pub fn damaged(reason: &str) -> ArchiveError {
    ArchiveError::Damaged(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{ArchiveError, Manifest, Reader, Writer, document, path_of, path_record};

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (position, name) in names.iter().enumerate() {
            writer.document(name, &vec![7; position * 300], 5).expect("written");
        }
        writer.finish(Manifest { objects: 3, ..Manifest::default() }, 5).expect("written")
    }

    /// Reads all of an archive, as an import does.
    fn contents(bytes: &[u8]) -> Result<Vec<(String, usize)>, ArchiveError> {
        let (mut reader, mut found) = (Reader::new(bytes), Vec::new());
        loop {
            let member = reader.member()?;
            let digest = reader.digest();
            let content = reader.rest()?;
            if member.name == super::MANIFEST {
                let manifest: Manifest = document::read(&content).map_err(ArchiveError::Damaged)?;
                let expected = Manifest { objects: 3, sha256: digest, ..Manifest::default() };
                if manifest != expected || document::write(&manifest) != content {
                    return Err(super::damaged("the manifest"));
                }
                reader.end()?;
                return Ok(found);
            }
            found.push((member.name, content.len()));
        }
    }

    #[test]
    fn archives_read_back() {
        let long = format!("objects/{}@v", "%C3/".repeat(700));
        let names = ["bucket.json", "a", &long, &"b".repeat(100), &"c".repeat(101), "d", "e"];
        let found = contents(&archive(&names)).expect("it was just written");
        let expected: Vec<_> = names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at * 300)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_tar_crate_reads_them() {
        let long = format!("objects/{}@v", "x".repeat(900));
        let bytes = archive(&["a", &long]);
        let mut archive = tar::Archive::new(&bytes[..]);
        let names = archive.entries().expect("an archive").map(|entry| {
            let entry = entry.expect("an entry");
            entry.path().expect("a path").to_string_lossy().into_owned()
        });
        assert_eq!(names.collect::<Vec<_>>(), ["a", &long, "manifest.json"]);
    }

    #[test]
    fn whatever_is_changed_or_missing_is_noticed() {
        let long = "n".repeat(120);
        let whole = archive(&["bucket.json", &long, "last"]);
        assert!(contents(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(contents(&whole[..length]).is_err(), "cut after {length} bytes");
        }
        for position in 0..whole.len() {
            for bit in [0, 3, 7] {
                let mut changed = whole.clone();
                changed[position] ^= 1 << bit;
                assert!(contents(&changed).is_err(), "bit {bit} of byte {position}");
            }
        }
        assert!(contents(&[&whole[..], &[1]].concat()).is_err());
    }

    #[test]
    fn sizes_beyond_those_of_old_archives_are_kept() {
        let bytes = 20 << 30;
        let header = super::header("a", bytes, 0, tar::EntryType::Regular).expect("a header");
        assert_eq!(super::entry_size(&header).expect("a size"), bytes);
    }

    #[test]
    fn records_count_themselves() {
        for length in [1, 80, 90, 91, 92, 93, 94, 980, 990, 991, 992, 993] {
            let name = "n".repeat(length);
            let record = path_record(&name);
            let said: usize =
                String::from_utf8_lossy(&record).split(' ').next().and_then(|text| text.parse().ok()).unwrap();
            assert_eq!(said, record.len());
            assert_eq!(path_of(&record), Some(name));
        }
        assert_eq!(path_of(b"8 path=a\n"), None);
    }
}

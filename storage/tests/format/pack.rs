//! A directory as one compressed file, and back.

use std::fs::File;
use std::path::Path;

use tar::{Archive, Builder, Header};

/// Unpacks a file into a directory.
pub fn unpack(file: &str, into: &Path) {
    let file = File::open(file).expect("the fixture is there");
    let plain = zstd::Decoder::new(file).expect("it is compressed");
    Archive::new(plain).unpack(into).expect("it can be unpacked");
}

/// Packs a directory. RocksDB's own log is left out: it tells of the machine and not of the store. So are times and owners.
pub fn pack(directory: &Path, into: &str) {
    let compressed = zstd::Encoder::new(File::create(into).expect("a file"), 19).expect("an encoder");
    let mut builder = Builder::new(compressed);
    let mut left = vec![directory.to_owned()];
    while let Some(place) = left.pop() {
        let mut entries: Vec<_> =
            std::fs::read_dir(&place).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(directory).expect("it is below");
            let last = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                left.push(path.clone());
            } else if !last.starts_with("LOG") && last != "LOCK" {
                let bytes = std::fs::read(&path).expect("it can be read");
                let mut header = Header::new_ustar();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                header.set_cksum();
                builder.append_data(&mut header, name, &bytes[..]).expect("it is packed");
            }
        }
    }
    builder.into_inner().and_then(zstd::Encoder::finish).expect("it is written");
}

//! Sealing of what records hold: raw content in pieces of 64 KiB, compressed content frame by frame. In place.

use crate::blob::codec::{self, Directory};
use crate::blob::hash::PIECE_BYTES;
use crate::blob::layout::{Fault, Placement, RecordTail};
use crate::cipher::{Keys, PieceCipher, Tag};
use crate::error::Result;

const RAW: &[u8] = b"piece of a record";
const FRAME: &[u8] = b"frame of a record";
const FAULT: Fault = Fault::Corrupt("sealed content");

/// Seals the next piece of raw content.
pub fn seal_piece(cipher: &PieceCipher, position: usize, piece: &mut [u8]) -> Tag {
    cipher.seal(position as u64, RAW, piece)
}

/// Seals the data of a whole record, and returns the tags.
pub fn seal_data(cipher: &PieceCipher, plain_bytes: usize, data: &mut [u8]) -> Vec<Tag> {
    if data.len() == plain_bytes {
        return data.chunks_mut(PIECE_BYTES).enumerate().map(|(at, piece)| seal_piece(cipher, at, piece)).collect();
    }
    let directory = Directory::decode(&data[..codec::directory_bytes(plain_bytes)], plain_bytes, data.len())
        .expect("what was compressed here begins with its directory");
    let seal = |at| cipher.seal(at as u64, FRAME, &mut data[directory.frame(at)]);
    (0..directory.frames()).map(seal).collect()
}

/// What it takes to read the data of a record whose head and tail were checked.
pub struct RecordOpener {
    /// What its tail tells.
    pub tail: RecordTail,
    /// Absent if the data is not sealed.
    cipher: Option<PieceCipher>,
}

impl RecordOpener {
    /// For the record at that place, whose tail this is.
    pub fn new(keys: &Keys, placement: &Placement, tail: RecordTail) -> Result<RecordOpener> {
        let cipher = placement.seal.as_ref().map(|seal| keys.cipher(seal)).transpose()?;
        Ok(RecordOpener { tail, cipher })
    }

    /// Opens pieces of raw content, from the one at `first` on.
    pub fn open_pieces(&self, first: usize, pieces: &mut [u8]) -> std::result::Result<(), Fault> {
        let Some(cipher) = &self.cipher else { return Ok(()) };
        for (at, piece) in (first..).zip(pieces.chunks_mut(PIECE_BYTES)) {
            let tag = self.tail.tags.get(at).ok_or(FAULT)?;
            cipher.open(at as u64, RAW, piece, tag).map_err(|_| FAULT)?;
        }
        Ok(())
    }

    /// Opens the frame at that position.
    pub fn open_frame(&self, position: usize, frame: &mut [u8]) -> std::result::Result<(), Fault> {
        let Some(cipher) = &self.cipher else { return Ok(()) };
        let tag = self.tail.tags.get(position).ok_or(FAULT)?;
        cipher.open(position as u64, FRAME, frame, tag).map_err(|_| FAULT)
    }
}

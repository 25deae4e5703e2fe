//! Reading of a content that is sealed with a data key of its own: whole pieces are gathered and opened, one by one.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::cipher::{DataKey, Opener, SEALED_PIECE_BYTES, STREAM_PIECE_BYTES};
use crate::error::{Error, Result};
use crate::index::record::Content;

/// A range of a sealed content, read from front to back.
pub(crate) struct SealedRange {
    pub(crate) content: Arc<Content>,
    opener: Opener,
    /// What was not handed out yet, in plain bytes of the content.
    left: Range<u64>,
    /// What was read of the next piece, and after it.
    gathered: BytesMut,
    ahead: Bytes,
    /// Whether a piece was opened, which proves that the key is the right one.
    opened: bool,
}

impl SealedRange {
    /// A range that is not empty. `Err(Sealed)` if the content has no salt.
    pub(crate) fn new(key: &DataKey, content: Content, left: Range<u64>) -> Result<SealedRange> {
        let salt = content.seal.as_ref().ok_or(Error::Sealed)?;
        let opener = Opener::new(key, salt, content.bytes);
        let content = Arc::new(content);
        Ok(SealedRange { content, opener, left, gathered: BytesMut::new(), ahead: Bytes::new(), opened: false })
    }

    /// Whether all was handed out.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    fn position(&self) -> u64 {
        self.left.start / STREAM_PIECE_BYTES as u64
    }

    /// What is to be read next, in bytes of what is stored: up to the end of the last piece that is needed. `None` if the
    /// next piece is there.
    pub(crate) fn wanted(&self) -> Option<Range<u64>> {
        let there = self.gathered.len() + self.ahead.len();
        if there >= self.opener.sealed_piece_bytes(self.position()) {
            return None;
        }
        let pieces = self.left.end.div_ceil(STREAM_PIECE_BYTES as u64);
        let end = (pieces * SEALED_PIECE_BYTES as u64).min(self.content.stored_bytes());
        Some(self.position() * SEALED_PIECE_BYTES as u64 + there as u64..end)
    }

    /// Takes what was read. All that was taken before belongs to the next piece.
    pub(crate) fn take(&mut self, bytes: Bytes) {
        self.gathered.extend_from_slice(&self.ahead);
        self.ahead = bytes;
    }

    /// Opens the next piece, all of which is there, and returns what is wanted of it.
    pub(crate) fn open(&mut self) -> Result<Bytes> {
        let position = self.position();
        let piece_bytes = self.opener.sealed_piece_bytes(position);
        let plain = if self.gathered.is_empty() {
            self.opener.open(position, &self.ahead.split_to(piece_bytes))
        } else {
            self.gathered.extend_from_slice(&self.ahead.split_to(piece_bytes - self.gathered.len()));
            self.opener.open(position, &self.gathered)
        };
        self.gathered.clear();
        // What is stored was verified before: if nothing opens, it is the key.
        let place = || format!("piece {position} of {}", hex::encode(self.content.id.to_bytes()));
        let plain = match plain {
            Ok(plain) => Bytes::from(plain),
            Err(_) if self.opened => return Err(Error::Corrupt { what: "sealed content", place: place() }),
            Err(_) => return Err(Error::WrongKey),
        };
        self.opened = true;
        let start = position * STREAM_PIECE_BYTES as u64;
        let end = self.left.end.min(start + plain.len() as u64);
        let within = |at: u64| usize::try_from(at - start).expect("a piece is small");
        let wanted = plain.slice(within(self.left.start)..within(end));
        self.left.start = end;
        Ok(wanted)
    }
}

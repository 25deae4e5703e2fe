//! aws-chunked bodies: an incremental decoder that never holds more than a line.
//!
//! ```text
//! signed:    size;chunk-signature=hex\r\n  data \r\n  ..  0;chunk-signature=hex\r\n  \r\n
//! trailer:   .. 0;chunk-signature=hex\r\n  name:value\n  x-amz-trailer-signature:hex\r\n  \r\n
//! unsigned:  size\r\n  data \r\n  ..  0\r\n  name:value\r\n  \r\n
//! ```
//!
//! Data is handed on as it arrives, without copies, but the last bytes of a signed chunk only once its signature is
//! known to be right. Which bytes arrive together makes no difference.

use bytes::{Buf as _, Bytes};
use sha2::{Digest as _, Sha256};

use super::fault;
use super::source::Source;
use super::trailer::{Trailers, parse_line};
use crate::auth::ChunkSigner;
use crate::error::S3Error;

/// The longest line: a chunk's header takes 100 bytes, the trailer of the longest checksum 120.
const LINE_BYTES_MAX: usize = 1024;

/// The smallest chunk that may be followed by another.
const CHUNK_BYTES_MIN: u64 = 8192;

const SIGNATURE_EXTENSION: &str = "chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

/// Takes the framing off one body.
pub(super) struct Decoder {
    state: State,
    input: Bytes,
    line: Vec<u8>,
    hasher: Sha256,
    signer: Option<ChunkSigner>,
    trailers: Trailers,
    with_trailer: bool,
    /// Decoded bytes that no chunk has announced yet.
    left: u64,
    /// How many chunks have begun, and the size of the last one.
    chunks: u64,
    chunk_bytes: u64,
    chunk_bytes_min: u64,
}

/// What the next byte belongs to.
enum State {
    ChunkHeader,
    Data {
        left: u64,
        signature: Option<String>,
    },
    DataEnd,
    /// A trailer, or the empty line after the last one.
    Trailer {
        signature_due: bool,
    },
    /// The empty line after the last chunk, or after the signature of the trailer.
    LastLine,
    /// Nothing, but perhaps one empty line more.
    End {
        spare: bool,
    },
}

impl Decoder {
    /// Expects `length` bytes of data; with a signer every chunk, and the trailer, must be signed.
    pub(super) fn new(length: u64, signer: Option<ChunkSigner>, trailers: Option<Trailers>) -> Decoder {
        Decoder {
            state: State::ChunkHeader,
            input: Bytes::new(),
            line: Vec::new(),
            hasher: Sha256::new(),
            signer,
            with_trailer: trailers.is_some(),
            trailers: trailers.unwrap_or_default(),
            left: length,
            chunks: 0,
            chunk_bytes: 0,
            chunk_bytes_min: CHUNK_BYTES_MIN,
        }
    }

    /// The next data, or `None` at the end, when all signatures and lengths were right.
    pub(super) async fn next(&mut self, source: &mut Source) -> Result<Option<Bytes>, S3Error> {
        loop {
            if let Some(data) = self.step()? {
                return Ok(Some(data));
            }
            match source.next().await? {
                Some(input) => self.feed(input),
                None => return self.finish().map(|()| None),
            }
        }
    }

    /// The trailers that have come.
    pub(super) fn trailers(&self) -> &Trailers {
        &self.trailers
    }

    /// Takes more bytes of the body; all of those before have been used up.
    fn feed(&mut self, input: Bytes) {
        debug_assert!(self.input.is_empty(), "input is only asked for when it is used up");
        self.input = input;
    }

    /// Goes on until there is data to give out, or `None` if more input is needed.
    fn step(&mut self) -> Result<Option<Bytes>, S3Error> {
        while !self.input.is_empty() {
            if let State::Data { left, .. } = &mut self.state {
                let here = usize::try_from(*left).map_or(self.input.len(), |left| left.min(self.input.len()));
                let data = self.input.split_to(here);
                *left -= here as u64;
                let ended = *left == 0;
                if self.signer.is_some() {
                    self.hasher.update(&data);
                }
                if ended {
                    self.end_of_data()?;
                }
                return Ok(Some(data));
            }
            if let Some(line) = self.take_line()? {
                self.accept_line(&line)?;
            }
        }
        Ok(None)
    }

    /// Checks that the input may end here.
    fn finish(&self) -> Result<(), S3Error> {
        match self.state {
            State::End { .. } if self.line.is_empty() => Ok(()),
            _ => Err(fault::incomplete_body()),
        }
    }

    /// The next whole line, without its `\n`.
    fn take_line(&mut self) -> Result<Option<Vec<u8>>, S3Error> {
        let end = self.input.iter().position(|&byte| byte == b'\n');
        let here = end.unwrap_or(self.input.len());
        if self.line.len() + here > LINE_BYTES_MAX {
            return Err(fault::malformed_chunk());
        }
        self.line.extend_from_slice(&self.input[..here]);
        self.input.advance(here);
        if end.is_none() {
            return Ok(None);
        }
        self.input.advance(1);
        Ok(Some(std::mem::take(&mut self.line)))
    }

    fn accept_line(&mut self, line: &[u8]) -> Result<(), S3Error> {
        match self.state {
            State::ChunkHeader => {
                let text = line.strip_suffix(b"\r").ok_or_else(fault::malformed_chunk)?;
                let header = ChunkHeader::parse(text)?;
                self.begin_chunk(header)
            }
            State::DataEnd => self.empty_line(line, State::ChunkHeader),
            State::LastLine => self.empty_line(line, State::End { spare: false }),
            State::End { spare: true } => self.empty_line(line, State::End { spare: false }),
            State::Trailer { signature_due } => {
                self.accept_trailer(line.strip_suffix(b"\r").unwrap_or(line), signature_due)
            }
            State::End { spare: false } | State::Data { .. } => Err(fault::malformed_chunk()),
        }
    }

    fn empty_line(&mut self, line: &[u8], next: State) -> Result<(), S3Error> {
        if line != b"\r" {
            return Err(fault::malformed_chunk());
        }
        self.state = next;
        Ok(())
    }

    fn begin_chunk(&mut self, header: ChunkHeader<'_>) -> Result<(), S3Error> {
        if header.signature.is_some() != self.signer.is_some() {
            return Err(fault::malformed_chunk());
        }
        self.chunks += 1;
        if header.size > 0 && self.chunks > 1 && self.chunk_bytes < self.chunk_bytes_min {
            return Err(fault::invalid_chunk_size(self.chunks, self.chunk_bytes));
        }
        self.chunk_bytes = header.size;
        self.left = self.left.checked_sub(header.size).ok_or_else(fault::incomplete_body)?;
        let signature = header.signature.map(str::to_owned);
        self.state = State::Data { left: header.size, signature };
        if header.size > 0 {
            return Ok(());
        }
        self.end_of_data()?;
        if self.left > 0 {
            return Err(fault::incomplete_body());
        }
        self.state = if self.with_trailer { State::Trailer { signature_due: false } } else { State::LastLine };
        Ok(())
    }

    /// All data of a chunk has come: checks its signature.
    fn end_of_data(&mut self) -> Result<(), S3Error> {
        let State::Data { signature, .. } = std::mem::replace(&mut self.state, State::DataEnd) else { return Ok(()) };
        match (&mut self.signer, signature) {
            (Some(signer), Some(signature)) => signer.verify_chunk(self.hasher.finalize_reset().into(), &signature),
            _ => Ok(()),
        }
    }

    fn accept_trailer(&mut self, line: &[u8], signature_due: bool) -> Result<(), S3Error> {
        if line.is_empty() {
            self.trailers.check_complete()?;
            self.state = match (&self.signer, signature_due) {
                // Some clients end each trailer with `\n` and the whole of them with `\r\n` twice.
                (None, _) => State::End { spare: true },
                // Some put an empty line between the trailers and their signature.
                (Some(_), false) => State::Trailer { signature_due: true },
                (Some(_), true) => return Err(fault::malformed_trailer()),
            };
            return Ok(());
        }
        let (name, value) = parse_line(line)?;
        match &mut self.signer {
            Some(signer) if name == TRAILER_SIGNATURE => {
                self.trailers.check_complete()?;
                signer.verify_trailer(&self.trailers.canonical(), value)?;
                self.state = State::LastLine;
                Ok(())
            }
            _ if signature_due => Err(fault::malformed_trailer()),
            _ => self.trailers.accept(&name, value),
        }
    }
}

/// `size` in hex, and the signature if there is one.
#[derive(Debug, PartialEq, Eq)]
struct ChunkHeader<'a> {
    size: u64,
    signature: Option<&'a str>,
}

impl<'a> ChunkHeader<'a> {
    fn parse(line: &'a [u8]) -> Result<ChunkHeader<'a>, S3Error> {
        let text = std::str::from_utf8(line).map_err(|_| fault::malformed_chunk())?;
        let (size, signature) = match text.split_once(';') {
            None => (text, None),
            Some((size, extension)) => {
                let signature = extension.strip_prefix(SIGNATURE_EXTENSION).ok_or_else(fault::malformed_chunk)?;
                (size, Some(signature))
            }
        };
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(fault::malformed_chunk());
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| fault::malformed_chunk())?;
        Ok(ChunkHeader { size, signature })
    }
}

#[cfg(test)]
mod tests;

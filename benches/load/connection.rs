//! One HTTP/1.1 connection, as cheap as it gets: bytes out in as few writes as possible, bodies read and forgotten.
//!
//! One request is in flight at a time. After any failure the connection is in an unknown state: drop it.

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::content::{BLOCK_BYTES, Content, Verifier};
use crate::failure::Failure;

/// Holds a response head, and the small bodies that come with it in one read.
const BUFFER_BYTES: usize = 32 << 10;
/// For large bodies; one per thread, so that it stays in the processor's cache.
const SCRATCH_BYTES: usize = 256 << 10;
/// Bodies up to this are copied behind their head and leave in one write.
const COPY_BYTES_MAX: u64 = 32 << 10;
/// 1 MiB per system call: more than a socket's buffer takes.
const BLOCKS_PER_WRITE: usize = 16;
/// Enough to find the error code.
const ERROR_BYTES_MAX: usize = 4 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// What to do with a body.
pub enum Sink<'a> {
    /// Count it.
    Count,
    /// Keep it.
    Keep(&'a mut Vec<u8>),
    /// Compare it.
    Verify(&'a mut Verifier),
}

impl Sink<'_> {
    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Sink::Count => {}
            Sink::Keep(kept) => kept.extend_from_slice(bytes),
            Sink::Verify(verifier) => verifier.feed(bytes),
        }
    }
}

/// Whether a response may carry a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// As its headers say.
    Body,
    /// Never: the request was a HEAD.
    HeadOnly,
}

/// What is kept of a response.
#[derive(Debug, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Bytes of the body, or the announced length for HEAD.
    pub body_bytes: u64,
    /// The entity tag as sent, quotes included.
    pub etag: Option<String>,
    /// The endpoint closes the connection.
    pub closes: bool,
    /// `<Code>` of an S3 error.
    pub error_code: String,
    chunked: bool,
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(authority: &str) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(authority).await.map_err(Failure::io("connect"))?;
        stream.set_nodelay(true).map_err(Failure::io("set TCP_NODELAY"))?;
        Ok(Connection { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 })
    }

    /// Sends a request head, and behind it the body, if any.
    pub async fn send(&mut self, head: &mut Vec<u8>, body: Option<(Content, u64)>) -> Result<(), Failure> {
        match body {
            Some((content, bytes)) if bytes > COPY_BYTES_MAX => self.send_large(head, content, bytes).await,
            Some((content, bytes)) => {
                content.append_to(head, bytes);
                self.send_bytes(head).await
            }
            None => self.send_bytes(head).await,
        }
    }

    /// Sends bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await.map_err(Failure::io("send"))
    }

    async fn send_large(&mut self, head: &[u8], content: Content, bytes: u64) -> Result<(), Failure> {
        let mut head = head;
        let mut sent = 0;
        while !head.is_empty() || sent < bytes {
            let first = sent / BLOCK_BYTES as u64;
            let blocks: [_; BLOCKS_PER_WRITE] = std::array::from_fn(|n| content.block(first + n as u64));
            let mut slices = [IoSlice::new(&[]); 1 + 2 * BLOCKS_PER_WRITE];
            slices[0] = IoSlice::new(head);
            let mut skip = (sent % BLOCK_BYTES as u64) as usize;
            let mut left = usize::try_from(bytes - sent).unwrap_or(usize::MAX);
            let mut used = 1;
            for piece in blocks.iter().flat_map(|(stamp, noise)| [&stamp[..], noise]) {
                let skipped = skip.min(piece.len());
                skip -= skipped;
                let piece = &piece[skipped..];
                let piece = &piece[..piece.len().min(left)];
                left -= piece.len();
                if !piece.is_empty() {
                    slices[used] = IoSlice::new(piece);
                    used += 1;
                }
            }
            let written = self.stream.write_vectored(&slices[..used]).await.map_err(Failure::io("send"))?;
            if written == 0 {
                return Err(Failure::Io { action: "send", source: ErrorKind::WriteZero.into() });
            }
            let of_head = written.min(head.len());
            head = &head[of_head..];
            sent += (written - of_head) as u64;
        }
        Ok(())
    }

    /// Receives one response; its body goes to `sink` unless it is an error's.
    pub async fn receive(&mut self, expect: Expect, sink: &mut Sink<'_>) -> Result<Response, Failure> {
        let mut response = loop {
            let response = self.receive_head().await?;
            if response.status >= 200 {
                break response;
            }
        };
        if expect == Expect::HeadOnly || response.status == 204 || response.status == 304 {
            return Ok(response);
        }
        if response.status < 300 {
            self.receive_body(&mut response, sink).await?;
        } else {
            let mut kept = Vec::new();
            self.receive_body(&mut response, &mut Sink::Keep(&mut kept)).await?;
            kept.truncate(ERROR_BYTES_MAX);
            response.error_code = element(&kept, "Code").unwrap_or_default();
        }
        Ok(response)
    }

    async fn receive_head(&mut self) -> Result<Response, Failure> {
        let mut searched = 0;
        loop {
            let bytes = &self.buffer[self.start..self.end];
            // The blank line may straddle two reads, by three bytes at most.
            if let Some(found) = find(&bytes[searched..], b"\r\n\r\n") {
                let head = &bytes[..searched + found];
                let response = parse_head(head)?;
                self.start += searched + found + 4;
                return Ok(response);
            }
            searched = bytes.len().saturating_sub(3);
            self.fill().await?;
        }
    }

    async fn receive_body(&mut self, response: &mut Response, sink: &mut Sink<'_>) -> Result<(), Failure> {
        if !response.chunked {
            return self.receive_bytes(response.body_bytes, sink).await;
        }
        response.body_bytes = 0;
        loop {
            let line = self.receive_line().await?;
            let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
            let chunk_bytes = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u64::from_str_radix(digits, 16).ok())
                .ok_or(Failure::Malformed("chunk size"))?;
            if chunk_bytes == 0 {
                while !self.receive_line().await?.is_empty() {}
                return Ok(());
            }
            self.receive_bytes(chunk_bytes, sink).await?;
            response.body_bytes += chunk_bytes;
            if !self.receive_line().await?.is_empty() {
                return Err(Failure::Malformed("chunk ending"));
            }
        }
    }

    /// Takes `left` bytes, first those already here, then from the stream.
    async fn receive_bytes(&mut self, mut left: u64, sink: &mut Sink<'_>) -> Result<(), Failure> {
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.start);
            sink.feed(&self.buffer[self.start..self.start + here]);
            self.start += here;
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            if left < BUFFER_BYTES as u64 {
                self.fill().await?;
            } else {
                left -= self.receive_scratch(left, sink).await?;
            }
        }
    }

    /// One read of a large body into the thread's scratch buffer.
    async fn receive_scratch(&mut self, left: u64, sink: &mut Sink<'_>) -> Result<u64, Failure> {
        loop {
            self.stream.readable().await.map_err(Failure::io("receive"))?;
            let read: std::io::Result<usize> = SCRATCH.with_borrow_mut(|scratch| {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(scratch.len());
                let read = self.stream.try_read(&mut scratch[..length])?;
                sink.feed(&scratch[..read]);
                Ok(read)
            });
            match read {
                Ok(0) => return Err(Failure::Io { action: "receive", source: ErrorKind::UnexpectedEof.into() }),
                Ok(read) => return Ok(read as u64),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(source) => return Err(Failure::Io { action: "receive", source }),
            }
        }
    }

    async fn receive_line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            if let Some(found) = find(bytes, b"\r\n") {
                let line = bytes[..found].to_vec();
                self.start += found + 2;
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    /// Reads more behind what is in the buffer.
    async fn fill(&mut self) -> Result<(), Failure> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(Failure::Malformed("a head or chunk line longer than 32 KiB"));
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await.map_err(Failure::io("receive"))?;
        if read == 0 {
            return Err(Failure::Io { action: "receive", source: ErrorKind::UnexpectedEof.into() });
        }
        self.end += read;
        Ok(())
    }
}

fn parse_head(head: &[u8]) -> Result<Response, Failure> {
    let head = std::str::from_utf8(head).map_err(|_| Failure::Malformed("head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1."))
        .and_then(|line| line.get(2..5)?.parse().ok())
        .ok_or(Failure::Malformed("status line"))?;
    let mut response = Response { status, ..Response::default() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Failure::Malformed("header"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            response.body_bytes = value.parse().map_err(|_| Failure::Malformed("content-length"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            response.chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            response.closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("etag") {
            response.etag = Some(value.to_owned());
        }
    }
    Ok(response)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// The text of the first `<name>` in an XML answer; enough for answers whose values need no unescaping.
pub fn element(xml: &[u8], name: &str) -> Option<String> {
    let start = find(xml, format!("<{name}>").as_bytes())? + name.len() + 2;
    let length = find(&xml[start..], b"<")?;
    Some(String::from_utf8_lossy(&xml[start..start + length]).into_owned())
}

/// How often `<name>` occurs in an XML answer.
pub fn count_elements(xml: &[u8], name: &str) -> u64 {
    let wanted = format!("<{name}>");
    xml.windows(wanted.len()).filter(|window| *window == wanted.as_bytes()).count() as u64
}

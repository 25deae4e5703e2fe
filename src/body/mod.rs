//! Request bodies: framing removed, lengths enforced, payload hash and chunk signatures checked.
//!
//! Nothing is read before the first call that needs bytes. That matters: the first read is what makes the server
//! answer `100 Continue`, so a client that waits for it sends no body to a request that is refused before.

mod chunked;
mod fault;
mod framing;
mod plain;
mod source;
mod trailer;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use crate::auth::PayloadAuth;
use crate::document_room::{DocumentRoom, Space};
use crate::error::S3Error;

use chunked::Decoder;
use framing::Lengths;
use plain::Plain;
use source::Source;
use trailer::Trailers;

pub use source::Transport;

/// A request body as operations read it. Its end is only reported when everything signed or declared about the body
/// held: length, payload hash, chunk signatures, trailer signature.
pub struct Body {
    source: Source,
    framing: Framing,
    length: Option<u64>,
    progress: Progress,
    /// What was read and then put back.
    again: Option<Bytes>,
    /// Where there is room for it if it is collected.
    room: Option<Arc<DocumentRoom>>,
    /// The room that it takes.
    space: Option<Space>,
}

enum Framing {
    /// Of unknown length, ended by its transport.
    Streamed,
    Plain(Plain),
    Chunked(Box<Decoder>),
}

enum Progress {
    Reading,
    Ended,
    Failed(S3Error),
}

impl Body {
    /// The body of a request with these headers. `payload` is what authentication said of it; a read that gives
    /// nothing for `idle` ends the request with `RequestTimeout`. Reads nothing.
    ///
    /// `Err` means that the headers contradict each other, or that a body without bytes cannot match its hash.
    /// Whether a body is too large is for the operation to say.
    pub fn new(
        transport: impl Into<Transport>,
        headers: &HeaderMap,
        payload: PayloadAuth,
        idle: Duration,
    ) -> Result<Body, S3Error> {
        let transport = transport.into();
        let empty = transport.is_end_stream();
        Body::build(transport, headers, payload, idle).map_err(|mut error| {
            error.close |= !empty;
            error
        })
    }

    /// A body inside of another, which knows where it ends and checks what can be checked.
    pub fn streamed(transport: Transport, idle: Duration) -> Body {
        let source = Source::new(transport, None, idle);
        Body {
            source,
            framing: Framing::Streamed,
            length: None,
            progress: Progress::Reading,
            again: None,
            room: None,
            space: None,
        }
    }

    /// The same; if it is collected, it takes room there for as long as it lives.
    #[must_use]
    pub fn with_room(self, room: &Arc<DocumentRoom>) -> Body {
        Body { room: Some(Arc::clone(room)), ..self }
    }

    /// No body.
    pub fn empty() -> Body {
        Body::streamed(Transport::from(Bytes::new()), Duration::ZERO)
    }

    /// An unsigned body in memory.
    #[cfg(test)]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Body {
        let bytes = bytes.into();
        let length = u64::try_from(bytes.len()).ok();
        Body {
            source: Source::new(Transport::from(bytes), length, Duration::from_mins(1)),
            framing: Framing::Plain(Plain::new(length, None)),
            length,
            progress: Progress::Reading,
            again: None,
            room: None,
            space: None,
        }
    }

    /// The decoded length in bytes: `x-amz-decoded-content-length` or `Content-Length`. 411 `MissingContentLength` if
    /// the request declared none, and so has no body.
    pub fn require_length(&self) -> Result<u64, S3Error> {
        self.length.ok_or_else(fault::missing_content_length)
    }

    /// The decoded length in bytes if it is known before the end; an error as in [`Body::require_length`] where it must be.
    pub fn size(&self) -> Result<Option<u64>, S3Error> {
        match self.framing {
            Framing::Streamed => Ok(None),
            Framing::Plain(_) | Framing::Chunked(_) => self.require_length().map(Some),
        }
    }

    /// The next bytes, never none of them, or `None` at the verified end. After an error every call repeats it.
    /// Dropping the future loses no bytes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        if let Some(bytes) = self.again.take().filter(|bytes| !bytes.is_empty()) {
            return Ok(Some(bytes));
        }
        match &self.progress {
            Progress::Ended => return Ok(None),
            Progress::Failed(error) => return Err(error.clone()),
            Progress::Reading => {}
        }
        let step = match &mut self.framing {
            Framing::Streamed => self.source.next().await,
            Framing::Plain(plain) => plain.next(&mut self.source).await,
            Framing::Chunked(decoder) => decoder.next(&mut self.source).await,
        };
        match step {
            Ok(None) => self.progress = Progress::Ended,
            Ok(Some(_)) => {}
            Err(error) => return Err(self.fail(error)),
        }
        step
    }

    /// Makes a body that was collected readable once more; `bytes` are what it gave.
    pub fn put_back(&mut self, bytes: Bytes) {
        self.again = Some(bytes);
    }

    /// The value of a trailer, once the end was reached. Names are lower case.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        match (&self.framing, &self.progress) {
            (Framing::Chunked(decoder), Progress::Ended) => decoder.trailers().get(name),
            _ => None,
        }
    }

    /// Reads a whole small body. More than `most` bytes: 400 `MaxMessageLengthExceeded` with
    /// `MaxMessageLengthBytes`, without reading when the length was declared. No room for it: 503 `SlowDown`.
    pub async fn collect(&mut self, most: usize) -> Result<Bytes, S3Error> {
        if self.length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > most)) {
            return Err(self.fail(too_long(most)));
        }
        self.take_room(most).await?;
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return self.within(first, most) };
        let mut whole = BytesMut::from(&first[..]);
        let mut next = Some(second);
        while let Some(data) = next {
            if whole.len() + data.len() > most {
                return Err(self.fail(too_long(most)));
            }
            whole.extend_from_slice(&data);
            next = self.next().await?;
        }
        self.within(whole.freeze(), most)
    }

    async fn take_room(&mut self, most: usize) -> Result<(), S3Error> {
        let length = match self.framing {
            Framing::Streamed => most,
            // A request that declares no length has no body.
            Framing::Plain(_) | Framing::Chunked(_) => {
                self.length.map_or(0, |length| usize::try_from(length).unwrap_or(most))
            }
        };
        if let (Some(room), None, 1..) = (self.room.clone(), &self.space, length) {
            let space = room.take(length).await;
            self.space = Some(space.map_err(|error| self.fail(error))?);
        }
        Ok(())
    }

    fn build(transport: Transport, headers: &HeaderMap, payload: PayloadAuth, idle: Duration) -> Result<Body, S3Error> {
        let lengths = Lengths::read(headers)?;
        let plain = |hash| -> Result<(Option<u64>, Framing), S3Error> {
            trailer::refuse_announcement(headers)?;
            let length = lengths.plain()?;
            let mut plain = Plain::new(length, hash);
            plain.verify_if_complete()?;
            Ok((length, Framing::Plain(plain)))
        };
        let chunked = |signer, trailers| -> Result<(Option<u64>, Framing), S3Error> {
            let length = lengths.decoded()?;
            Ok((Some(length), Framing::Chunked(Box::new(Decoder::new(length, signer, trailers)))))
        };
        let (length, framing) = match payload {
            PayloadAuth::Sha256(hash) => plain(Some(hash))?,
            PayloadAuth::Unsigned => plain(None)?,
            PayloadAuth::StreamingSigned { signer, trailer: false } => {
                trailer::refuse_announcement(headers)?;
                chunked(Some(signer), None)?
            }
            PayloadAuth::StreamingSigned { signer, trailer: true } => {
                chunked(Some(signer), Some(Trailers::announced_in(headers)?))?
            }
            PayloadAuth::StreamingUnsignedTrailer => chunked(None, Some(Trailers::announced_in(headers)?))?,
        };
        let source = Source::new(transport, lengths.wire(), idle);
        Ok(Body { source, framing, length, progress: Progress::Reading, again: None, room: None, space: None })
    }

    /// Remembers an error, so that no later call can report the end.
    fn fail(&mut self, mut error: S3Error) -> S3Error {
        error.close |= !self.source.is_consumed();
        self.progress = Progress::Failed(error.clone());
        error
    }

    fn within(&mut self, whole: Bytes, most: usize) -> Result<Bytes, S3Error> {
        if whole.len() > most { Err(self.fail(too_long(most))) } else { Ok(whole) }
    }
}

fn too_long(most: usize) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "MaxMessageLengthExceeded", "Your request was too big.")
        .with("MaxMessageLengthBytes", most.to_string())
}

#[cfg(test)]
mod tests;

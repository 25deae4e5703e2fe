//! Where a body's bytes come from: the connection, read with limited patience, its declared length enforced.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use super::fault;
use crate::error::S3Error;
use crate::patience::Patience;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body as it arrives. Connections, which matter for speed, are not behind a pointer.
pub enum Transport {
    /// From a connection.
    Incoming(Incoming),
    /// From elsewhere.
    Other(BoxBody<Bytes, BoxError>),
}

impl From<Incoming> for Transport {
    fn from(incoming: Incoming) -> Transport {
        Transport::Incoming(incoming)
    }
}

impl From<Bytes> for Transport {
    fn from(bytes: Bytes) -> Transport {
        Transport::Other(Full::new(bytes).map_err(|never| match never {}).boxed())
    }
}

impl From<BoxBody<Bytes, BoxError>> for Transport {
    fn from(body: BoxBody<Bytes, BoxError>) -> Transport {
        Transport::Other(body)
    }
}

impl Transport {
    /// Whether nothing is left to read, as far as is known without reading.
    pub fn is_end_stream(&self) -> bool {
        match self {
            Transport::Incoming(body) => body.is_end_stream(),
            Transport::Other(body) => body.is_end_stream(),
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Transport::Incoming(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
            Transport::Other(body) => Pin::new(body).poll_frame(context),
        }
    }
}

/// The bytes on the wire.
pub(super) struct Source {
    transport: Transport,
    declared: Option<u64>,
    received: u64,
    ended: bool,
    patience: Patience,
}

impl Source {
    /// Reads from `transport`, which declares this many bytes.
    pub(super) fn new(transport: Transport, declared: Option<u64>, idle: Duration) -> Source {
        Source { transport, declared, received: 0, ended: false, patience: Patience::new(idle) }
    }

    /// The next bytes, at least one, or `None` at the end if as many arrived as were declared.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        while !self.ended {
            let frame = poll_fn(|context| self.transport.poll_frame(context));
            let patience = self.patience.wait(Instant::now());
            let Ok(frame) = tokio::time::timeout(patience, frame).await else {
                return Err(fault::request_timeout());
            };
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
            self.patience.moved(bytes as u64, Instant::now());
            match frame.transpose() {
                Ok(None) => self.ended = true,
                // HTTP's own trailers say nothing to S3, whose trailers are inside the body.
                Ok(Some(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return self.accept(data).map(Some),
                    _ => {}
                },
                // A body inside of another, as the file of a form, knows S3's words for what is wrong.
                Err(error) => match error.downcast::<S3Error>() {
                    Ok(told) => return Err(*told),
                    Err(error) => {
                        tracing::debug!(%error, "request body broke off");
                        return Err(fault::incomplete_body());
                    }
                },
            }
        }
        match self.declared {
            Some(declared) if self.received < declared => Err(fault::incomplete_body()),
            _ => Ok(None),
        }
    }

    /// Whether the connection is past this body.
    pub(super) fn is_consumed(&self) -> bool {
        self.ended || self.transport.is_end_stream()
    }

    fn accept(&mut self, data: Bytes) -> Result<Bytes, S3Error> {
        self.received = self.received.saturating_add(data.len() as u64);
        match self.declared {
            Some(declared) if self.received > declared => Err(fault::incomplete_body()),
            _ => Ok(data),
        }
    }
}

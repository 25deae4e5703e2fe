//! A request's body as the connection gives it: bytes are counted, and what nobody read comes back when the body is
//! dropped, so that the connection can be kept if little is left.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

/// How much of an unread body is read away to keep the connection: beyond it, a new connection is cheaper.
const DRAIN_BYTES_MAX: u64 = 64 << 10;

/// How long reading it away may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// The body of one request.
pub struct IncomingBody {
    incoming: Option<Incoming>,
    rest: Rest,
    bytes: u64,
    ended: bool,
    last: Option<std::time::Instant>,
}

/// What became of a body, known once it was dropped.
#[derive(Clone, Default)]
pub struct Rest(Arc<Mutex<Remains>>);

#[derive(Default)]
struct Remains {
    unread: Option<Incoming>,
    bytes: u64,
    last: Option<std::time::Instant>,
}

impl IncomingBody {
    /// Wraps a body; the second half tells of it later.
    pub fn new(incoming: Incoming) -> (IncomingBody, Rest) {
        let rest = Rest::default();
        let ended = incoming.is_end_stream();
        (IncomingBody { incoming: Some(incoming), rest: rest.clone(), bytes: 0, ended, last: None }, rest)
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.last = Some(std::time::Instant::now());
            }
            // Nothing more will come either way.
            Poll::Ready(Some(Err(_)) | None) => self.ended = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        let mut remains = self.rest.0.lock().unwrap_or_else(PoisonError::into_inner);
        remains.bytes = self.bytes;
        remains.last = self.last;
        remains.unread = self.incoming.take().filter(|incoming| !self.ended && !incoming.is_end_stream());
    }
}

impl Rest {
    /// How many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// When the last of them came; `None` if there was no body.
    pub fn last_read(&self) -> Option<std::time::Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Reads away what little was left unread. False if there was more, so that the connection cannot be kept.
    ///
    /// `waits` tells that the client waits for `100 Continue` before it sends the body, which it then never needs to.
    pub async fn drain(&self, waits: bool) -> bool {
        let (unread, bytes) = {
            let mut remains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (remains.unread.take(), remains.bytes)
        };
        let Some(mut unread) = unread else { return true };
        if (waits && bytes == 0) || unread.size_hint().lower() > DRAIN_BYTES_MAX {
            return false;
        }
        let deadline = Instant::now() + DRAIN_TIME_MAX;
        let mut drained = 0;
        loop {
            match tokio::time::timeout_at(deadline, unread.frame()).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => drained += frame.data_ref().map_or(0, |data| data.len() as u64),
                Ok(Some(Err(_))) | Err(_) => return false,
            }
            if drained > DRAIN_BYTES_MAX {
                return false;
            }
        }
    }
}

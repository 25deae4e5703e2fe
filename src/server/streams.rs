//! The streams of one HTTP/2 connection: each is a task, given up when its client stops taking the answer.
//!
//! HTTP/2 has a window per stream, so a client can read its socket and yet never take an answer. The connection's own
//! timer does not see that, and hyper has none for it. So each stream notes whether it waits for the engine, which may
//! take long, or for the client, which may not.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is handed to the connection at a time. A client must take so much, and no more, to count as reading.
const PIECE_BYTES_MAX: usize = 64 << 10;

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// Whom a stream waits for.
#[derive(Default)]
struct Progress {
    /// Bytes of the answer were handed over, and no more asked for yet.
    is_sending: AtomicBool,
    /// How many pieces were.
    pieces: AtomicU64,
}

/// Spawns the streams of one connection for hyper, and ends them with it.
#[derive(Clone)]
pub struct Streams {
    tasks: Arc<Mutex<JoinSet<()>>>,
    open: watch::Sender<usize>,
    idle: Duration,
}

impl Streams {
    /// None yet. A client may leave an answer for at most `idle`.
    pub fn new(idle: Duration) -> Streams {
        Streams { tasks: Arc::default(), open: watch::Sender::new(0), idle }
    }

    /// Returns once no stream was open for that long.
    pub async fn unused(&self, patience: Duration) {
        let mut open = self.open.subscribe();
        loop {
            if open.wait_for(|open| *open == 0).await.is_err() {
                return;
            }
            if tokio::time::timeout(patience, open.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Ends what is left, and returns once nothing runs any more.
    pub async fn end(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let open = OpenStream::new(self.open.clone());
        let progress = Arc::new(Progress::default());
        let task = give_up_on_stall(stream, Arc::clone(&progress), self.idle);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that ended stay in the set until they are asked for.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(PROGRESS.scope(progress, async move {
            task.await;
            drop(open);
        }));
    }
}

/// Counts one stream as open while it lives.
struct OpenStream(watch::Sender<usize>);

impl OpenStream {
    fn new(open: watch::Sender<usize>) -> OpenStream {
        open.send_modify(|open| *open += 1);
        OpenStream(open)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Runs a stream until it ends, or until its client took less than a piece in `idle`; then it is dropped, which resets it.
async fn give_up_on_stall(stream: impl Future<Output = ()>, progress: Arc<Progress>, idle: Duration) {
    let mut stream = pin!(stream);
    let mut timer = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !progress.is_sending.load(Ordering::Relaxed) {
            timer = None;
            return Poll::Pending;
        }
        let pieces = progress.pieces.load(Ordering::Relaxed);
        let (piece, timer) = timer.get_or_insert_with(|| (pieces, Box::pin(tokio::time::sleep(idle))));
        // A client that takes a byte now and then takes as long as one that takes none.
        if *piece != pieces {
            *piece = pieces;
            timer.as_mut().reset(Instant::now() + idle);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}

/// Answers one request of a stream; to be called in the stream's task.
pub async fn paced<B>(answer: impl Future<Output = http::Response<B>>) -> Result<http::Response<Paced<B>>, Infallible> {
    let response = answer.await;
    let progress = PROGRESS.try_with(Arc::clone).unwrap_or_default();
    Ok(response.map(|body| Paced { body, rest: Bytes::new(), progress }))
}

/// An answer's body in pieces, which notes when one was handed over.
pub struct Paced<B> {
    body: B,
    rest: Bytes,
    progress: Arc<Progress>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.progress.is_sending.store(false, Ordering::Relaxed);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.rest = bytes,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        self.progress.pieces.fetch_add(1, Ordering::Relaxed);
        self.progress.is_sending.store(true, Ordering::Relaxed);
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest.is_empty() {
            true => self.body.size_hint(),
            false => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use bytes::Bytes;
    use http_body::Body as _;
    use http_body_util::{BodyExt as _, Full};
    use hyper::rt::Executor as _;

    use super::{PIECE_BYTES_MAX, Paced, Progress, Streams, give_up_on_stall};

    const IDLE: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn only_a_stream_that_waits_for_its_client_is_given_up() {
        let progress = Arc::new(Progress::default());
        let waiting = tokio::time::timeout(10 * IDLE, give_up_on_stall(pending(), Arc::clone(&progress), IDLE)).await;
        assert!(waiting.is_err(), "the engine may take its time");
        progress.is_sending.store(true, Ordering::Relaxed);
        give_up_on_stall(pending(), progress, IDLE).await;
    }

    #[tokio::test]
    async fn bodies_come_whole_and_in_pieces() {
        let whole = Bytes::from(vec![7; 2 * PIECE_BYTES_MAX + 1]);
        let mut body = Paced { body: Full::new(whole.clone()), rest: Bytes::new(), progress: Arc::default() };
        assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
        let mut received = Vec::new();
        while let Some(frame) = body.frame().await {
            assert!(body.progress.is_sending.load(Ordering::Relaxed));
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= PIECE_BYTES_MAX);
            received.extend_from_slice(&data);
            assert_eq!(body.is_end_stream(), received.len() == whole.len());
        }
        assert!(received == whole && !body.progress.is_sending.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_connection_is_unused_once_its_streams_ended() {
        let streams = Streams::new(IDLE);
        streams.unused(IDLE).await;
        streams.execute(pending());
        assert!(tokio::time::timeout(10 * IDLE, streams.unused(IDLE)).await.is_err());
        streams.end().await;
        streams.unused(IDLE).await;
    }
}

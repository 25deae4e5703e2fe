//! A client's TCP stream that gives up on clients which stop reading.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::patience::Patience;

/// How long a connection that is being closed still reads, so that the client sees the answer.
const LINGER_TIME_MAX: Duration = Duration::from_secs(3);

/// How much is read away at a time meanwhile.
const LINGER_BUFFER_BYTES: usize = 16 << 10;

/// The stream. Only writes are timed here: while the server works on a request, nothing is read, and rightly so.
pub struct ClientStream {
    stream: TcpStream,
    patience: Patience,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// Waits at most `idle` for the client to take bytes, as often as it took as many as [`Patience`] wants.
    pub fn new(stream: TcpStream, idle: Duration) -> ClientStream {
        ClientStream { stream, patience: Patience::new(idle), timer: None }
    }

    /// Waits for the first byte and leaves it where it is; `None` if the client sends none.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let count = self.stream.peek(&mut byte).await?;
        Ok((count > 0).then_some(byte[0]))
    }

    /// Starts the timer when a write has to wait, and stops it once bytes were taken.
    fn timed(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(taken) = &outcome {
            let bytes = taken.as_ref().map_or(0, |taken| *taken as u64);
            self.patience.moved(bytes, std::time::Instant::now());
            self.timer = None;
            return outcome;
        }
        let deadline = Instant::now() + self.patience.wait(std::time::Instant::now());
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut))),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Closes a stream so that a client which is still sending can read the answer. Closing at once would send a reset,
/// which makes the client's system throw away what it received.
pub async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let drained = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; LINGER_BUFFER_BYTES];
        while stream.read(&mut buffer).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever comes of it, the connection ends here.
    let _drained = tokio::time::timeout(LINGER_TIME_MAX, drained).await;
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.timed(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A TCP stream has nothing to flush, so this must not pass for the client having taken bytes.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! Accepts connections and serves HTTP/1.1 on them, until told to stop.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::stream::ClientStream;
use crate::config::Limits;
use crate::service::{Peer, Service};

/// The read buffer and the bound on what is queued for writing, per connection: large enough that a body arrives in
/// few reads, small enough that thousands of connections fit into memory.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// The pause after the system refused a connection, as when the process has no file descriptor left.
const REFUSAL_PAUSE: Duration = Duration::from_millis(50);

/// What the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Taking requests.
    Serving,
    /// Finishing requests in flight.
    Draining,
    /// Giving up on what is left.
    Closing,
}

/// What all connections share.
pub struct Connections {
    /// Answers the requests.
    pub service: Arc<Service>,
    /// One permit per connection.
    pub permits: Arc<Semaphore>,
    /// The bounds.
    pub limits: Limits,
}

impl Connections {
    /// Accepts connections while the server serves. At the limit nothing is accepted: clients wait in the listener's
    /// queue rather than being turned away.
    pub async fn accept(self: Arc<Connections>, listener: TcpListener, mut phase: watch::Receiver<Phase>) {
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&self.permits).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            };
            let accepted = tokio::select! {
                // In this order, so that nobody is accepted any more once others saw the server stop.
                biased;
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, remote)) => {
                    tokio::spawn(Arc::clone(&self).serve(stream, remote, permit, phase.clone()));
                }
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(REFUSAL_PAUSE).await;
                }
            }
        }
    }

    async fn serve(
        self: Arc<Connections>,
        stream: TcpStream,
        remote: SocketAddr,
        _permit: OwnedSemaphorePermit,
        mut phase: watch::Receiver<Phase>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%remote, %error, "cannot set TCP_NODELAY");
        }
        let idle = Duration::from_secs(self.limits.idle_seconds);
        let stream = TokioIo::new(ClientStream::new(stream, idle));
        let peer = Arc::new(Peer { remote, unread: AtomicBool::new(false) });
        let answer = service_fn(|request| {
            let (service, peer) = (Arc::clone(&self.service), Arc::clone(&peer));
            Box::pin(async move { Ok::<_, Infallible>(service.answer(request, &peer).await) })
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // The clock starts when the connection is ready for a request, so this bounds idle connections, too.
            .header_read_timeout(idle)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(BUFFER_BYTES_MAX.max(self.limits.header_bytes))
            .writev(true)
            .half_close(false)
            .serve_connection(stream, answer);

        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                changed = phase.changed() => match (changed, *phase.borrow_and_update()) {
                    (Ok(()), Phase::Serving) => {}
                    (Ok(()), Phase::Draining) => std::pin::Pin::new(&mut connection).graceful_shutdown(),
                    // Closing, or the server was dropped.
                    (Ok(()), Phase::Closing) | (Err(_), _) => return,
                },
            }
        };
        match ended {
            Ok(()) if peer.unread.load(Ordering::Relaxed) => {
                let stream = connection.into_parts().io.into_inner();
                tokio::select! {
                    () = stream.linger() => {}
                    _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
                }
            }
            Ok(()) => {}
            Err(error) => tracing::debug!(%remote, %error, "a connection broke off"),
        }
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

//! Accepts connections, agrees with each client on encryption and protocol, and serves it until told to stop.
//!
//! A connection counts from the moment it is accepted, handshake included, and nobody waits for another's handshake.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::header::HOST;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{CipherSuite, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::server::TlsStream;

use super::stream::{ClientStream, linger};
use super::streams::{Streams, paced};
use super::tls::{HTTP_2, Tls};
use crate::config::{Limits, TlsVersion};
use crate::service::{Peer, Service};

/// The read buffer and the bound on what is queued for writing, per connection: large enough that a body arrives in
/// few reads, small enough that thousands of connections fit into memory.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// The pause after the system refused a connection, as when the process has no file descriptor left.
const REFUSAL_PAUSE: Duration = Duration::from_millis(50);

/// How long a handshake may take: two round trips and a signature, on the slowest of lines.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// The type of a TLS record that begins a handshake. No method of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Requests that one HTTP/2 connection may have open at once: what RFC 9113 recommends as the least.
const STREAMS_MAX: u32 = 100;

/// What a client may send on one stream, and on all of a connection, before somebody reads it: requests that wait for
/// their turn hold so much. The connection's is the larger, so that a few of those do not hold up the others.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// How many streams a client may have opened and reset again before the server came to see them. More is an attack that
/// makes the server begin work which nobody waits for.
const RESET_STREAMS_MAX: usize = 20;

/// How many streams the server may have to reset for breaking the protocol before it gives up on the client.
const FAULTY_STREAMS_MAX: usize = 100;

/// How long an HTTP/2 client has to agree that a connection without streams ends.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(2);

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
    /// The certificate, if connections are encrypted.
    pub tls: Option<Arc<Tls>>,
}

/// What became of a new connection.
enum Opened {
    /// It stays as it is.
    Plain(ClientStream),
    /// It is encrypted now.
    Encrypted(Box<TlsStream<ClientStream>>, Encryption),
    /// The client speaks something else, and should be told.
    Unencrypted(ClientStream),
}

/// What a client and this server agreed on.
#[derive(Debug, Clone, Copy)]
struct Encryption {
    version: TlsVersion,
    cipher: Option<&'static str>,
}

/// What OpenSSL, and so access logs, call a cipher suite.
fn cipher_name(suite: CipherSuite) -> Option<&'static str> {
    Some(match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
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
        let opened = tokio::select! {
            opened = self.open(ClientStream::new(stream, self.idle())) => opened,
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        };
        let peer = |tls: Option<Encryption>| {
            let (tls, cipher) = (tls.map(|tls| tls.version), tls.and_then(|tls| tls.cipher));
            Peer { remote, tls, cipher, unread: AtomicBool::new(false) }
        };
        match opened {
            Ok(Opened::Plain(stream)) => self.serve_http1(stream, peer(None), phase).await,
            Ok(Opened::Encrypted(stream, version)) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
                self.serve_http2(*stream, peer(Some(version)), phase).await;
            }
            Ok(Opened::Encrypted(stream, version)) => self.serve_http1(*stream, peer(Some(version)), phase).await,
            Ok(Opened::Unencrypted(stream)) => tokio::select! {
                () = ask_for_https(stream) => {}
                _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
            },
            Err(error) => tracing::debug!(%remote, %error, "a handshake failed"),
        }
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(self.limits.idle_seconds)
    }

    /// Shakes hands with the client, if connections are encrypted.
    async fn open(&self, stream: ClientStream) -> io::Result<Opened> {
        let Some(tls) = &self.tls else { return Ok(Opened::Plain(stream)) };
        let handshake = async {
            match stream.first_byte().await? {
                Some(TLS_HANDSHAKE) => {}
                Some(_) => return Ok(Opened::Unencrypted(stream)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            let stream = tls.acceptor().accept(stream).await?;
            let session = &stream.get_ref().1;
            let version = match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
                _ => TlsVersion::V1_2,
            };
            let cipher = session.negotiated_cipher_suite().and_then(|suite| cipher_name(suite.suite()));
            Ok(Opened::Encrypted(Box::new(stream), Encryption { version, cipher }))
        };
        let time_max = HANDSHAKE_TIME_MAX.min(self.idle());
        tokio::time::timeout(time_max, handshake).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn serve_http1<S>(&self, stream: S, peer: Peer, mut phase: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Arc::new(peer);
        let answer = service_fn(|request| {
            let (service, peer) = (Arc::clone(&self.service), Arc::clone(&peer));
            Box::pin(async move { Ok::<_, Infallible>(service.answer(request, &peer).await) })
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // The clock starts when the connection is ready for a request, so this bounds idle connections, too.
            .header_read_timeout(self.idle())
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(BUFFER_BYTES_MAX.max(self.limits.header_bytes))
            .writev(true)
            .half_close(false)
            .serve_connection(TokioIo::new(stream), answer);

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
        if let Err(error) = &ended {
            tracing::debug!(remote = %peer.remote, %error, "a connection broke off");
        }
        let is_unread = match ended {
            Ok(()) => peer.unread.load(Ordering::Relaxed),
            // The client was told what is wrong with its request, and may still be sending the rest of it.
            Err(error) if error.is_parse() => true,
            Err(_) => return,
        };
        let mut stream = connection.into_parts().io.into_inner();
        let close = async {
            if is_unread {
                return linger(stream).await;
            }
            // Under TLS this says that the end is meant; it fails where the client is gone already.
            let _closed = stream.shutdown().await;
        };
        tokio::select! {
            () = close => {}
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
        }
    }

    async fn serve_http2<S>(&self, stream: S, peer: Peer, mut phase: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Arc::new(peer);
        let streams = Streams::new(self.idle());
        let answer = service_fn(|mut request| {
            name_host(&mut request);
            let (service, peer) = (Arc::clone(&self.service), Arc::clone(&peer));
            Box::pin(paced(async move { service.answer(request, &peer).await }))
        });
        let mut connection = pin!(
            http2::Builder::new(streams.clone())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX))
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
                .max_local_error_reset_streams(FAULTY_STREAMS_MAX)
                .max_send_buf_size(BUFFER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), answer)
        );

        let mut is_leaving = false;
        loop {
            let patience = if is_leaving { FAREWELL_TIME_MAX } else { self.idle() };
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(remote = %peer.remote, %error, "a connection broke off");
                    }
                    break;
                }
                // It was asked to leave, and sends nothing more.
                () = streams.unused(patience), if is_leaving => break,
                () = streams.unused(patience), if !is_leaving => {
                    connection.as_mut().graceful_shutdown();
                    is_leaving = true;
                }
                changed = phase.changed() => match (changed, *phase.borrow_and_update()) {
                    (Ok(()), Phase::Serving) => {}
                    (Ok(()), Phase::Draining) => {
                        connection.as_mut().graceful_shutdown();
                        is_leaving = true;
                    }
                    // Closing, or the server was dropped.
                    (Ok(()), Phase::Closing) | (Err(_), _) => break,
                },
            }
        }
        // The connection's permit is given back after this, so that the store is not closed under a request.
        streams.end().await;
    }
}

/// HTTP/2 names the host in the request's authority. Signatures and rules speak of the header.
fn name_host(request: &mut http::Request<Incoming>) {
    let authority = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let (Some(authority), false) = (authority, request.headers().contains_key(HOST)) {
        request.headers_mut().insert(HOST, authority);
    }
}

/// Tells a client that speaks plain HTTP what to do. It is not sent elsewhere: what it sent has been seen on its way by
/// then, and a client that is not told would go on so.
async fn ask_for_https(mut stream: ClientStream) {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidRequest</Code><Message>This port speaks \
                HTTPS only; use https:// in the endpoint's URL.</Message></Error>";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nserver: Strata\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(answer.as_bytes()).await.is_ok() {
        linger(stream).await;
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

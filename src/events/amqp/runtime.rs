//! How lapin runs here: on Tokio, over connections that we make ourselves.
//!
//! So it speaks TLS as everything else here does, without a TLS of its own and the forty crates that this would bring.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use crate::events::broker::Connection;

/// A connection in the form that lapin reads and writes.
pub type Socket = Compat<Box<dyn Connection>>;

/// The runtime to hand to lapin.
pub type OurRuntime = Runtime<RuntimeParts<Tokio, OurConnections>>;

/// The runtime of the task that calls.
pub fn current() -> OurRuntime {
    Runtime::new(RuntimeParts::new(Tokio::current(), OurConnections(Tokio::current())))
}

/// Gives lapin a connection that is made.
pub fn socket(connection: Box<dyn Connection>) -> Socket {
    connection.compat()
}

/// Tokio's timers, and no connections: lapin is handed one.
#[derive(Debug, Clone)]
pub struct OurConnections(Tokio);

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "connections are made elsewhere")
}

impl Reactor for OurConnections {
    type TcpStream = Socket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Socket, _>(unsupported())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(unsupported()))
    }
}

//! Small hyper servers in this process, each with a runtime of its own: the bare reference and the home of the fake.

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::failure::Failure;

/// A running server; dropping it stops it.
pub struct Local {
    /// `host:port`
    pub authority: String,
    runtime: Option<Runtime>,
}

impl Local {
    /// Serves with `handler` on a free port.
    pub fn start<H, F>(handler: H) -> Result<Local, Failure>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(Failure::io("start a server's runtime"))?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(Failure::io("bind"))?;
        let authority = listener.local_addr().map_err(Failure::io("bind"))?.to_string();
        runtime.spawn(accept(listener, handler));
        Ok(Local { authority, runtime: Some(runtime) })
    }

    /// A server that gives every GET the same body and does nothing else: the most hyper can do here.
    pub fn start_bare(body_bytes: u64) -> Result<Local, Failure> {
        let body = Bytes::from(vec![0x5a; body_bytes as usize]);
        Local::start(move |request| {
            let body = body.clone();
            async move {
                drop(request.into_body().collect().await);
                Response::new(Full::new(body))
            }
        })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    // An accept that fails ends the server, and every client then reports it.
    while let Ok((stream, _)) = listener.accept().await {
        let handler = handler.clone();
        tokio::spawn(async move {
            if stream.set_nodelay(true).is_err() {
                return;
            }
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // A connection that breaks is the client's to report.
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

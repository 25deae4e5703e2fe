//! The SDK's client over plain HTTP. Its own connectors all bring TLS, so it gets one of ten lines.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::TokioExecutor;
use strata::Server;
use strata_storage::Clock;

/// The SDK's client.
pub type Sdk = aws_sdk_s3::Client;

/// A client with the server's credentials that never tries again, so that tests see every answer. It goes by the server's
/// clock.
pub fn client(server: &Server, clock: Arc<dyn Clock>) -> Sdk {
    let credentials = server.credentials();
    let credentials =
        Credentials::new(&credentials.access_key, credentials.secret_key.expose(), None, None, "the server");
    let connector = SharedHttpConnector::new(Plain(Client::builder(TokioExecutor::new()).build_http()));
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(server.config().region.clone()))
        .endpoint_url(server.endpoint())
        .credentials_provider(credentials)
        .force_path_style(true)
        .time_source(ServerTime(clock))
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Sdk::from_conf(config)
}

struct ServerTime(Arc<dyn Clock>);

impl std::fmt::Debug for ServerTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTime")
    }
}

impl TimeSource for ServerTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.0.now().as_nanos())
    }
}

#[derive(Debug)]
struct Plain(Client<TcpConnector, SdkBody>);

impl HttpConnector for Plain {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let mut response = client.request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            // It tells the machine's time, to which the SDK would adjust its own.
            response.headers_mut().remove("date");
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

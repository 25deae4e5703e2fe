//! Requests made by hand: anything in the head, signed or not, with any body.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use strata::Server;
use strata_storage::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Answer;

/// How requests to one server are made.
#[derive(Clone)]
pub struct Raw {
    /// The connections.
    pub client: Client<HttpConnector, Full<Bytes>>,
    /// `host:port` to connect to.
    pub authority: String,
    /// The `Host` to name.
    pub host: String,
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
    /// The region.
    pub region: String,
    /// The server's time, at which requests are signed.
    pub clock: Arc<dyn Clock>,
}

/// A request to be sent.
pub struct Draft<'r> {
    raw: &'r Raw,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    signing: Signing,
    service: &'static str,
    time: SystemTime,
}

enum Signing {
    /// In a header, the body's hash included.
    Header,
    /// In a header, with this in `x-amz-content-sha256`.
    HeaderWith(String),
    /// In the query.
    Presigned(Duration),
    /// Not at all.
    None,
}

impl Raw {
    /// For that server, which goes by that clock.
    pub fn new(server: &Server, clock: Arc<dyn Clock>) -> Raw {
        let credentials = server.credentials();
        Raw {
            client: Client::builder(TokioExecutor::new()).build_http(),
            authority: server.address().to_string(),
            host: server.address().to_string(),
            access_key: credentials.access_key.clone(),
            secret_key: credentials.secret_key.expose().to_owned(),
            token: None,
            region: server.config().region.clone(),
            clock,
        }
    }

    /// A request; `target` is path and query, percent-encoded as it is to be sent.
    pub fn request(&self, method: &str, target: &str) -> Draft<'_> {
        Draft {
            raw: self,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            signing: Signing::Header,
            service: "s3",
            time: SystemTime::UNIX_EPOCH + Duration::from_nanos(self.clock.now().as_nanos()),
        }
    }

    /// Gets.
    pub async fn get(&self, target: &str) -> Answer {
        self.request("GET", target).send().await
    }

    /// Heads.
    pub async fn head(&self, target: &str) -> Answer {
        self.request("HEAD", target).send().await
    }

    /// Deletes.
    pub async fn delete(&self, target: &str) -> Answer {
        self.request("DELETE", target).send().await
    }

    /// Puts.
    pub async fn put(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.request("PUT", target).body(body).send().await
    }

    /// Posts, with the digest that some documents need.
    pub async fn post(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        self.request("POST", target).md5_of(&body).body(body).send().await
    }

    /// Sends bytes as they are and gives back all that comes until the server closes the connection.
    pub async fn wire(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(&self.authority).await.expect("a connection");
        stream.write_all(bytes.as_ref()).await.expect("a server that reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Draft<'_> {
    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With more headers.
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With the `Content-MD5` of these bytes.
    pub fn md5_of(self, bytes: &[u8]) -> Self {
        use base64::Engine as _;
        use md5::Digest as _;
        let digest = base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(bytes));
        self.header("content-md5", &digest)
    }

    /// Signed with this instead of the body's hash.
    pub fn payload(mut self, hash: &str) -> Self {
        self.signing = Signing::HeaderWith(hash.to_owned());
        self
    }

    /// Signed in the query, for so long.
    pub fn presigned(mut self, lifetime: Duration) -> Self {
        self.signing = Signing::Presigned(lifetime);
        self
    }

    /// Not signed.
    pub fn unsigned(mut self) -> Self {
        self.signing = Signing::None;
        self
    }

    /// Signed for another service.
    pub fn service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// Signed at another time.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = time;
        self
    }

    /// The request as it is sent: signed, with its body. A request that is signed in the query can still be given
    /// headers then, which the signature does not cover.
    pub fn build(self) -> http::Request<Full<Bytes>> {
        let Draft { raw, method, target, headers, body, signing, service, time } = self;
        let mut builder = http::Request::builder()
            .method(method.as_str())
            .uri(format!("http://{}{target}", raw.authority))
            .header("host", &raw.host);
        for (name, value) in &headers {
            builder = builder.header(name, value);
        }
        let mut request = builder.body(Full::new(body.clone())).expect("a request");
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let payload = match &signing {
            Signing::None => return request,
            Signing::Header => SignableBody::Bytes(&body),
            Signing::HeaderWith(hash) => SignableBody::Precomputed(hash.clone()),
            Signing::Presigned(lifetime) => {
                settings.signature_location = SignatureLocation::QueryParams;
                settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
                settings.expires_in = Some(*lifetime);
                SignableBody::UnsignedPayload
            }
        };
        let identity = Credentials::new(&raw.access_key, &raw.secret_key, raw.token.clone(), None, "the server").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&raw.region)
            .name(service)
            .time(time)
            .settings(settings)
            .build()
            .expect("signing parameters")
            .into();
        let uri = request.uri().to_string();
        let signed = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
        let signable = SignableRequest::new(&method, uri, signed, payload).expect("a request to sign");
        let (instructions, _) = sign(signable, &parameters).expect("a signature").into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    /// Sends the request.
    pub async fn send(self) -> Answer {
        let (raw, length) = (self.raw, self.body.len());
        let mut request = self.build();
        // The client leaves it out where there is no body.
        request.headers_mut().insert("content-length", length.into());
        raw.send(request).await
    }
}

impl Raw {
    /// Sends a request that was built, and perhaps changed since.
    pub async fn send(&self, request: http::Request<Full<Bytes>>) -> Answer {
        let line = format!("{} {}", request.method(), request.uri().path_and_query().expect("a path"));
        let response = self.client.request(request).await.unwrap_or_else(|error| panic!("{line}: {error:?}"));
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{line}: {error:?}")).to_bytes();
        Answer { status: parts.status, headers: parts.headers, body, request: line }
    }
}

/// The machine's time, for servers that go by it: none accepts the signature of another.
#[expect(clippy::disallowed_methods, reason = "signatures carry the real time")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

//! A version of an export becomes one of the target.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use serde::Deserialize;
use strata_storage::Timestamp;
use tokio::sync::mpsc;

use super::acl;
use super::archive::ArchiveError;
use super::document::{Part, Properties};
use super::pack::Pack;
use super::place::{Ask, Place, Refusal, Streamed};
use super::report::Report;
use super::version::{self, Way};
use crate::cli::CliError;
use crate::outbound::Answer;
use crate::replication::error_code;
use crate::xml;

/// Pieces of a content that wait to be sent.
const PIECES_MAX: usize = 4;

type BodyError = Box<dyn std::error::Error + Send + Sync>;
type Pieces = mpsc::Sender<Result<Frame<Bytes>, BodyError>>;

/// What became of a version. Each of the first two says what of it could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there now.
    Made(Vec<String>),
    /// It was there before.
    AlreadyThere(Vec<String>),
    /// It is not there; why.
    Refused(String),
}

/// How versions are put.
#[derive(Clone, Copy)]
pub struct Put<'a> {
    /// Where to.
    pub place: &'a Place,
    /// As what.
    pub way: Way,
    /// What time it is.
    pub now: Timestamp,
}

impl Put<'_> {
    /// What is there already gets its access control list, which may have been cut off from it.
    pub async fn again(self, properties: Properties) -> Result<(Properties, Outcome), CliError> {
        let incomplete = match (&properties.acl, self.way) {
            (Some(list), Way::ById(_)) => put_acl(self.place, &properties.key, &properties.version_id, list).await?,
            _ => None,
        };
        Ok((properties, Outcome::AlreadyThere(incomplete.into_iter().collect())))
    }

    /// Puts a delete marker, or a version whose content is here.
    pub async fn small(self, properties: Properties, content: Bytes) -> Result<(Properties, Outcome), CliError> {
        let outcome = match self.small_headers(&properties) {
            Err(reason) => Outcome::Refused(reason),
            Ok(headers) => {
                let method = if properties.delete_marker { Method::DELETE } else { Method::PUT };
                let once = self.way == Way::AsNew;
                let ask = Ask { headers, body: content, once, ..Ask::new(method, Some(&properties.key)) };
                match self.place.ask(&ask).await? {
                    Ok(answer) => self.made(&properties, &answer).await?,
                    Err(refusal) => Outcome::Refused(refusal.to_string()),
                }
            }
        };
        Ok((properties, outcome))
    }

    fn small_headers(&self, properties: &Properties) -> Result<HeaderMap, String> {
        if properties.delete_marker {
            return version::about(properties, self.way);
        }
        let mut headers = version::headers(properties, self.way, self.now)?;
        version::set_digests(&mut headers, properties)?;
        Ok(headers)
    }

    /// Puts a version as its content is read.
    pub async fn large(
        self,
        properties: &Properties,
        pack: &mut Pack<impl std::io::Read>,
        report: &Report<'_>,
    ) -> Result<Outcome, CliError> {
        if !properties.parts.is_empty() {
            return self.in_parts(properties, pack, report).await;
        }
        let mut headers = match version::headers(properties, self.way, self.now) {
            Ok(headers) => headers,
            Err(reason) => return Ok(Outcome::Refused(reason)),
        };
        if let Err(reason) = version::set_digests(&mut headers, properties) {
            return Ok(Outcome::Refused(reason));
        }
        let ask = Ask { headers, ..Ask::new(Method::PUT, Some(&properties.key)) };
        match self.send(&ask, properties.size, pack, report).await? {
            Ok(answer) => self.made(properties, &answer).await,
            Err(reason) => Ok(Outcome::Refused(reason)),
        }
    }

    /// Sends so many bytes of the content. The inner `Err` says why they did not arrive.
    async fn send(
        &self,
        ask: &Ask<'_>,
        bytes: u64,
        pack: &mut Pack<impl std::io::Read>,
        report: &Report<'_>,
    ) -> Result<Result<Answer, String>, CliError> {
        let (pieces, waiting) = mpsc::channel(PIECES_MAX);
        let body = stream::unfold(waiting, |mut waiting| async move { Some((waiting.recv().await?, waiting)) });
        let streamed = Streamed { body: UnsyncBoxBody::new(StreamBody::new(body)), bytes };
        let (answer, fed) = tokio::join!(self.place.stream(ask, streamed), feed(pack, bytes, pieces, report));
        match fed {
            Err(ArchiveError::Broken(reason)) => return Ok(Err(format!("not in the file: {reason}"))),
            Err(error) => return Err(CliError::NotDone(error.to_string())),
            Ok(()) => {}
        }
        Ok(match answer? {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(refusal)) => Err(refusal.to_string()),
            None => Err("it could not be sent".to_owned()),
        })
    }

    async fn in_parts(
        self,
        properties: &Properties,
        pack: &mut Pack<impl std::io::Read>,
        report: &Report<'_>,
    ) -> Result<Outcome, CliError> {
        let (upload, declares) = match self.begin(properties).await? {
            Ok(begun) => begun,
            Err(reason) => return Ok(Outcome::Refused(reason)),
        };
        let sent = self.parts(properties, &upload, pack, report).await;
        let outcome = match sent {
            Ok(Ok(etags)) => self.complete(properties, (&upload, declares), &etags).await?,
            Ok(Err(reason)) => Outcome::Refused(reason),
            Err(error) => {
                self.abort(properties, &upload).await;
                return Err(error);
            }
        };
        if matches!(outcome, Outcome::Refused(_)) {
            self.abort(properties, &upload).await;
        }
        Ok(outcome)
    }

    /// Begins an upload; gives its id, and whether it has said what checksum it will have.
    async fn begin(&self, properties: &Properties) -> Result<Result<(String, bool), String>, CliError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Begun {
            upload_id: String,
        }
        let with_checksum = |mut headers: HeaderMap| {
            let declares = version::set_algorithm(&mut headers, properties, self.way)?;
            Ok::<_, String>((headers, declares))
        };
        let headers = version::headers(properties, self.way, self.now).and_then(with_checksum);
        let (headers, declares) = match headers {
            Ok(headers) => headers,
            Err(reason) => return Ok(Err(reason)),
        };
        let ask = Ask { headers, ..Ask::new(Method::POST, Some(&properties.key)).with("uploads", "") };
        Ok(match self.place.ask(&ask).await? {
            Ok(answer) => match xml::parse::<Begun>(&answer.body) {
                Ok(begun) => Ok((begun.upload_id, declares)),
                Err(_) => Err("the store named no upload".to_owned()),
            },
            Err(refusal) => Err(refusal.to_string()),
        })
    }

    /// Sends all parts; gives their entity tags.
    async fn parts(
        &self,
        properties: &Properties,
        upload: &str,
        pack: &mut Pack<impl std::io::Read>,
        report: &Report<'_>,
    ) -> Result<Result<Vec<String>, String>, CliError> {
        let mut etags = Vec::with_capacity(properties.parts.len());
        for (position, Part { size, checksums }) in properties.parts.iter().enumerate() {
            let headers = version::about(properties, self.way).and_then(|mut headers| {
                version::set_checksums(&mut headers, checksums)?;
                Ok(headers)
            });
            let headers = match headers {
                Ok(headers) => headers,
                Err(reason) => return Ok(Err(reason)),
            };
            let number = (position + 1).to_string();
            let ask = Ask { headers, ..Ask::new(Method::PUT, Some(&properties.key)) };
            let ask = ask.with("partNumber", &number).with("uploadId", upload);
            match self.send(&ask, *size, pack, report).await? {
                Ok(answer) => etags
                    .extend(answer.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned)),
                Err(reason) => return Ok(Err(format!("part {number}: {reason}"))),
            }
        }
        // An empty last part has no piece that waits for the seal.
        match pack.content(u64::MAX) {
            Ok(None) if etags.len() == properties.parts.len() => Ok(Ok(etags)),
            Ok(_) => Ok(Err("the store did not take its parts".to_owned())),
            Err(ArchiveError::Broken(reason)) => Ok(Err(format!("not in the file: {reason}"))),
            Err(error) => Err(CliError::NotDone(error.to_string())),
        }
    }

    async fn complete(
        &self,
        properties: &Properties,
        (upload, declares): (&str, bool),
        etags: &[String],
    ) -> Result<Outcome, CliError> {
        let headers = version::about(properties, self.way).and_then(|mut headers| {
            if declares {
                version::set_whole(&mut headers, properties)?;
            }
            Ok(headers)
        });
        let mut headers = match headers {
            Ok(headers) => headers,
            Err(reason) => return Ok(Outcome::Refused(reason)),
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        let body = version::completion(&properties.parts, etags).into();
        let ask = Ask { headers, body, ..Ask::new(Method::POST, Some(&properties.key)) };
        match self.place.ask(&ask.with("uploadId", upload)).await? {
            // A success is told before it is sure: then the document is an error's.
            Ok(answer) if error_code(&answer.body).is_empty() => self.made(properties, &answer).await,
            Ok(answer) => Ok(Outcome::Refused(error_code(&answer.body))),
            Err(refusal) => Ok(Outcome::Refused(refusal.to_string())),
        }
    }

    async fn abort(&self, properties: &Properties, upload: &str) {
        let headers = version::about(properties, self.way).unwrap_or_default();
        let ask = Ask { headers, ..Ask::new(Method::DELETE, Some(&properties.key)) };
        // Nothing more can be done about it than what the bucket's rules do.
        let _aborted: Result<Result<Answer, Refusal>, CliError> = self.place.ask(&ask.with("uploadId", upload)).await;
    }

    /// What is left to do for a version that was made, and what of it is not as it was.
    async fn made(&self, properties: &Properties, answer: &Answer) -> Result<Outcome, CliError> {
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut incomplete = Vec::new();
        let completed = || Some(xml::parse::<Completed>(&answer.body).ok()?.etag);
        let etag = header("etag").or_else(completed).unwrap_or_default();
        let etag = etag.trim_matches('"');
        if !properties.delete_marker && !version::is_sealed(properties) && etag != properties.etag {
            incomplete.push(format!("its entity tag is {etag} now, and was {}", properties.etag));
        }
        if let Some(list) = &properties.acl {
            let id = match self.way {
                Way::ById(_) => properties.version_id.clone(),
                Way::AsNew => header("x-amz-version-id").unwrap_or_default(),
            };
            incomplete.extend(put_acl(self.place, &properties.key, &id, list).await?);
        }
        Ok(Outcome::Made(incomplete))
    }
}

/// What the answer to a completion says.
#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: String,
}

/// Sets a version's access control list; gives the reason if that is refused.
async fn put_acl(place: &Place, key: &str, version_id: &str, list: &str) -> Result<Option<String>, CliError> {
    let told = |reason: &str| Some(format!("access control list: {reason}"));
    let document = match acl::of(place, Some(key), version_id, list).await? {
        Ok(document) => document,
        Err(reason) => return Ok(told(&reason)),
    };
    let mut ask = Ask::new(Method::PUT, Some(key)).with("acl", "").document(&document);
    ask.query.extend((!version_id.is_empty()).then_some(("versionId", version_id)));
    Ok(place.ask(&ask).await?.err().and_then(|refusal| told(&refusal.to_string())))
}

/// Gives so many bytes of the content to a body. One that cannot be verified is broken off.
async fn feed(
    pack: &mut Pack<impl std::io::Read>,
    bytes: u64,
    pieces: Pieces,
    report: &Report<'_>,
) -> Result<(), ArchiveError> {
    let mut left = bytes;
    while left > 0 {
        let piece = match pack.content(left) {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(()),
            Err(error) => {
                // Nobody may be listening any more.
                let _broken: Result<(), _> = pieces.send(Err(BodyError::from(error.to_string()))).await;
                return Err(error);
            }
        };
        left -= piece.len() as u64;
        report.at(pack.position());
        if pieces.send(Ok(Frame::data(piece))).await.is_err() {
            // The store has answered already.
            return Ok(());
        }
    }
    Ok(())
}

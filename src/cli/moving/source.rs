//! A version at its store: what GetObject and its neighbours tell of it, and its content, read on after connections that broke.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;

use super::document::{CHECKSUM_PREFIX, KeptUntil, Part, Properties, is_header};
use super::listing::Listed;
use super::place::{Ask, Place};
use super::{SILENCE_MAX, TOGETHER, acl};
use crate::cli::CliError;
use crate::{time, xml};

const USER_PREFIX: &str = "x-amz-meta-";
const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";
/// How often reading goes on after a connection broke.
const TRIES: u32 = 6;

/// Where versions come from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The bucket.
    pub place: &'a Place,
    /// Whether access control lists count there.
    pub with_acls: bool,
    /// Whether versions may be locked there.
    pub with_locks: bool,
}

/// A version that was opened.
pub struct Opened {
    /// What it is.
    pub properties: Properties,
    /// Its bytes.
    pub content: Content,
}

/// What became of opening a version.
pub enum Found {
    /// It is there.
    Open(Box<Opened>),
    /// It is there, and its content cannot be read; why.
    Closed(String),
    /// It was removed meanwhile.
    Gone,
}

impl Source<'_> {
    /// Opens a version and asks for all that describes it.
    pub async fn open(&self, listed: &Listed) -> Result<Found, CliError> {
        let ask = get(&listed.key, listed.version_id.as_deref());
        let (head, body) = match self.place.open(&ask).await? {
            Ok(answer) => answer,
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => return Ok(Found::Gone),
            Err(refusal) => return Ok(Found::Closed(refusal.to_string())),
        };
        let mut properties = described(listed, &head.headers);
        let etag = properties.etag.clone();
        let content = Content { at: 0, size: properties.size, etag, body: Some(body), tries: 0 };
        let asked = match properties.etag.split_once('-').and_then(|(_, count)| count.parse().ok()) {
            Some(count) => self.parts(&properties, count).await?,
            None => Ok(Vec::new()),
        };
        match asked {
            Ok(parts) => properties.parts = parts,
            Err(reason) => return Ok(Found::Closed(format!("its parts cannot be told: {reason}"))),
        }
        if head.headers.contains_key("x-amz-tagging-count") {
            match self.tags(&properties).await? {
                Ok(tags) => properties.tags = tags,
                Err(reason) => properties.incomplete.push(format!("tags: {reason}")),
            }
        }
        if self.with_locks {
            let untold = self.untold_locks(&properties).await?;
            properties.incomplete.extend(untold);
        }
        if self.with_acls {
            match self.acl(&properties).await? {
                Ok(acl) => properties.acl = acl,
                Err(reason) => properties.incomplete.push(format!("access control list: {reason}")),
            }
        }
        Ok(Found::Open(Box::new(Opened { properties, content })))
    }

    /// The parts that the object was made of. The inner `Err` says why they are not known.
    async fn parts(&self, properties: &Properties, count: u16) -> Result<Result<Vec<Part>, String>, CliError> {
        let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
        let asked = stream::iter(&numbers).map(async |number| {
            let ask = get(&properties.key, Some(&properties.version_id)).with("partNumber", number);
            let answer = self.place.ask(&Ask { method: Method::HEAD, ..ask }).await?;
            Ok::<_, CliError>(answer.map(|answer| Part {
                size: number_of(&answer.headers, "content-length"),
                checksums: checksums(&answer.headers),
            }))
        });
        let parts: Vec<_> = asked.buffered(TOGETHER).try_collect().await?;
        let parts: Result<Vec<Part>, _> = parts.into_iter().collect();
        Ok(match parts {
            Ok(parts)
                if parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size)) == Some(properties.size) =>
            {
                Ok(parts)
            }
            Ok(_) => Err("they are not as large as the object".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        })
    }

    async fn tags(&self, properties: &Properties) -> Result<Result<BTreeMap<String, String>, String>, CliError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Tagging {
            tag_set: TagSet,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "PascalCase", default)]
        struct TagSet {
            tag: Vec<Tag>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Tag {
            key: String,
            #[serde(default)]
            value: String,
        }
        let ask = version(&properties.key, &properties.version_id).with("tagging", "");
        Ok(match self.place.ask(&ask).await? {
            Ok(answer) => match xml::parse::<Tagging>(&answer.body) {
                Ok(document) => Ok(document.tag_set.tag.into_iter().map(|tag| (tag.key, tag.value)).collect()),
                Err(_) => Err("they cannot be read".to_owned()),
            },
            Err(refusal) => Err(refusal.to_string()),
        })
    }

    /// Why a version may have locks of which its headers say nothing: they leave out what the caller may not read.
    async fn untold_locks(&self, properties: &Properties) -> Result<Vec<String>, CliError> {
        let mut reasons = Vec::new();
        for (name, is_told) in
            [("retention", properties.retention.is_some()), ("legal-hold", properties.legal_hold.is_some())]
        {
            if is_told {
                continue;
            }
            match self.place.ask(&version(&properties.key, &properties.version_id).with(name, "")).await? {
                Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {}
                Err(refusal) => reasons.push(format!("{name}: {refusal}")),
                Ok(_) => reasons.push(format!("{name}: it was set while the version was being read")),
            }
        }
        Ok(reasons)
    }

    async fn acl(&self, properties: &Properties) -> Result<Result<Option<String>, String>, CliError> {
        let ask = version(&properties.key, &properties.version_id).with("acl", "");
        Ok(match self.place.ask(&ask).await? {
            Ok(answer) => {
                let document = String::from_utf8_lossy(&answer.body).into_owned();
                Ok(Some(document).filter(|document| !acl::is_private(document)))
            }
            Err(refusal) => Err(refusal.to_string()),
        })
    }
}

/// A request for content, with its checksums.
fn get<'a>(key: &'a str, version_id: Option<&'a str>) -> Ask<'a> {
    let mut ask = Ask::new(Method::GET, Some(key));
    ask.query.extend(version_id.map(|id| ("versionId", id)));
    ask.headers.insert("x-amz-checksum-mode", http::HeaderValue::from_static("ENABLED"));
    ask
}

fn version<'a>(key: &'a str, version_id: &'a str) -> Ask<'a> {
    Ask::new(Method::GET, Some(key)).with("versionId", version_id)
}

/// What listings tell of a version.
pub fn listed(listed: &Listed) -> Properties {
    let Listed { key, version_id, latest, modified, etag, size } = listed.clone();
    Properties {
        key,
        version_id: version_id.unwrap_or_else(|| "null".to_owned()),
        delete_marker: etag.is_none(),
        latest,
        modified,
        size,
        etag: etag.unwrap_or_default(),
        ..Properties::default()
    }
}

/// What the headers of an answer tell of it. Pure.
fn described(version: &Listed, headers: &HeaderMap) -> Properties {
    let mut properties = listed(version);
    if let Some(id) = text(headers, "x-amz-version-id") {
        properties.version_id = id;
    }
    if let Some(etag) = text(headers, "etag") {
        properties.etag = etag.trim_matches('"').to_owned();
    }
    properties.size = number_of(headers, "content-length");
    // A null version may have been replaced since it was listed. The listing's time is more exact otherwise.
    let told = text(headers, "last-modified").and_then(|text| time::parse_http_date(&text));
    let known = time::parse_iso8601(&properties.modified);
    if let Some(told) = told.filter(|told| known.is_none_or(|known| known.as_secs() != told.as_secs())) {
        properties.modified = time::iso8601(told);
    }
    for name in headers.keys() {
        let name = name.as_str();
        if !(is_header(name) || name == LEGAL_HOLD || name.starts_with(USER_PREFIX)) {
            continue;
        }
        let Some(value) = text(headers, name) else {
            properties.incomplete.push(format!("the header {name} is no text"));
            continue;
        };
        match name.strip_prefix(USER_PREFIX) {
            Some(short) => properties.metadata.insert(short.to_owned(), value),
            None if name == LEGAL_HOLD => properties.legal_hold.replace(value),
            // Every store has its own.
            None if name == "x-amz-server-side-encryption" && value == "AES256" => None,
            None => properties.headers.insert(name.to_owned(), value),
        };
    }
    if let Some(count) = text(headers, "x-amz-missing-meta") {
        properties.incomplete.push(format!("{count} entries of metadata that no header can carry"));
    }
    let lock = [text(headers, "x-amz-object-lock-mode"), text(headers, "x-amz-object-lock-retain-until-date")];
    if let [Some(mode), Some(until)] = lock {
        properties.retention = Some(KeptUntil { mode, until });
    }
    properties.checksums = checksums(headers);
    properties
}

fn checksums(headers: &HeaderMap) -> BTreeMap<String, String> {
    let names = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with(CHECKSUM_PREFIX));
    names.filter_map(|name| Some((name.to_owned(), text(headers, name)?))).collect()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    String::from_utf8(headers.get(name)?.as_bytes().to_vec()).ok()
}

fn number_of(headers: &HeaderMap, name: &str) -> u64 {
    text(headers, name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The bytes of a version, of which some were read.
pub struct Content {
    at: u64,
    size: u64,
    etag: String,
    body: Option<Incoming>,
    tries: u32,
}

impl Content {
    /// The next bytes; `None` at the end. The inner `Err` says why there are no more.
    pub async fn next(
        &mut self,
        place: &Place,
        properties: &Properties,
    ) -> Result<Result<Option<Bytes>, String>, CliError> {
        loop {
            if self.at == self.size {
                return Ok(Ok(None));
            }
            let Some(body) = &mut self.body else {
                match self.open_again(place, properties).await? {
                    Ok(()) => continue,
                    Err(reason) => return Ok(Err(reason)),
                }
            };
            let reason = match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    let wanted = usize::try_from(self.size - self.at).unwrap_or(usize::MAX);
                    let bytes = bytes.slice(..bytes.len().min(wanted));
                    self.at += bytes.len() as u64;
                    return Ok(Ok(Some(bytes)));
                }
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "the answer ended early".to_owned(),
                Err(_) => "nothing came for too long".to_owned(),
            };
            self.body = None;
            self.tries += 1;
            if self.tries == TRIES {
                return Ok(Err(format!("its content cannot be read after {} bytes: {reason}", self.at)));
            }
        }
    }

    async fn open_again(&mut self, place: &Place, properties: &Properties) -> Result<Result<(), String>, CliError> {
        let mut ask = version(&properties.key, &properties.version_id);
        let range = format!("bytes={}-{}", self.at, self.size.saturating_sub(1));
        for (name, value) in [("range", range), ("if-match", format!("\"{}\"", self.etag))] {
            let value = http::HeaderValue::from_str(&value);
            ask.headers.extend(value.ok().map(|value| (http::HeaderName::from_static(name), value)));
        }
        Ok(match place.open(&ask).await? {
            Ok((head, body)) if head.status == StatusCode::PARTIAL_CONTENT => {
                self.body = Some(body);
                Ok(())
            }
            Ok(_) => Err("the store cannot read on in its middle".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Listed, described};

    #[test]
    fn headers_describe_a_version() {
        let pairs = [
            ("x-amz-version-id", "v"),
            ("etag", "\"e-2\""),
            ("content-length", "7"),
            ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("content-type", "text/plain"),
            ("x-amz-meta-a", "=?UTF-8?B?w7w=?="),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"),
            ("x-amz-object-lock-legal-hold", "ON"),
            ("x-amz-checksum-crc64nvme", "AAAA"),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("x-amz-missing-meta", "2"),
            ("server", "x"),
        ];
        let pairs = pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let modified = "2026-01-01T00:00:00.123Z".to_owned();
        let etag = Some("old".to_owned());
        let listed = Listed { key: "k".to_owned(), modified: modified.clone(), etag, ..Listed::default() };
        let found = described(&listed, &HeaderMap::from_iter(pairs));
        assert_eq!((found.version_id.as_str(), found.etag.as_str(), found.size), ("v", "e-2", 7));
        assert_eq!(found.modified, modified, "the listing is more exact");
        assert_eq!(
            found.headers.into_iter().collect::<Vec<_>>(),
            [("content-type".to_owned(), "text/plain".to_owned())]
        );
        assert_eq!(found.metadata["a"], "=?UTF-8?B?w7w=?=");
        assert_eq!(found.retention.map(|kept| kept.mode).as_deref(), Some("COMPLIANCE"));
        assert_eq!((found.legal_hold.as_deref(), found.checksums.len()), (Some("ON"), 2));
        assert_eq!(found.incomplete.len(), 1);
    }
}

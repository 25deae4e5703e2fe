//! What a bucket holds: pages of its listing, key by key, the oldest version of a key first.
//!
//! In memory are a page, and the names of all versions of one key.

use std::collections::VecDeque;

use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::place::{Ask, Place};
use crate::cli::CliError;
use crate::xml;

/// A version as listings tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its id; `None` where only visible objects are listed.
    pub version_id: Option<String>,
    /// Whether it is the newest of its key.
    pub latest: bool,
    /// `Last-Modified`
    pub modified: String,
    /// Its entity tag, without quotes; `None` for a delete marker.
    pub etag: Option<String>,
    /// Its size in bytes.
    pub size: u64,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All versions.
    Versions,
    /// Visible objects.
    Current,
}

/// A listing under way.
pub struct Listing<'a> {
    place: &'a Place,
    prefix: &'a str,
    which: Which,
    page: VecDeque<Listed>,
    /// Where the next page begins; `None` after the last one.
    next: Option<Marker>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Marker {
    key: String,
    version_id: String,
    token: String,
}

impl<'a> Listing<'a> {
    /// Of all keys with a prefix.
    pub fn new(place: &'a Place, prefix: &'a str, which: Which) -> Listing<'a> {
        Listing { place, prefix, which, page: VecDeque::new(), next: Some(Marker::default()) }
    }

    /// The versions of the next key, the oldest first; empty after the last key.
    pub async fn next_key(&mut self) -> Result<Vec<Listed>, CliError> {
        let mut versions: Vec<Listed> = Vec::new();
        while let Some(next) = self.peek().await? {
            if versions.first().is_some_and(|first| first.key != next.key) {
                break;
            }
            versions.extend(self.page.pop_front());
        }
        versions.reverse();
        Ok(versions)
    }

    async fn peek(&mut self) -> Result<Option<&Listed>, CliError> {
        while self.page.is_empty() {
            let Some(marker) = self.next.take() else { return Ok(None) };
            let mut ask = Ask::new(Method::GET, None).with("encoding-type", "url").with("prefix", self.prefix);
            match self.which {
                Which::Versions => {
                    ask = ask.with("versions", "");
                    ask.query.extend((!marker.key.is_empty()).then_some(("key-marker", marker.key.as_str())));
                    let id = marker.version_id.as_str();
                    ask.query.extend((!id.is_empty()).then_some(("version-id-marker", id)));
                }
                Which::Current => {
                    ask = ask.with("list-type", "2");
                    let token = marker.token.as_str();
                    ask.query.extend((!token.is_empty()).then_some(("continuation-token", token)));
                }
            }
            let answer = self.place.need(&ask, "list").await?;
            let page = read(&answer.body);
            let (page, next) =
                page.ok_or_else(|| CliError::NotDone("the store's listing cannot be read".to_owned()))?;
            if next.as_ref() == Some(&marker) {
                return Err(CliError::NotDone("the store's listing goes round in circles".to_owned()));
            }
            (self.page, self.next) = (page, next);
        }
        Ok(self.page.front())
    }
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "$value", default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
enum Item {
    Version(Entry),
    DeleteMarker(Entry),
    Contents(Entry),
    IsTruncated(bool),
    NextKeyMarker(String),
    NextVersionIdMarker(String),
    NextContinuationToken(String),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    version_id: Option<String>,
    #[serde(default)]
    is_latest: Option<bool>,
    last_modified: String,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    size: Option<u64>,
}

/// A page, and where the next one begins; `None` if it is none.
fn read(document: &[u8]) -> Option<(VecDeque<Listed>, Option<Marker>)> {
    let document: Document = xml::parse(document).ok()?;
    let (mut page, mut marker, mut more) = (VecDeque::new(), Marker::default(), false);
    for item in document.items {
        match item {
            Item::Version(entry) | Item::Contents(entry) => page.push_back(listed(entry)?),
            Item::DeleteMarker(entry) => page.push_back(Listed { etag: None, size: 0, ..listed(entry)? }),
            Item::IsTruncated(truncated) => more = truncated,
            Item::NextKeyMarker(key) => marker.key = decoded(&key)?,
            Item::NextVersionIdMarker(id) => marker.version_id = id,
            Item::NextContinuationToken(token) => marker.token = token,
            Item::Other => {}
        }
    }
    let is_known = !marker.key.is_empty() || !marker.token.is_empty();
    (!more || is_known).then_some((page, more.then_some(marker)))
}

fn listed(entry: Entry) -> Option<Listed> {
    let Entry { key, version_id, is_latest, last_modified: modified, etag, size } = entry;
    let etag = etag.map(|etag| etag.trim_matches('"').to_owned());
    let latest = is_latest.unwrap_or(true);
    Some(Listed { key: decoded(&key)?, version_id, latest, modified, etag, size: size.unwrap_or(0) })
}

/// A key of a listing that was asked for with `encoding-type=url`.
fn decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Marker, read};

    #[test]
    fn versions_and_markers_keep_their_order() {
        let entry = |kind: &str, key: &str, id: &str, more: &str| {
            format!(
                "<{kind}><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>false</IsLatest>{more}\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified><Owner><ID>o</ID></Owner></{kind}>"
            )
        };
        let object = "<ETag>&quot;e&quot;</ETag><Size>3</Size><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>";
        let document = format!(
            "<ListVersionsResult xmlns=\"x\"><Name>n</Name><Prefix></Prefix><IsTruncated>true</IsTruncated>\
             <NextKeyMarker>a+b</NextKeyMarker><NextVersionIdMarker>9</NextVersionIdMarker>{}{}{}</ListVersionsResult>",
            entry("Version", "a+%2B%01", "1", object),
            entry("DeleteMarker", "a+%2B%01", "2", ""),
            entry("Version", "a+%2B%01", "3", object),
        );
        let (page, next) = read(document.as_bytes()).expect("a page");
        let found: Vec<_> =
            page.iter().map(|one| (one.version_id.as_deref().unwrap_or(""), one.etag.is_some())).collect();
        assert_eq!(found, [("1", true), ("2", false), ("3", true)]);
        assert_eq!((page[0].key.as_str(), page[0].size), ("a +\u{1}", 3));
        let marker = Marker { key: "a b".to_owned(), version_id: "9".to_owned(), token: String::new() };
        assert_eq!(next, Some(marker));
        assert!(read(b"<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>").is_none());
        assert!(read(b"<html>").is_none());
    }

    #[test]
    fn current_objects_are_listed() {
        let document = b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><LastModified>\
            2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>0</Size></Contents></ListBucketResult>";
        let (page, next) = read(document).expect("a page");
        assert_eq!((page.len(), page[0].latest, page[0].etag.as_deref(), next), (1, true, Some("e"), None));
    }
}

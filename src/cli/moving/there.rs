//! Which versions an import need not send, because an earlier one has brought them.

use std::collections::VecDeque;

use http::{Method, StatusCode};

use super::document::Properties;
use super::listing::{Listed, Listing, Which};
use super::place::{Ask, Place};
use super::version::Way;
use crate::cli::CliError;
use crate::time;

/// What the target holds.
pub struct There<'a> {
    place: &'a Place,
    /// Whether it may hold anything.
    holds: bool,
    key: String,
    /// Of the key at which the import is, the versions that were not met yet, the oldest first.
    versions: VecDeque<Listed>,
}

impl<'a> There<'a> {
    /// Of a bucket that may hold some versions, or holds none.
    pub fn new(place: &'a Place, holds: bool) -> There<'a> {
        There { place, holds, key: String::new(), versions: VecDeque::new() }
    }

    /// Whether that version is there. New versions have other ids, so a key's are compared in their order: one that is not the
    /// same ends what an earlier import has brought.
    pub async fn has(&mut self, properties: &Properties, way: Way) -> Result<bool, CliError> {
        if !self.holds {
            return Ok(false);
        }
        if matches!(way, Way::ById(_)) {
            return self.has_id(properties).await;
        }
        if self.key != properties.key {
            self.key.clone_from(&properties.key);
            let found = Listing::new(self.place, &properties.key, Which::Versions).next_key().await?;
            self.versions = found.into_iter().filter(|version| version.key == properties.key).collect();
        }
        let is_same = self.versions.pop_front().is_some_and(|version| is_same(properties, &version));
        if !is_same {
            self.versions.clear();
        }
        Ok(is_same)
    }

    async fn has_id(&self, properties: &Properties) -> Result<bool, CliError> {
        let ask = Ask::new(Method::HEAD, Some(&properties.key)).with("versionId", &properties.version_id);
        Ok(match self.place.ask(&ask).await? {
            Err(refusal) => properties.delete_marker && refusal.status == StatusCode::METHOD_NOT_ALLOWED,
            // An id that others have too says nothing.
            Ok(answer) if properties.version_id == "null" => {
                let text =
                    |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
                let modified = time::parse_http_date(text("last-modified")).map(|moment| moment.as_secs());
                let expected = time::parse_iso8601(&properties.modified).map(|moment| moment.as_secs());
                text("etag").trim_matches('"') == properties.etag && modified == expected
            }
            Ok(_) => !properties.delete_marker,
        })
    }
}

/// Whether a version may be the one that an import made of another.
fn is_same(properties: &Properties, version: &Listed) -> bool {
    match &version.etag {
        None => properties.delete_marker,
        Some(etag) => !properties.delete_marker && *etag == properties.etag && version.size == properties.size,
    }
}

//! Which versions an import need not send, because an earlier one has brought them.

use std::collections::VecDeque;

use http::{Method, StatusCode};

use super::document::Properties;
use super::listing::{Listed, Listing, Which};
use super::place::{Ask, Place};
use super::version::{self, Way};
use crate::cli::CliError;
use crate::time;

/// Whether the target has a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has not.
    Absent,
    /// It has.
    There,
    /// It has a newer one of that id, which would stay.
    Newer,
}

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

    /// Whether that version is there. New versions have other ids, so a key's are compared in their order; those of others
    /// between them are passed over.
    pub async fn find(&mut self, properties: &Properties, way: Way) -> Result<Presence, CliError> {
        if !self.holds {
            return Ok(Presence::Absent);
        }
        if matches!(way, Way::ById(_)) {
            return self.find_id(properties).await;
        }
        if self.key != properties.key {
            self.key.clone_from(&properties.key);
            let found = Listing::new(self.place, &properties.key, Which::Versions).next_key().await?;
            self.versions = found.into_iter().filter(|version| version.key == properties.key).collect();
        }
        Ok(match self.versions.iter().position(|version| is_same(properties, version)) {
            Some(position) => {
                self.versions.drain(..=position);
                Presence::There
            }
            None => Presence::Absent,
        })
    }

    async fn find_id(&self, properties: &Properties) -> Result<Presence, CliError> {
        if properties.version_id == "null" {
            return self.find_null(properties).await;
        }
        let ask = Ask::new(Method::HEAD, Some(&properties.key)).with("versionId", &properties.version_id);
        let is_there = match self.place.ask(&ask).await? {
            Err(refusal) => properties.delete_marker && refusal.status == StatusCode::METHOD_NOT_ALLOWED,
            Ok(_) => !properties.delete_marker,
        };
        Ok(if is_there { Presence::There } else { Presence::Absent })
    }

    /// Looks for the `null` version, an id that others have too. Of two the newer one stays.
    async fn find_null(&self, properties: &Properties) -> Result<Presence, CliError> {
        let listed = Listing::new(self.place, &properties.key, Which::Versions).next_key().await?;
        let is_null = |version: &&Listed| version.key == properties.key && is_null(version);
        Ok(match listed.iter().find(is_null) {
            None => Presence::Absent,
            Some(null) if is_same(properties, null) && moment(&null.modified) == moment(&properties.modified) => {
                Presence::There
            }
            Some(null) if moment(&null.modified) < moment(&properties.modified) => Presence::Absent,
            Some(_) => Presence::Newer,
        })
    }
}

/// Whether a version has the id that all have which were made without versioning.
fn is_null(version: &Listed) -> bool {
    version.version_id.as_deref().is_none_or(|id| id == "null")
}

/// To the millisecond, as listings tell it.
fn moment(text: &str) -> Option<u64> {
    time::parse_iso8601(text).map(|time| time.as_nanos() / 1_000_000)
}

/// Whether a version may be the one that an import made of another.
fn is_same(properties: &Properties, version: &Listed) -> bool {
    match &version.etag {
        None => properties.delete_marker,
        // Of what is sealed with another key the entity tag is another.
        Some(etag) => {
            let same_tag = *etag == properties.etag || version::is_sealed(properties);
            !properties.delete_marker && same_tag && version.size == properties.size
        }
    }
}

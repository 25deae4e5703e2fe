//! `GET zones`, `POST zones/add`, `POST zones/drain`: the disks that object data is spread over. All of them answer with
//! the zones as they are then; what follows from a change is done in the background.

use std::path::PathBuf;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strata_storage::{Error, ZoneOptions, ZoneState, ZoneStatus};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::request::Context;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZonesDocument {
    /// The zones.
    pub zones: Vec<ZoneDocument>,
}

/// A directory that holds object data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneDocument {
    /// Its name.
    pub name: String,
    /// `active`, `draining` or `lost`.
    pub state: String,
    /// Why it is lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Where it is.
    pub directory: String,
    /// How many files of object data have a part in it.
    pub segments: u64,
    /// The sizes of these parts.
    pub bytes: u64,
    /// What may still be used of its file system, if it can be reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub free_bytes: Option<u64>,
    /// The size of its file system, if it can be reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_bytes: Option<u64>,
    /// The names of the zones on its disk, with its own, if there are others: they are lost together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disk_shared_by: Option<String>,
}

/// Answers `zones`.
pub fn list(ctx: &Context, _request: AdminRequest) -> ZonesDocument {
    ZonesDocument { zones: ctx.store.zones().into_iter().map(document).collect() }
}

/// Answers `zones/add`.
pub async fn add(ctx: &Context, request: AdminRequest) -> Result<ZonesDocument, S3Error> {
    let (name, path) = (named(&request, "name")?, named(&request, "path")?);
    let directory = PathBuf::from(path);
    if !directory.is_absolute() {
        return Err(S3Error::invalid_argument("The path of a zone must be absolute.", "path", path));
    }
    ctx.store.add_zone(ZoneOptions { name: name.to_owned(), directory }).await.map_err(refused)?;
    Ok(list(ctx, request))
}

/// Answers `zones/drain`.
pub async fn drain(ctx: &Context, request: AdminRequest) -> Result<ZonesDocument, S3Error> {
    let name = named(&request, "name")?;
    let drained = match request.query.get("give-up") {
        None => ctx.store.drain_zone(name).await,
        Some("true") => ctx.store.give_up_zone(name).await,
        Some(other) => return Err(S3Error::invalid_argument("give-up must be true, or missing.", "give-up", other)),
    };
    drained.map_err(refused)?;
    Ok(list(ctx, request))
}

fn named<'r>(request: &'r AdminRequest, name: &'static str) -> Result<&'r str, S3Error> {
    let missing = || S3Error::invalid_argument(format!("The {name} of the zone is missing."), name, "");
    request.query.get(name).filter(|text| !text.is_empty()).ok_or_else(missing)
}

/// The engine says what is wrong with a zone.
fn refused(error: Error) -> S3Error {
    match error {
        Error::Zone(reason) => S3Error::new(StatusCode::BAD_REQUEST, "InvalidZone", reason),
        error => error.into(),
    }
}

/// What is said of a zone.
pub fn document(zone: ZoneStatus) -> ZoneDocument {
    let state = match zone.state {
        ZoneState::Active => "active",
        ZoneState::Draining => "draining",
        ZoneState::Lost => "lost",
    };
    ZoneDocument {
        name: zone.name,
        state: state.to_owned(),
        reason: zone.reason,
        directory: zone.directory.display().to_string(),
        segments: zone.segments,
        bytes: zone.bytes,
        free_bytes: zone.room.map(|room| room.free_bytes),
        total_bytes: zone.room.map(|room| room.total_bytes),
        disk_shared_by: zone.disk_shared_by,
    }
}

//! An upload that was begun before the sender's last start: what of it is at the destination, and is what it must be.
//!
//! Its id is kept durably from when it is known until its task ends. Dying between the two leaves an upload that nobody knows,
//! for the destination's lifecycle rules.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::Deserialize;
use strata_storage::OpenObject;

use super::endpoint::{Call, CallBody};
use super::fault::{Fault, Step};
use super::multipart::Part;
use super::transfer::Transfer;
use crate::replication::error_code;
use crate::route::Operation;
use crate::xml;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    is_truncated: bool,
    #[serde(rename = "Part", default)]
    parts: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    part_number: u16,
    #[serde(rename = "ETag")]
    etag: String,
    size: u64,
}

/// The entity tags of the parts that are there and need not be sent again. `None` if the upload is gone, or if the destination
/// does not tell: then it is begun anew.
///
/// A part counts if its entity tag is the MD5 of what is here, which is read for that. Where entity tags are something else,
/// as with keys of a key service, all parts are sent again. `parts` are in order of their numbers.
pub async fn parts_there(
    transfer: &Transfer<'_>,
    object: &OpenObject,
    (id, replica): (&str, &HeaderMap),
    parts: &[Part],
) -> Result<Option<BTreeMap<u16, String>>, Fault> {
    let mut found = BTreeMap::new();
    let mut after = 0;
    loop {
        let marker = after.to_string();
        let query = [("uploadId", id), ("part-number-marker", &marker)];
        let (operation, body) = (Operation::ListParts, CallBody::Bytes(Bytes::new()));
        let call = Call { operation, method: Method::GET, query: &query, headers: replica.clone(), body };
        let answer = transfer.endpoint.call(transfer.sender, transfer.source, transfer.key, call).await?;
        if !answer.status.is_success() {
            return match Fault::of(Step::Part, &answer) {
                Fault::Passing(reason) if error_code(&answer.body) != "NoSuchUpload" => Err(Fault::Passing(reason)),
                _ => Ok(None),
            };
        }
        let listing: Listing =
            xml::parse(&answer.body).map_err(|_| Fault::Passing("the destination lists no parts".to_owned()))?;
        for listed in &listing.parts {
            let wanted = parts.binary_search_by_key(&listed.part_number, |part| part.number);
            if let Some(part) =
                wanted.ok().map(|at| &parts[at]).filter(|part| part.range.end - part.range.start == listed.size)
            {
                let md5 = object.md5_of(part.range.clone()).await.map_err(|error| Fault::from(&error))?;
                if hex::encode(md5) == listed.etag.trim_matches('"') {
                    found.insert(part.number, listed.etag.clone());
                }
            }
        }
        match listing.parts.last() {
            Some(last) if listing.is_truncated && last.part_number > after => after = last.part_number,
            _ => return Ok(Some(found)),
        }
    }
}

/// Ends an upload that will not be completed.
pub async fn abort(transfer: &Transfer<'_>, id: &str) -> Result<(), Fault> {
    let (operation, body) = (Operation::AbortMultipartUpload, CallBody::Bytes(Bytes::new()));
    let headers = transfer.replica_headers();
    let call = Call { operation, method: Method::DELETE, query: &[("uploadId", id)], headers, body };
    transfer.ask(Step::Part, call).await.map(drop)
}

//! Objects that are sent in parts. An attempt that fails leaves the upload open, and the next one goes on where it ended.
//!
//! 1. Begin the upload; 2. keep its id; 3. send the parts; 4. complete. A sender that dies after 2 asks the destination which
//!    parts are there, and goes on (`resume`); one that dies between 1 and 2 leaves an upload to the destination's lifecycle
//!    rules. An upload whose task ends without it is aborted.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use strata_storage::{Checksum, ObjectInfo, ObjectPart, OpenObject};

use super::endpoint::{self, Call, CallBody};
use super::fault::{Fault, Step};
use super::outgoing;
use super::resume;
use super::transfer::{Transfer, Upload};
use crate::checksum_headers;
use crate::replication::replica::REPLICA;
use crate::route::Operation;
use crate::xml::{self, Writer};

/// Parts that are looked up at once.
const PAGE: usize = 1000;
/// The most parts of an upload.
const PARTS_MAX: u64 = 10_000;

/// What earlier attempts have done.
#[derive(Default)]
pub struct Progress {
    upload: Option<String>,
    /// Whether the upload is of an earlier start of the sender, and nobody has looked yet what is there.
    is_unseen: bool,
    /// The entity tags of the parts that were sent, by number.
    parts: BTreeMap<u16, String>,
}

impl Progress {
    /// An upload was begun before the sender's last start.
    pub fn of_kept(upload: String) -> Progress {
        Progress { upload: Some(upload), is_unseen: true, parts: BTreeMap::new() }
    }

    /// The upload that is open at the destination.
    pub fn upload(&self) -> Option<&str> {
        self.upload.as_deref()
    }

    /// How many parts were sent.
    pub fn parts_sent(&self) -> usize {
        self.parts.len()
    }
}

/// Sends an object as an upload, with the parts that it was made of, or, to others than Stratas, of the size configured.
pub async fn send(
    transfer: &Transfer<'_>,
    object: &OpenObject,
    mut headers: HeaderMap,
    progress: &mut Progress,
) -> Result<(), Fault> {
    let replica = headers.get(&REPLICA).cloned();
    let with_replica = || replica.clone().map(|value| (REPLICA, value)).into_iter().collect::<HeaderMap>();
    let parts = parts(transfer, object).await?;
    let declares = declares_checksum(transfer, object, &parts);
    look_again(transfer, object, (progress, &with_replica()), &parts).await?;
    let id = match &progress.upload {
        Some(id) => id.clone(),
        None => {
            if declares {
                outgoing::set_algorithm(&mut headers, object.info());
            }
            let id = begin(transfer, headers).await?;
            *progress = Progress { upload: Some(id.clone()), ..Progress::default() };
            transfer.keep_upload(&id).await;
            id
        }
    };
    for part in &parts {
        if !progress.parts.contains_key(&part.number) {
            let sent = send_part(transfer, object, part, (&id, with_replica())).await;
            progress.parts.insert(part.number, forget_if_lost(&mut progress.upload, sent)?);
        }
    }
    let document = document(&parts, &progress.parts);
    let mut headers = with_replica();
    // Without the document's own digest: in this request such headers are the object's.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    // MinIO refuses a checksum of the whole where the upload did not declare one; the answer's is compared instead.
    if declares {
        outgoing::set_checksum(&mut headers, object.info());
    }
    let query = [("uploadId", id.as_str())];
    let (operation, body) = (Operation::CompleteMultipartUpload, CallBody::Bytes(document.into()));
    let call = Call { operation, method: Method::POST, query: &query, headers, body };
    let answer = forget_if_lost(&mut progress.upload, transfer.ask(Step::Complete, call).await);
    if answer.as_ref().is_err_and(|fault| fault.to_string().ends_with("InvalidPart")) {
        // Somebody else wrote to the upload. Its parts are sent once more.
        progress.parts.clear();
    }
    let answer = answer?;
    // A success is told before it is sure: then the document is an error's.
    match crate::replication::error_code(&answer.body) {
        code if code.is_empty() => {
            progress.upload = None;
            arrived_as_it_was(object.info(), &answer.body)
        }
        _ => Err(Fault::of(Step::Complete, &answer)),
    }
}

/// Whether the upload says from its beginning which checksum it will have. Then every part needs one, as other stores have
/// it; those of the default checksum have none, and neither have those that are cut here.
fn declares_checksum(transfer: &Transfer<'_>, object: &OpenObject, parts: &[Part]) -> bool {
    let was_upload = object.info().parts_count > 0;
    was_upload && (transfer.endpoint.is_strata() || parts.iter().all(|part| part.checksum.is_some()))
}

/// Compares the checksum that a destination tells with ours, if it is the same kind: not every store checks what it is sent.
fn arrived_as_it_was(info: &ObjectInfo, answer: &[u8]) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Completed {
        #[serde(rename = "ChecksumCRC64NVME")]
        checksum: Option<String>,
    }
    let told = xml::parse::<Completed>(answer).ok().and_then(|completed| completed.checksum);
    let ours = outgoing::default_checksum(info);
    match told.zip(ours) {
        Some((theirs, ours)) if theirs != ours => {
            Err(Fault::Passing(format!("the destination has the checksum {theirs} for what has {ours}")))
        }
        _ => Ok(()),
    }
}

/// Asks for what is there of an upload that an earlier start began. If that cannot be told, the upload is given up.
async fn look_again(
    transfer: &Transfer<'_>,
    object: &OpenObject,
    (progress, replica): (&mut Progress, &HeaderMap),
    parts: &[Part],
) -> Result<(), Fault> {
    let Some(id) = progress.upload.clone().filter(|_| progress.is_unseen) else { return Ok(()) };
    match resume::parts_there(transfer, object, (&id, replica), parts).await? {
        Some(there) => *progress = Progress { upload: Some(id), is_unseen: false, parts: there },
        None => {
            *progress = Progress::default();
            if let Err(error) = resume::abort(transfer, &id).await {
                tracing::info!(%error, key = transfer.key.as_str(), "an upload that is begun anew cannot be aborted");
            }
        }
    }
    Ok(())
}

/// An upload that the destination does not know any more is begun anew at the next attempt.
fn forget_if_lost<T>(upload: &mut Option<String>, result: Result<T, Fault>) -> Result<T, Fault> {
    if let Err(Fault::Passing(reason)) = &result
        && reason.ends_with("NoSuchUpload")
    {
        *upload = None;
    }
    result
}

async fn begin(transfer: &Transfer<'_>, headers: HeaderMap) -> Result<String, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Begun {
        upload_id: String,
    }
    let (operation, body) = (Operation::CreateMultipartUpload, CallBody::Bytes(Bytes::new()));
    let call = Call { operation, method: Method::POST, query: &[("uploads", "")], headers, body };
    let answer = transfer.ask(Step::Begin, call).await?;
    let begun: Result<Begun, _> = xml::parse(&answer.body);
    begun.map(|begun| begun.upload_id).map_err(|_| Fault::Passing("the destination named no upload".to_owned()))
}

/// A part to be sent.
pub struct Part {
    /// Its number.
    pub number: u16,
    /// Its bytes in the object.
    pub range: Range<u64>,
    checksum: Option<Checksum>,
}

async fn parts(transfer: &Transfer<'_>, object: &OpenObject) -> Result<Vec<Part>, Fault> {
    let info = object.info();
    if info.parts_count == 0 {
        return Ok(cut(info.size, transfer.sender.context.config.replication.part_bytes));
    }
    let (mut found, mut after) = (Vec::with_capacity(usize::from(info.parts_count)), 0);
    loop {
        let page = object.parts(after, PAGE).await;
        let (page, more) = page.map_err(|error| Fault::from(&error))?;
        after = page.last().map_or(u16::MAX, |part| part.number);
        found.extend(page.into_iter().map(|part| {
            let ObjectPart { number, offset, size, checksum } = part;
            Part { number, range: offset..offset + size, checksum }
        }));
        if !more {
            return Ok(found);
        }
    }
}

/// Parts of that size, or of the least that ten thousand of them suffice.
fn cut(size: u64, part_bytes: u64) -> Vec<Part> {
    let part_bytes = part_bytes.max(size.div_ceil(PARTS_MAX));
    let starts = (0..size).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX));
    let part = |(number, start): (u16, u64)| Part {
        number,
        range: start..size.min(start.saturating_add(part_bytes)),
        checksum: None,
    };
    (1..).zip(starts).map(part).collect()
}

async fn send_part(
    transfer: &Transfer<'_>,
    object: &OpenObject,
    part: &Part,
    (id, mut headers): (&str, HeaderMap),
) -> Result<String, Fault> {
    if let Some(checksum) = &part.checksum {
        let name = checksum_headers::header_name(checksum.algorithm);
        let whole = Checksum { kind: strata_storage::ChecksumKind::FullObject, ..checksum.clone() };
        headers.extend(checksum_headers::text(&whole, 0).parse().ok().map(|value| (name, value)));
    }
    let number = part.number.to_string();
    let query = [("partNumber", number.as_str()), ("uploadId", id)];
    let upload = Upload { step: Step::Part, operation: Operation::UploadPart, query: &query, headers };
    let answer = transfer.send(object, part.range.clone(), upload).await?;
    let etag: HeaderName = header::ETAG;
    endpoint::header(&answer, &etag).ok_or_else(|| Fault::Passing("the destination named no part".to_owned()))
}

fn document(parts: &[Part], sent: &BTreeMap<u16, String>) -> Vec<u8> {
    let mut writer = Writer::new("CompleteMultipartUpload");
    for part in parts {
        let Some(etag) = sent.get(&part.number) else { continue };
        writer.open("Part").element("PartNumber", part.number.to_string()).element("ETag", etag);
        if let Some(checksum) = &part.checksum {
            let whole = Checksum { kind: strata_storage::ChecksumKind::FullObject, ..checksum.clone() };
            let name = checksum_headers::element_name(checksum.algorithm);
            writer.element(name, checksum_headers::text(&whole, 0));
        }
        writer.close();
    }
    writer.finish().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn objects_are_cut_into_parts() {
        fn check(size: u64, part_bytes: u64, expected: &[(u16, u64, u64)]) {
            let parts: Vec<_> =
                cut(size, part_bytes).iter().map(|part| (part.number, part.range.start, part.range.end)).collect();
            assert_eq!(parts, expected);
        }
        check(10, 5, &[(1, 0, 5), (2, 5, 10)]);
        check(11, 5, &[(1, 0, 5), (2, 5, 10), (3, 10, 11)]);
        check(3, 5, &[(1, 0, 3)]);
        assert_eq!(cut(100_000, 5).len(), 10_000);
    }
}

//! What a replica says of itself between two Stratas: `x-amz-strata-replica`, a header on the ordinary operations of S3.
//!
//! With it PutObject, CompleteMultipartUpload and DeleteObject make a version with its source's id, and PutObjectTagging
//! brings tags, access control list and lock as they are at the source. They need `s3:ReplicateObject`, `s3:ReplicateDelete`
//! and `s3:ReplicateTags` instead of their own permissions; so do the other requests about an upload of a replica, ListParts
//! among them. Any other operation with it is refused. A signature has to cover
//! it, as every header of that family. HeadBucket repeats it, which tells a Strata from other stores.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use strata_storage::{Changes, Digests, KnownChunk, Lock, Metadata, Replica, ReplicaChanges, Staged, Stamp, Tag};

use crate::error::S3Error;
use crate::metadata_headers;
use crate::policy::Action;
use crate::request::{Context, Request};
use crate::route::Operation;

/// The header.
pub const REPLICA: HeaderName = HeaderName::from_static("x-amz-strata-replica");
/// What HeadBucket is asked with, and answers.
pub const KNOWN: &str = "1";
/// Says that the body of a replica is not its content but the names of its chunks, which the destination may know. Only the
/// root of its store is believed: whether content is known, and then what it is, would be told to anybody else.
pub const CONTENT: HeaderName = HeaderName::from_static("x-amz-strata-content");
/// The value of that header.
pub const CHUNKS: &str = "chunks";
/// S3's errors have no word for content that is to be sent after all.
pub const MISSING: &str = "StrataContentMissing";
/// The most chunks that are named instead of being sent: those of the largest part.
pub const CHUNKS_MAX: usize = 1024;
/// The longest list of them, in bytes.
const CHUNKS_BYTES_MAX: usize = 64 << 10;
/// The format of the header's value, its first byte.
const FORMAT: u8 = 1;
/// The same with metadata behind it. Only what needs it is written so.
const FORMAT_WITH_METADATA: u8 = 2;

/// The same of what an import brings, whose metadata is always in headers.
const FORMAT_OF_IMPORT: u8 = 3;

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its version, and when what can change was changed.
    pub replica: Replica,
    /// Its access control list, as it is stored.
    pub acl: Option<Vec<u8>>,
    /// Its lock.
    pub lock: Lock,
    /// Its metadata, if headers cannot carry all of it: then those are not sent.
    pub metadata: Option<Metadata>,
}

#[derive(Serialize, Deserialize)]
struct Encoded {
    version: Stamp,
    null: bool,
    changes: Changes,
    acl: Option<Vec<u8>>,
    lock: Lock,
}

impl Head {
    /// The header's value.
    pub fn encode(&self) -> String {
        let Head { replica: Replica { version, null, changes, imported }, acl, lock, metadata } = self.clone();
        let encoded = Encoded { version, null, changes, acl, lock };
        let bytes = match metadata {
            None if imported => postcard::to_extend(&encoded, vec![FORMAT_OF_IMPORT]),
            None => postcard::to_extend(&encoded, vec![FORMAT]),
            Some(metadata) => postcard::to_extend(&(encoded, metadata), vec![FORMAT_WITH_METADATA]),
        };
        URL_SAFE_NO_PAD.encode(bytes.expect("it holds only types that postcard encodes"))
    }

    /// Reads a value. `None` for what no Strata of this format wrote.
    pub fn parse(text: &str) -> Option<Head> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (format, rest) = bytes.split_first()?;
        let (Encoded { version, null, changes, acl, lock }, rest) = postcard::take_from_bytes(rest).ok()?;
        let metadata = match (*format, rest) {
            (FORMAT | FORMAT_OF_IMPORT, []) => None,
            (FORMAT_WITH_METADATA, rest) => match postcard::take_from_bytes(rest).ok()? {
                (metadata, []) => Some(metadata),
                _ => return None,
            },
            _ => return None,
        };
        let imported = *format == FORMAT_OF_IMPORT;
        Some(Head { replica: Replica { version, null, changes, imported }, acl, lock, metadata })
    }

    /// What a request says; `None` if it makes no replica.
    pub fn of(headers: &HeaderMap) -> Result<Option<Head>, S3Error> {
        let Some(value) = headers.get(&REPLICA) else { return Ok(None) };
        let head = value.to_str().ok().and_then(Head::parse).ok_or_else(|| {
            let message = "This replica was sent by a version of Strata that this one does not understand.";
            S3Error::invalid_argument(message, REPLICA.as_str(), String::from_utf8_lossy(value.as_bytes()))
        })?;
        Ok(Some(head))
    }

    /// The metadata of a write: what a replica says of itself, else what the headers say.
    pub fn metadata(headers: &HeaderMap) -> Result<Metadata, S3Error> {
        match Head::of(headers)?.and_then(|head| head.metadata) {
            Some(metadata) => Ok(metadata),
            None => metadata_headers::metadata(headers),
        }
    }

    /// The changes that it brings, with these tags.
    pub fn changes(self, tags: Vec<Tag>) -> ReplicaChanges {
        let Changes { tags: tagged, acl: listed, lock: locked } = self.replica.changes;
        ReplicaChanges {
            tags: tagged.map(|at| (at, tags)),
            acl: listed.map(|at| (at, self.acl)),
            lock: locked.map(|at| (at, self.lock)),
        }
    }
}

/// What a request that makes a replica needs in the place of its operation's own permissions; `None` if it makes none.
/// The inner `None` is an operation that makes no replicas.
pub fn needs(operation: Operation, headers: &HeaderMap) -> Option<Option<&'static [Action]>> {
    const OBJECT: Action = Action::known("s3:ReplicateObject");
    const TAGS: Action = Action::known("s3:ReplicateTags");
    const DELETE: Action = Action::known("s3:ReplicateDelete");
    headers.contains_key(&REPLICA).then_some(match operation {
        Operation::PutObject | Operation::CreateMultipartUpload if headers.contains_key("x-amz-tagging") => {
            Some(&[OBJECT, TAGS])
        }
        Operation::PutObject
        | Operation::CreateMultipartUpload
        | Operation::UploadPart
        | Operation::ListParts
        | Operation::CompleteMultipartUpload
        | Operation::AbortMultipartUpload => Some(&[OBJECT]),
        Operation::DeleteObject => Some(&[DELETE]),
        Operation::PutObjectTagging => Some(&[TAGS, OBJECT]),
        _ => None,
    })
}

/// 403 for an import by anybody but the root of the store: it says when its versions were made.
pub fn refuse_imports_of_others(request: &Request) -> Result<(), S3Error> {
    match Head::of(&request.headers) {
        Ok(Some(Head { replica: Replica { imported: true, .. }, .. })) if !request.caller.is_store_root() => {
            Err(S3Error::access_denied("Only the root of a store can import versions with their ids and times."))
        }
        _ => Ok(()),
    }
}

/// A list of chunks as a body.
pub fn encode_chunks(chunks: &[KnownChunk]) -> Vec<u8> {
    postcard::to_allocvec(chunks).expect("it holds only types that postcard encodes")
}

/// Stages what the body of a request names, if it names chunks. `Ok(None)` for a request with its content; 409
/// `StrataContentMissing` if the content is to be sent, as it always is where it is to be `sealed`.
pub async fn stage_named(
    ctx: &Context,
    request: &mut Request,
    digests: Digests,
    sealed: bool,
) -> Result<Option<Staged>, S3Error> {
    let Some(value) = request.headers.get(&CONTENT) else { return Ok(None) };
    if value != CHUNKS || !request.headers.contains_key(&REPLICA) {
        return Err(S3Error::invalid_request("The header x-amz-strata-content can only be used by replicas."));
    }
    let missing = || S3Error::new(StatusCode::CONFLICT, MISSING, "The content is not known here and has to be sent.");
    let body = request.body.collect(CHUNKS_BYTES_MAX).await?;
    if sealed || !request.caller.is_store_root() {
        return Err(missing());
    }
    let chunks: Vec<KnownChunk> = postcard::from_bytes(&body).map_err(|_| missing())?;
    match ctx.store.stage_known(&chunks, digests).await? {
        Some(staged) => Ok(Some(staged)),
        None => Err(missing()),
    }
}

/// 400 for an operation that makes no replicas.
pub fn refused() -> S3Error {
    S3Error::invalid_request("The header x-amz-strata-replica can not be used with this operation.")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use strata_storage::{Changes, LegalHold, Lock, Metadata, Replica, Stamp, Tag, Timestamp};

    use super::{Head, REPLICA, needs};
    use crate::route::Operation;

    fn stamp(nanos: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(nanos), random: 7 }
    }

    #[test]
    fn heads_read_back() {
        let changes = Changes { tags: Some(stamp(5)), acl: None, lock: Some(stamp(6)) };
        let lock = Lock { retention: None, legal_hold: Some(LegalHold::On) };
        let replica = Replica { version: stamp(1), null: true, changes, imported: false };
        let head = Head { replica, acl: Some(vec![1, 2]), lock, metadata: None };
        let user = vec![("a".to_owned(), "\u{7}".to_owned())];
        let with_metadata = Head { metadata: Some(Metadata { user, ..Metadata::default() }), ..head.clone() };
        let text = with_metadata.encode();
        assert_eq!(Head::parse(&text), Some(with_metadata.clone()));
        let headers = HeaderMap::from_iter([(REPLICA, HeaderValue::from_str(&text).expect("a value"))]);
        assert_eq!(Head::metadata(&headers).ok(), with_metadata.metadata);
        assert_eq!(Head::parse(&format!("{text}AAAA")), None);
        let text = head.encode();
        assert!(text.starts_with("AQ"), "what has none is understood by the Stratas that know only that: {text}");
        assert_eq!(Head::parse(&text), Some(head.clone()));
        let imported = Head { replica: Replica { imported: true, ..replica }, ..head.clone() };
        assert_eq!(Head::parse(&imported.encode()), Some(imported));
        for text in ["", "1", "AAAA", &text[..text.len() - 4], &format!("{text}AAAA")] {
            assert_eq!(Head::parse(text), None, "{text}");
            let headers = HeaderMap::from_iter([(REPLICA, HeaderValue::from_str(text).expect("a value"))]);
            assert_eq!(Head::of(&headers).expect_err(text).code, "InvalidArgument");
        }
        let tags = vec![Tag { key: "k".to_owned(), value: "v".to_owned() }];
        let changes = head.changes(tags.clone());
        assert_eq!((changes.tags, changes.acl, changes.lock), (Some((stamp(5), tags)), None, Some((stamp(6), lock))));
    }

    #[test]
    fn few_operations_make_replicas() {
        let mut headers = HeaderMap::new();
        assert!(Operation::ALL.iter().all(|operation| needs(*operation, &headers).is_none()));
        headers.insert(REPLICA, HeaderValue::from_static("x"));
        let made = Operation::ALL.iter().filter(|operation| needs(**operation, &headers).flatten().is_some());
        assert_eq!(made.count(), 8);
        let names = |operation, headers: &HeaderMap| {
            let actions = needs(operation, headers).flatten().expect("it makes replicas");
            actions.iter().map(|action| action.name()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Operation::PutObject, &headers), "s3:ReplicateObject");
        assert_eq!(names(Operation::DeleteObject, &headers), "s3:ReplicateDelete");
        headers.insert("x-amz-tagging", HeaderValue::from_static("a=b"));
        assert_eq!(names(Operation::PutObject, &headers), "s3:ReplicateObject s3:ReplicateTags");
    }
}

//! Events as S3's own messages tell them: `{"Records":[...]}`. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use strata_storage::{Event, EventDetails, EventKind, ReplicationDetails, Tier, Timestamp};

use super::kinds;
use crate::error::archive_tier_name;
use crate::identity::Account;
use crate::time::iso8601;

/// Who does what nobody asked for.
pub const S3_ITSELF: &str = "s3.amazonaws.com";
/// What messages about delete markers say of their content, which is empty.
const EMPTY_ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// What keys keep as it is; a space becomes `+`.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/').remove(b' ');

/// An event with what messages say of it besides.
pub struct Told<'a> {
    /// The event.
    pub event: &'a Event,
    /// The region of the store.
    pub region: &'a str,
    /// What orders the events of a key: 16 hexadecimal digits.
    pub sequencer: &'a str,
    /// The message's id, which is the request's where nobody asked.
    pub id: &'a str,
}

/// A message with one record.
#[derive(Serialize)]
pub struct Records<'a> {
    #[serde(rename = "Records")]
    records: [Record<'a>; 1],
}

/// One record.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    event_version: &'static str,
    event_source: &'static str,
    aws_region: &'a str,
    event_time: String,
    event_name: &'static str,
    user_identity: PrincipalId<'a>,
    request_parameters: RequestParameters<'a>,
    response_elements: ResponseElements<'a>,
    s3: S3<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    glacier_event_data: Option<GlacierEventData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_event_data: Option<ReplicationEventData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_event_data: Option<LifecycleEventData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    intelligent_tiering_event_data: Option<TieringEventData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrincipalId<'a> {
    principal_id: &'a str,
}

#[derive(Serialize)]
struct RequestParameters<'a> {
    #[serde(rename = "sourceIPAddress")]
    source_address: &'a str,
}

#[derive(Serialize)]
struct ResponseElements<'a> {
    #[serde(rename = "x-amz-request-id")]
    request: &'a str,
    #[serde(rename = "x-amz-id-2")]
    host: &'a str,
}

#[derive(Serialize)]
struct S3<'a> {
    #[serde(rename = "s3SchemaVersion")]
    version: &'static str,
    #[serde(rename = "configurationId")]
    configuration: &'a str,
    bucket: Bucket<'a>,
    object: Object<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bucket<'a> {
    name: &'a str,
    owner_identity: Owner,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    principal_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(rename = "eTag", skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    sequencer: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GlacierEventData {
    restore_event_data: RestoreEventData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RestoreEventData {
    #[serde(skip_serializing_if = "Option::is_none")]
    lifecycle_restoration_expiry_time: Option<String>,
    lifecycle_restore_storage_class: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplicationEventData<'a> {
    replication_rule_id: &'a str,
    destination_bucket: &'a str,
    s3_operation: &'a str,
    request_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LifecycleEventData {
    transition_event_data: TransitionEventData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionEventData {
    destination_storage_class: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TieringEventData {
    destination_access_tier: &'static str,
}

impl Told<'_> {
    /// The message in S3's form.
    pub fn records(&self) -> Records<'_> {
        Records { records: [self.record()] }
    }

    /// Its one record.
    pub fn record(&self) -> Record<'_> {
        let Event { kind, time, bucket, owner, key, size, version_id, configuration, asked, details, .. } = self.event;
        let asked = asked.as_ref();
        Record {
            event_version: version(*kind),
            event_source: "aws:s3",
            aws_region: self.region,
            event_time: iso8601(*time),
            event_name: kinds::name(*kind),
            user_identity: PrincipalId { principal_id: asked.map_or(S3_ITSELF, |asked| &asked.principal) },
            request_parameters: RequestParameters { source_address: asked.map_or(S3_ITSELF, |asked| &asked.address) },
            response_elements: ResponseElements {
                request: asked.map_or(self.id, |asked| &asked.request),
                host: asked.map_or(self.id, |asked| &asked.host),
            },
            s3: S3 {
                version: "1.0",
                configuration,
                bucket: Bucket {
                    name: bucket,
                    owner_identity: Owner { principal_id: Account::canonical_id_of(*owner) },
                    arn: bucket_arn(bucket),
                },
                object: Object {
                    key: encoded_key(key),
                    size: *size,
                    etag: etag(self.event),
                    version_id: version_id.map(|id| id.to_string()),
                    sequencer: self.sequencer,
                },
            },
            glacier_event_data: glacier(*kind, details),
            replication_event_data: replication(details),
            lifecycle_event_data: lifecycle(details),
            intelligent_tiering_event_data: tiering(details),
        }
    }
}

/// Versions grow with what S3 added to its messages.
fn version(kind: EventKind) -> &'static str {
    match kind {
        EventKind::CreatedPut
        | EventKind::CreatedPost
        | EventKind::CreatedCopy
        | EventKind::CreatedUpload
        | EventKind::RemovedDelete
        | EventKind::RemovedMarker
        | EventKind::RestorePost
        | EventKind::RestoreCompleted
        | EventKind::LostObject => "2.1",
        EventKind::ReplicationFailed
        | EventKind::ReplicationMissedThreshold
        | EventKind::ReplicationAfterThreshold
        | EventKind::ReplicationNotTracked => "2.2",
        // Unconfirmed: that of RetentionPut.
        EventKind::RestoreDelete
        | EventKind::ExpirationDelete
        | EventKind::ExpirationMarker
        | EventKind::Transition
        | EventKind::Tiering
        | EventKind::AclPut
        | EventKind::TaggingPut
        | EventKind::TaggingDelete
        | EventKind::RetentionPut => "2.3",
    }
}

/// `arn:aws:s3:::bucket`
pub fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// The entity tag without quotes.
pub fn etag(event: &Event) -> Option<String> {
    let of_marker = matches!(event.kind, EventKind::RemovedMarker | EventKind::ExpirationMarker);
    match event.etag {
        Some(etag) => Some(etag.to_string().trim_matches('"').to_owned()),
        None => of_marker.then(|| EMPTY_ETAG.to_owned()),
    }
}

fn encoded_key(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string().replace(' ', "+")
}

fn glacier(kind: EventKind, details: &EventDetails) -> Option<GlacierEventData> {
    let EventDetails::Restore { expires, class } = details else { return None };
    (kind == EventKind::RestoreCompleted).then(|| GlacierEventData {
        restore_event_data: RestoreEventData {
            lifecycle_restoration_expiry_time: expires.map(iso8601),
            lifecycle_restore_storage_class: class.name(),
        },
    })
}

fn replication(details: &EventDetails) -> Option<ReplicationEventData<'_>> {
    let EventDetails::Replication(details) = details else { return None };
    let ReplicationDetails { rule, destination, operation, requested, failure } = details;
    Some(ReplicationEventData {
        replication_rule_id: rule,
        destination_bucket: destination,
        s3_operation: operation,
        request_time: iso8601(*requested),
        failure_reason: failure.as_deref(),
    })
}

fn lifecycle(details: &EventDetails) -> Option<LifecycleEventData> {
    let EventDetails::Transition { class } = details else { return None };
    let transition_event_data = TransitionEventData { destination_storage_class: class.name() };
    Some(LifecycleEventData { transition_event_data })
}

fn tiering(details: &EventDetails) -> Option<TieringEventData> {
    let EventDetails::Tiering { tier } = details else { return None };
    Some(TieringEventData { destination_access_tier: tier_name(*tier) })
}

/// What messages call a tier; events are only of those that archive.
pub fn tier_name(tier: Tier) -> &'static str {
    archive_tier_name(tier).unwrap_or("ARCHIVE_INSTANT_ACCESS")
}

/// What a new destination gets when a configuration is stored.
pub fn test_message(time: Timestamp, bucket: &str, request: &str, host: &str) -> String {
    let document = TestMessage {
        service: "Amazon S3",
        event: "s3:TestEvent",
        time: iso8601(time),
        bucket,
        request_id: request,
        host_id: host,
    };
    serde_json::to_string(&document).expect("texts can be written as JSON")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TestMessage<'a> {
    service: &'static str,
    event: &'static str,
    time: String,
    bucket: &'a str,
    request_id: &'a str,
    host_id: &'a str,
}

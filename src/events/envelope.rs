//! Events as others wrap them: EventBridge's envelope, and CloudEvents 1.0. Pure.

use serde::Serialize;
use strata_storage::{Event, EventDetails, EventKind, EventKinds};

use super::kinds;
use super::record::{Record, S3_ITSELF, Told, bucket_arn, etag, tier_name};
use crate::time::{iso8601, iso8601_second};

/// An event as EventBridge gets it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BusEvent<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: &'static str,
    source: &'static str,
    account: String,
    time: String,
    region: &'a str,
    resources: [String; 1],
    detail: Detail<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    version: &'static str,
    bucket: BusBucket<'a>,
    object: BusObject<'a>,
    request_id: &'a str,
    requester: &'a str,
    source_ip_address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_expiry_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_storage_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_storage_class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_access_tier: Option<&'static str>,
}

#[derive(Serialize)]
struct BusBucket<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BusObject<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    sequencer: &'a str,
}

/// An event as CloudEvents wrap it; its data is S3's record.
#[derive(Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: Record<'a>,
}

impl Told<'_> {
    /// The event in EventBridge's envelope.
    pub fn bus_event(&self) -> BusEvent<'_> {
        let Event { kind, time, bucket, owner, .. } = self.event;
        BusEvent {
            version: "0",
            id: self.id,
            detail_type: detail_type(*kind).unwrap_or_else(|| kinds::name(*kind)),
            source: "aws.s3",
            account: owner.to_string(),
            time: iso8601_second(*time),
            region: self.region,
            resources: [bucket_arn(bucket)],
            detail: self.detail(),
        }
    }

    fn detail(&self) -> Detail<'_> {
        let Event { kind, bucket, key, size, version_id, asked, details, .. } = self.event;
        let asked = asked.as_ref();
        let (restored, transition, tier) = match details {
            EventDetails::Restore { expires, class } => (Some((*expires, *class)), None, None),
            EventDetails::Transition { class } => (None, Some(class.name()), None),
            EventDetails::Tiering { tier } => (None, None, Some(tier_name(*tier))),
            EventDetails::None | EventDetails::Replication(_) => (None, None, None),
        };
        Detail {
            version: "0",
            bucket: BusBucket { name: bucket },
            object: BusObject {
                key,
                size: *size,
                etag: etag(self.event),
                version_id: version_id.map(|id| id.to_string()),
                sequencer: self.sequencer,
            },
            request_id: asked.map_or(self.id, |asked| &asked.request),
            // Unconfirmed for users and roles: S3 names the account, which the event does not know.
            requester: asked.map_or(S3_ITSELF, |asked| asked.principal.trim_start_matches("AWS:")),
            source_ip_address: asked.map_or(S3_ITSELF, |asked| &asked.address),
            reason: reason(*kind),
            deletion_type: deletion_type(*kind),
            restore_expiry_time: restored.and_then(|(expires, _)| expires).map(iso8601),
            source_storage_class: restored.map(|(_, class)| class.name()),
            destination_storage_class: transition,
            destination_access_tier: tier,
        }
    }

    /// The event as a CloudEvent.
    pub fn cloud_event(&self) -> CloudEvent<'_> {
        let Event { kind, time, bucket, key, .. } = self.event;
        CloudEvent {
            specversion: "1.0",
            id: self.id,
            source: format!("aws:s3.{}.{bucket}", self.region),
            kind: format!("com.amazonaws.s3.{}", kinds::name(*kind)),
            subject: key,
            time: iso8601(*time),
            datacontenttype: "application/json",
            data: self.record(),
        }
    }
}

/// The kinds that S3 sends to EventBridge.
pub fn event_bridge_kinds() -> EventKinds {
    EventKind::ALL.into_iter().filter(|kind| detail_type(*kind).is_some()).collect()
}

/// What EventBridge calls the kind; `None` of what S3 does not send there. Another target in this form gets the kind's own
/// name.
fn detail_type(kind: EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::CreatedPut | EventKind::CreatedPost | EventKind::CreatedCopy | EventKind::CreatedUpload => {
            "Object Created"
        }
        EventKind::RemovedDelete
        | EventKind::RemovedMarker
        | EventKind::ExpirationDelete
        | EventKind::ExpirationMarker => "Object Deleted",
        EventKind::RestorePost => "Object Restore Initiated",
        EventKind::RestoreCompleted => "Object Restore Completed",
        EventKind::RestoreDelete => "Object Restore Expired",
        EventKind::Transition => "Object Storage Class Changed",
        EventKind::Tiering => "Object Access Tier Changed",
        EventKind::AclPut => "Object ACL Updated",
        EventKind::TaggingPut => "Object Tags Added",
        EventKind::TaggingDelete => "Object Tags Deleted",
        EventKind::LostObject
        | EventKind::ReplicationFailed
        | EventKind::ReplicationMissedThreshold
        | EventKind::ReplicationAfterThreshold
        | EventKind::ReplicationNotTracked
        | EventKind::RetentionPut => return None,
    })
}

/// The operation that made or removed the object.
fn reason(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::CreatedPut => Some("PutObject"),
        EventKind::CreatedPost => Some("POST Object"),
        EventKind::CreatedCopy => Some("CopyObject"),
        EventKind::CreatedUpload => Some("CompleteMultipartUpload"),
        EventKind::RemovedDelete | EventKind::RemovedMarker => Some("DeleteObject"),
        EventKind::ExpirationDelete | EventKind::ExpirationMarker => Some("Lifecycle Expiration"),
        _ => None,
    }
}

fn deletion_type(kind: EventKind) -> Option<&'static str> {
    match kind {
        EventKind::RemovedDelete | EventKind::ExpirationDelete => Some("Permanently Deleted"),
        EventKind::RemovedMarker | EventKind::ExpirationMarker => Some("Delete Marker Created"),
        _ => None,
    }
}

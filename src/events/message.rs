//! Messages: an event of a queue, in the form that its target wants. Pure.

use strata_storage::{Event, Stamp};

use super::kinds;
use super::record::Told;
use super::target::Message;
use crate::config::EventFormat;

/// The message that tells of an event; `stamp` is that of its task.
///
/// What it is called by does not change when it moves to another target, or is delivered again.
pub fn message(event: &Event, stamp: Stamp, format: EventFormat, region: &str) -> Message {
    let stamp = event.moved.unwrap_or(stamp);
    let id = id(stamp);
    let sequencer = sequencer(stamp);
    let told = Told { event, region, sequencer: &sequencer, id: &id };
    let body = match format {
        EventFormat::S3 => serde_json::to_vec(&told.records()),
        EventFormat::EventBridge => serde_json::to_vec(&told.bus_event()),
        EventFormat::CloudEvents => serde_json::to_vec(&told.cloud_event()),
    };
    Message {
        id: id.clone(),
        bucket: event.bucket.clone(),
        key: event.key.clone(),
        event_name: kinds::name(event.kind).to_owned(),
        time: event.time,
        body: body.expect("texts and numbers can be written as JSON").into(),
    }
}

/// The stamp in the form of an UUID.
fn id(stamp: Stamp) -> String {
    let hex = hex::encode(stamp.to_bytes());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Changes of a key have stamps of different times, in their order. The length never changes, so it does not matter on which
/// side clients pad it.
fn sequencer(stamp: Stamp) -> String {
    format!("{:016X}", stamp.time.as_nanos())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strata_storage::{
        AccountId, Asked, ETag, Event, EventDetails, EventKind, ReplicationDetails, Stamp, StorageClass, Tier,
        Timestamp, VersionId,
    };

    use super::message;
    use crate::config::EventFormat;
    use crate::events::kinds;

    const STAMP: Stamp = Stamp { time: Timestamp::from_secs(1_790_848_800), random: 0xfedc_ba98_7654_3210 };

    fn event(kind: EventKind) -> Event {
        Event {
            kind,
            time: Timestamp::from_nanos(1_790_848_800_123_456_789),
            bucket: "bucket".to_owned(),
            owner: AccountId::ROOT,
            key: "a folder/\u{fc}+~.jpg".to_owned(),
            size: Some(1024),
            etag: Some(ETag::single([0xab; 16])),
            version_id: Some(VersionId::Null),
            configuration: "rule".to_owned(),
            asked: Some(Asked {
                principal: "AWS:AIDA".to_owned(),
                address: "10.0.0.1".to_owned(),
                request: "REQUEST".to_owned(),
                host: "HOST".to_owned(),
            }),
            details: EventDetails::None,
            moved: None,
        }
    }

    fn body(event: &Event, format: EventFormat) -> String {
        String::from_utf8(message(event, STAMP, format, "us-east-1").body.to_vec()).unwrap()
    }

    fn record(event: &Event) -> Value {
        let document: Value = serde_json::from_str(&body(event, EventFormat::S3)).unwrap();
        document["Records"][0].clone()
    }

    const OWNER: &str = "OWNER";

    fn without_owner(text: &str) -> String {
        text.replace(&crate::identity::Account::canonical_id_of(AccountId::ROOT), OWNER)
    }

    #[test]
    fn records_are_as_s3_writes_them() {
        let expected = concat!(
            r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1","#,
            r#""eventTime":"2026-10-01T10:00:00.123Z","eventName":"ObjectCreated:Put","#,
            r#""userIdentity":{"principalId":"AWS:AIDA"},"requestParameters":{"sourceIPAddress":"10.0.0.1"},"#,
            r#""responseElements":{"x-amz-request-id":"REQUEST","x-amz-id-2":"HOST"},"#,
            r#""s3":{"s3SchemaVersion":"1.0","configurationId":"rule","#,
            r#""bucket":{"name":"bucket","ownerIdentity":{"principalId":"OWNER"},"arn":"arn:aws:s3:::bucket"},"#,
            r#""object":{"key":"a+folder/%C3%BC%2B%7E.jpg","size":1024,"eTag":"abababababababababababababababab","#,
            r#""versionId":"null","sequencer":"18DA5F7ECA6F4000"}}}]}"#
        );
        let created = event(EventKind::CreatedPut);
        assert_eq!(without_owner(&body(&created, EventFormat::S3)), expected);
        let message = message(&created, STAMP, EventFormat::S3, "us-east-1");
        assert_eq!(message.id, "18da5f7e-ca6f-4000-fedc-ba9876543210");
        assert_eq!(
            (&*message.bucket, &*message.key, &*message.event_name),
            ("bucket", &*created.key, "ObjectCreated:Put")
        );
    }

    #[test]
    fn event_bridge_has_its_envelope() {
        let expected = concat!(
            r#"{"version":"0","id":"18da5f7e-ca6f-4000-fedc-ba9876543210","detail-type":"Object Created","#,
            r#""source":"aws.s3","account":"000000000000","time":"2026-10-01T10:00:00Z","region":"us-east-1","#,
            r#""resources":["arn:aws:s3:::bucket"],"detail":{"version":"0","bucket":{"name":"bucket"},"#,
            "\"object\":{\"key\":\"a folder/\u{fc}+~.jpg\",\"size\":1024,",
            r#""etag":"abababababababababababababababab","version-id":"null","sequencer":"18DA5F7ECA6F4000"},"#,
            r#""request-id":"REQUEST","requester":"AIDA","source-ip-address":"10.0.0.1","reason":"PutObject"}}"#
        );
        assert_eq!(body(&event(EventKind::CreatedPut), EventFormat::EventBridge), expected);
    }

    #[test]
    fn cloud_events_wrap_the_record() {
        let created = event(EventKind::CreatedPut);
        let mut found: Value = serde_json::from_str(&body(&created, EventFormat::CloudEvents)).unwrap();
        assert_eq!(found["data"].take(), record(&created));
        let expected = json!({
            "specversion": "1.0",
            "id": "18da5f7e-ca6f-4000-fedc-ba9876543210",
            "source": "aws:s3.us-east-1.bucket",
            "type": "com.amazonaws.s3.ObjectCreated:Put",
            "subject": "a folder/\u{fc}+~.jpg",
            "time": "2026-10-01T10:00:00.123Z",
            "datacontenttype": "application/json",
            "data": null,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_nobody_asked_for_was_s3_itself() {
        let expired =
            Event { asked: None, version_id: None, size: None, etag: None, ..event(EventKind::ExpirationDelete) };
        let found = record(&expired);
        assert_eq!(found["userIdentity"]["principalId"], "s3.amazonaws.com");
        assert_eq!(found["requestParameters"]["sourceIPAddress"], "s3.amazonaws.com");
        assert_eq!(found["responseElements"]["x-amz-request-id"], "18da5f7e-ca6f-4000-fedc-ba9876543210");
        let object = json!({"key": "a+folder/%C3%BC%2B%7E.jpg", "sequencer": "18DA5F7ECA6F4000"});
        assert_eq!(found["s3"]["object"], object);
    }

    #[test]
    fn a_marker_tells_the_tag_of_nothing() {
        for kind in [EventKind::RemovedMarker, EventKind::ExpirationMarker] {
            let marker = Event { size: None, etag: None, ..event(kind) };
            let object = &record(&marker)["s3"]["object"];
            assert_eq!(object["eTag"], "d41d8cd98f00b204e9800998ecf8427e");
            assert!(object.get("size").is_none() && object.get("versionId").is_some());
        }
    }

    #[test]
    fn moved_events_keep_their_name_and_place() {
        let first = Stamp { time: Timestamp::from_secs(1), random: 0 };
        let moved = Event { moved: Some(first), ..event(EventKind::CreatedPut) };
        let message = message(&moved, STAMP, EventFormat::S3, "us-east-1");
        assert_eq!(message.id, "00000000-3b9a-ca00-0000-000000000000");
        assert_eq!(record(&moved)["s3"]["object"]["sequencer"], "000000003B9ACA00");
    }

    type Golden = (EventDetails, &'static str, Option<(&'static str, Value)>, &'static str);

    /// The details of a kind, its version, what is told besides, and its detail type.
    fn golden(kind: EventKind) -> Golden {
        use EventKind as K;
        let expires = Some(Timestamp::from_secs(1_790_899_200));
        let restore = EventDetails::Restore { expires, class: StorageClass::Glacier };
        let plain = |version, detail_type| (EventDetails::None, version, None, detail_type);
        match kind {
            K::CreatedPut | K::CreatedPost | K::CreatedCopy | K::CreatedUpload => plain("2.1", "Object Created"),
            K::RemovedDelete | K::RemovedMarker => plain("2.1", "Object Deleted"),
            K::RestorePost => plain("2.1", "Object Restore Initiated"),
            K::LostObject => plain("2.1", "ReducedRedundancyLostObject"),
            K::ExpirationDelete | K::ExpirationMarker => plain("2.3", "Object Deleted"),
            K::AclPut => plain("2.3", "Object ACL Updated"),
            K::TaggingPut => plain("2.3", "Object Tags Added"),
            K::TaggingDelete => plain("2.3", "Object Tags Deleted"),
            K::RetentionPut => plain("2.3", "ObjectRetention:Put"),
            K::RestoreDelete => (restore, "2.3", None, "Object Restore Expired"),
            K::RestoreCompleted => {
                let data = json!({"restoreEventData": {"lifecycleRestorationExpiryTime": "2026-10-02T00:00:00.000Z",
                    "lifecycleRestoreStorageClass": "GLACIER"}});
                (restore, "2.1", Some(("glacierEventData", data)), "Object Restore Completed")
            }
            K::ReplicationFailed
            | K::ReplicationMissedThreshold
            | K::ReplicationAfterThreshold
            | K::ReplicationNotTracked => {
                let details = ReplicationDetails {
                    rule: "r".to_owned(),
                    destination: "arn:aws:s3:::copy".to_owned(),
                    operation: "OBJECT_PUT".to_owned(),
                    requested: Timestamp::from_secs(1_790_848_800),
                    failure: Some("DstBucketNotFound".to_owned()),
                };
                let data = json!({"replicationRuleId": "r", "destinationBucket": "arn:aws:s3:::copy",
                    "s3Operation": "OBJECT_PUT", "requestTime": "2026-10-01T10:00:00.000Z",
                    "failureReason": "DstBucketNotFound"});
                let more = Some(("replicationEventData", data));
                (EventDetails::Replication(details), "2.2", more, kinds::name(kind))
            }
            K::Transition => {
                let data = json!({"transitionEventData": {"destinationStorageClass": "GLACIER"}});
                let details = EventDetails::Transition { class: StorageClass::Glacier };
                (details, "2.3", Some(("lifecycleEventData", data)), "Object Storage Class Changed")
            }
            K::Tiering => {
                let data = json!({"destinationAccessTier": "ARCHIVE_ACCESS"});
                let details = EventDetails::Tiering { tier: Tier::Archive };
                (details, "2.3", Some(("intelligentTieringEventData", data)), "Object Access Tier Changed")
            }
        }
    }

    #[test]
    fn every_kind_has_its_version_and_its_data() {
        for kind in EventKind::ALL {
            let (details, version, more, _) = golden(kind);
            let found = record(&Event { details, ..event(kind) });
            assert_eq!((&found["eventVersion"], &found["eventName"]), (&json!(version), &json!(kinds::name(kind))));
            for name in
                ["glacierEventData", "replicationEventData", "lifecycleEventData", "intelligentTieringEventData"]
            {
                let expected = more.as_ref().filter(|(more, _)| *more == name).map(|(_, data)| data);
                assert_eq!(found.get(name), expected, "{kind:?} {name}");
            }
        }
    }

    #[test]
    fn every_kind_has_its_detail() {
        use EventKind as K;
        for kind in EventKind::ALL {
            let (details, _, _, detail_type) = golden(kind);
            let event = Event { details, ..event(kind) };
            let bus: Value = serde_json::from_str(&body(&event, EventFormat::EventBridge)).unwrap();
            assert_eq!(bus["detail-type"], detail_type, "{kind:?}");
            let detail = |name: &str| bus["detail"].get(name).and_then(Value::as_str);
            let is_restored = matches!(kind, K::RestoreCompleted | K::RestoreDelete);
            assert_eq!(detail("restore-expiry-time"), is_restored.then_some("2026-10-02T00:00:00.000Z"));
            assert_eq!(detail("source-storage-class"), is_restored.then_some("GLACIER"));
            assert_eq!(detail("destination-storage-class"), (kind == K::Transition).then_some("GLACIER"));
            assert_eq!(detail("destination-access-tier"), (kind == K::Tiering).then_some("ARCHIVE_ACCESS"));
            let deletion = match kind {
                K::RemovedDelete | K::ExpirationDelete => Some("Permanently Deleted"),
                K::RemovedMarker | K::ExpirationMarker => Some("Delete Marker Created"),
                _ => None,
            };
            assert_eq!(detail("deletion-type"), deletion);
        }
    }
}

//! The names of events: those of messages, and those of configurations, where one name may mean several kinds. Pure.

use strata_storage::{EventKind, EventKinds};

/// What configurations put before each name.
const PREFIX: &str = "s3:";

/// Every kind with its name in messages.
const NAMES: [(EventKind, &str); 22] = [
    (EventKind::CreatedPut, "ObjectCreated:Put"),
    (EventKind::CreatedPost, "ObjectCreated:Post"),
    (EventKind::CreatedCopy, "ObjectCreated:Copy"),
    (EventKind::CreatedUpload, "ObjectCreated:CompleteMultipartUpload"),
    (EventKind::RemovedDelete, "ObjectRemoved:Delete"),
    (EventKind::RemovedMarker, "ObjectRemoved:DeleteMarkerCreated"),
    (EventKind::RestorePost, "ObjectRestore:Post"),
    (EventKind::RestoreCompleted, "ObjectRestore:Completed"),
    (EventKind::RestoreDelete, "ObjectRestore:Delete"),
    (EventKind::LostObject, "ReducedRedundancyLostObject"),
    (EventKind::ReplicationFailed, "Replication:OperationFailedReplication"),
    (EventKind::ReplicationMissedThreshold, "Replication:OperationMissedThreshold"),
    (EventKind::ReplicationAfterThreshold, "Replication:OperationReplicatedAfterThreshold"),
    (EventKind::ReplicationNotTracked, "Replication:OperationNotTracked"),
    (EventKind::ExpirationDelete, "LifecycleExpiration:Delete"),
    (EventKind::ExpirationMarker, "LifecycleExpiration:DeleteMarkerCreated"),
    (EventKind::Transition, "LifecycleTransition"),
    (EventKind::Tiering, "IntelligentTiering"),
    (EventKind::AclPut, "ObjectAcl:Put"),
    (EventKind::TaggingPut, "ObjectTagging:Put"),
    (EventKind::TaggingDelete, "ObjectTagging:Delete"),
    (EventKind::RetentionPut, "ObjectRetention:Put"),
];

/// What may have a star for its second part.
const GROUPS: [&str; 6] =
    ["ObjectCreated", "ObjectRemoved", "ObjectRestore", "Replication", "LifecycleExpiration", "ObjectTagging"];

/// The name of a kind in messages: `ObjectCreated:Put`.
pub fn name(kind: EventKind) -> &'static str {
    NAMES.iter().find(|(other, _)| *other == kind).map_or("", |(_, name)| name)
}

/// The kinds that a configuration's name means, `s3:ObjectCreated:Put` or `s3:ObjectCreated:*`; `None` if it means none
/// that happen here. There are no annotations here, so there are no events of them.
pub fn meant(name: &str) -> Option<EventKinds> {
    let name = name.strip_prefix(PREFIX)?;
    let of = |group: &str| {
        let is_of = |name: &str| name.split_once(':').is_some_and(|(before, _)| before == group);
        NAMES.iter().filter(|(_, name)| is_of(name)).map(|(kind, _)| *kind).collect()
    };
    match name.strip_suffix(":*") {
        Some(group) => GROUPS.contains(&group).then(|| of(group)),
        None => NAMES.iter().find(|(_, other)| *other == name).map(|(kind, _)| [*kind].into_iter().collect()),
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{EventKind, EventKinds};

    use super::{meant, name};

    #[test]
    fn every_kind_has_a_name_that_means_it() {
        for kind in EventKind::ALL {
            assert_eq!(meant(&format!("s3:{}", name(kind))), Some([kind].into_iter().collect()), "{kind:?}");
        }
    }

    #[test]
    fn stars_mean_all_of_their_group() {
        use EventKind as K;
        fn check(name: &str, expected: &[EventKind]) {
            let expected = (!expected.is_empty()).then(|| expected.iter().copied().collect::<EventKinds>());
            assert_eq!(meant(name), expected, "{name}");
        }
        check("s3:ObjectCreated:*", &[K::CreatedPut, K::CreatedPost, K::CreatedCopy, K::CreatedUpload]);
        check("s3:ObjectRemoved:*", &[K::RemovedDelete, K::RemovedMarker]);
        check("s3:ObjectRestore:*", &[K::RestorePost, K::RestoreCompleted, K::RestoreDelete]);
        check("s3:LifecycleExpiration:*", &[K::ExpirationDelete, K::ExpirationMarker]);
        check("s3:ObjectTagging:*", &[K::TaggingPut, K::TaggingDelete]);
        let replication = [
            K::ReplicationFailed,
            K::ReplicationMissedThreshold,
            K::ReplicationAfterThreshold,
            K::ReplicationNotTracked,
        ];
        check("s3:Replication:*", &replication);
        for name in [
            "",
            "s3:",
            "s3:*",
            "*",
            "ObjectCreated:Put",
            "s3:ObjectCreated",
            "s3:ObjectCreated:",
            "s3:objectcreated:put",
            "s3:ObjectCreated:P*",
            "s3:ObjectAcl:*",
            "s3:LifecycleTransition:*",
            "s3:ObjectAnnotation:Put",
            "s3:ObjectAnnotation:*",
            "s3:TestEvent",
        ] {
            check(name, &[]);
        }
    }
}

//! Whether a task is still to be done, and by which rule: rules are changed while versions wait.

use strata_storage::{
    Bucket, BucketName, Candidate, Encryption, Error, ObjectKey, Replicate, ReplicatedPart, ReplicationRule, Store,
    VersionSelector,
};

use super::fault::Fault;

/// The id of the rule that sends what is to be sent: the task's own, or the one that sends such versions to that destination now.
/// `Err(Gone)` if none does.
pub async fn rule(store: &Store, source: &Bucket, destination: &str, replicate: &Replicate) -> Result<String, Fault> {
    let replication = source.replication.as_ref().ok_or(Fault::Gone)?;
    let leads_there = |rule: &&ReplicationRule| rule.enabled && rule.destination.bucket == destination;
    if replication.rule(&replicate.rule).filter(leads_there).is_some() {
        return Ok(replicate.rule.clone());
    }
    let found = match replicate.part {
        ReplicatedPart::Marker => replication.for_marker(&replicate.key).into_iter().find(leads_there),
        ReplicatedPart::Object | ReplicatedPart::Changes => {
            let (name, key) = names(source, replicate)?;
            let selector = VersionSelector::Id(replicate.version_id());
            let object = match store.object(&name, &key, selector).await {
                Ok(object) => object,
                Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => return Err(Fault::Gone),
                Err(error) => return Err(Fault::from(&error)),
            };
            let info = object.info();
            let kms_encrypted = matches!(info.protection.encryption, Encryption::Kms(_));
            let candidate = Candidate { key: &replicate.key, tags: &info.tags, kms_encrypted };
            let travels = |rule: &&ReplicationRule| {
                replicate.part == ReplicatedPart::Object
                    || !info.replication.replica
                    || rule.replica_modifications == Some(true)
            };
            replication.applying(candidate).into_iter().filter(leads_there).find(travels)
        }
    };
    found.map(|rule| rule.id.clone()).ok_or(Fault::Gone)
}

/// Whether the version is gone that a task is about. What cannot be read is taken to be there.
pub async fn is_gone(store: &Store, source: &BucketName, replicate: &Replicate) -> bool {
    let Ok(key) = ObjectKey::parse(&replicate.key) else { return true };
    match store.object(source, &key, VersionSelector::Id(replicate.version_id())).await {
        Ok(object) => object.info().stamp != replicate.version,
        Err(Error::DeleteMarker { .. }) => replicate.part != ReplicatedPart::Marker,
        Err(Error::NotFound(_)) => true,
        Err(_) => false,
    }
}

fn names(source: &Bucket, replicate: &Replicate) -> Result<(BucketName, ObjectKey), Fault> {
    let name = BucketName::parse(&source.name).map_err(|error| Fault::Lasting(error.to_string()))?;
    let key = ObjectKey::parse(&replicate.key).map_err(|error| Fault::Lasting(error.to_string()))?;
    Ok((name, key))
}

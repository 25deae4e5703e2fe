//! What all tasks of a rule share: the rule, and who sends by it. Made anew when the bucket or the directory has changed.
//!
//! Both are replaced as a whole by every change, so that looking whether they are still the same costs two comparisons.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use strata_storage::{Bucket, BucketName, Replication, ReplicationRule, Timestamp};

use super::fault::Fault;
use crate::directory::Snapshot;
use crate::directory::entity::Role;
use crate::directory::roster::Roster;
use crate::identity::Identity;
use crate::replication::trusted_role;

/// What the role's sessions are called.
pub const SESSION: &str = "s3-replication";

/// A rule, and who sends by it.
pub struct Grant {
    /// The source bucket's name.
    pub bucket: BucketName,
    /// The rule.
    pub rule: ReplicationRule,
    /// The role. What its policies say of times is judged when something is asked of it.
    pub caller: Arc<Identity>,
    /// What it was made from. Nothing else comes to lie at their addresses while they are named here.
    made_from: (Weak<Bucket>, Weak<Snapshot>),
}

/// Those of a queue, by the ids of their rules: as many as rules have one destination.
#[derive(Default)]
pub struct Grants(Mutex<HashMap<String, Arc<Grant>>>);

impl Grants {
    /// That of a rule at the time `now`. `Err` if the rule is gone, or its role may not be taken on then.
    pub fn of(
        &self,
        bucket: &Arc<Bucket>,
        snapshot: &Arc<Snapshot>,
        rule: &str,
        now: Timestamp,
    ) -> Result<Arc<Grant>, Fault> {
        let replication = bucket.replication.as_ref().ok_or_else(missing)?;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(rule).cloned();
        if let Some(kept) = kept.filter(|kept| kept.is_of(bucket, snapshot)) {
            // The policy that lets the role be taken on may name times.
            trusted(bucket, replication, snapshot, now)?;
            return Ok(kept);
        }
        let made = Grant::new(bucket, replication, snapshot, (rule, now)).map(Arc::new);
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &made {
            Ok(grant) => drop(grants.insert(rule.to_owned(), Arc::clone(grant))),
            Err(_) => drop(grants.remove(rule)),
        }
        made
    }
}

impl Grant {
    fn new(
        bucket: &Arc<Bucket>,
        replication: &Replication,
        snapshot: &Arc<Snapshot>,
        (rule, now): (&str, Timestamp),
    ) -> Result<Grant, Fault> {
        let rule = replication.rule(rule).filter(|rule| rule.enabled).cloned().ok_or_else(missing)?;
        let (roster, role) = trusted(bucket, replication, snapshot, now)?;
        let caller = Arc::new(snapshot.identity_of_role(roster, role, SESSION));
        let name = BucketName::parse(&bucket.name).map_err(|error| Fault::Lasting(error.to_string()))?;
        let made_from = (Arc::downgrade(bucket), Arc::downgrade(snapshot));
        Ok(Grant { bucket: name, rule, caller, made_from })
    }

    fn is_of(&self, bucket: &Arc<Bucket>, snapshot: &Arc<Snapshot>) -> bool {
        let (of_bucket, of_snapshot) = &self.made_from;
        of_bucket.as_ptr() == Arc::as_ptr(bucket) && of_snapshot.as_ptr() == Arc::as_ptr(snapshot)
    }
}

/// The role, if it may be taken on now.
fn trusted<'s>(
    bucket: &Bucket,
    replication: &Replication,
    snapshot: &'s Snapshot,
    now: Timestamp,
) -> Result<(&'s Roster, &'s Role), Fault> {
    let arn = format!("arn:aws:s3:::{}", bucket.name);
    trusted_role(snapshot, &replication.role, (&arn, bucket.owner), now)
        .map_err(|_| Fault::Lasting("AssumeRoleNotPermitted".to_owned()))
}

fn missing() -> Fault {
    Fault::Lasting("SrcBucketReplicationConfigMissing".to_owned())
}

#[cfg(test)]
mod tests;

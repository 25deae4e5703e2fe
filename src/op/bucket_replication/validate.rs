//! What a well-formed replication configuration may say, as far as it can be told without looking elsewhere.
//!
//! Texts that the reference does not have are unconfirmed, and so are answers to what belongs to the other form of rules.

use std::collections::HashSet;

use strata_storage::{Replication, ReplicationForm, ReplicationRule};

use crate::error::S3Error;
use crate::replication::bucket_of_arn;

const RULES_MAX: usize = 1000;
const ID_CHARACTERS_MAX: usize = 255;
const ROLE_BYTES_MAX: usize = 2048;

/// Checks rules that were read; an empty id is one yet to be made.
pub fn check(replication: &Replication) -> Result<(), S3Error> {
    let rules = &replication.rules;
    if rules.len() > RULES_MAX {
        return Err(S3Error::invalid_request(format!(
            "The number of replication rules must not exceed the allowed limit of {RULES_MAX} rules."
        )));
    }
    if replication.role.len() > ROLE_BYTES_MAX {
        return Err(S3Error::invalid_argument("The role is too long", "Role", ""));
    }
    let first = rules.first().map(|rule| rule.form);
    if rules.iter().any(|rule| Some(rule.form) != first) {
        return Err(S3Error::invalid_request("Rules with Filter and rules with Prefix cannot be mixed."));
    }
    check_ids(rules)?;
    rules.iter().try_for_each(check_rule)?;
    match first {
        Some(ReplicationForm::Prefix) => check_prefixes(rules),
        _ => check_priorities(rules),
    }
}

/// The id of a rule, if it can be one.
pub fn checked_id(id: String) -> Result<String, S3Error> {
    if id.chars().count() > ID_CHARACTERS_MAX {
        let message = format!("ID length should not exceed allowed limit of {ID_CHARACTERS_MAX}");
        return Err(S3Error::invalid_argument(message, "ID", id));
    }
    match id.is_ascii() {
        true => Ok(id),
        false => Err(S3Error::invalid_argument("ID must consist of ASCII characters", "ID", id)),
    }
}

/// The priority of a rule, if it can be one.
pub fn checked_priority(priority: i32) -> Result<i32, S3Error> {
    match priority {
        0.. => Ok(priority),
        _ => Err(S3Error::invalid_argument("Priority must not be negative", "Priority", priority.to_string())),
    }
}

/// The refusal of a rule without something that rules with a `Filter` have.
pub fn missing(name: &str) -> S3Error {
    S3Error::invalid_request(format!("{name} must be specified in a rule with Filter."))
}

/// The refusal of something that only rules with a `Filter` have.
pub fn needs_filter(name: &str) -> S3Error {
    S3Error::invalid_request(format!("{name} can only be specified in a rule with Filter."))
}

/// The refusal of a rule-level prefix beside a filter.
pub fn prefix_beside_filter() -> S3Error {
    S3Error::invalid_request("Prefix cannot be specified beside Filter; it belongs into the Filter.")
}

/// The refusal of an element that lacks another.
pub fn incomplete(of: &str, name: &str) -> S3Error {
    S3Error::invalid_argument(format!("{name} must be specified in {of}"), name, "")
}

/// The refusal of a time control and metrics that do not go together.
pub fn time_and_metrics(message: &'static str) -> S3Error {
    S3Error::invalid_request(message)
}

/// The refusal of objects encrypted with KMS keys, or of a key for them, without the other.
pub fn missing_key() -> S3Error {
    S3Error::invalid_request("ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects is.")
}

/// The refusal of an account.
pub fn invalid_account(account: &str) -> S3Error {
    S3Error::invalid_argument("The account does not own the destination bucket", "Account", account)
}

/// The refusal of a destination that is no bucket.
pub fn invalid_bucket(arn: &str) -> S3Error {
    S3Error::invalid_argument("The destination must be the ARN of a bucket, arn:aws:s3:::NAME", "Bucket", arn)
}

fn check_ids(rules: &[ReplicationRule]) -> Result<(), S3Error> {
    let mut ids = HashSet::new();
    let twice = rules.iter().map(|rule| rule.id.as_str()).find(|id| !id.is_empty() && !ids.insert(*id));
    match twice {
        Some(id) => {
            let message = "Rule ID must be unique. Found same ID for more than one rule";
            Err(S3Error::invalid_argument(message, "ID", id))
        }
        None => Ok(()),
    }
}

fn check_rule(rule: &ReplicationRule) -> Result<(), S3Error> {
    let destination = &rule.destination;
    if bucket_of_arn(&destination.bucket).is_none() {
        return Err(invalid_bucket(&destination.bucket));
    }
    if destination.owner_override && destination.account.is_none() {
        return Err(S3Error::invalid_request("Account must be specified if AccessControlTranslation is."));
    }
    if rule.kms_encrypted == Some(true) && destination.kms_key.is_none() {
        return Err(missing_key());
    }
    if rule.kms_encrypted.is_none() && destination.kms_key.is_some() {
        let message = "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is.";
        return Err(S3Error::invalid_request(message));
    }
    if rule.existing_objects == Some(true) {
        // S3 took it for some customers once.
        let message =
            "ExistingObjectReplication is not supported; `strata replication resync BUCKET` sends existing objects.";
        return Err(S3Error::invalid_request(message));
    }
    match rule.form {
        ReplicationForm::Prefix => check_first_form(rule),
        ReplicationForm::Filter if rule.delete_markers.is_none() => Err(missing("DeleteMarkerReplication")),
        ReplicationForm::Filter if rule.delete_markers == Some(true) && !rule.filter.tags.is_empty() => {
            Err(S3Error::invalid_request("Delete markers cannot be replicated by a rule whose Filter has tags."))
        }
        ReplicationForm::Filter => Ok(()),
    }
}

fn check_first_form(rule: &ReplicationRule) -> Result<(), S3Error> {
    let there = [
        ("DeleteMarkerReplication", rule.delete_markers.is_some()),
        ("ReplicaModifications", rule.replica_modifications.is_some()),
        ("ReplicationTime", rule.destination.time_control.is_some()),
        ("Metrics", rule.destination.metrics.is_some()),
    ];
    there.iter().find(|(_, there)| *there).map_or(Ok(()), |(name, _)| Err(needs_filter(name)))
}

/// Rules of the first form have one destination, and prefixes that do not overlap.
fn check_prefixes(rules: &[ReplicationRule]) -> Result<(), S3Error> {
    let buckets: HashSet<&str> = rules.iter().map(|rule| rule.destination.bucket.as_str()).collect();
    if buckets.len() > 1 {
        return Err(S3Error::invalid_request("Rules with Prefix must have the same destination bucket."));
    }
    let mut prefixes: Vec<&str> = rules.iter().filter_map(|rule| rule.filter.prefix.as_deref()).collect();
    // A prefix sorts right before everything that begins with it, so neighbours tell of any overlap.
    prefixes.sort_unstable();
    match prefixes.array_windows().find(|[shorter, longer]| longer.starts_with(shorter)) {
        Some([shorter, longer]) => {
            Err(S3Error::invalid_request(format!("Found overlapping prefixes '{shorter}' and '{longer}'")))
        }
        None => Ok(()),
    }
}

fn check_priorities(rules: &[ReplicationRule]) -> Result<(), S3Error> {
    let mut seen = HashSet::new();
    match rules.iter().find(|rule| !seen.insert((rule.destination.bucket.as_str(), rule.priority))) {
        Some(rule) => Err(S3Error::invalid_request(format!(
            "Priority must be unique among the rules of one destination bucket. Found {} more than once.",
            rule.priority
        ))),
        None => Ok(()),
    }
}

//! Replication configurations as requests: the elements, and what they mean.
//!
//! What does not have the shape of a configuration is malformed. What belongs to one of the two forms of rules only is refused
//! in the other: a rule with a `Filter` is of the second form.

use serde::Deserialize;
use strata_storage::{
    AccountId, ConfigurationFilter, Destination, Replication, ReplicationForm, ReplicationRule, StorageClass,
};

use super::validate;
use crate::error::S3Error;
use crate::op::configuration_filter::{self, FilterElement};
use crate::xml;

/// The only number of minutes that there is.
const MINUTES: i32 = 15;

/// Reads a document. A rule without an `ID` has an empty one.
pub fn read(bytes: &[u8]) -> Result<Replication, S3Error> {
    let document: Document = xml::parse(bytes)?;
    let rules = document.rules.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    match rules.is_empty() {
        true => Err(S3Error::malformed_xml()),
        false => Ok(Replication { role: document.role, rules }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Role")]
    role: String,
    #[serde(rename = "Rule", default)]
    rules: Vec<RuleElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleElement {
    #[serde(rename = "ID")]
    id: Option<String>,
    priority: Option<i32>,
    prefix: Option<String>,
    filter: Option<FilterElement>,
    status: String,
    source_selection_criteria: Option<CriteriaElement>,
    existing_object_replication: Option<StatusElement>,
    destination: DestinationElement,
    delete_marker_replication: Option<OptionalStatusElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CriteriaElement {
    sse_kms_encrypted_objects: Option<StatusElement>,
    replica_modifications: Option<StatusElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatusElement {
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct OptionalStatusElement {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DestinationElement {
    bucket: String,
    account: Option<String>,
    storage_class: Option<String>,
    access_control_translation: Option<TranslationElement>,
    encryption_configuration: Option<EncryptionElement>,
    replication_time: Option<TimeElement>,
    metrics: Option<MetricsElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TranslationElement {
    owner: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptionElement {
    #[serde(rename = "ReplicaKmsKeyID")]
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TimeElement {
    status: Option<String>,
    time: Option<MinutesElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricsElement {
    status: Option<String>,
    event_threshold: Option<MinutesElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MinutesElement {
    minutes: Option<i32>,
}

fn rule(element: RuleElement) -> Result<ReplicationRule, S3Error> {
    let id = match element.id {
        Some(id) => validate::checked_id(id)?,
        None => String::new(),
    };
    let criteria = element.source_selection_criteria;
    let (kms, modifications) =
        criteria.map_or((None, None), |criteria| (criteria.sse_kms_encrypted_objects, criteria.replica_modifications));
    let (form, filter) = match (element.filter, element.prefix) {
        (None, None) => return Err(S3Error::malformed_xml()),
        (None, Some(prefix)) => (ReplicationForm::Prefix, prefix_filter(prefix)?),
        (Some(filter), None) => (ReplicationForm::Filter, configuration_filter::read_or_all(filter)?),
        (Some(_), Some(_)) => return Err(validate::prefix_beside_filter()),
    };
    let markers = element.delete_marker_replication;
    let priority = match (form, element.priority) {
        (ReplicationForm::Filter, Some(priority)) => validate::checked_priority(priority)?,
        (ReplicationForm::Filter, None) => return Err(validate::missing("Priority")),
        (ReplicationForm::Prefix, None) => 0,
        (ReplicationForm::Prefix, Some(_)) => return Err(validate::needs_filter("Priority")),
    };
    Ok(ReplicationRule {
        id,
        form,
        priority,
        enabled: is_enabled(&element.status)?,
        filter,
        kms_encrypted: status(kms)?,
        replica_modifications: status(modifications)?,
        delete_markers: markers
            .map(|markers| markers.status.as_deref().map_or(Err(S3Error::malformed_xml()), is_enabled))
            .transpose()?,
        existing_objects: status(element.existing_object_replication)?,
        destination: destination(element.destination)?,
    })
}

fn prefix_filter(prefix: String) -> Result<ConfigurationFilter, S3Error> {
    configuration_filter::check_prefix(Some(&prefix))?;
    Ok(ConfigurationFilter { prefix: Some(prefix), tags: Vec::new() })
}

fn destination(element: DestinationElement) -> Result<Destination, S3Error> {
    let account = match element.account {
        None => None,
        Some(text) => Some(AccountId::parse(&text).ok_or_else(|| validate::invalid_account(&text))?),
    };
    let class = match element.storage_class {
        None => None,
        // EXPRESS_ONEZONE and those of FSx are none that objects here, or replicas anywhere, can have.
        Some(name) => Some(StorageClass::parse(&name).ok_or_else(S3Error::malformed_xml)?),
    };
    let owner_override = match element.access_control_translation {
        None => false,
        Some(TranslationElement { owner }) if owner == "Destination" => true,
        Some(_) => return Err(S3Error::malformed_xml()),
    };
    let kms_key = match element.encryption_configuration {
        None => None,
        Some(EncryptionElement { key: Some(key) }) if !key.is_empty() => Some(key),
        Some(_) => return Err(validate::missing_key()),
    };
    let (time_control, metrics) = time_and_metrics(element.replication_time, element.metrics)?;
    Ok(Destination { bucket: element.bucket, account, class, owner_override, kms_key, time_control, metrics })
}

/// Metrics may stand alone, and then have no threshold. The time control needs them, with the same status.
fn time_and_metrics(
    time: Option<TimeElement>,
    metrics: Option<MetricsElement>,
) -> Result<(Option<bool>, Option<bool>), S3Error> {
    let needed = |status: Option<String>, of: &str| match status {
        Some(status) => is_enabled(&status),
        None => Err(validate::incomplete(of, "Status")),
    };
    let Some(time) = time else {
        let Some(metrics) = metrics else { return Ok((None, None)) };
        let enabled = needed(metrics.status, "Metrics")?;
        return match metrics.event_threshold {
            None => Ok((None, Some(enabled))),
            Some(threshold) => {
                check_minutes(Some(threshold), "Metrics", "EventThreshold")?;
                Err(validate::time_and_metrics("EventThreshold needs ReplicationTime."))
            }
        };
    };
    let controlled = needed(time.status, "ReplicationTime")?;
    check_minutes(time.time, "ReplicationTime", "Time")?;
    let Some(metrics) = metrics else {
        return Err(validate::time_and_metrics("ReplicationTime needs Metrics."));
    };
    let measured = needed(metrics.status, "Metrics")?;
    check_minutes(metrics.event_threshold, "Metrics", "EventThreshold")?;
    match controlled == measured {
        true => Ok((Some(controlled), Some(measured))),
        false => Err(validate::time_and_metrics("ReplicationTime and Metrics must have the same Status.")),
    }
}

fn check_minutes(element: Option<MinutesElement>, of: &str, name: &str) -> Result<(), S3Error> {
    let minutes = element.ok_or_else(|| validate::incomplete(of, name))?.minutes;
    match minutes.ok_or_else(|| validate::incomplete(name, "Minutes"))? {
        MINUTES => Ok(()),
        other => Err(S3Error::invalid_argument(format!("{name} must be {MINUTES} minutes"), name, other.to_string())),
    }
}

fn status(element: Option<StatusElement>) -> Result<Option<bool>, S3Error> {
    element.map(|element| is_enabled(&element.status)).transpose()
}

fn is_enabled(status: &str) -> Result<bool, S3Error> {
    match status {
        "Enabled" => Ok(true),
        "Disabled" => Ok(false),
        _ => Err(S3Error::malformed_xml()),
    }
}

#[cfg(test)]
mod tests;

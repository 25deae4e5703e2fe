//! Replication configurations as answers: each rule in the form in which it was sent.

use strata_storage::{Destination, Replication, ReplicationForm, ReplicationRule};

use crate::op::configuration_filter;
use crate::xml::Writer;

/// The document of GetBucketReplication.
pub fn write(replication: &Replication) -> String {
    let mut writer = Writer::new("ReplicationConfiguration");
    writer.element("Role", &replication.role);
    for rule in &replication.rules {
        write_rule(&mut writer, rule);
    }
    writer.finish()
}

fn write_rule(writer: &mut Writer, rule: &ReplicationRule) {
    writer.open("Rule").element("ID", &rule.id);
    match rule.form {
        ReplicationForm::Prefix => {
            writer.element("Prefix", rule.filter.prefix.as_deref().unwrap_or_default());
        }
        ReplicationForm::Filter => {
            writer.element("Priority", rule.priority.to_string());
            match rule.filter.prefix.is_none() && rule.filter.tags.is_empty() {
                // A filter that names nothing is what makes the rule one of the second form.
                true => drop(writer.open("Filter").close()),
                false => configuration_filter::write(writer, &rule.filter),
            }
        }
    }
    writer.element("Status", status(rule.enabled));
    if rule.kms_encrypted.is_some() || rule.replica_modifications.is_some() {
        writer.open("SourceSelectionCriteria");
        write_status(writer, "SseKmsEncryptedObjects", rule.kms_encrypted);
        write_status(writer, "ReplicaModifications", rule.replica_modifications);
        writer.close();
    }
    write_status(writer, "ExistingObjectReplication", rule.existing_objects);
    write_destination(writer, &rule.destination);
    write_status(writer, "DeleteMarkerReplication", rule.delete_markers);
    writer.close();
}

fn write_destination(writer: &mut Writer, destination: &Destination) {
    writer.open("Destination").element("Bucket", &destination.bucket);
    if let Some(account) = destination.account {
        writer.element("Account", account.to_string());
    }
    if let Some(class) = destination.class {
        writer.element("StorageClass", class.name());
    }
    if destination.owner_override {
        writer.open("AccessControlTranslation").element("Owner", "Destination").close();
    }
    if let Some(key) = &destination.kms_key {
        writer.open("EncryptionConfiguration").element("ReplicaKmsKeyID", key).close();
    }
    if let Some(enabled) = destination.time_control {
        writer.open("ReplicationTime").element("Status", status(enabled));
        writer.open("Time").element("Minutes", "15").close().close();
    }
    if let Some(enabled) = destination.metrics {
        writer.open("Metrics").element("Status", status(enabled));
        // The threshold comes with the time control, and never without.
        if destination.time_control.is_some() {
            writer.open("EventThreshold").element("Minutes", "15").close();
        }
        writer.close();
    }
    writer.close();
}

fn write_status(writer: &mut Writer, name: &str, enabled: Option<bool>) {
    if let Some(enabled) = enabled {
        writer.open(name).element("Status", status(enabled)).close();
    }
}

fn status(enabled: bool) -> &'static str {
    if enabled { "Enabled" } else { "Disabled" }
}

//! Lifecycle configurations as answers: each rule with the filter in the form in which it was sent.

use strata_storage::{Expiration, Filter, FilterForm, Lifecycle, Rule, Status, When};

use crate::time;
use crate::xml::Writer;

/// The document of GetBucketLifecycleConfiguration.
pub fn write(lifecycle: &Lifecycle) -> String {
    let mut writer = Writer::new("LifecycleConfiguration");
    for rule in &lifecycle.rules {
        write_rule(&mut writer, rule);
    }
    writer.finish()
}

fn write_rule(writer: &mut Writer, rule: &Rule) {
    writer.open("Rule").element("ID", &rule.id);
    write_filter(writer, &rule.filter);
    writer.element(
        "Status",
        match rule.status {
            Status::Enabled => "Enabled",
            Status::Disabled => "Disabled",
        },
    );
    for transition in &rule.transitions {
        writer.open("Transition");
        write_when(writer, transition.when);
        writer.element("StorageClass", transition.class.name()).close();
    }
    if let Some(expiration) = rule.expiration {
        writer.open("Expiration");
        match expiration {
            Expiration::When(when) => write_when(writer, when),
            Expiration::DeleteMarker => drop(writer.element("ExpiredObjectDeleteMarker", "true")),
            Expiration::KeepDeleteMarker => drop(writer.element("ExpiredObjectDeleteMarker", "false")),
        }
        writer.close();
    }
    for transition in &rule.noncurrent_transitions {
        writer.open("NoncurrentVersionTransition");
        write_noncurrent(writer, transition.days, transition.newer);
        writer.element("StorageClass", transition.class.name()).close();
    }
    if let Some(expiration) = rule.noncurrent_expiration {
        writer.open("NoncurrentVersionExpiration");
        write_noncurrent(writer, expiration.days, expiration.newer);
        writer.close();
    }
    if let Some(days) = rule.abort_days {
        writer.open("AbortIncompleteMultipartUpload").element("DaysAfterInitiation", days.to_string()).close();
    }
    writer.close();
}

fn write_filter(writer: &mut Writer, filter: &Filter) {
    match filter.form {
        FilterForm::RulePrefix => {
            writer.element("Prefix", filter.prefix.as_deref().unwrap_or_default());
        }
        FilterForm::Empty | FilterForm::Single => {
            writer.open("Filter");
            write_predicates(writer, filter);
            writer.close();
        }
        FilterForm::And => {
            writer.open("Filter").open("And");
            write_predicates(writer, filter);
            writer.close().close();
        }
    }
}

fn write_predicates(writer: &mut Writer, filter: &Filter) {
    if let Some(prefix) = &filter.prefix {
        writer.element("Prefix", prefix);
    }
    for tag in &filter.tags {
        writer.open("Tag").element("Key", &tag.key).element("Value", &tag.value).close();
    }
    if let Some(bytes) = filter.size_over {
        writer.element("ObjectSizeGreaterThan", bytes.to_string());
    }
    if let Some(bytes) = filter.size_under {
        writer.element("ObjectSizeLessThan", bytes.to_string());
    }
}

fn write_when(writer: &mut Writer, when: When) {
    match when {
        When::Days(days) => writer.element("Days", days.to_string()),
        When::Date(date) => writer.element("Date", time::iso8601(date)),
    };
}

fn write_noncurrent(writer: &mut Writer, days: u32, newer: Option<u32>) {
    writer.element("NoncurrentDays", days.to_string());
    if let Some(newer) = newer {
        writer.element("NewerNoncurrentVersions", newer.to_string());
    }
}

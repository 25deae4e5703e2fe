//! What a well-formed lifecycle configuration may say: ids, filters, and which actions go together.

use std::collections::HashSet;

use strata_storage::{Expiration, Filter, FilterForm, Rule, Status};

use super::schedule;
use crate::error::S3Error;
use crate::tagging;

const RULES_MAX: usize = 1000;
const ID_CHARACTERS_MAX: usize = 255;
const PREFIX_BYTES_MAX: usize = 1024;

/// Checks rules that were read; an empty id is one yet to be made.
pub fn check(rules: &[Rule]) -> Result<(), S3Error> {
    if rules.is_empty() {
        return Err(S3Error::invalid_request("At least one lifecycle rule must be specified."));
    }
    if rules.len() > RULES_MAX {
        let message = format!("The number of lifecycle rules must not exceed the allowed limit of {RULES_MAX} rules.");
        return Err(S3Error::invalid_request(message));
    }
    check_ids(rules)?;
    check_edition(rules)?;
    for rule in rules {
        check_filter(&rule.filter)?;
        check_actions(rule)?;
        schedule::check(rule)?;
    }
    check_overlaps(rules)
}

/// The refusal of a rule-level prefix beside a filter.
pub fn base_level_prefix() -> S3Error {
    S3Error::invalid_request(
        "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
    )
}

fn check_ids(rules: &[Rule]) -> Result<(), S3Error> {
    let mut ids = HashSet::new();
    for id in rules.iter().map(|rule| rule.id.as_str()).filter(|id| !id.is_empty()) {
        if id.chars().count() > ID_CHARACTERS_MAX {
            let message = format!("ID length should not exceed allowed limit of {ID_CHARACTERS_MAX}");
            return Err(S3Error::invalid_argument(message, "ID", id));
        }
        if !ids.insert(id) {
            let message = "Rule ID must be unique. Found same ID for more than one rule";
            return Err(S3Error::invalid_argument(message, "ID", id));
        }
    }
    Ok(())
}

/// A configuration is of one edition: all rules have filters, or all have rule-level prefixes. The first one sets it.
fn check_edition(rules: &[Rule]) -> Result<(), S3Error> {
    let is_first = |rule: &Rule| rule.filter.form == FilterForm::RulePrefix;
    let first_edition = rules.first().is_some_and(is_first);
    if rules.iter().any(|rule| is_first(rule) != first_edition) {
        return Err(match first_edition {
            true => S3Error::invalid_request("Filter element can only be used in Lifecycle V2."),
            false => base_level_prefix(),
        });
    }
    let keeps_newer = |rule: &Rule| {
        rule.noncurrent_expiration.is_some_and(|expiration| expiration.newer.is_some())
            || rule.noncurrent_transitions.iter().any(|transition| transition.newer.is_some())
    };
    if first_edition && rules.iter().any(keeps_newer) {
        return Err(S3Error::invalid_request("NewerNoncurrentVersions element can only be used in Lifecycle V2."));
    }
    Ok(())
}

fn check_filter(filter: &Filter) -> Result<(), S3Error> {
    if filter.prefix.as_ref().is_some_and(|prefix| prefix.len() > PREFIX_BYTES_MAX) {
        return Err(S3Error::invalid_request(format!("The maximum size of a prefix is {PREFIX_BYTES_MAX}.")));
    }
    let mut keys = HashSet::new();
    if !filter.tags.iter().all(|tag| keys.insert(tag.key.as_str())) {
        return Err(S3Error::invalid_request("Duplicate Tag Keys are not allowed."));
    }
    filter.tags.iter().try_for_each(tagging::check_tag)?;
    match (filter.size_over, filter.size_under) {
        (Some(over), Some(under)) if over >= under => Err(S3Error::invalid_request(
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        )),
        _ => Ok(()),
    }
}

/// That there is an action, and that the filter has no predicates that an action knows nothing of.
fn check_actions(rule: &Rule) -> Result<(), S3Error> {
    let some = !rule.transitions.is_empty()
        || rule.expiration.is_some()
        || !rule.noncurrent_transitions.is_empty()
        || rule.noncurrent_expiration.is_some()
        || rule.abort_days.is_some();
    if !some {
        return Err(S3Error::invalid_request("At least one action needs to be specified in a rule"));
    }
    let of_markers = matches!(rule.expiration, Some(Expiration::DeleteMarker | Expiration::KeepDeleteMarker));
    let actions =
        [("AbortIncompleteMultipartUpload", rule.abort_days.is_some()), ("ExpiredObjectDeleteMarker", of_markers)];
    for (name, _) in actions.into_iter().filter(|(_, there)| *there) {
        if !rule.filter.tags.is_empty() {
            return Err(S3Error::invalid_request(format!("{name} cannot be specified with Tags.")));
        }
        if rule.filter.has_size() {
            return Err(S3Error::invalid_request(format!("{name} cannot be specified with Object Size.")));
        }
    }
    Ok(())
}

/// Rule-level prefixes in force must not overlap for one type of action.
fn check_overlaps(rules: &[Rule]) -> Result<(), S3Error> {
    type Has = fn(&Rule) -> bool;
    const TYPES: [(&str, Has); 5] = [
        ("Expiration", |rule| rule.expiration.is_some()),
        ("Transition", |rule| !rule.transitions.is_empty()),
        ("NoncurrentVersionExpiration", |rule| rule.noncurrent_expiration.is_some()),
        ("NoncurrentVersionTransition", |rule| !rule.noncurrent_transitions.is_empty()),
        ("AbortIncompleteMultipartUpload", |rule| rule.abort_days.is_some()),
    ];
    for (name, has) in TYPES {
        let bound =
            |rule: &&Rule| rule.status == Status::Enabled && rule.filter.form == FilterForm::RulePrefix && has(rule);
        let mut prefixes: Vec<&str> =
            rules.iter().filter(bound).filter_map(|rule| rule.filter.prefix.as_deref()).collect();
        // A prefix sorts right before everything that begins with it, so neighbours tell of any overlap.
        prefixes.sort_unstable();
        if let Some([shorter, longer]) = prefixes.array_windows().find(|[shorter, longer]| longer.starts_with(shorter))
        {
            return Err(S3Error::invalid_request(format!(
                "Found overlapping prefixes '{shorter}' and '{longer}' for same action type '{name}'"
            )));
        }
    }
    Ok(())
}

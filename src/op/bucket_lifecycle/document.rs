//! Lifecycle configurations as requests: the elements, and what they mean.
//!
//! Two kinds of faults are told apart. What does not have the shape of a configuration is malformed, wherever it stands
//! in the document. Only a document without such faults is blamed for its values, the first of them.

use serde::Deserialize;
use strata_storage::{
    Expiration, Filter, FilterForm, NoncurrentExpiration, NoncurrentTransition, Rule, Status, StorageClass, Tag,
    Transition, When,
};

use super::validate;
use crate::error::S3Error;
use crate::{time, xml};

/// The largest bound of an object's size, in bytes.
const SIZE_MAX: i64 = 1_099_511_627_776_000;
/// The most that `NewerNoncurrentVersions` can be.
const NEWER_MAX: i32 = 100;
const DAY_NANOS: u64 = 86_400 * 1_000_000_000;

/// Reads and validates a document. A rule without an `ID` has an empty one.
pub fn read(bytes: &[u8]) -> Result<Vec<Rule>, S3Error> {
    let document: Document = xml::parse_root(bytes, "LifecycleConfiguration")?;
    let mut reader = Reader::default();
    let rules: Result<Vec<Rule>, S3Error> = document.rules.into_iter().map(|rule| reader.rule(rule)).collect();
    let rules = rules?;
    match reader.fault {
        Some(fault) => Err(fault),
        None => validate::check(&rules).map(|()| rules),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "Rule", default)]
    rules: Vec<RuleElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RuleElement {
    #[serde(rename = "ID")]
    id: Option<String>,
    filter: Option<FilterElement>,
    prefix: Option<String>,
    status: String,
    #[serde(rename = "Transition", default)]
    transitions: Vec<TransitionElement>,
    expiration: Option<ExpirationElement>,
    #[serde(rename = "NoncurrentVersionTransition", default)]
    noncurrent_transitions: Vec<NoncurrentElement>,
    #[serde(rename = "NoncurrentVersionExpiration")]
    noncurrent_expiration: Option<NoncurrentElement>,
    #[serde(rename = "AbortIncompleteMultipartUpload")]
    abort: Option<AbortElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FilterElement {
    prefix: Option<String>,
    tag: Option<TagElement>,
    object_size_greater_than: Option<i64>,
    object_size_less_than: Option<i64>,
    and: Option<AndElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AndElement {
    prefix: Option<String>,
    #[serde(rename = "Tag", default)]
    tags: Vec<TagElement>,
    object_size_greater_than: Option<i64>,
    object_size_less_than: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagElement {
    key: String,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TransitionElement {
    days: Option<i32>,
    date: Option<String>,
    storage_class: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ExpirationElement {
    days: Option<i32>,
    date: Option<String>,
    expired_object_delete_marker: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct NoncurrentElement {
    noncurrent_days: i32,
    newer_noncurrent_versions: Option<i32>,
    storage_class: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AbortElement {
    days_after_initiation: i32,
}

/// Turns elements into rules. Faults of shape are errors at once; the first fault of a value is kept for later.
#[derive(Default)]
struct Reader {
    fault: Option<S3Error>,
}

impl Reader {
    fn rule(&mut self, element: RuleElement) -> Result<Rule, S3Error> {
        let status = match element.status.as_str() {
            "Enabled" => Status::Enabled,
            "Disabled" => Status::Disabled,
            _ => return Err(S3Error::malformed_xml()),
        };
        let filter = match (element.filter, element.prefix) {
            (None, None) => return Err(S3Error::malformed_xml()),
            (None, Some(prefix)) => Filter { prefix: Some(prefix), ..blank_filter(FilterForm::RulePrefix) },
            (Some(filter), prefix) => {
                if prefix.is_some() {
                    self.blame(validate::base_level_prefix());
                }
                self.filter(filter)?
            }
        };
        let transitions = element.transitions.into_iter().map(|transition| self.transition(transition));
        let transitions = transitions.collect::<Result<Vec<Transition>, S3Error>>()?;
        let expiration = element.expiration.map(|expiration| self.expiration(expiration)).transpose()?;
        let noncurrent = element.noncurrent_transitions.into_iter();
        let noncurrent = noncurrent.map(|transition| self.noncurrent_transition(&transition));
        let noncurrent_transitions = noncurrent.collect::<Result<Vec<NoncurrentTransition>, S3Error>>()?;
        let ended = element.noncurrent_expiration;
        Ok(Rule {
            id: element.id.unwrap_or_default(),
            status,
            filter,
            transitions,
            expiration,
            noncurrent_transitions,
            noncurrent_expiration: ended.map(|ended| self.noncurrent_expiration(&ended)).transpose()?,
            abort_days: element.abort.map(|abort| {
                self.positive(abort.days_after_initiation, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
            }),
        })
    }

    fn filter(&mut self, element: FilterElement) -> Result<Filter, S3Error> {
        let FilterElement { prefix, tag, object_size_greater_than: over, object_size_less_than: under, and } = element;
        let direct = count([prefix.is_some(), tag.is_some(), over.is_some(), under.is_some()]);
        let (form, parts) = match (direct, and) {
            (0, None) => return Ok(blank_filter(FilterForm::Empty)),
            (0, Some(and)) => (FilterForm::And, and),
            (1, None) => {
                let tags = tag.into_iter().collect();
                let parts = AndElement { prefix, tags, object_size_greater_than: over, object_size_less_than: under };
                (FilterForm::Single, parts)
            }
            _ => return Err(S3Error::malformed_xml()),
        };
        let AndElement { prefix, tags, object_size_greater_than: over, object_size_less_than: under } = parts;
        let predicates = tags.len() + count([prefix.is_some(), over.is_some(), under.is_some()]);
        if form == FilterForm::And && predicates < 2 {
            return Err(S3Error::malformed_xml());
        }
        let tag = |tag: TagElement| Tag { key: tag.key, value: tag.value.unwrap_or_default() };
        Ok(Filter {
            prefix,
            tags: tags.into_iter().map(tag).collect(),
            size_over: over.map(|bytes| self.size(bytes, "ObjectSizeGreaterThan", 0)),
            size_under: under.map(|bytes| self.size(bytes, "ObjectSizeLessThan", 1)),
            form,
        })
    }

    fn transition(&mut self, element: TransitionElement) -> Result<Transition, S3Error> {
        let class = transition_class(&element.storage_class)?;
        let when = match (element.days, element.date) {
            (Some(days), None) => When::Days(self.not_negative(days, "Days", "Transition")),
            (None, Some(date)) => When::Date(self.date(&date)?),
            _ => return Err(S3Error::malformed_xml()),
        };
        Ok(Transition { when, class })
    }

    fn expiration(&mut self, element: ExpirationElement) -> Result<Expiration, S3Error> {
        match (element.days, element.date, element.expired_object_delete_marker) {
            (Some(days), None, None) => Ok(Expiration::When(When::Days(self.positive(days, "Days", "Expiration")))),
            (None, Some(date), None) => Ok(Expiration::When(When::Date(self.date(&date)?))),
            (None, None, Some(true)) => Ok(Expiration::DeleteMarker),
            (None, None, Some(false)) => Ok(Expiration::KeepDeleteMarker),
            _ => Err(S3Error::malformed_xml()),
        }
    }

    fn noncurrent_transition(&mut self, element: &NoncurrentElement) -> Result<NoncurrentTransition, S3Error> {
        const ACTION: &str = "NoncurrentVersionTransition";
        let class = element.storage_class.as_deref().ok_or_else(S3Error::malformed_xml)?;
        Ok(NoncurrentTransition {
            class: transition_class(class)?,
            days: self.not_negative(element.noncurrent_days, "NoncurrentDays", ACTION),
            newer: element.newer_noncurrent_versions.map(|newer| self.newer(newer, ACTION)),
        })
    }

    fn noncurrent_expiration(&mut self, element: &NoncurrentElement) -> Result<NoncurrentExpiration, S3Error> {
        const ACTION: &str = "NoncurrentVersionExpiration";
        if element.storage_class.is_some() {
            return Err(S3Error::malformed_xml());
        }
        Ok(NoncurrentExpiration {
            days: self.positive(element.noncurrent_days, "NoncurrentDays", ACTION),
            newer: element.newer_noncurrent_versions.map(|newer| self.newer(newer, ACTION)),
        })
    }

    fn date(&mut self, text: &str) -> Result<strata_storage::Timestamp, S3Error> {
        let date = time::parse_iso8601(text).ok_or_else(S3Error::malformed_xml)?;
        if !date.as_nanos().is_multiple_of(DAY_NANOS) {
            self.blame(S3Error::invalid_argument("'Date' must be at midnight GMT", "Date", text.trim()));
        }
        Ok(date)
    }

    fn positive(&mut self, days: i32, name: &'static str, action: &str) -> u32 {
        if days < 1 {
            let message = format!("'{name}' for {action} action must be a positive integer");
            self.blame(S3Error::invalid_argument(message, name, days.to_string()));
        }
        u32::try_from(days).unwrap_or(0)
    }

    fn not_negative(&mut self, days: i32, name: &'static str, action: &str) -> u32 {
        u32::try_from(days).unwrap_or_else(|_| {
            let message = format!("'{name}' for {action} action must be nonnegative");
            self.blame(S3Error::invalid_argument(message, name, days.to_string()));
            0
        })
    }

    fn newer(&mut self, newer: i32, action: &str) -> u32 {
        const NAME: &str = "NewerNoncurrentVersions";
        if !(1..=NEWER_MAX).contains(&newer) {
            let message = format!("'{NAME}' for {action} action must be an integer between 1 and {NEWER_MAX}");
            self.blame(S3Error::invalid_argument(message, NAME, newer.to_string()));
        }
        u32::try_from(newer).unwrap_or(0)
    }

    fn size(&mut self, bytes: i64, name: &str, least: i64) -> u64 {
        if !(least..=SIZE_MAX).contains(&bytes) {
            self.blame(S3Error::invalid_request(format!("'{name}' should be between {least} and {SIZE_MAX}.")));
        }
        u64::try_from(bytes).unwrap_or(0)
    }

    fn blame(&mut self, fault: S3Error) {
        self.fault.get_or_insert(fault);
    }
}

/// How many are there.
fn count<const N: usize>(there: [bool; N]) -> usize {
    there.into_iter().filter(|&there| there).count()
}

fn blank_filter(form: FilterForm) -> Filter {
    Filter { prefix: None, tags: Vec::new(), size_over: None, size_under: None, form }
}

/// A class that a rule can move objects to.
fn transition_class(name: &str) -> Result<StorageClass, S3Error> {
    match StorageClass::parse(name) {
        None | Some(StorageClass::Standard | StorageClass::ReducedRedundancy) => Err(S3Error::malformed_xml()),
        Some(class) => Ok(class),
    }
}

#[cfg(test)]
mod tests;

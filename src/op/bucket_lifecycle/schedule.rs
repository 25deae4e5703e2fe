//! When the actions of one rule follow each other: the least days in a class, and expiration after every transition.

use std::collections::HashSet;

use strata_storage::{Expiration, Filter, Rule, StorageClass, When, least_days, may_follow};

use crate::error::S3Error;

const DAY_SECONDS: u64 = 86_400;

/// What differs between the actions on current and on noncurrent versions.
struct Words {
    transition: &'static str,
    expiration: &'static str,
    days: &'static str,
}

const CURRENT: Words = Words { transition: "Transition", expiration: "Expiration", days: "Days" };
const NONCURRENT: Words = Words {
    transition: "NoncurrentVersionTransition",
    expiration: "NoncurrentVersionExpiration",
    days: "NoncurrentDays",
};

/// Checks the times of a rule's actions against each other.
pub fn check(rule: &Rule) -> Result<(), S3Error> {
    let end = match rule.expiration {
        Some(Expiration::When(when)) => Some(when),
        _ => None,
    };
    let mut times = rule.transitions.iter().map(|transition| transition.when).chain(end);
    let by_date = times.clone().any(|when| matches!(when, When::Date(_)));
    if by_date && times.any(|when| matches!(when, When::Days(_))) {
        return Err(S3Error::invalid_request(format!(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '{}'",
            describe(&rule.filter)
        )));
    }
    let words = if by_date { Words { days: "Date", ..CURRENT } } else { CURRENT };
    let moves: Vec<(u64, StorageClass)> =
        rule.transitions.iter().map(|transition| (day_number(transition.when), transition.class)).collect();
    if !by_date {
        check_least_days(&moves, &words)?;
    }
    check_moves(moves.clone(), &words, &rule.filter)?;
    if let Some(end) = end
        && moves.iter().any(|(day, _)| day_number(end) <= *day)
    {
        return Err(not_after(&words, &rule.filter, end));
    }
    check_noncurrent(rule)
}

fn check_noncurrent(rule: &Rule) -> Result<(), S3Error> {
    let moves: Vec<(u64, StorageClass)> =
        rule.noncurrent_transitions.iter().map(|transition| (u64::from(transition.days), transition.class)).collect();
    check_least_days(&moves, &NONCURRENT)?;
    check_moves(moves, &NONCURRENT, &rule.filter)?;
    let Some(end) = rule.noncurrent_expiration else { return Ok(()) };
    // With more newer versions kept than the transition asks for, those in between still move.
    let never = |wanted: Option<u32>| end.newer.unwrap_or(0) <= wanted.unwrap_or(0);
    let late = |days: u32| end.days <= days;
    if rule.noncurrent_transitions.iter().any(|transition| late(transition.days) && never(transition.newer)) {
        return Err(not_after(&NONCURRENT, &rule.filter, When::Days(end.days)));
    }
    Ok(())
}

fn not_after(words: &Words, filter: &Filter, end: When) -> S3Error {
    let Words { transition, expiration, days } = words;
    let filter = describe(filter);
    let message = format!(
        "'{days}' in the {expiration} action for filter '{filter}' must be greater than '{days}' in the {transition} \
         action"
    );
    let value = match end {
        When::Days(days) => days.to_string(),
        When::Date(date) => crate::time::iso8601(date),
    };
    S3Error::invalid_argument(message, *days, value)
}

fn check_least_days(moves: &[(u64, StorageClass)], words: &Words) -> Result<(), S3Error> {
    for &(day, class) in moves {
        let least = match class {
            StorageClass::StandardIa | StorageClass::OnezoneIa => 30,
            _ => 0,
        };
        if day < least {
            let Words { transition, days, .. } = words;
            let message = format!(
                "'{days}' in {transition} action must be greater than or equal to {least} for storageClass '{}'",
                class.name()
            );
            return Err(S3Error::invalid_argument(message, *days, day.to_string()));
        }
    }
    Ok(())
}

/// That every class is named once, that none leads back up, where no object would go, and that an object stays in each for
/// the least time that is billed.
fn check_moves(mut moves: Vec<(u64, StorageClass)>, words: &Words, filter: &Filter) -> Result<(), S3Error> {
    let Words { transition, days, .. } = words;
    let mut classes = HashSet::new();
    if !moves.iter().all(|(_, class)| classes.insert(*class)) {
        return Err(S3Error::invalid_request(format!(
            "'StorageClass' must be different for '{transition}' actions in same 'Rule' with filter '{}'",
            describe(filter)
        )));
    }
    // Of two on one day the class with no least time comes first, so that it never stands in the way.
    moves.sort_by_key(|(day, class)| (*day, least_days(*class)));
    for pair in moves.windows(2) {
        let [(before, from), (day, to)] = pair else { continue };
        // Unconfirmed: S3's text.
        if before < day && !may_follow(*from, *to) {
            let message = format!(
                "'{days}' in the {transition} action for StorageClass '{}' for filter '{}' must be greater than '{days}' \
                 in the {transition} action for StorageClass '{}'",
                from.name(),
                describe(filter),
                to.name()
            );
            return Err(S3Error::invalid_argument(message, *days, before.to_string()));
        }
        let least = least_days(*from);
        if *day < before.saturating_add(u64::from(least)) {
            let message = format!(
                "'{days}' in the {transition} action for StorageClass '{}' for filter '{}' must be at least {least} days \
                 greater than '{days}' in the {transition} action for StorageClass '{}'",
                to.name(),
                describe(filter),
                from.name()
            );
            return Err(S3Error::invalid_argument(message, *days, day.to_string()));
        }
    }
    Ok(())
}

/// Dates become days since 1970, so that both compare alike.
fn day_number(when: When) -> u64 {
    match when {
        When::Days(days) => u64::from(days),
        When::Date(date) => date.as_secs() / DAY_SECONDS,
    }
}

/// A filter as S3's messages name it.
fn describe(filter: &Filter) -> String {
    let mut parts = vec![format!("prefix={}", filter.prefix.as_deref().unwrap_or_default())];
    parts.extend(filter.tags.iter().map(|tag| format!("tag: key={}, value={}", tag.key, tag.value)));
    parts.extend(filter.size_over.map(|bytes| format!("object size greater than {bytes}")));
    parts.extend(filter.size_under.map(|bytes| format!("object size less than {bytes}")));
    format!("({})", parts.join(" and "))
}

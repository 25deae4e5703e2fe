//! What clients are told in advance: when an object expires, when an upload is aborted, and by which rule.

use super::calendar::Calendar;
use super::decide::{Kind, Position, Subject};
use super::{Expiration, Lifecycle, When};
use crate::stamp::Timestamp;

impl Lifecycle {
    /// When a current object expires and the id of the rule that says so: the earliest, and of several the one listed
    /// first. `None` for noncurrent versions and delete markers, and if no rule has an expiration by days or date for
    /// the object. Whether the action really comes, or a faster one is due before, is not looked at.
    pub fn expiration(&self, subject: &Subject<'_>, calendar: &Calendar) -> Option<(Timestamp, &str)> {
        if subject.kind == Kind::DeleteMarker || matches!(subject.position, Position::Noncurrent { .. }) {
            return None;
        }
        let matching = self.enabled().filter(|(_, rule)| rule.filter.matches(subject));
        let dates = matching.filter_map(|(_, rule)| match rule.expiration? {
            Expiration::When(when) => Some((when.after(subject.created, calendar), rule.id.as_str())),
            Expiration::DeleteMarker | Expiration::KeepDeleteMarker => None,
        });
        // Of equal ones `min_by_key` gives the first.
        dates.min_by_key(|(date, _)| *date)
    }

    /// When an upload of this key is aborted unless it is completed, and the id of the rule that says so: the
    /// earliest, and of several the one listed first.
    pub fn abort(&self, key: &str, initiated: Timestamp, calendar: &Calendar) -> Option<(Timestamp, &str)> {
        let matching = self.enabled().filter(|(_, rule)| rule.filter.covers(key));
        let dates =
            matching.filter_map(|(_, rule)| Some((calendar.days_after(initiated, rule.abort_days?), rule.id.as_str())));
        dates.min_by_key(|(date, _)| *date)
    }
}

impl When {
    /// The moment that is meant for a version made at `created`.
    pub(super) fn after(self, created: Timestamp, calendar: &Calendar) -> Timestamp {
        match self {
            When::Days(days) => calendar.days_after(created, days),
            When::Date(date) => date,
        }
    }
}

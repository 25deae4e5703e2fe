//! When access keys were last used. Kept in memory and written once a minute, so a crash forgets the last minute.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strata_storage::Timestamp;

/// Uses that are so close to each other count as one.
const RESOLUTION: Duration = Duration::from_mins(1);
/// Keys whose use was not yet written; further ones are noted when they are used again.
const UNWRITTEN_MAX: usize = 65_536;

/// The last use of an access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// The service: `s3`, `iam`, `sts`, `kms`.
    pub service: String,
    /// The region signed for.
    pub region: String,
    /// When.
    pub at: Timestamp,
}

/// The last uses of all keys.
#[derive(Default)]
pub struct LastUses(Mutex<Uses>);

#[derive(Default)]
struct Uses {
    known: HashMap<String, LastUse>,
    unwritten: HashSet<String>,
    written: Timestamp,
}

impl LastUses {
    /// Takes what was stored.
    pub fn load(&self, uses: HashMap<String, LastUse>) {
        self.lock().known.extend(uses);
    }

    /// The last use of a key.
    pub fn of(&self, access_key: &str) -> Option<LastUse> {
        self.lock().known.get(access_key).cloned()
    }

    /// Notes a use. Whether it is time to write.
    pub fn note(&self, access_key: &str, service: &str, region: &str, now: Timestamp) -> bool {
        let mut uses = self.lock();
        let is_known = uses
            .known
            .get(access_key)
            .is_some_and(|last| now.since(last.at) < RESOLUTION && last.service == service && last.region == region);
        if is_known || uses.unwritten.len() >= UNWRITTEN_MAX {
            return !uses.unwritten.is_empty() && uses.is_time(now);
        }
        let last = LastUse { service: service.to_owned(), region: region.to_owned(), at: now };
        uses.known.insert(access_key.to_owned(), last);
        uses.unwritten.insert(access_key.to_owned());
        uses.is_time(now)
    }

    /// Takes what is to be written; `exists` tells the keys that are still there from those to forget.
    pub fn take_unwritten(&self, exists: impl Fn(&str) -> bool) -> Vec<(String, LastUse)> {
        let mut uses = self.lock();
        let taken = std::mem::take(&mut uses.unwritten);
        let mut unwritten = Vec::new();
        for access_key in taken {
            match exists(&access_key) {
                true => unwritten.extend(uses.known.get(&access_key).cloned().map(|last| (access_key, last))),
                false => {
                    uses.known.remove(&access_key);
                }
            }
        }
        unwritten
    }

    /// Forgets a key that was removed.
    pub fn forget(&self, access_key: &str) {
        self.lock().known.remove(access_key);
    }

    fn lock(&self) -> MutexGuard<'_, Uses> {
        // Every change is a single step, so what a panic left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    fn is_time(&mut self, now: Timestamp) -> bool {
        let due = now.since(self.written) >= RESOLUTION;
        if due {
            self.written = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::Timestamp;

    use super::LastUses;

    #[test]
    fn uses_are_written_once_a_minute() {
        let uses = LastUses::default();
        let at = |seconds: u64| Timestamp::from_secs(1_000_000 + seconds);
        assert!(uses.note("a", "s3", "r", at(0)), "the first is written at once");
        assert_eq!(uses.take_unwritten(|_| true).len(), 1);
        assert!(!uses.note("a", "s3", "r", at(1)) && !uses.note("b", "s3", "r", at(2)));
        assert_eq!(uses.of("a").unwrap().at, at(0), "uses within a minute are one");
        assert!(!uses.note("a", "iam", "r", at(3)), "another service is another use");
        assert_eq!(uses.of("a").unwrap().service, "iam");
        assert!(uses.note("b", "s3", "r", at(61)), "time to write, whoever comes");
        let mut written: Vec<_> = uses.take_unwritten(|key| key != "b").into_iter().map(|(key, _)| key).collect();
        written.sort();
        assert_eq!((written, uses.of("b")), (vec!["a".to_owned()], None));
    }
}

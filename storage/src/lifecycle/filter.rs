//! Which objects a rule is about.

use super::Filter;
use super::decide::{Kind, Subject};

impl Filter {
    /// Whether the key alone leaves the object to the rule. All that counts for uploads.
    pub fn covers(&self, key: &str) -> bool {
        self.prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix))
    }

    /// Whether sizes are compared, which takes the place of the configuration's minimum for transitions.
    pub fn has_size(&self) -> bool {
        self.size_over.is_some() || self.size_under.is_some()
    }

    /// Whether the rule is about this version. A delete marker has neither tags nor a size to compare.
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        if !self.covers(subject.key) {
            return false;
        }
        match subject.kind {
            Kind::DeleteMarker => self.tags.is_empty() && !self.has_size(),
            Kind::Object => {
                self.tags.iter().all(|tag| subject.tags.contains(tag))
                    && self.size_over.is_none_or(|bytes| subject.size > bytes)
                    && self.size_under.is_none_or(|bytes| subject.size < bytes)
            }
        }
    }
}

//! What a bucket can have many of: configurations with an id, each about the objects that its filter chooses.

use serde::{Deserialize, Serialize};

use crate::error::{Entity, Error, Result};
use crate::object::Tag;

/// The most configurations of one kind that a bucket can have, S3's limit.
pub const CONFIGURATIONS_MAX: usize = 1000;

/// Which objects a configuration is about: those that meet all that is named; naming nothing means all objects.
///
/// A document's form follows from what is named: nothing is no filter, one thing stands alone, several are an `And`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConfigurationFilter {
    /// What the key begins with.
    pub prefix: Option<String>,
    /// What the object's tags must contain.
    pub tags: Vec<Tag>,
}

impl ConfigurationFilter {
    /// Whether an object with this key and these tags is chosen.
    pub fn matches(&self, key: &str, tags: &[Tag]) -> bool {
        let has_prefix = self.prefix.as_deref().is_none_or(|prefix| key.starts_with(prefix));
        has_prefix && self.tags.iter().all(|wanted| tags.contains(wanted))
    }
}

/// A configuration that its id names.
pub(crate) trait Configuration {
    /// The id, unique among those of its kind in the bucket.
    fn id(&self) -> &str;
}

/// Adds a configuration, or replaces the one of the same id. The list is in the order of the ids, and stays so.
pub(crate) fn put<C: Configuration>(configurations: &mut Vec<C>, configuration: C) -> Result<()> {
    match position(configurations, configuration.id()) {
        Ok(at) => configurations[at] = configuration,
        Err(_) if configurations.len() >= CONFIGURATIONS_MAX => {
            return Err(Error::TooManyConfigurations { most: CONFIGURATIONS_MAX });
        }
        Err(at) => configurations.insert(at, configuration),
    }
    Ok(())
}

/// Removes the configuration of that id, or `Err(NotFound(Configuration))`.
pub(crate) fn delete<C: Configuration>(configurations: &mut Vec<C>, id: &str) -> Result<()> {
    let at = position(configurations, id).map_err(|_| Error::NotFound(Entity::Configuration))?;
    configurations.remove(at);
    Ok(())
}

fn position<C: Configuration>(configurations: &[C], id: &str) -> std::result::Result<usize, usize> {
    configurations.binary_search_by(|configuration| configuration.id().cmp(id))
}

#[cfg(test)]
mod tests {
    use super::{CONFIGURATIONS_MAX, Configuration, ConfigurationFilter, delete, put};
    use crate::error::{Entity, Error};
    use crate::object::Tag;

    fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
        pairs.iter().map(|(key, value)| Tag { key: key.to_string(), value: value.to_string() }).collect()
    }

    #[test]
    fn filters_want_all_that_they_name() {
        fn check(prefix: Option<&str>, wanted: &[(&str, &str)], expected: bool) {
            let filter = ConfigurationFilter { prefix: prefix.map(str::to_string), tags: tags(wanted) };
            let object = tags(&[("team", "red"), ("stage", "")]);
            assert_eq!(filter.matches("logs/1", &object), expected, "{prefix:?} {wanted:?}");
        }
        check(None, &[], true);
        check(Some(""), &[], true);
        check(Some("logs/"), &[], true);
        check(Some("logs/1"), &[], true);
        check(Some("logs/10"), &[], false);
        check(Some("Logs/"), &[], false);
        check(None, &[("team", "red")], true);
        check(None, &[("stage", "")], true);
        check(None, &[("team", "blue")], false);
        check(None, &[("other", "")], false);
        check(None, &[("team", "red"), ("stage", "")], true);
        check(None, &[("team", "red"), ("stage", "x")], false);
        check(Some("logs/"), &[("team", "red")], true);
        check(Some("pictures/"), &[("team", "red")], false);
    }

    struct Numbered(String, u32);

    impl Configuration for Numbered {
        fn id(&self) -> &str {
            &self.0
        }
    }

    #[test]
    fn ids_are_unique_and_in_order() {
        let mut list = Vec::new();
        for (number, id) in ["b", "a", "c", "b"].iter().enumerate() {
            put(&mut list, Numbered(id.to_string(), number as u32)).expect("there is room");
        }
        let found: Vec<(&str, u32)> = list.iter().map(|Numbered(id, number)| (id.as_str(), *number)).collect();
        assert_eq!(found, [("a", 1), ("b", 3), ("c", 2)]);
        delete(&mut list, "b").expect("it is there");
        assert!(matches!(delete(&mut list, "b"), Err(Error::NotFound(Entity::Configuration))));
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn the_number_is_bounded() {
        let mut list = Vec::new();
        for number in 0..CONFIGURATIONS_MAX {
            put(&mut list, Numbered(format!("{number}"), 0)).expect("there is room");
        }
        let refused = put(&mut list, Numbered("more".to_string(), 0));
        assert!(matches!(refused, Err(Error::TooManyConfigurations { most: CONFIGURATIONS_MAX })));
        put(&mut list, Numbered("7".to_string(), 1)).expect("replacing needs no room");
        assert_eq!(list.len(), CONFIGURATIONS_MAX);
    }
}

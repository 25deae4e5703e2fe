//! The other stores that buckets are replicated to, as the settings name them.

use std::sync::Arc;

use strata_storage::{BucketName, Clock};

use super::region_client::RegionClient;
use crate::config::{Config, RegionSettings};
use crate::outbound::TrustError;

/// Another store.
pub struct Region {
    /// What it is called.
    pub name: String,
    /// Names and patterns of the buckets that may be looked for there; none for all.
    buckets: Vec<String>,
    /// What talks to it.
    pub client: RegionClient,
}

/// All of them, in the order of the settings; one per server, shared.
#[derive(Clone, Default)]
pub struct Regions(Arc<[Arc<Region>]>);

/// A store that there can be no connections to. The message says what to change.
#[derive(Debug, thiserror::Error)]
#[error("the region {name} cannot be used: {source}")]
pub struct RegionsError {
    name: String,
    source: TrustError,
}

impl Regions {
    /// Those of the settings. Nobody is asked yet. `Err` if it cannot be known whose certificates to believe.
    pub fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Regions, RegionsError> {
        let connections = config.replication.concurrency;
        let open = |settings: &RegionSettings| {
            let client = RegionClient::new(settings, connections, Arc::clone(clock));
            let client = client.map_err(|source| RegionsError { name: settings.name.clone(), source })?;
            Ok(Arc::new(Region { name: settings.name.clone(), buckets: settings.buckets.clone(), client }))
        };
        config.regions.iter().map(open).collect::<Result<Vec<_>, _>>().map(|regions| Regions(regions.into()))
    }

    /// Those where a bucket may be looked for, in order.
    pub fn of_bucket<'r>(&'r self, bucket: &'r BucketName) -> impl Iterator<Item = &'r Arc<Region>> {
        self.0.iter().filter(|region| region.may_hold(bucket.as_str()))
    }
}

impl Region {
    fn may_hold(&self, bucket: &str) -> bool {
        self.buckets.is_empty() || self.buckets.iter().any(|pattern| matches(pattern, bucket))
    }
}

/// Whether `text` is what `pattern` says, where `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(before) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        // The first place is the best one: it leaves most for the rest.
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        check("logs", "logs", true);
        check("logs", "logs2", false);
        check("*", "anything", true);
        check("logs-*", "logs-", true);
        check("logs-*", "logs-2026", true);
        check("logs-*", "log-2026", false);
        check("*-logs", "web-logs", true);
        check("*-logs", "web-logs2", false);
        check("a*b*c", "abc", true);
        check("a*b*c", "a1b2c", true);
        check("a*b*c", "acb", false);
        check("a*bc", "abcbc", true);
        check("a*a", "a", false);
        check("a**b", "ab", true);
    }
}

//! `strata replication diff`: whether a bucket and its destinations hold the same versions.
//!
//! Both are listed page by page and merged key by key. In memory are a page of each, and of one key those versions that the
//! other side has not shown yet: as both list them in the same order, those are few unless they differ.
//!
//! A store that is no Strata gives versions ids and times of its own. With it only what is current of each key is compared, by
//! size and ETag; ETags of uploads in parts depend on the parts, so that two that differ prove nothing, which is counted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write;

use clap::Args;
use http::Method;
use serde::Serialize;

use super::{encoded, push_marker, queues, tell_progress, topic};
use crate::admin::{DetailsDocument, ListedVersion, ListingDocument, VersionDetails, VersionName};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::printable;
use crate::cli::{AskArgs, CliError};

/// Versions whose details are asked for at once, the most that the server takes.
const DETAILS_MAX: usize = 100;

/// What to compare.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The source bucket.
    bucket: String,
    /// Only this destination, by its ARN; otherwise those of all rules.
    #[arg(long, value_name = "ARN")]
    destination: Option<String>,
    /// Only keys that begin so.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    prefix: String,
    /// Compares metadata, class, locks and tags too, with requests for each version.
    #[arg(long)]
    deep: bool,
    /// Compares only what is current of each key, as is always done with stores that are no Strata.
    #[arg(long)]
    current: bool,
    /// Leaves out delete markers, for rules that do not send them.
    #[arg(long)]
    no_markers: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// Something that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    /// The destination's ARN.
    destination: String,
    /// The key.
    key: String,
    /// The version.
    version_id: String,
    /// `missing` at the destination, `extra` there, or `different`.
    kind: &'static str,
    /// What is different.
    what: Vec<String>,
}

/// What one side shows.
struct Listing<'a> {
    client: &'a Client,
    target: String,
    page: VecDeque<ListedVersion>,
    marker: Option<(String, Option<String>)>,
    is_last: bool,
    /// Whether the store is no Strata, once a page was read.
    foreign: bool,
    /// Versions shown so far.
    count: u64,
}

impl<'a> Listing<'a> {
    fn new(client: &'a Client, args: &DiffArgs, destination: Option<&str>) -> Listing<'a> {
        let mut target = topic("listing", &[("bucket", &args.bucket), ("prefix", &args.prefix)]);
        target.extend(destination.map(|arn| format!("&destination={}", encoded(arn))));
        Listing { client, target, page: VecDeque::new(), marker: None, is_last: false, foreign: false, count: 0 }
    }

    /// The key of the next version; `None` after the last one.
    async fn key(&mut self) -> Result<Option<&str>, CliError> {
        while self.page.is_empty() && !self.is_last {
            let mut target = self.target.clone();
            push_marker(&mut target, self.marker.as_ref());
            let page: ListingDocument = client::read(&self.client.get(&target).await?)?;
            self.foreign |= page.foreign;
            self.page = page.versions.into();
            self.marker = page.next_key.map(|key| (key, page.next_version));
            self.is_last = self.marker.is_none();
        }
        Ok(self.page.front().map(|version| version.key.as_str()))
    }

    /// The object that is current of the next key, if it is that one; its other versions are passed.
    async fn current_of(&mut self, key: &str) -> Result<Option<ListedVersion>, CliError> {
        let mut current = None;
        while let Some(version) = self.next_of(key).await? {
            if version.latest {
                current = Some(version);
            }
        }
        Ok(current.filter(|version| version.etag.is_some()))
    }

    /// The next version, if it is one of that key.
    async fn next_of(&mut self, key: &str) -> Result<Option<ListedVersion>, CliError> {
        if self.key().await? != Some(key) {
            return Ok(None);
        }
        self.count += 1;
        Ok(self.page.pop_front())
    }
}

/// The versions of one key that the other side has not shown yet.
#[derive(Default)]
struct Unmatched {
    source: HashMap<String, ListedVersion>,
    destination: HashMap<String, ListedVersion>,
}

impl Unmatched {
    /// A version of the source together with the destination's, once both are known.
    fn of_source(&mut self, version: ListedVersion) -> Option<(ListedVersion, ListedVersion)> {
        match self.destination.remove(&version.version_id) {
            Some(other) => Some((version, other)),
            None => {
                self.source.insert(version.version_id.clone(), version);
                None
            }
        }
    }

    /// The same for a version of the destination.
    fn of_destination(&mut self, version: ListedVersion) -> Option<(ListedVersion, ListedVersion)> {
        match self.source.remove(&version.version_id) {
            Some(other) => Some((other, version)),
            None => {
                self.destination.insert(version.version_id.clone(), version);
                None
            }
        }
    }
}

/// Compares one bucket with one destination.
struct Comparison<'a, W> {
    client: &'a Client,
    args: &'a DiffArgs,
    destination: &'a str,
    out: &'a mut W,
    /// Whether only what is current is compared.
    current: bool,
    /// Versions that are the same as far as listings tell, here and there.
    same: Vec<(VersionName, VersionName)>,
    found: u64,
    /// Objects whose ETags prove nothing, so that only their sizes are known to be the same.
    by_size: u64,
    /// What comes before the next difference in JSON.
    separator: &'static str,
}

/// Runs the command. Differences are printed as they are found.
pub async fn run(args: &DiffArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let destinations = match &args.destination {
        Some(arn) => vec![arn.clone()],
        None => {
            let queues = queues(&client, Some(&args.bucket)).await?.into_iter();
            queues.filter(|queue| !queue.rules.is_empty()).map(|queue| queue.destination).collect()
        }
    };
    if destinations.is_empty() {
        return Err(CliError::Usage(format!("{} has no replication rules; name a --destination", args.bucket)));
    }
    let (mut found, mut separator, mut versions, mut by_size) = (0, "", 0, 0);
    if args.ask.json {
        write!(out, "{{\"differences\":[")?;
    }
    for destination in &destinations {
        let mut comparison = Comparison {
            client: &client,
            args,
            destination,
            out,
            current: args.current,
            same: Vec::new(),
            found: 0,
            by_size: 0,
            separator,
        };
        let (source, there) = comparison.run().await?;
        let unproven = comparison.by_size;
        found += comparison.found;
        by_size += unproven;
        separator = comparison.separator;
        versions = source;
        if !args.ask.json {
            writeln!(out, "{destination}: {source} versions here, {there} there{}", by_size_only(unproven))?;
        }
    }
    if args.ask.json {
        let by_size = if by_size == 0 { String::new() } else { format!(",\"by_size_only\":{by_size}") };
        writeln!(out, "],\"versions\":{versions}{by_size},\"equal\":{}}}", found == 0)?;
    }
    match found {
        0 => Ok(()),
        found => Err(CliError::Differences(found)),
    }
}

fn by_size_only(count: u64) -> String {
    match count {
        0 => String::new(),
        count => format!("; {count} compared by size only, as they went in parts"),
    }
}

impl<W: Write> Comparison<'_, W> {
    /// The numbers of versions on both sides.
    async fn run(&mut self) -> Result<(u64, u64), CliError> {
        let mut source = Listing::new(self.client, self.args, None);
        let mut there = Listing::new(self.client, self.args, Some(self.destination));
        loop {
            let (here, other) = (source.key().await?, there.key().await?);
            // The lesser key: the other side has passed it, or will not come to it.
            let Some(key) = [here, other].into_iter().flatten().min().map(str::to_owned) else { break };
            self.current |= there.foreign;
            match self.current {
                true => self.compare_current(&key, &mut source, &mut there).await?,
                false => self.compare_key(&key, &mut source, &mut there).await?,
            }
            if source.count.is_multiple_of(1000) {
                tell_progress(&format!("{} versions compared", source.count));
            }
        }
        self.compare_details().await?;
        tell_progress("");
        Ok((source.count, there.count))
    }

    async fn compare_key(
        &mut self,
        key: &str,
        source: &mut Listing<'_>,
        there: &mut Listing<'_>,
    ) -> Result<(), CliError> {
        let mut unmatched = Unmatched::default();
        loop {
            let (here, other) = (source.next_of(key).await?, there.next_of(key).await?);
            if here.is_none() && other.is_none() {
                break;
            }
            let pairs = [
                here.filter(|version| self.counts(version)).and_then(|version| unmatched.of_source(version)),
                other.filter(|version| self.counts(version)).and_then(|version| unmatched.of_destination(version)),
            ];
            for (here, other) in pairs.into_iter().flatten() {
                self.compare(&here, &other).await?;
            }
        }
        for (kind, versions) in [("missing", unmatched.source), ("extra", unmatched.destination)] {
            let mut ids: Vec<String> = versions.into_keys().collect();
            ids.sort_unstable();
            for version_id in ids {
                self.tell(key, &version_id, kind, Vec::new())?;
            }
        }
        Ok(())
    }

    /// Compares what is current of a key: an object, or nothing.
    async fn compare_current(
        &mut self,
        key: &str,
        source: &mut Listing<'_>,
        there: &mut Listing<'_>,
    ) -> Result<(), CliError> {
        let (here, other) = (source.current_of(key).await?, there.current_of(key).await?);
        let (here, other) = match (here, other) {
            (None, None) => return Ok(()),
            (Some(here), None) => return self.tell(key, &here.version_id, "missing", Vec::new()),
            (None, Some(other)) => return self.tell(key, &other.version_id, "extra", Vec::new()),
            (Some(here), Some(other)) => (here, other),
        };
        let etags = same_content(here.etag.as_deref(), other.etag.as_deref());
        let what = [("etag", etags == Some(false)), ("size", here.bytes != other.bytes)];
        let what: Vec<String> =
            what.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect();
        if !what.is_empty() {
            return self.tell(key, &here.version_id, "different", what);
        }
        self.by_size += u64::from(etags.is_none());
        self.compare_deeper(&here, &other).await
    }

    fn counts(&self, version: &ListedVersion) -> bool {
        version.etag.is_some() || !self.args.no_markers
    }

    async fn compare(&mut self, here: &ListedVersion, there: &ListedVersion) -> Result<(), CliError> {
        let mut what = differences(here, there);
        // Markers that are left out may be the newest.
        what.retain(|name| !self.args.no_markers || *name != "latest");
        if !what.is_empty() {
            return self.tell(&here.key, &here.version_id, "different", what.into_iter().map(str::to_owned).collect());
        }
        self.compare_deeper(here, there).await
    }

    /// Compares what listings do not tell, if that is wanted, of some versions at once.
    async fn compare_deeper(&mut self, here: &ListedVersion, there: &ListedVersion) -> Result<(), CliError> {
        if self.args.deep && here.etag.is_some() {
            let name = |of: &ListedVersion| VersionName { key: of.key.clone(), version_id: of.version_id.clone() };
            self.same.push((name(here), name(there)));
            if self.same.len() == DETAILS_MAX {
                self.compare_details().await?;
            }
        }
        Ok(())
    }

    /// Compares what listings do not tell of the versions that are the same otherwise.
    async fn compare_details(&mut self) -> Result<(), CliError> {
        let (names, of_others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.same).into_iter().unzip();
        if names.is_empty() {
            return Ok(());
        }
        let ask = async |side: &str, names: &[VersionName]| -> Result<DetailsDocument, CliError> {
            let target = topic("details", &[("bucket", &self.args.bucket), (side, self.destination)]);
            let body = serde_json::to_vec(names).map_err(std::io::Error::from)?;
            client::read(&self.client.ask(Question { method: Method::POST, target, body: &body }).await?)
        };
        let (here, there) = (ask("sent_to", &names).await?, ask("destination", &of_others).await?);
        for ((name, here), there) in names.into_iter().zip(here.versions).zip(there.versions) {
            match (here, there) {
                (Some(here), Some(there)) if here != there => {
                    self.tell(&name.key, &name.version_id, "different", described(&here, &there))?;
                }
                (Some(_), None) => self.tell(&name.key, &name.version_id, "missing", Vec::new())?,
                // What is gone here since it was listed is none of ours.
                _ => {}
            }
        }
        Ok(())
    }

    fn tell(&mut self, key: &str, version_id: &str, kind: &'static str, what: Vec<String>) -> Result<(), CliError> {
        self.found += 1;
        if !self.args.ask.json {
            let what = if what.is_empty() { String::new() } else { format!("  ({})", what.join(", ")) };
            return Ok(writeln!(self.out, "{}", printable(&format!("{kind:<9}  {version_id:<32}  {key}{what}")))?);
        }
        let (key, version_id) = (key.to_owned(), version_id.to_owned());
        let difference = Difference { destination: self.destination.to_owned(), key, version_id, kind, what };
        let text = serde_json::to_string(&difference).map_err(std::io::Error::from)?;
        write!(self.out, "{}\n{text}", std::mem::replace(&mut self.separator, ","))?;
        Ok(())
    }
}

/// What listings tell of two versions of one id that is not the same.
fn differences(here: &ListedVersion, there: &ListedVersion) -> Vec<&'static str> {
    if here.etag.is_some() != there.etag.is_some() {
        return vec!["delete marker"];
    }
    let same = [
        ("etag", here.etag == there.etag),
        ("size", here.bytes == there.bytes),
        ("modified", here.modified == there.modified),
        ("latest", here.latest == there.latest),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

/// Whether two ETags are of the same content; `None` if they do not tell: those of uploads in parts depend on the parts.
fn same_content(here: Option<&str>, there: Option<&str>) -> Option<bool> {
    let is_of_parts = |etag: Option<&str>| etag.is_some_and(|etag| etag.contains('-'));
    (here == there).then_some(true).or((!is_of_parts(here) && !is_of_parts(there)).then_some(false))
}

/// The names of headers and tags that are not the same.
fn described(here: &VersionDetails, there: &VersionDetails) -> Vec<String> {
    let names = |here: &BTreeMap<String, String>, there: &BTreeMap<String, String>| -> Vec<String> {
        let changed = here.iter().filter(|(name, value)| there.get(*name) != Some(value)).map(|(name, _)| name.clone());
        let added = there.keys().filter(|name| !here.contains_key(*name)).cloned();
        changed.chain(added).collect()
    };
    let tags = names(&here.tags, &there.tags).into_iter().map(|tag| format!("tag {tag}"));
    names(&here.headers, &there.headers).into_iter().chain(tags).collect()
}

#[cfg(test)]
mod tests {
    use super::{ListedVersion, Unmatched, VersionDetails, described, differences, same_content};

    fn version(id: &str) -> ListedVersion {
        ListedVersion {
            key: "k".to_owned(),
            version_id: id.to_owned(),
            latest: true,
            modified: "2026-01-01T00:00:00.000Z".to_owned(),
            etag: Some("e".to_owned()),
            bytes: 3,
        }
    }

    #[test]
    fn versions_are_compared() {
        fn check(there: ListedVersion, expected: &[&str]) {
            assert_eq!(differences(&version("1"), &there), expected);
        }
        check(version("1"), &[]);
        check(ListedVersion { etag: Some("f".to_owned()), bytes: 4, ..version("1") }, &["etag", "size"]);
        check(ListedVersion { latest: false, modified: String::new(), ..version("1") }, &["modified", "latest"]);
        check(ListedVersion { etag: None, bytes: 0, ..version("1") }, &["delete marker"]);
    }

    #[test]
    fn etags_of_parts_tell_nothing_but_that_they_are_the_same() {
        assert_eq!(same_content(Some("a"), Some("a")), Some(true));
        assert_eq!(same_content(Some("a"), Some("b")), Some(false));
        assert_eq!(same_content(Some("a-2"), Some("a-2")), Some(true));
        assert_eq!((same_content(Some("a-2"), Some("b-1")), same_content(Some("a"), Some("b-1"))), (None, None));
    }

    #[test]
    fn pairs_are_found_in_any_order() {
        let mut unmatched = Unmatched::default();
        assert!(unmatched.of_source(version("1")).is_none());
        assert!(unmatched.of_destination(version("2")).is_none());
        assert!(unmatched.of_destination(version("1")).is_some());
        assert!(unmatched.of_source(version("3")).is_none());
        let left =
            |versions: &std::collections::HashMap<String, ListedVersion>| versions.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            (left(&unmatched.source), left(&unmatched.destination)),
            (vec!["3".to_owned()], vec!["2".to_owned()])
        );
    }

    #[test]
    fn details_are_named() {
        let details = |headers: &[(&str, &str)], tags: &[(&str, &str)]| {
            let map = |pairs: &[(&str, &str)]| {
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
            };
            VersionDetails { headers: map(headers), tags: map(tags) }
        };
        let here = details(&[("a", "1"), ("b", "1")], &[("t", "1")]);
        let there = details(&[("a", "1"), ("b", "2"), ("c", "1")], &[]);
        assert_eq!(described(&here, &there), ["b", "c", "tag t"]);
        assert!(described(&here, &here).is_empty());
    }
}

//! `POST replication/resync`: asks for versions to be sent that were there before the rules, or are to be sent again.
//!
//! Each request looks at one page of the bucket's versions. A key's versions are asked for from the oldest to the newest, so
//! that the destination's current version is never one that only was current; only of a key with more versions than a page
//! they are asked for page by page. What was put aside for the destination is taken up instead.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use strata_storage::{
    BucketName, Candidate, Encryption, Error, QueueName, ReplicatedPart, Replication, ReplicationRule,
    ReplicationStatus, VersionEntry, VersionId, VersionSelector, VersionsPage, VersionsQuery, Work,
};

use crate::admin::AdminRequest;
use crate::error::S3Error;
use crate::request::Context;

/// Versions that are looked at in one request.
const PAGE_MAX: usize = 1000;
/// Keys that are asked for at once: they share the syncs of their commits.
const TOGETHER: usize = 32;

/// What became of a page of versions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ResyncDocument {
    /// Versions and delete markers that were looked at.
    pub examined: u64,
    /// Versions that will be sent, each counted once for each destination.
    pub asked: u64,
    /// Versions that were sent already, are waiting to be, or are replicas themselves.
    pub skipped: u64,
    /// Versions that could not be sent before to where these rules do not send: `replication/retry` is for them.
    pub failed: u64,
    /// Where the next page begins, if there are more: `key_marker` of the next request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_key: Option<String>,
    /// `version_marker` of the next request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_version: Option<String>,
}

/// What is to be sent of what is found.
struct Wanted<'a> {
    name: &'a BucketName,
    /// The bucket's id.
    bucket: u64,
    replication: &'a Replication,
    /// The only rule that counts, if one was named.
    rule: Option<&'a str>,
    /// Whether what was sent before counts, and what others sent.
    all: bool,
}

/// Answers.
pub async fn resync(ctx: &Context, request: AdminRequest) -> Result<ResyncDocument, S3Error> {
    let name = request.named_bucket()?;
    let bucket = ctx.store.bucket(&name).await?;
    let replication = bucket.replication.as_ref();
    let replication = replication.ok_or_else(|| S3Error::invalid_request("The bucket has no replication rules."))?;
    let rule = request.query.get("rule");
    if let Some(id) = rule.filter(|id| replication.rule(id).is_none()) {
        return Err(S3Error::invalid_argument("The bucket has no replication rule of this id.", "rule", id));
    }
    let version_marker = match request.query.get("version_marker") {
        None => None,
        Some(text) => Some(
            VersionId::parse(text)
                .ok_or_else(|| S3Error::invalid_argument("This is no version id.", "version_marker", text))?,
        ),
    };
    let query = VersionsQuery {
        key_marker: request.query.get("key_marker").unwrap_or_default().to_owned(),
        version_marker,
        max: PAGE_MAX,
        ..VersionsQuery::default()
    };
    let (keys, next) = whole_keys(ctx.store.list_versions(&name, query).await?);
    let all = request.query.get("all") == Some("true");
    let wanted = Wanted { name: &name, bucket: bucket.id, replication, rule, all };
    let sum = stream::iter(keys)
        .map(|versions| ask_for_key(ctx, &wanted, versions))
        .buffer_unordered(TOGETHER)
        .try_fold(ResyncDocument::default(), |sum, found| async move { Ok(add(sum, &found)) })
        .await?;
    let (next_key, next_version) = next.unzip();
    Ok(ResyncDocument { next_key, next_version: next_version.flatten().map(|id| id.to_string()), ..sum })
}

/// Takes up what was put aside of a version for the destination of a rule. How many tasks, and whether they send all of it.
async fn take_up(
    ctx: &Context,
    wanted: &Wanted<'_>,
    version: &VersionEntry,
    rule: &ReplicationRule,
) -> Result<(u64, bool), S3Error> {
    let destination = rule.destination.bucket.clone();
    let queue = QueueName::Replication { bucket: wanted.bucket, destination }.id();
    let (mut count, mut is_whole) = (0, false);
    for task in ctx.store.tasks_aside_of(queue, &version.key, version.version_id).await? {
        let Work::Replicate(replicate) = &task.task.work else { continue };
        let sends_all = replicate.part != ReplicatedPart::Changes;
        if ctx.store.retry_replication(queue, task, false).await? {
            is_whole |= sends_all;
            count += 1;
        }
    }
    Ok((count, is_whole))
}

/// A place in a listing of versions.
type Marker = (String, Option<VersionId>);

/// The versions of each key, oldest first, and where the next page begins. A key whose versions go on beyond the page is left
/// to the next one, unless it fills this one.
fn whole_keys(page: VersionsPage) -> (Vec<Vec<VersionEntry>>, Option<Marker>) {
    let mut keys: Vec<Vec<VersionEntry>> = Vec::new();
    for entry in page.entries {
        match keys.last_mut() {
            Some(versions) if versions[0].key == entry.key => versions.push(entry),
            _ => keys.push(vec![entry]),
        }
    }
    let mut next = page.next;
    if next.is_some() && keys.len() > 1 {
        keys.pop();
        next = keys.last().map(|versions| (versions[0].key.as_str().to_owned(), None));
    }
    keys.iter_mut().for_each(|versions| versions.reverse());
    (keys, next)
}

fn add(sum: ResyncDocument, found: &ResyncDocument) -> ResyncDocument {
    ResyncDocument {
        examined: sum.examined + found.examined,
        asked: sum.asked + found.asked,
        skipped: sum.skipped + found.skipped,
        failed: sum.failed + found.failed,
        ..sum
    }
}

async fn ask_for_key(
    ctx: &Context,
    wanted: &Wanted<'_>,
    versions: Vec<VersionEntry>,
) -> Result<ResyncDocument, S3Error> {
    let mut found = ResyncDocument { examined: versions.len() as u64, ..ResyncDocument::default() };
    for version in versions {
        ask_for(ctx, wanted, &version, &mut found).await?;
    }
    Ok(found)
}

async fn ask_for(
    ctx: &Context,
    wanted: &Wanted<'_>,
    version: &VersionEntry,
    found: &mut ResyncDocument,
) -> Result<(), S3Error> {
    let key = &version.key;
    // Whether something may be put aside, and whether nothing else is asked for then.
    let (mut may_be_aside, mut has_failed) = (true, false);
    let mut rules: Vec<&ReplicationRule> = if version.object.is_none() {
        // A marker does not know whether it was sent; sending it again changes nothing.
        wanted.replication.for_marker(key.as_str())
    } else {
        let selector = VersionSelector::Id(version.version_id);
        let object = match ctx.store.object(wanted.name, key, selector).await {
            Ok(object) => object,
            Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let info = object.info();
        may_be_aside = info.replication.failed > 0;
        match info.replication.status() {
            _ if wanted.all => {}
            None => {}
            Some(ReplicationStatus::Failed) => has_failed = true,
            Some(ReplicationStatus::Completed | ReplicationStatus::Pending | ReplicationStatus::Replica) => {
                found.skipped += 1;
                return Ok(());
            }
        }
        let kms_encrypted = matches!(info.protection.encryption, Encryption::Kms(_));
        wanted.replication.applying(Candidate { key: key.as_str(), tags: &info.tags, kms_encrypted })
    };
    rules.retain(|rule| wanted.rule.is_none_or(|wanted| rule.id == wanted));
    let mut is_taken_up = false;
    for rule in rules {
        let (count, is_whole) = match may_be_aside {
            true => take_up(ctx, wanted, version, rule).await?,
            false => (0, false),
        };
        found.asked += count;
        is_taken_up |= count > 0;
        if is_whole || has_failed {
            continue;
        }
        let asked = ctx.store.ask_replication(wanted.name, key, version.version_id, rule).await?;
        found.asked += u64::from(asked);
    }
    found.failed += u64::from(has_failed && !is_taken_up);
    Ok(())
}

#[cfg(test)]
mod tests {
    use strata_storage::{ObjectKey, Timestamp, VersionEntry, VersionId, VersionsPage};

    use super::whole_keys;

    #[test]
    fn keys_stay_whole() {
        fn check(keys: &str, next: Option<&str>, expected: &[&str], expected_next: Option<(&str, bool)>) {
            let entries = keys.chars().enumerate().map(|(position, key)| VersionEntry {
                key: ObjectKey::parse(&key.to_string()).expect("a key"),
                version_id: VersionId::Null,
                latest: false,
                modified: Timestamp::from_secs(100 - position as u64),
                object: None,
            });
            let next = next.map(|key| (key.to_owned(), Some(VersionId::Null)));
            let page = VersionsPage { entries: entries.collect(), common_prefixes: Vec::new(), next };
            let (found, next) = whole_keys(page);
            let names: Vec<String> =
                found.iter().map(|key| key.iter().map(|version| version.key.as_str()).collect()).collect();
            assert_eq!(names, expected, "{keys}");
            assert!(found.iter().all(|key| key.is_sorted_by_key(|version| version.modified)), "{keys}");
            let next = next.as_ref().map(|(key, version)| (key.as_str(), version.is_some()));
            assert_eq!(next, expected_next, "{keys}");
        }
        check("", None, &[], None);
        check("aabc", None, &["aa", "b", "c"], None);
        check("aabcc", Some("c"), &["aa", "b"], Some(("b", false)));
        check("aaaa", Some("a"), &["aaaa"], Some(("a", true)));
    }
}

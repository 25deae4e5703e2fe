//! ListObjects: a scan of visible objects, folded by a pure pager that says where to go next.

use crate::account::AccountId;
use crate::error::Result;
use crate::index::record::{CurrentRecord, Record as _};
use crate::index::{Family, Rows, Step, key};
use crate::name::{BucketName, ObjectKey};
use crate::object::{ChecksumSummary, ETag, StorageClass};
use crate::residence::Restore;
use crate::stamp::Timestamp;
use crate::store::Store;

/// The most entries and common prefixes on one page of any listing, which bounds its memory.
const PAGE_MAX: usize = 1000;

/// Which keys to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// Only keys with this prefix.
    pub prefix: String,
    /// Groups keys that share the text from the prefix to the first delimiter after it. Empty means none.
    pub delimiter: String,
    /// Only keys, and common prefixes, after this text; a common prefix that is equal to it or a prefix of it is
    /// skipped whole.
    pub after: String,
    /// At most this many keys and common prefixes, up to 1,000.
    pub max: usize,
}

/// One visible object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Its key.
    pub key: ObjectKey,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// `Last-Modified`
    pub modified: Timestamp,
    /// Storage class.
    pub class: StorageClass,
    /// The restore under way, or the restored copy; an expired one may still be told of.
    pub restore: Option<Restore>,
    /// Its checksum's algorithm and kind.
    pub checksum: Option<ChecksumSummary>,
    /// The account that owns it.
    pub owner: AccountId,
}

/// One page, in UTF-8 byte order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The objects.
    pub entries: Vec<ListEntry>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// If there is more: the last key or common prefix of this page, to be given as `after`.
    pub next: Option<String>,
}

impl Store {
    /// Lists visible objects. The cost is that of the page, whatever the bucket holds.
    pub async fn list(&self, bucket: &BucketName, query: ListQuery) -> Result<ListPage> {
        let bucket = self.bucket(bucket).await?.id;
        self.inner.index.read(move |rows| page(rows, bucket, &query)).await
    }
}

fn page(rows: &Rows<'_>, bucket: u64, query: &ListQuery) -> Result<ListPage> {
    let scope = Scope { prefix: &query.prefix, delimiter: &query.delimiter };
    let mut pager = Pager::new(scope, query.max);
    let mut entries = Vec::new();
    let from = match scope.start(&query.after) {
        Start::At(text) => key::object(bucket, text),
        Start::After(text) => following(key::object(bucket, text)),
        Start::Past(prefix) => key::after_prefix(key::object(bucket, prefix)),
    };
    let to = key::after_prefix(key::object(bucket, &query.prefix));
    rows.scan(Family::Current, &from, &to, |row, value| {
        let key = key::object_key(row).ok_or_else(|| key::corrupt("current row", row))?;
        Ok(match pager.offer(key) {
            Next::Take => {
                let key = ObjectKey::parse(key).map_err(|_| key::corrupt("current row", row))?;
                entries.push(entry(key, CurrentRecord::decode(value)?));
                Step::Next
            }
            Next::SkipPast(prefix) => Step::Seek(key::after_prefix(key::object(bucket, prefix))),
            Next::Stop => Step::Stop,
        })
    })?;
    let last_key = entries.last().map(|entry: &ListEntry| entry.key.as_str());
    let next = if pager.truncated { last_key.max(pager.last_prefix()).map(str::to_owned) } else { None };
    Ok(ListPage { entries, common_prefixes: pager.common_prefixes, next })
}

fn entry(key: ObjectKey, record: CurrentRecord) -> ListEntry {
    ListEntry {
        key,
        size: record.size,
        etag: record.etag,
        modified: record.stamp.time,
        class: record.class,
        restore: record.restore,
        checksum: record.checksum,
        owner: record.owner,
    }
}

/// The first byte string after `row`.
pub(crate) fn following(mut row: Vec<u8>) -> Vec<u8> {
    row.push(0);
    row
}

/// Which keys a listing shows, and which of them it folds into common prefixes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) prefix: &'a str,
    /// Empty means that nothing is folded.
    pub(crate) delimiter: &'a str,
}

/// Where a scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start<'a> {
    /// At the first key that is this text or after it.
    At(&'a str),
    /// After this key.
    After(&'a str),
    /// After every key with this prefix.
    Past(&'a str),
}

impl<'a> Scope<'a> {
    /// The part of `key` from its beginning to the first delimiter after the prefix.
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let tail = key.strip_prefix(self.prefix).filter(|_| !self.delimiter.is_empty())?;
        let end = self.prefix.len() + tail.find(self.delimiter)? + self.delimiter.len();
        Some(&key[..end])
    }

    /// Where the page after `marker` begins. A common prefix that `marker` begins with was listed, or skipped, before.
    pub(crate) fn start(&self, marker: &'a str) -> Start<'a> {
        if marker.is_empty() || marker < self.prefix {
            return Start::At(self.prefix);
        }
        self.common_prefix(marker).map_or(Start::After(marker), Start::Past)
    }
}

impl Start<'_> {
    /// The row to begin with, in families with escaped keys.
    pub(crate) fn escaped_row(&self, bucket: u64) -> Vec<u8> {
        match self {
            Start::At(text) => key::escaped_prefix(bucket, text),
            Start::After(text) => key::after_prefix(key::escaped(bucket, text)),
            Start::Past(prefix) => key::after_prefix(key::escaped_prefix(bucket, prefix)),
        }
    }
}

/// What a scan should do with the row whose key was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next<'k> {
    /// The row is an entry of the page; go on with the following one.
    Take,
    /// Every key with this prefix is folded into the page: seek past them.
    SkipPast(&'k str),
    /// The page is full, and this row is the proof that there is more.
    Stop,
}

/// Folds keys of a scope, offered in ascending order, into one page. No I/O.
pub(crate) struct Pager<'a> {
    scope: Scope<'a>,
    max: usize,
    count: usize,
    pub(crate) common_prefixes: Vec<String>,
    pub(crate) truncated: bool,
}

impl<'a> Pager<'a> {
    pub(crate) fn new(scope: Scope<'a>, max: usize) -> Pager<'a> {
        Pager { scope, max: max.min(PAGE_MAX), count: 0, common_prefixes: Vec::new(), truncated: false }
    }

    /// Offers the next row's key and says what to do with the row.
    pub(crate) fn offer<'k>(&mut self, key: &'k str) -> Next<'k> {
        if self.count == self.max {
            // S3 says of a page of no keys that it is complete.
            self.truncated = self.max > 0;
            return Next::Stop;
        }
        self.count += 1;
        match self.scope.common_prefix(key) {
            None => Next::Take,
            Some(prefix) => {
                self.common_prefixes.push(prefix.to_owned());
                Next::SkipPast(prefix)
            }
        }
    }

    /// The last common prefix of the page.
    pub(crate) fn last_prefix(&self) -> Option<&str> {
        self.common_prefixes.last().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, prop_assert_eq, proptest};

    use super::{Next, Pager, Scope, Start};

    type Page = (Vec<String>, Vec<String>, Option<String>);

    /// Drives the pager over sorted keys as a scan would.
    fn list(keys: &BTreeSet<String>, scope: Scope<'_>, after: &str, max: usize) -> Page {
        let begins = |key: &str| match scope.start(after) {
            Start::At(text) => key >= text,
            Start::After(text) => key > text,
            Start::Past(prefix) => key > prefix && !key.starts_with(prefix),
        };
        let mut pager = Pager::new(scope, max);
        let mut entries = Vec::new();
        let mut skipped: Option<String> = None;
        for key in keys.iter().filter(|key| key.starts_with(scope.prefix) && begins(key)) {
            if skipped.as_deref().is_some_and(|prefix| key.starts_with(prefix)) {
                continue;
            }
            match pager.offer(key) {
                Next::Take => entries.push(key.clone()),
                Next::SkipPast(prefix) => skipped = Some(prefix.to_owned()),
                Next::Stop => break,
            }
        }
        let last = entries.last().map(String::as_str).max(pager.last_prefix()).map(str::to_owned);
        let next = last.filter(|_| pager.truncated);
        (entries, pager.common_prefixes, next)
    }

    /// The same by definition: all items of the listing, then those after the marker, then the first of them.
    fn model(keys: &BTreeSet<String>, scope: Scope<'_>, after: &str, max: usize) -> Page {
        let mut items = BTreeSet::new();
        for key in keys.iter().filter(|key| key.starts_with(scope.prefix)) {
            let tail = &key[scope.prefix.len()..];
            match tail.split_once(scope.delimiter).filter(|_| !scope.delimiter.is_empty()) {
                Some((head, _)) => items.insert((format!("{}{head}{}", scope.prefix, scope.delimiter), true)),
                None => items.insert((key.clone(), false)),
            };
        }
        let items: Vec<_> = items.into_iter().filter(|(text, _)| text.as_str() > after).collect();
        let page = &items[..max.min(items.len())];
        let of = |folded: bool| page.iter().filter(|item| item.1 == folded).map(|item| item.0.clone()).collect();
        let next = page.last().filter(|_| page.len() < items.len()).map(|item| item.0.clone());
        (of(false), of(true), next)
    }

    fn keys(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn pages() {
        fn check(prefix: &str, delimiter: &str, after: &str, max: usize, expected: (&[&str], &[&str], Option<&str>)) {
            let keys = keys(&["a", "a/", "a/b", "a/c/d", "b", "b\0x", "b\0y", "öä/1", "öä/2", "z"]);
            let (entries, prefixes, next) = list(&keys, Scope { prefix, delimiter }, after, max);
            let place = format!("{prefix:?} {delimiter:?} {after:?} {max}");
            assert_eq!(
                (entries, prefixes, next.as_deref()),
                (
                    expected.0.iter().map(|&text| text.to_owned()).collect(),
                    expected.1.iter().map(|&text| text.to_owned()).collect(),
                    expected.2,
                ),
                "{place}"
            );
        }
        check("", "/", "", 9, (&["a", "b", "b\0x", "b\0y", "z"], &["a/", "öä/"], None));
        check("", "/", "", 2, (&["a"], &["a/"], Some("a/")));
        check("", "/", "a/", 1, (&["b"], &[], Some("b")));
        check("", "/", "a/b", 1, (&["b"], &[], Some("b")));
        check("", "/", "b\0y", 2, (&["z"], &["öä/"], None));
        check("a/", "/", "", 9, (&["a/", "a/b"], &["a/c/"], None));
        check("a/", "/", "a/", 9, (&["a/b"], &["a/c/"], None));
        check("a/", "", "a", 9, (&["a/", "a/b", "a/c/d"], &[], None));
        check("b", "\0", "", 9, (&["b"], &["b\0"], None));
        check("b", "\0", "b", 1, (&[], &["b\0"], None));
        check("", "ä/", "b\0y", 9, (&["z"], &["öä/"], None));
        check("a", "", "zz", 9, (&[], &[], None));
        check("", "", "", 0, (&[], &[], None));
        check("", "", "y", 1, (&["z"], &[], Some("z")));
    }

    #[test]
    fn a_page_that_ends_with_the_listing_is_complete() {
        let keys = keys(&["a", "b/1", "b/2"]);
        let scope = Scope { prefix: "", delimiter: "/" };
        assert_eq!(list(&keys, scope, "", 2).2, None);
        assert_eq!(list(&keys, Scope { delimiter: "", ..scope }, "", 2).2.as_deref(), Some("b/1"));
    }

    fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(vec!['a', '/', 'ä', '\0']), length)
            .prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn pages_are_those_of_the_model(
            keys in proptest::collection::btree_set(text(1..6), 0..40),
            prefix in text(0..3), delimiter in text(0..3), after in text(0..5), max in 1_usize..6,
        ) {
            let scope = Scope { prefix: &prefix, delimiter: &delimiter };
            prop_assert_eq!(list(&keys, scope, &after, max), model(&keys, scope, &after, max));
        }
    }
}

//! Names: which bucket and key an index stands for, and pages of listings that have enough to show.
//!
//! Keys are scattered, so that neither writes nor reads run along the index. All of it is computed; nothing is sent here.

use crate::content::{Random, mix};
use crate::options::Work;

/// Common prefixes of keys with folders: three digits.
const FOLDERS: u64 = 1 << 12;
/// Keys that are left out at the end of the space at least, so that a page before it is full.
const SPARE_KEYS: f64 = 16.0;

/// The keys of a run.
#[derive(Debug, Clone)]
pub struct KeySpace {
    /// The bucket, or what the names of several begin with.
    pub bucket: String,
    /// Over how many buckets the keys are spread.
    pub buckets: u64,
    /// Prefix of the keys.
    pub prefix: String,
    /// Whether a slash follows a key's third digit.
    pub folders: bool,
    /// Index of the first key that is written or deleted.
    pub first: u64,
    /// Keys in the space.
    pub objects: u64,
    /// How often filling writes each key.
    pub versions: u64,
}

/// A page to ask for.
#[derive(Debug)]
pub struct Page {
    /// The bucket's name.
    pub bucket: String,
    /// Query in the canonical form of SigV4.
    pub query: String,
    /// How many entries it holds at least.
    pub expected: u64,
    /// The element of an entry.
    pub element: &'static str,
}

impl KeySpace {
    /// The name of a bucket.
    pub fn bucket(&self, number: u64) -> String {
        match self.buckets {
            1 => self.bucket.clone(),
            _ => format!("{}-{number:05}", self.bucket),
        }
    }

    /// The path of the key with this index.
    pub fn path(&self, index: u64) -> String {
        format!("/{}/{}{}", self.bucket(index % self.buckets), self.prefix, self.digits(mix(index)))
    }

    /// The key of the n-th write or deletion; it begins again when all were written.
    pub fn index(&self, number: u64) -> u64 {
        self.first + number % self.objects
    }

    fn digits(&self, hash: u64) -> String {
        let digits = format!("{hash:016x}");
        match self.folders {
            true => format!("{}/{}", &digits[..3], &digits[3..]),
            false => digits,
        }
    }

    /// A page from a random place, far enough from the end to be full.
    pub fn page(&self, work: Work, max_keys: u64, random: &mut Random) -> Page {
        let bucket = self.bucket(random.below(self.buckets));
        // Percent-encoded as SigV4 wants it; a key has no other character to encode.
        let encoded = |text: &str| text.replace('/', "%2F");
        let prefix = encoded(&self.prefix);
        let here = self.objects / self.buckets;
        let page = format!("max-keys={max_keys}&prefix={prefix}");
        match work {
            Work::ListPrefixes => {
                let start = random.below(FOLDERS / 2);
                let query = format!("delimiter=%2F&list-type=2&{page}&start-after={prefix}{start:03x}");
                // So many folders have a key when keys fall at random; a tenth is for chance.
                let filled = 1.0 - (-(here as f64) / FOLDERS as f64).exp();
                let expected = max_keys.min(((FOLDERS / 2) as f64 * filled * 0.9) as u64);
                Page { bucket, query, expected, element: "CommonPrefixes" }
            }
            Work::ListVersions => {
                let start = encoded(&self.start(max_keys, self.versions, random));
                let query = format!("key-marker={prefix}{start}&{page}&versions=");
                Page { bucket, query, expected: max_keys.min(here * self.versions), element: "Version" }
            }
            _ => {
                let start = encoded(&self.start(max_keys, 1, random));
                let query = format!("list-type=2&{page}&start-after={prefix}{start}");
                Page { bucket, query, expected: max_keys.min(here), element: "Key" }
            }
        }
    }

    /// A place with a page and a half to come, as scattered keys are nearly even; the very beginning if there is no other.
    fn start(&self, max_keys: u64, versions: u64, random: &mut Random) -> String {
        let left_out = (max_keys as f64 * 1.5 / versions as f64).max(SPARE_KEYS);
        let share = 1.0 - (left_out * self.buckets as f64 / self.objects as f64).min(1.0);
        match (share * u64::MAX as f64) as u64 {
            0 => String::new(),
            last => self.digits(random.below(last)),
        }
    }
}

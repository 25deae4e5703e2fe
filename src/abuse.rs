//! Slows down those who keep failing to sign in, and nobody else.
//!
//! Two things are counted, each up to a limit per minute, and both over one client network, so that nobody can lock
//! out a key from elsewhere:
//!
//! - A network with one access key: past the limit such requests are turned away unseen, the right secret included, or
//!   turning away would tell which guess was right.
//! - A network: past the limit its failures are all answered alike, so that nothing is learned about which keys exist.
//!   Its successes go on: many clients may share an address, and only those that fail are slowed.
//!
//! The time of being turned away begins with a second and doubles up to a bound; a minute without failures ends it.
//! The table is bounded: entries are forgotten when nobody touched them for a while, and sooner when there are too many,
//! which loses counts but never turns away anyone who did not fail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use strata_storage::Timestamp;

use crate::config::Limits;
use crate::error::S3Error;
use crate::request::Query;

/// How long failures count.
const WINDOW: Duration = Duration::from_secs(60);

/// The first time of being turned away.
const DELAY_MIN: Duration = Duration::from_secs(1);

/// Entries of one generation; there are two, with some 200 bytes per entry at most.
const ENTRIES_MAX: usize = 16_384;

/// No access key id is longer.
const ACCESS_KEY_BYTES_MAX: usize = 128;

/// Of an IPv6 address, what one client has for itself at least.
const IPV6_NETWORK: u128 = !0 << 64;

/// Who failed; one per server.
pub struct Failures {
    per_minute: u32,
    delay_max: Duration,
    table: Mutex<Table>,
    /// Entries in the table: while there are none, which is nearly always, nothing is locked.
    count: AtomicUsize,
}

/// A sign-in that is about to be checked.
pub struct Attempt<'f> {
    failures: &'f Failures,
    network: IpAddr,
    access_key: Option<Box<str>>,
    now: Timestamp,
}

/// Whose failures are counted together.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Who {
    network: IpAddr,
    /// `None` counts for any key.
    access_key: Option<Box<str>>,
}

#[derive(Clone, Copy, Default)]
struct Record {
    begun: Timestamp,
    failures: u32,
    /// How often it was turned away since it began.
    delays: u32,
    until: Timestamp,
}

/// Two generations of entries: what is touched moves to the young one, and the old one is dropped whole.
#[derive(Default)]
struct Table {
    young: HashMap<Who, Record>,
    old: HashMap<Who, Record>,
    turned: Timestamp,
}

impl Failures {
    /// Nobody failed yet.
    pub fn new(limits: &Limits) -> Failures {
        Failures {
            per_minute: limits.failures_per_minute,
            delay_max: Duration::from_secs(limits.failure_seconds),
            table: Mutex::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Before a sign-in is checked. `Err` turns it away.
    pub fn attempt(&self, source: IpAddr, access_key: Option<&str>, now: Timestamp) -> Result<Attempt<'_>, S3Error> {
        let access_key = access_key.filter(|key| key.len() <= ACCESS_KEY_BYTES_MAX).map(Box::from);
        let attempt = Attempt { failures: self, network: network(source), access_key, now };
        if self.count.load(Ordering::Relaxed) > 0
            && attempt.access_key.is_some()
            && self.is_delayed(&attempt.pair(), now)
        {
            return Err(S3Error::slow_down());
        }
        Ok(attempt)
    }

    fn is_delayed(&self, who: &Who, now: Timestamp) -> bool {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.turn(now, self.delay_max + WINDOW);
        self.count.store(table.young.len() + table.old.len(), Ordering::Relaxed);
        table.get(who).is_some_and(|record| now < record.until)
    }

    /// Counts a failure. True if the network had too many before.
    fn note(&self, attempt: &Attempt<'_>) -> bool {
        let now = attempt.now;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.turn(now, self.delay_max + WINDOW);
        let network = Who { network: attempt.network, access_key: None };
        let is_delayed = table.get(&network).is_some_and(|record| now < record.until);
        // Meanwhile nothing is added, so that one network cannot fill the table with keys that it makes up.
        if !is_delayed {
            table.touch(network).fail(now, self);
            if attempt.access_key.is_some() {
                table.touch(attempt.pair()).fail(now, self);
            }
        }
        self.count.store(table.young.len() + table.old.len(), Ordering::Relaxed);
        is_delayed
    }

    fn forgive(&self, who: &Who) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.young.remove(who);
        table.old.remove(who);
        self.count.store(table.young.len() + table.old.len(), Ordering::Relaxed);
    }
}

impl Attempt<'_> {
    /// Once a sign-in was checked: counts a failure, and says what the client is told.
    pub fn judge<T>(self, outcome: Result<T, S3Error>) -> Result<T, S3Error> {
        match outcome {
            Ok(value) => {
                if self.failures.count.load(Ordering::Relaxed) > 0 && self.access_key.is_some() {
                    self.failures.forgive(&self.pair());
                }
                Ok(value)
            }
            Err(error) if self.failures.per_minute > 0 && is_failed_sign_in(error.code) => {
                match self.failures.note(&self) {
                    true => Err(S3Error::slow_down()),
                    false => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn pair(&self) -> Who {
        Who { network: self.network, access_key: self.access_key.clone() }
    }
}

impl Record {
    fn fail(&mut self, now: Timestamp, failures: &Failures) {
        if now.since(self.begun.max(self.until)) >= WINDOW {
            *self = Record { begun: now, ..Record::default() };
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures > failures.per_minute {
            let delay = DELAY_MIN.saturating_mul(1 << self.delays.min(16)).min(failures.delay_max);
            self.delays += 1;
            self.until = now.plus(delay);
        }
    }
}

impl Table {
    fn get(&self, who: &Who) -> Option<&Record> {
        self.young.get(who).or_else(|| self.old.get(who))
    }

    fn touch(&mut self, who: Who) -> &mut Record {
        if self.young.len() >= ENTRIES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        let former = self.old.remove(&who).unwrap_or_default();
        self.young.entry(who).or_insert(former)
    }

    /// Drops what nobody touched for `lifetime`.
    fn turn(&mut self, now: Timestamp, lifetime: Duration) {
        if now.since(self.turned) >= lifetime {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
    }
}

/// The access key that a request claims to be signed with, wherever the signature is; `None` if it is not found, so that
/// only the network counts.
pub fn claimed_access_key<'r>(headers: &'r HeaderMap, query: &'r Query) -> Option<&'r str> {
    let credential = match headers.get(AUTHORIZATION) {
        Some(value) => value.to_str().ok()?.split_once("Credential=")?.1,
        None => query.get("X-Amz-Credential")?,
    };
    credential.split('/').next()
}

/// Whether somebody gave the wrong credentials, rather than none, or the right ones at the wrong time or place.
pub fn is_failed_sign_in(code: &str) -> bool {
    ["InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch"].contains(&code)
}

fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & IPV6_NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use http::StatusCode;
    use strata_storage::Timestamp;

    use super::{ENTRIES_MAX, Failures, claimed_access_key};
    use crate::address::parse_query;
    use crate::config::Config;
    use crate::error::S3Error;

    const HERE: &str = "192.0.2.1";

    struct Guard {
        failures: Failures,
        now: Timestamp,
    }

    impl Guard {
        fn new(per_minute: u32) -> Guard {
            let mut limits = Config::default().limits;
            (limits.failures_per_minute, limits.failure_seconds) = (per_minute, 60);
            Guard { failures: Failures::new(&limits), now: Timestamp::from_secs(1_790_848_800) }
        }

        fn sign_in(&self, source: &str, key: &str, code: &'static str) -> &'static str {
            let outcome = match code {
                "" => Ok(()),
                _ => Err(S3Error::new(StatusCode::FORBIDDEN, code, "refused")),
            };
            let source: IpAddr = source.parse().unwrap();
            let attempt = self.failures.attempt(source, Some(key), self.now);
            attempt.and_then(|attempt| attempt.judge(outcome)).err().map_or("", |error| error.code)
        }

        fn fail(&self, source: &str, key: &str) -> &'static str {
            self.sign_in(source, key, "SignatureDoesNotMatch")
        }

        fn wait(&mut self, seconds: u64) {
            self.now = self.now.plus(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn a_key_that_fails_is_turned_away_for_growing_times() {
        let mut guard = Guard::new(3);
        for _ in 0..4 {
            assert_eq!(guard.fail(HERE, "key"), "SignatureDoesNotMatch");
        }
        assert_eq!(guard.sign_in(HERE, "key", ""), "SlowDown", "the right secret is turned away, too");
        assert_eq!(guard.sign_in(HERE, "other", ""), "");
        assert_eq!(guard.sign_in("192.0.2.2", "key", ""), "", "nobody locks a key out from elsewhere");
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            guard.wait(seconds - 1);
            assert_eq!(guard.sign_in(HERE, "key", ""), "SlowDown", "before {seconds} s");
            guard.wait(1);
            assert_eq!(guard.fail(HERE, "key"), "SignatureDoesNotMatch", "after {seconds} s");
        }
        guard.wait(60);
        assert_eq!(guard.sign_in(HERE, "key", ""), "");
        assert_eq!(guard.fail(HERE, "key"), "SignatureDoesNotMatch", "a success ends it");
        assert_eq!(guard.sign_in(HERE, "key", ""), "");
    }

    #[test]
    fn failures_count_for_a_minute() {
        let mut guard = Guard::new(3);
        for _ in 0..20 {
            assert_eq!(guard.fail(HERE, "key"), "SignatureDoesNotMatch");
            guard.wait(20);
        }
        // The window of a minute begins with its first failure, so three fit and the fourth begins another.
        assert_eq!(guard.sign_in(HERE, "key", ""), "");
    }

    #[test]
    fn guessing_keys_teaches_nothing() {
        let guard = Guard::new(3);
        for number in 0..4 {
            assert_eq!(guard.sign_in(HERE, &format!("key{number}"), "InvalidAccessKeyId"), "InvalidAccessKeyId");
        }
        assert_eq!(guard.sign_in(HERE, "key9", "InvalidAccessKeyId"), "SlowDown");
        assert_eq!(guard.fail(HERE, "a key that exists"), "SlowDown");
        assert_eq!(guard.sign_in(HERE, "neighbour", ""), "", "others behind the address are served");
        assert_eq!(guard.sign_in(HERE, "neighbour", "RequestTimeTooSkewed"), "RequestTimeTooSkewed");
        assert_eq!(guard.sign_in("192.0.2.2", "key9", "InvalidAccessKeyId"), "InvalidAccessKeyId");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let guard = Guard::new(1);
        for number in 0..2 {
            assert_eq!(guard.fail(&format!("2001:db8::{number}"), "key"), "SignatureDoesNotMatch");
        }
        assert_eq!(guard.fail("2001:db8::1:2:3:4", "key"), "SlowDown");
        assert_eq!(guard.fail("2001:db8:0:1::1", "key"), "SignatureDoesNotMatch");
    }

    #[test]
    fn no_limit_means_none() {
        let guard = Guard::new(0);
        for _ in 0..100 {
            assert_eq!(guard.fail(HERE, "key"), "SignatureDoesNotMatch");
        }
    }

    #[test]
    fn the_table_is_bounded_and_forgets() {
        let mut guard = Guard::new(30);
        for number in 0..3 * ENTRIES_MAX as u32 {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string();
            assert_eq!(guard.fail(&address, "key"), "SignatureDoesNotMatch");
        }
        let count = guard.failures.count.load(std::sync::atomic::Ordering::Relaxed);
        assert!((ENTRIES_MAX..=2 * ENTRIES_MAX).contains(&count), "{count}");
        for _ in 0..2 {
            guard.wait(120);
            assert_eq!(guard.sign_in(HERE, "key", ""), "");
        }
        assert_eq!(guard.failures.count.load(std::sync::atomic::Ordering::Relaxed), 0);
    }

    #[test]
    fn claimed_keys() {
        fn check(header: Option<&'static str>, query: &str, expected: Option<&str>) {
            let mut headers = http::HeaderMap::new();
            headers.extend(header.map(|value| (http::header::AUTHORIZATION, http::HeaderValue::from_static(value))));
            assert_eq!(claimed_access_key(&headers, &parse_query(query).unwrap()), expected);
        }
        check(Some("AWS4-HMAC-SHA256 Credential=KEY/2026/r/s3/aws4_request, SignedHeaders=host"), "", Some("KEY"));
        check(None, "X-Amz-Credential=KEY%2F2026%2Fr%2Fs3%2Faws4_request", Some("KEY"));
        check(Some("Bearer x"), "X-Amz-Credential=KEY", None);
        check(None, "", None);
    }
}

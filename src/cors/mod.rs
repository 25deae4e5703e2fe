//! Cross-origin resource sharing: which rule of a bucket lets a script of another origin see an answer. Pure.

use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, BucketDocument};

use crate::error::S3Error;

mod answer;
mod document;

pub use answer::{actual, preflight, without_rules};
pub use document::{parse, write};

/// The format byte of a stored configuration; the rules follow in postcard's encoding.
const FORMAT: u8 = 1;

/// A method that rules can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// `GET`
    Get,
    /// `PUT`
    Put,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
}

impl Method {
    const ALL: [Method; 5] = [Method::Get, Method::Put, Method::Head, Method::Post, Method::Delete];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }

    /// The method of that name.
    pub fn parse(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// What they may do.
    pub methods: Vec<Method>,
    /// Headers that they may send, each with at most one `*`.
    pub headers: Vec<String>,
    /// Headers of answers that they may see.
    pub exposed: Vec<String>,
    /// How long browsers may remember a preflight, in seconds.
    pub max_age_seconds: Option<u32>,
}

/// What a script of another origin asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Its origin.
    pub origin: &'a str,
    /// The method.
    pub method: &'a str,
    /// The headers that a preflight asks for.
    pub headers: Vec<&'a str>,
}

/// The first rule that lets a script have what it asks for, with the origin that it names.
pub fn find<'r>(rules: &'r [Rule], ask: &Ask<'_>) -> Option<(&'r Rule, &'r str)> {
    rules.iter().find_map(|rule| {
        let origin = rule.origins.iter().find(|origin| matches(origin, ask.origin))?;
        let allowed = |header: &&str| rule.headers.iter().any(|pattern| matches_ignoring_case(pattern, header));
        let method = rule.methods.iter().any(|method| method.name() == ask.method);
        (method && ask.headers.iter().all(allowed)).then_some((rule, origin.as_str()))
    })
}

/// The rules of a bucket; none if it has no configuration.
pub fn of_bucket(bucket: &Bucket) -> Result<Option<Vec<Rule>>, S3Error> {
    let Some(document) = bucket.documents.get(&BucketDocument::Cors) else { return Ok(None) };
    let rules = match &document[..] {
        [FORMAT, rest @ ..] => postcard::from_bytes(rest).ok(),
        _ => None,
    };
    rules.map(Some).ok_or_else(|| S3Error::internal("a stored CORS configuration is damaged"))
}

/// The stored form.
pub fn encode(rules: &[Rule]) -> Vec<u8> {
    postcard::to_extend(rules, vec![FORMAT]).expect("rules can be encoded")
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end),
    }
}

fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strata_storage::{Bucket, BucketDocument};

    use super::{Ask, Method, Rule, encode, find, matches, of_bucket};

    pub(super) fn rule(origins: &[&str], methods: &[Method], headers: &[&str]) -> Rule {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Rule {
            id: None,
            origins: texts(origins),
            methods: methods.to_vec(),
            headers: texts(headers),
            exposed: Vec::new(),
            max_age_seconds: None,
        }
    }

    #[test]
    fn patterns_have_one_wildcard() {
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        check("*", "", true);
        check("*", "http://a", true);
        check("http://a", "http://a", true);
        check("http://a", "http://A", false);
        check("http://*.a", "http://b.a", true);
        check("http://*.a", "http://.a", true);
        check("http://*.a", "http://a", false);
        check("aba*ba", "aba", false);
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = [
            rule(&["http://a", "http://*.b"], &[Method::Get], &["x-*"]),
            rule(&["*"], &[Method::Get, Method::Put], &["Content-Type"]),
        ];
        let check = |origin, method, headers: &[&'static str], expected: Option<(usize, &str)>| {
            let found = find(&rules, &Ask { origin, method, headers: headers.to_vec() });
            let found = found.map(|(rule, origin)| (usize::from(*rule != rules[0]), origin));
            assert_eq!(found, expected, "{origin} {method} {headers:?}");
        };
        check("http://a", "GET", &[], Some((0, "http://a")));
        check("http://c.b", "GET", &["X-Amz-Date"], Some((0, "http://*.b")));
        check("http://a", "PUT", &[], Some((1, "*")));
        check("http://c", "GET", &["content-type"], Some((1, "*")));
        check("http://c", "GET", &["content-type", "x-amz-date"], None);
        check("http://a", "DELETE", &[], None);
        check("http://a", "get", &[], None);
    }

    #[test]
    fn stored_rules_read_back() {
        let bucket = |document: Vec<u8>| {
            let document: Arc<[u8]> = document.into();
            Bucket { documents: [(BucketDocument::Cors, document)].into(), ..Bucket::default() }
        };
        let rules = vec![Rule { max_age_seconds: Some(3), ..rule(&["*"], &[Method::Head], &[]) }];
        assert_eq!(hex::encode(encode(&rules)), "01010001012a010200000103");
        assert_eq!(of_bucket(&bucket(encode(&rules))).expect("what was encoded"), Some(rules));
        assert_eq!(of_bucket(&Bucket::default()).expect("nothing"), None);
        assert_eq!(of_bucket(&bucket(vec![9])).expect_err("damage").code, "InternalError");
    }
}

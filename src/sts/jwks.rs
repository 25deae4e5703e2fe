//! The public keys of identity providers: fetched when a token first needs them, and kept for a while.
//!
//! Anybody can send a token, so nothing here grows or runs without bound: only providers that somebody configured are
//! asked, each at most once a minute, and answers are cut off by size and by time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use strata_storage::Timestamp;
use tokio::sync::OnceCell;

use crate::outbound::{Bounds, HttpClient, Trust};

/// How long keys are used before they are fetched again.
const AGE_MAX: Duration = Duration::from_mins(60);
/// A provider is asked no more often, whether for a key that it did not have or after it failed.
const FETCH_INTERVAL: Duration = Duration::from_mins(1);
/// How long an answer may take.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// The most keys of a provider that are looked at.
const KEYS_MAX: usize = 100;
/// The most providers whose keys are kept.
const PROVIDERS_MAX: usize = 1000;

/// The keys of all providers that were asked.
pub struct Jwks {
    http: OnceCell<HttpClient>,
    providers: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Keys>>>>,
}

/// Where a provider's keys are.
pub struct Place<'a> {
    /// The URL of the provider.
    pub issuer: &'a str,
    /// The URL of its keys, if it is known without asking.
    pub jwks_url: Option<&'a str>,
}

/// Why there is no key.
#[derive(Debug)]
pub enum JwksFault {
    /// The provider cannot be reached, or its answer makes no sense. The text is for the log.
    Provider(String),
    /// It has no such key.
    NoSuchKey,
}

#[derive(Default)]
struct Keys {
    set: Vec<Jwk>,
    /// When the keys were fetched.
    fetched: Option<Timestamp>,
    /// When it was last tried to.
    tried: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Jwks {
    /// No keys yet.
    pub fn new() -> Jwks {
        Jwks { http: OnceCell::new(), providers: Mutex::default() }
    }

    /// The key of a provider that a token names; its only one, if the token names none.
    pub async fn key(&self, place: &Place<'_>, id: Option<&str>, now: Timestamp) -> Result<DecodingKey, JwksFault> {
        let keys = self.provider(place.issuer);
        // Whoever comes while keys are fetched waits for them.
        let mut keys = keys.lock().await;
        let is_fresh = keys.fetched.is_some_and(|fetched| now.since(fetched) < AGE_MAX);
        if is_fresh && let Some(key) = find(&keys.set, id) {
            return key;
        }
        if keys.tried.is_some_and(|tried| now.since(tried) < FETCH_INTERVAL) {
            return match is_fresh {
                true => Err(JwksFault::NoSuchKey),
                false => Err(JwksFault::Provider("the provider failed less than a minute ago".to_owned())),
            };
        }
        keys.tried = Some(now);
        keys.set = self.fetch(place).await.map_err(JwksFault::Provider)?;
        keys.fetched = Some(now);
        find(&keys.set, id).unwrap_or(Err(JwksFault::NoSuchKey))
    }

    fn provider(&self, issuer: &str) -> Arc<tokio::sync::Mutex<Keys>> {
        // Every change is a single step, so what a panic left behind is whole.
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        if providers.len() >= PROVIDERS_MAX && !providers.contains_key(issuer) {
            // Those in use are held by whoever uses them.
            providers.clear();
        }
        Arc::clone(providers.entry(issuer.to_owned()).or_default())
    }

    async fn fetch(&self, place: &Place<'_>) -> Result<Vec<Jwk>, String> {
        let found;
        let url = match place.jwks_url {
            Some(url) => url,
            None => {
                let issuer = place.issuer.trim_end_matches('/');
                let answer = self.get(&format!("{issuer}/.well-known/openid-configuration")).await?;
                let discovery: Discovery = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
                if discovery.issuer.trim_end_matches('/') != issuer {
                    return Err("the provider's configuration names another issuer".to_owned());
                }
                // Keys that travel in plain could be anybody's.
                if issuer.starts_with("https://") && !discovery.jwks_uri.starts_with("https://") {
                    return Err("the provider's keys are not behind https".to_owned());
                }
                found = discovery.jwks_uri;
                &found
            }
        };
        read(&self.get(url).await?)
    }

    async fn get(&self, url: &str) -> Result<Bytes, String> {
        let request = Request::get(url).body(Bytes::new()).map_err(|_| format!("{url:?} is no URL"))?;
        let http = self.http.get_or_try_init(|| async { client() }).await?;
        let answer = http.send(request).await.map_err(|error| format!("{url} cannot be fetched: {error}"))?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status => Err(format!("{url} answers with status {}", status.as_u16())),
        }
    }
}

fn client() -> Result<HttpClient, String> {
    let bounds = Bounds { connect: FETCH_TIME_MAX, call: FETCH_TIME_MAX, answer_bytes: ANSWER_BYTES_MAX };
    HttpClient::new(&Trust::Machine, bounds).map_err(|error| error.to_string())
}

/// The keys of an answer. Those of kinds that are unknown are passed over, for providers add some.
fn read(answer: &[u8]) -> Result<Vec<Jwk>, String> {
    #[derive(Deserialize)]
    struct Answer {
        keys: Vec<serde_json::Value>,
    }
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let known = answer.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok());
    Ok(known.collect())
}

fn find(set: &[Jwk], id: Option<&str>) -> Option<Result<DecodingKey, JwksFault>> {
    let jwk = match id {
        Some(id) => set.iter().find(|jwk| jwk.common.key_id.as_deref() == Some(id))?,
        None => match set {
            [only] => only,
            _ => return None,
        },
    };
    Some(DecodingKey::from_jwk(jwk).map_err(|error| JwksFault::Provider(error.to_string())))
}

//! Where the bucket of a destination's ARN is: in this store, or in which other one; and whether it can take replicas.
//!
//! When rules are set, a bucket of this store comes first that the source's account owns, or the account that the rule names;
//! but for the source bucket itself: two stores may well call a bucket the same. Then the regions are asked in the order of the
//! settings, those that may hold it, and last comes a bucket of another account of this store. A region that does not answer
//! ends the search: the next one must not be taken for it. What was found then is where replicas go as long as the rules name it
//! (`places`), so that nobody who makes a bucket of that name later gets them.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use strata_storage::{AccountId, Bucket, BucketName, Error, Store, Versioning};

use super::places::{Place, Places};
use super::region_client::RegionRequest;
use super::regions::{Region, Regions};
use crate::outbound::Answer;
use crate::xml;

/// Finds destinations; one per server, cheap to clone.
#[derive(Clone)]
pub struct Destinations {
    store: Store,
    regions: Regions,
}

/// Where a destination is.
#[derive(Clone)]
pub enum Found {
    /// In this store.
    Local(Arc<Bucket>),
    /// In another store, under that name.
    Remote(Arc<Region>, BucketName),
}

/// Why it is not known where a destination is, or cannot be what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// It is not the ARN of a bucket.
    #[error("{0:?} is not the ARN of a bucket")]
    NotABucket(String),
    /// There is none in any store.
    #[error("there is no such bucket")]
    Missing,
    /// There is none here, and no region of the settings may hold it.
    #[error("the bucket {0} is not here, and no region of the settings may hold it")]
    Nowhere(BucketName),
    /// The bucket of that name here is not the one that the rules were set for.
    #[error("the bucket {0} of this store belongs to another account than the one that the rules were set for")]
    Elsewhere(BucketName),
    /// The rules were set for the bucket of a region that the settings do not name any more, or not for that bucket.
    #[error("the settings have no region {region} that may hold the bucket {bucket}, where the rules were set to send")]
    NoRegion {
        /// The region.
        region: String,
        /// The bucket.
        bucket: BucketName,
    },
    /// A store does not answer.
    #[error("the region {region} cannot be reached: {reason}")]
    Unreachable {
        /// The region.
        region: String,
        /// What went wrong.
        reason: String,
    },
    /// A store refuses to tell.
    #[error("the region {region} answers {}{}", said(*status, code), signed_for(wanted.as_deref()))]
    Refused {
        /// The region.
        region: String,
        /// The status of its answer.
        status: u16,
        /// S3's code in it, if there is one.
        code: String,
        /// What requests have to be signed for, if they were signed for something else.
        wanted: Option<String>,
    },
    /// This store cannot tell.
    #[error("{0}")]
    Internal(String),
}

/// A status with S3's code, if there is one: answers to HEAD have none.
fn said(status: u16, code: &str) -> String {
    format!("{status} {code}").trim_end().to_owned()
}

fn signed_for(wanted: Option<&str>) -> String {
    wanted.map(|region| format!("; requests to it have to be signed for {region}")).unwrap_or_default()
}

/// What must be so of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether its versioning is enabled.
    pub versioned: bool,
    /// Whether it has Object Lock.
    pub object_lock: bool,
}

const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");
/// Who the owner of a bucket has to be.
pub const EXPECTED_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");

/// The bucket that an ARN names; `None` if it names something else.
pub fn bucket_of_arn(arn: &str) -> Option<BucketName> {
    BucketName::parse(arn.strip_prefix("arn:aws:s3:::")?).ok()
}

impl Destinations {
    /// In that store, and in those regions.
    pub fn new(store: Store, regions: Regions) -> Destinations {
        Destinations { store, regions }
    }

    /// The other stores.
    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    /// Finds the bucket `arn` for the source bucket: where it was when the rules were set, if they name it.
    pub async fn resolve(&self, source: &Bucket, arn: &str) -> Result<Found, Unresolved> {
        let rules = source.replication.iter().flat_map(|replication| &replication.rules);
        let account = rules.filter(|rule| rule.destination.bucket == arn).find_map(|rule| rule.destination.account);
        self.find(source, arn, account).await
    }

    /// The same for rules that are not set yet and name that account.
    pub async fn find(&self, source: &Bucket, arn: &str, account: Option<AccountId>) -> Result<Found, Unresolved> {
        let name = bucket_of_arn(arn).ok_or_else(|| Unresolved::NotABucket(arn.to_owned()))?;
        let places = Places::of(source).map_err(|error| Unresolved::Internal(error.to_string()))?;
        let here = match name.as_str() == source.name {
            true => None,
            false => self.here(&name).await?,
        };
        let owner = match places.of_destination(arn) {
            Some(Place::Here(owner)) => {
                let bucket = here.ok_or(Unresolved::Missing)?;
                return match bucket.owner == *owner {
                    true => Ok(Found::Local(bucket)),
                    false => Err(Unresolved::Elsewhere(name)),
                };
            }
            Some(Place::There(region)) => {
                let known = self.regions.of_bucket(&name).find(|known| known.name == *region);
                let known =
                    known.ok_or_else(|| Unresolved::NoRegion { region: region.clone(), bucket: name.clone() })?;
                return holds(known, &name).await?.ok_or(Unresolved::Missing);
            }
            None => here.as_ref().map(|bucket| bucket.owner),
        };
        if owner.is_some_and(|owner| owner == source.owner || Some(owner) == account)
            && let Some(bucket) = here
        {
            return Ok(Found::Local(bucket));
        }
        let mut asked = false;
        for region in self.regions.of_bucket(&name) {
            asked = true;
            if let Some(found) = holds(region, &name).await? {
                return Ok(found);
            }
        }
        match here {
            Some(bucket) => Ok(Found::Local(bucket)),
            None if asked => Err(Unresolved::Missing),
            None => Err(Unresolved::Nowhere(name)),
        }
    }

    /// The bucket of this store.
    async fn here(&self, name: &BucketName) -> Result<Option<Arc<Bucket>>, Unresolved> {
        match self.store.bucket(name).await {
            Ok(bucket) => Ok(Some(bucket)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(Unresolved::Internal(error.to_string())),
        }
    }
}

/// The bucket of a region, if it has it.
async fn holds(region: &Arc<Region>, name: &BucketName) -> Result<Option<Found>, Unresolved> {
    let answer = ask(region, RegionRequest::new(Method::HEAD, name.as_str(), None)).await?;
    match answer.status {
        status if status.is_success() => Ok(Some(Found::Remote(Arc::clone(region), name.clone()))),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(refused_head(region, name, &answer).await),
    }
}

/// Answers to HEAD carry no document, so the same is asked once more by a request whose refusal tells why.
async fn refused_head(region: &Region, name: &BucketName, head: &Answer) -> Unresolved {
    let again = RegionRequest { query: &[("location", "")], ..RegionRequest::new(Method::GET, name.as_str(), None) };
    let told = match ask(region, again).await {
        Ok(answer) if !answer.status.is_success() => refused(region, &answer),
        _ => refused(region, head),
    };
    match (told, wanted_region(region, head)) {
        (Unresolved::Refused { region, status, code, wanted: None }, wanted) => {
            Unresolved::Refused { region, status, code, wanted }
        }
        (told, _) => told,
    }
}

impl Found {
    /// The place to keep with the rules.
    pub fn place(&self) -> Place {
        match self {
            Found::Local(bucket) => Place::Here(bucket.owner),
            Found::Remote(region, _) => Place::There(region.name.clone()),
        }
    }

    /// What it can do. With `owner`, the store refuses to tell of a bucket of anybody else.
    pub async fn capabilities(&self, owner: Option<&str>) -> Result<Capabilities, Unresolved> {
        let (region, name) = match self {
            Found::Local(bucket) => {
                return Ok(Capabilities {
                    versioned: bucket.versioning == Versioning::Enabled,
                    object_lock: bucket.object_lock.is_some(),
                });
            }
            Found::Remote(region, name) => (region, name),
        };
        let request = |query| RegionRequest {
            query,
            headers: expecting(owner),
            ..RegionRequest::new(Method::GET, name.as_str(), None)
        };
        let versioning = ask(region, request(&[("versioning", "")])).await?;
        let lock = ask(region, request(&[("object-lock", "")])).await?;
        let object_lock = match lock.status {
            StatusCode::OK => true,
            StatusCode::NOT_FOUND => false,
            _ => return Err(refused(region, &lock)),
        };
        match versioning.status {
            StatusCode::OK => Ok(Capabilities { versioned: is_versioned(&versioning.body), object_lock }),
            StatusCode::NOT_FOUND => Err(Unresolved::Missing),
            _ => Err(refused(region, &versioning)),
        }
    }
}

async fn ask(region: &Region, request: RegionRequest<'_>) -> Result<Answer, Unresolved> {
    let answer = region.client.send(request).await;
    answer.map_err(|error| Unresolved::Unreachable { region: region.name.clone(), reason: error.to_string() })
}

fn expecting(owner: Option<&str>) -> HeaderMap {
    let owner = owner.and_then(|owner| HeaderValue::from_str(owner).ok());
    owner.map(|owner| (EXPECTED_OWNER, owner)).into_iter().collect()
}

fn refused(region: &Region, answer: &Answer) -> Unresolved {
    let (status, code) = (answer.status.as_u16(), error_code(&answer.body));
    Unresolved::Refused { region: region.name.clone(), status, code, wanted: wanted_region(region, answer) }
}

/// What the answer says that requests have to be signed for, in its header or its document, if that is something else.
fn wanted_region(region: &Region, answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        region: String,
    }
    let header = answer.headers.get(BUCKET_REGION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let wanted = header.or_else(|| xml::parse::<Document>(&answer.body).ok().map(|document| document.region))?;
    (!wanted.is_empty() && wanted != region.client.signing_region()).then_some(wanted)
}

/// The code in an error document; empty if there is none, as in answers to HEAD.
pub fn error_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        code: String,
    }
    xml::parse::<Document>(body).map(|document| document.code).unwrap_or_default()
}

fn is_versioned(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Document {
        status: Option<String>,
    }
    xml::parse::<Document>(body).is_ok_and(|document| document.status.as_deref() == Some("Enabled"))
}

#[cfg(test)]
mod tests {
    use super::{bucket_of_arn, error_code, is_versioned};

    #[test]
    fn arns() {
        fn check(arn: &str, expected: Option<&str>) {
            assert_eq!(bucket_of_arn(arn).as_ref().map(|name| name.as_str()), expected, "{arn}");
        }
        check("arn:aws:s3:::destination", Some("destination"));
        check("arn:aws:s3:::a.b-1", Some("a.b-1"));
        for arn in [
            "",
            "destination",
            "arn:aws:s3:::",
            "arn:aws:s3:::destination/key",
            "arn:aws:s3:::Destination",
            "arn:aws:s3:us-east-1:111122223333:accesspoint/door",
            "arn:aws:s3-outposts:us-east-1:111122223333:outpost/o/bucket/b",
        ] {
            check(arn, None);
        }
    }

    #[test]
    fn answers() {
        assert_eq!(error_code(b"<Error><Code>AccessDenied</Code><Message>m</Message></Error>"), "AccessDenied");
        assert_eq!(error_code(b""), "");
        let versioning =
            |status: &str| format!("<VersioningConfiguration xmlns=\"x\">{status}</VersioningConfiguration>");
        assert!(is_versioned(versioning("<Status>Enabled</Status>").as_bytes()));
        assert!(is_versioned(versioning("<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>").as_bytes()));
        assert!(!is_versioned(versioning("<Status>Suspended</Status>").as_bytes()));
        assert!(!is_versioned(versioning("").as_bytes()));
        assert!(!is_versioned(b"<html>"));
    }
}

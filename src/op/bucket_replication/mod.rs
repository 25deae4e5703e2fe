//! PutBucketReplication, GetBucketReplication, DeleteBucketReplication.

use std::collections::BTreeMap;

use http::StatusCode;
use strata_storage::{Bucket, BucketChange, BucketName, Error, Replication, ReplicationRule, Versioning};

use crate::authorize::{self, Resource};
use crate::checksum_headers::Need;
use crate::error::S3Error;
use crate::op::{bucket, rule_id};
use crate::replication::{Found, Places, RoleFault, Unresolved, trusted_role};
use crate::request::{Context, Request};
use crate::response::Response;

mod answer;
mod document;
mod validate;

/// The most bytes of a document, S3's limit.
const DOCUMENT_BYTES_MAX: usize = 2 << 20;

/// Answers `GET /bucket?replication`.
pub async fn get(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let bucket = bucket::find(ctx, name).await?;
    match &bucket.replication {
        Some(replication) => Ok(Response::xml(answer::write(replication))),
        None => Err(S3Error::new(
            StatusCode::NOT_FOUND,
            "ReplicationConfigurationNotFoundError",
            "The replication configuration was not found",
        )
        .with("BucketName", name.as_str())),
    }
}

/// Answers `PUT /bucket?replication`.
///
/// `x-amz-bucket-object-lock-token` was S3's permission to replicate buckets with Object Lock, which is not needed any more:
/// with any token, or none, it is what happens.
pub async fn put(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?.clone();
    let source = bucket::find(ctx, &name).await?;
    let bytes = bucket::read_document(&mut request, DOCUMENT_BYTES_MAX, Need::Required).await?;
    let mut replication = document::read(&bytes)?;
    validate::check(&replication)?;
    name_rules(ctx, &source, &mut replication);
    check_role(ctx, &request, &source, &replication.role).await?;
    if source.versioning != Versioning::Enabled {
        return Err(unversioned());
    }
    let places = place_destinations(ctx, &name, &source, &replication).await?.to_stored()?.into();
    match ctx.store.change_bucket(&name, BucketChange::PlacedReplication { replication, places }).await {
        Ok(()) => Ok(Response::empty(StatusCode::OK)),
        Err(Error::BucketState(_)) => Err(unversioned()),
        Err(error) => Err(bucket::error(error, &name)),
    }
}

/// Answers `DELETE /bucket?replication`, also when there is nothing to remove. What waits to be sent is not sent any more.
pub async fn delete(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let name = request.bucket()?;
    let change = BucketChange::Replication(None);
    ctx.store.change_bucket(name, change).await.map_err(|error| bucket::error(error, name))?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

/// Gives an id to each rule without one: that of the same rule as it was, so that what waits for it stays its own.
fn name_rules(ctx: &Context, source: &Bucket, replication: &mut Replication) {
    let is_same =
        |old: &ReplicationRule, new: &ReplicationRule| ReplicationRule { id: String::new(), ..old.clone() } == *new;
    for at in 0..replication.rules.len() {
        let rule = &replication.rules[at];
        if !rule.id.is_empty() {
            continue;
        }
        let mut old = source.replication.iter().flat_map(|old| &old.rules);
        let kept = old.find(|old| is_same(old, rule) && replication.rule(&old.id).is_none());
        replication.rules[at].id = match kept {
            Some(old) => old.id.clone(),
            None => rule_id::generate(ctx.entropy.as_ref()),
        };
    }
}

fn unversioned() -> S3Error {
    S3Error::invalid_request("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
}

/// Checks that the caller may hand the role to the service, and that there is one that the service may take on.
///
/// Unconfirmed: S3's answers about roles. Who may not pass the role does not learn whether it exists.
async fn check_role(ctx: &Context, request: &Request, source: &Bucket, role: &str) -> Result<(), S3Error> {
    let bucket_arn = format!("arn:aws:s3:::{}", source.name);
    let trusted = {
        let snapshot = ctx.directory.snapshot();
        trusted_role(&snapshot, role, (&bucket_arn, source.owner), request.now).map(drop)
    };
    let invalid = |fault: RoleFault| S3Error::invalid_argument(fault.to_string(), "Role", role);
    if let Err(fault @ (RoleFault::NotARole | RoleFault::Foreign)) = trusted {
        return Err(invalid(fault));
    }
    // The role is the bucket owner's, and nobody can pass a role of another account.
    if request.caller.account_id() != Some(source.owner) {
        return Err(S3Error::access_denied("Access Denied"));
    }
    authorize::require(ctx, request, "iam:PassRole", Resource::Arn(role)).await?;
    trusted.map_err(|fault| S3Error::invalid_request(fault.to_string()))
}

/// Checks that each destination is there, is versioned, belongs to whom the rules say, and has Object Lock if the source has;
/// says where they are. Not looked at are those of rules that send nothing or stay as they are: a destination that is away must
/// not keep anybody from changing the others.
async fn place_destinations(
    ctx: &Context,
    name: &BucketName,
    source: &Bucket,
    replication: &Replication,
) -> Result<Places, S3Error> {
    let mut destinations: BTreeMap<&str, Vec<&ReplicationRule>> = BTreeMap::new();
    for rule in &replication.rules {
        destinations.entry(&rule.destination.bucket).or_default().push(rule);
    }
    let (before, mut places) = (Places::of(source)?, Places::default());
    let stands = |rule: &ReplicationRule| source.replication.as_ref().is_some_and(|old| old.rules.contains(rule));
    for (arn, rules) in destinations {
        let kept = before.of_destination(arn);
        if rules.iter().all(|rule| !rule.enabled || (kept.is_some() && stands(rule))) {
            kept.into_iter().for_each(|place| places.set(arn, place.clone()));
            continue;
        }
        let accounts: Vec<_> = rules.iter().filter_map(|rule| rule.destination.account).collect();
        let found = ctx.destinations.find(source, arn, accounts.first().copied()).await;
        let found = found.map_err(|error| unresolved(name, arn, error))?;
        if let Found::Local(bucket) = &found
            && let Some(other) = accounts.iter().find(|account| **account != bucket.owner)
        {
            return Err(validate::invalid_account(&other.to_string()));
        }
        let account = accounts.first().map(ToString::to_string);
        let capable = found.capabilities(account.as_deref()).await.map_err(|error| match (error, &account) {
            (Unresolved::Refused { code, .. }, Some(account)) if code == "AccessDenied" => {
                validate::invalid_account(account)
            }
            (error, _) => unresolved(name, arn, error),
        })?;
        if !capable.versioned {
            return Err(unversioned_destination());
        }
        if source.object_lock.is_some() && !capable.object_lock {
            // Unconfirmed: S3's text.
            return Err(S3Error::invalid_request(format!(
                "The source bucket has Object Lock enabled, so the destination bucket {arn} must have it enabled too."
            )));
        }
        places.set(arn, found.place());
    }
    Ok(places)
}

/// S3 says the same of buckets that are missing and of those that are not versioned.
fn unversioned_destination() -> S3Error {
    S3Error::invalid_request("Destination bucket must have versioning enabled.")
}

fn unresolved(source: &BucketName, arn: &str, error: Unresolved) -> S3Error {
    match error {
        Unresolved::NotABucket(_) => validate::invalid_bucket(arn),
        // Unconfirmed: S3's text.
        Unresolved::Missing | Unresolved::Nowhere(_) if arn.strip_prefix("arn:aws:s3:::") == Some(source.as_str()) => {
            S3Error::invalid_request("The source and the destination bucket cannot be the same.")
        }
        Unresolved::Missing | Unresolved::Nowhere(_) => unversioned_destination(),
        // At AWS all regions are reachable. Here the rules must not be taken without knowing where they lead.
        Unresolved::Unreachable { region, reason } => {
            let message =
                format!("The destination bucket cannot be looked for: the region {region} cannot be reached.");
            S3Error::invalid_request(message).with_detail(reason)
        }
        error @ (Unresolved::Elsewhere(_) | Unresolved::NoRegion { .. }) => S3Error::invalid_request(format!(
            "The destination bucket is not where it was: {error}. Delete the replication configuration first if it is meant."
        )),
        error @ Unresolved::Refused { .. } => {
            S3Error::invalid_request(format!("The destination bucket cannot be looked at: {error}."))
        }
        Unresolved::Internal(reason) => S3Error::internal(reason),
    }
}

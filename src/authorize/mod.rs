//! Whether a caller may do what a request asks for: the one decision, over all policies that apply.
//!
//! `needs` says which permissions an operation needs, `keys` what the request says to the conditions of policies, `judge`
//! puts together what all policies, lists and blocks say. Here is what the rest of the front end asks: before an operation
//! runs, while it runs, and after it found nothing.

mod acl_grants;
mod asking;
mod bucket_policies;
mod judge;
mod keys;
mod lockout;
mod needs;
mod resource;
mod said;

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use strata_storage::{
    AccountId, Bucket, BucketName, DeleteCondition, Entity, Error, ObjectOwnership, VersionId, WriteCondition,
};

use crate::error::S3Error;
use crate::identity::Identity;
use crate::policy::{Action, Outcome};
use crate::replication::replica;
use crate::request::{Context, Request};
use crate::route::Operation;

use needs::On;

pub use asking::{Asking, Said};
pub use bucket_policies::BucketPolicies;
pub use lockout::locks_out;
pub use resource::{Resource, Through};

/// A request that may pass.
pub struct Passed {
    /// What is left to be asked once it has run.
    pub afterwards: Afterwards,
    /// The bucket that it is about, if that is there already.
    pub bucket: Option<Arc<Bucket>>,
    /// Whether it may pass only because an access control list says so.
    pub by_acl: bool,
}

/// Decides whether the operation of a request may run.
///
/// `Err` is 403 `AccessDenied`, also for an `x-amz-expected-bucket-owner` that is not the owner; 404 `NoSuchBucket`,
/// whoever asks; 400 for what anonymous callers cannot ask for.
pub async fn authorize(ctx: &Context, request: &mut Request) -> Result<Passed, S3Error> {
    let operation = request.operation;
    if operation == Operation::PostObject {
        // A form says in its fields who sends it: it is asked for again as a PutObject of that sender.
        let afterwards = Afterwards::of(Asking::of(request));
        return Ok(Passed { afterwards, bucket: None, by_acl: false });
    }
    refuse_overrides(request)?;
    if operation != Operation::HeadBucket && replica::needs(operation, &request.headers) == Some(None) {
        return Err(replica::refused());
    }
    replica::refuse_imports_of_others(request)?;
    let bucket = match (operation, &request.bucket) {
        (_, None) => None,
        // The name may be anybody's or nobody's yet: it is the caller's own account that makes it.
        (Operation::CreateBucket, Some(_)) => Some(to_be_made(&request.caller)?),
        (_, Some(name)) => Some(find(ctx, name).await?),
    };
    let expected = bucket.as_ref().map(|bucket| bucket.owner).or_else(|| request.caller.account_id());
    check_expected_owner(request, "x-amz-expected-bucket-owner", expected)?;
    said::read(ctx, request, bucket.as_deref()).await?;
    let asking = Asking::of(request);
    let mut by_acl = false;
    for need in needs::needs(operation, &request.query, &request.headers) {
        let resource = match (need.on, &request.bucket, &request.key) {
            (On::Account, ..) => Resource::Account,
            (On::Bucket, Some(bucket), _) => Resource::Bucket(bucket),
            // A version id that is none names nothing: the operation refuses it.
            (On::Object, Some(bucket), Some(key)) => Resource::Object(bucket, key, request.version()),
            _ => return Err(S3Error::internal("an operation was routed without what it is about")),
        };
        let outcome = judge::judge(ctx, &asking, need.action, resource, bucket.as_deref()).await?;
        verdict(&asking, need.action, outcome)?;
        by_acl |= judge::is_by_acl(&outcome);
    }
    let bucket = bucket.filter(|_| operation != Operation::CreateBucket);
    Ok(Passed { afterwards: Afterwards::of(asking), bucket, by_acl })
}

/// Asks for one more permission than the operation's own, which the service asks for before the operation runs: for the
/// source of a copy, for each key of DeleteObjects, for what a document adds.
///
/// `action` is the name with its prefix, `s3:GetObject`. `Err` is 403 `AccessDenied`, or 404 `NoSuchBucket`.
pub async fn require(
    ctx: &Context,
    request: &Request,
    action: &'static str,
    resource: Resource<'_>,
) -> Result<(), S3Error> {
    require_of(ctx, &Asking::of(request), action, resource).await
}

/// Asks for a permission in the same way where there is no operation of S3: for the other APIs.
pub async fn require_of(
    ctx: &Context,
    asking: &Asking,
    action: &'static str,
    resource: Resource<'_>,
) -> Result<(), S3Error> {
    let action = Action::named(action).ok_or_else(|| S3Error::internal(format!("there is no action {action}")))?;
    let is_new = asking.operation == Some(Operation::CreateBucket);
    let bucket = match resource.bucket() {
        None => None,
        Some(name) if is_new && asking.bucket.as_ref() == Some(name) => Some(to_be_made(&asking.caller)?),
        Some(name) => Some(find(ctx, name).await?),
    };
    let outcome = judge::judge(ctx, asking, action, resource, bucket.as_deref()).await?;
    verdict(asking, action, outcome)
}

/// What removing one of the keys of DeleteObjects needs.
pub fn to_delete(headers: &HeaderMap, version: Option<VersionId>, condition: &DeleteCondition) -> Vec<&'static str> {
    let (delete, read) = match version {
        None => ("s3:DeleteObject", "s3:GetObject"),
        Some(_) => ("s3:DeleteObjectVersion", "s3:GetObjectVersion"),
    };
    let mut actions = vec![delete];
    if matches!(condition, DeleteCondition::IfMatch(_)) {
        actions.push(read);
    }
    if needs::bypasses_retention(headers) {
        actions.push("s3:BypassGovernanceRetention");
    }
    actions
}

/// Checks `x-amz-source-expected-bucket-owner` against the bucket that a copy reads. The other header of that kind was
/// checked before the operation ran.
pub async fn check_source_owner(ctx: &Context, request: &Request, source: &BucketName) -> Result<(), S3Error> {
    let owner = find(ctx, source).await?.owner;
    check_expected_owner(request, "x-amz-source-expected-bucket-owner", Some(owner))
}

/// Whether an error tells a caller that something is not there. Such an error must go through [`conceal`].
fn tells_absence(error: &S3Error) -> Option<Action> {
    match error.code {
        "NoSuchKey" => Some(needs::LIST),
        "NoSuchVersion" => Some(needs::LIST_VERSIONS),
        _ => None,
    }
}

/// What is left to be asked once an operation has run.
pub struct Afterwards(Asking);

impl Afterwards {
    /// Keeps what the question needs.
    fn of(mut asking: Asking) -> Afterwards {
        // What a copy does not find is its source, which may be in another bucket: see `conceal`.
        if matches!(asking.operation, Some(Operation::CopyObject | Operation::UploadPartCopy)) {
            asking.bucket = None;
        }
        Afterwards(asking)
    }

    /// The error as the caller may see it: that a key or version is not there is for those who may list the bucket, and
    /// for the others it is denied like one that is there.
    pub async fn conceal(&self, ctx: &Context, error: S3Error) -> S3Error {
        let Some(name) = &self.0.bucket else { return error };
        conceal(ctx, &self.0, name, error).await
    }
}

/// Whether what a write finds absent under its condition must be concealed from the caller: asked before the write by those
/// who tell its outcome in a body that may have begun.
pub async fn conceals_absence(ctx: &Context, request: &Request, condition: &WriteCondition) -> Result<bool, S3Error> {
    if !matches!(condition, WriteCondition::IfMatch(_)) {
        return Ok(false);
    }
    let name = request.bucket()?;
    let bucket = find(ctx, name).await?;
    let asking = Asking::of(request);
    let outcome = judge::judge(ctx, &asking, needs::LIST, Resource::Bucket(name), Some(&bucket)).await?;
    Ok(!matches!(outcome, Outcome::Allowed { .. }))
}

/// The error without what it tells of absence.
pub fn concealed(error: S3Error) -> S3Error {
    match tells_absence(&error) {
        Some(_) => S3Error { close: error.close, ..denied() },
        None => error,
    }
}

/// The error in finding something in a bucket as the caller may see it: the source of a copy, too.
pub async fn conceal(ctx: &Context, asking: &Asking, name: &BucketName, error: S3Error) -> S3Error {
    let Some(action) = tells_absence(&error) else { return error };
    let Ok(bucket) = ctx.store.bucket(name).await else { return denied() };
    match judge::judge(ctx, asking, action, Resource::Bucket(name), Some(&bucket)).await {
        Ok(Outcome::Allowed { .. }) => error,
        Ok(_) => concealed(error),
        Err(failed) => failed,
    }
}

fn denied() -> S3Error {
    S3Error::access_denied("Access Denied")
}

fn verdict(asking: &Asking, action: Action, outcome: Outcome) -> Result<(), S3Error> {
    if let Outcome::Allowed { .. } = outcome {
        return Ok(());
    }
    tracing::debug!(caller = asking.caller.arn(), action = action.name(), ?outcome, "denied");
    Err(denied())
}

/// The bucket of that name. Everybody may know which buckets there are, as at AWS.
async fn find(ctx: &Context, name: &BucketName) -> Result<Arc<Bucket>, S3Error> {
    match ctx.store.bucket(name).await {
        Ok(bucket) => Ok(bucket),
        Err(Error::NotFound(Entity::Bucket)) => Err(S3Error::no_such_bucket(name.as_str())),
        Err(error) => Err(error.into()),
    }
}

/// A bucket that is not there yet belongs to who makes it, and has no policy that could say otherwise.
fn to_be_made(caller: &Identity) -> Result<Arc<Bucket>, S3Error> {
    let owner = caller.account_id().ok_or_else(denied)?;
    Ok(Arc::new(Bucket { owner, ownership: Some(ObjectOwnership::BucketOwnerEnforced), ..Bucket::default() }))
}

fn check_expected_owner(request: &Request, name: &str, owner: Option<AccountId>) -> Result<(), S3Error> {
    for value in request.headers.get_all(name) {
        let expected = value.to_str().ok().and_then(AccountId::parse).ok_or_else(|| {
            S3Error::new(
                StatusCode::BAD_REQUEST,
                "InvalidBucketOwnerAWSAccountID",
                "The value of the expected bucket owner parameter must be an AWS account ID",
            )
        })?;
        if Some(expected) != owner {
            return Err(denied());
        }
    }
    Ok(())
}

/// The headers of an answer are for callers who can be held to account.
fn refuse_overrides(request: &Request) -> Result<(), S3Error> {
    let reads = matches!(request.operation, Operation::GetObject | Operation::HeadObject);
    let overrides = || request.query.0.iter().any(|(name, _)| name.starts_with("response-"));
    if reads && request.caller.account_id().is_none() && overrides() {
        return Err(S3Error::invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

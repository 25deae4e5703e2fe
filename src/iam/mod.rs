//! IAM's query API: users, groups, roles, policies, keys and identity providers of the caller's account.

use crate::directory::Directory;
use crate::query_api::{Fault, QueryApi, QueryCall};
use crate::response::Response;

/// Answers a call. Dropping the future leaves a change that has begun to go on.
pub async fn answer(_directory: &Directory, call: QueryCall) -> Response {
    QueryApi::Iam.fault(&Fault::validation("No action is known."), &call.name)
}

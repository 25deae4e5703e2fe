//! IAM's query API: users, groups, roles, policies, keys and identity providers of the caller's account.
//!
//! `table` lists the actions with their parameters. Those that change something run on the draft of a change of the
//! directory, those that do not on its snapshot; both ask for permission in the same state that they then act on.

mod access_keys;
mod account;
mod attached;
mod boundaries;
mod groups;
mod holder;
mod inline;
mod names;
mod page;
mod policies;
mod policy_versions;
mod providers;
mod request;
mod roles;
mod simulate;
mod table;
mod tags;
mod users;

use std::sync::Arc;

use http::StatusCode;

use crate::directory::Directory;
use crate::identity::Who;
use crate::policy::Action;
use crate::query_api::{Fault, QueryApi, QueryCall};
use crate::response::Response;

pub use inline::chars as policy_chars;
use request::Request;
use table::Run;

/// Answers a call. Dropping the future leaves a change that has begun to go on.
pub async fn answer(directory: &Directory, call: QueryCall) -> Response {
    let name = Arc::clone(&call.name);
    run(directory, call).await.unwrap_or_else(|fault| QueryApi::Iam.fault(&fault, &name))
}

async fn run(directory: &Directory, call: QueryCall) -> Result<Response, Fault> {
    let entry = table::find(call.form.action(), call.form.version())?;
    let account = call.account()?;
    // As at AWS: such sessions may do what their user may, but for IAM.
    if call.caller.issued.is_some() && !matches!(call.caller.who, Who::Role { .. }) {
        return Err(Fault::new(
            StatusCode::FORBIDDEN,
            "AccessDenied",
            "Sessions of GetSessionToken and GetFederationToken cannot call IAM.",
        ));
    }
    call.form.check(entry.parameters)?;
    let action = Action::named(&format!("iam:{}", entry.name)).ok_or_else(|| Fault::internal("an unknown action"))?;
    let name = Arc::clone(&call.name);
    let request = Request { call, directory: directory.clone(), action, account };
    let mut answer = QueryApi::Iam.answer(entry.name);
    let answer = match entry.run {
        Run::Read(read) => {
            read(&request, &directory.snapshot(), &mut answer)?;
            answer
        }
        Run::Write(write) => {
            let changed = directory.change(move |draft| write(&request, draft, &mut answer).map(|()| answer));
            changed.await?
        }
    };
    Ok(answer.finish(&name))
}

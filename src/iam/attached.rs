//! Managed policies at users, groups and roles: Attach, Detach and ListAttached of UserPolicy, GroupPolicy, RolePolicy.

use crate::directory::roster::Roster;
use crate::directory::{Draft, Snapshot, managed};
use crate::iam::holder::Holder;
use crate::iam::names;
use crate::iam::page::Pager;
use crate::iam::request::{Request, missing};
use crate::policy::{ConditionKey, KeyValue};
use crate::query_api::{Answer, Fault};

/// The most managed policies of one holder.
const ATTACHED_MAX: usize = 20;

/// Attaches a policy; one that is attached stays so.
pub fn attach<E: Holder>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let arn = request.form().required("PolicyArn")?;
    let mut holder: E = find(request, draft.snapshot(), arn)?;
    if !is_known(request.roster(draft.snapshot())?, arn) {
        return Err(missing(crate::directory::roster::Kind::Policy, arn));
    }
    let attached = &mut holder.permissions_mut().attached;
    if !attached.insert(arn.to_owned()) {
        return Ok(());
    }
    if attached.len() > ATTACHED_MAX {
        let quota = format!("Cannot exceed quota for PoliciesPer{}: {ATTACHED_MAX}", E::WORD);
        return Err(Fault::limit_exceeded(quota));
    }
    Ok(draft.put(request.account, holder)?)
}

/// Detaches a policy.
pub fn detach<E: Holder>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let arn = request.form().required("PolicyArn")?;
    let mut holder: E = find(request, draft.snapshot(), arn)?;
    if !holder.permissions_mut().attached.remove(arn) {
        return Err(Fault::no_such_entity(format!("Policy {arn} was not found.")));
    }
    Ok(draft.put(request.account, holder)?)
}

/// Lists the attached policies.
pub fn list<E: Holder>(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let prefix = names::path_prefix(form)?;
    let holder = request.entity::<E>(snapshot, form.required(E::PARAMETER)?)?;
    let arns = holder.permissions().attached.iter().filter(|arn| is_below(arn, prefix));
    let page = Pager::new(form)?.page(arns.map(|arn| (arn.as_str(), arn)));
    page.write(answer.result(), "AttachedPolicies", |writer, arn| {
        writer.element("PolicyName", arn.rsplit('/').next().unwrap_or(arn)).element("PolicyArn", arn);
    });
    Ok(())
}

/// Whether there is such a policy for an account.
pub fn is_known(roster: &Roster, arn: &str) -> bool {
    managed::find(arn).is_some() || roster.policy(arn).is_some()
}

fn find<E: Holder>(request: &Request, snapshot: &Snapshot, arn: &str) -> Result<E, Fault> {
    let name = request.form().required(E::PARAMETER)?;
    let key = KeyValue::Text(arn.into());
    let holder = request.entity_with::<E>(snapshot, name, |keys| keys.with(ConditionKey::IamPolicyArn, key))?;
    Ok(E::clone(&holder))
}

/// Whether the path of a policy begins so.
fn is_below(arn: &str, prefix: &str) -> bool {
    arn.split_once(":policy").is_some_and(|(_, path)| path.starts_with(prefix))
}

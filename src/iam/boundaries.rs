//! Permissions boundaries: PutUserPermissionsBoundary, DeleteUserPermissionsBoundary, and the same of roles.

use crate::directory::Draft;
use crate::directory::entity::{Role, User};
use crate::directory::roster::Roster;
use crate::iam::attached::is_known;
use crate::iam::holder::Holder;
use crate::iam::request::Request;
use crate::policy::{ConditionKey, KeyValue};
use crate::query_api::{Answer, CallKeys, Fault};
use crate::xml::Writer;

/// An entity that can have a permissions boundary.
pub trait Bounded: Holder {
    /// The ARN of the policy.
    fn boundary_mut(&mut self) -> &mut Option<String>;
}

impl Bounded for User {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

impl Bounded for Role {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

/// Sets the boundary.
pub fn put<E: Bounded>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let arn = request.form().required("PermissionsBoundary")?;
    let mut holder: E = find(request, draft, Some(arn))?;
    check(request.roster(draft.snapshot())?, Some(arn))?;
    *holder.boundary_mut() = Some(arn.to_owned());
    Ok(draft.put(request.account, holder)?)
}

/// Removes the boundary.
pub fn delete<E: Bounded>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let name = request.form().required(E::PARAMETER)?;
    // The boundary that is to go, so that a policy can protect a certain one.
    let found = request.roster(draft.snapshot())?.named::<E>(name);
    let present = found.and_then(|holder| E::clone(holder).boundary_mut().take());
    let mut holder: E = find(request, draft, present.as_deref())?;
    if holder.boundary_mut().take().is_none() {
        let message = format!("{} {} does not have a permissions boundary set.", E::WORD, holder.name());
        return Err(Fault::no_such_entity(message));
    }
    Ok(draft.put(request.account, holder)?)
}

/// The condition key of a boundary that a call sets.
pub fn key<'a>(keys: CallKeys<'a>, boundary: Option<&'a str>) -> CallKeys<'a> {
    match boundary {
        Some(arn) => keys.with(ConditionKey::IamPermissionsBoundary, KeyValue::Text(arn.into())),
        None => keys,
    }
}

/// Refuses a boundary that is no policy.
pub fn check(roster: &Roster, boundary: Option<&str>) -> Result<(), Fault> {
    match boundary {
        Some(arn) if !is_known(roster, arn) => {
            Err(Fault::no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable.")))
        }
        _ => Ok(()),
    }
}

/// Writes what answers tell of a boundary.
pub fn write(writer: &mut Writer, boundary: Option<&str>) {
    if let Some(arn) = boundary {
        writer.open("PermissionsBoundary").element("PermissionsBoundaryType", "Policy");
        writer.element("PermissionsBoundaryArn", arn).close();
    }
}

fn find<E: Bounded>(request: &Request, draft: &Draft, boundary: Option<&str>) -> Result<E, Fault> {
    let name = request.form().required(E::PARAMETER)?;
    let boundary = boundary.map(str::to_owned);
    let holder = request.entity_with::<E>(draft.snapshot(), name, |keys| match boundary {
        Some(arn) => keys.with(ConditionKey::IamPermissionsBoundary, KeyValue::Text(arn.into())),
        None => keys,
    })?;
    Ok(E::clone(&holder))
}

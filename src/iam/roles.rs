//! Roles: CreateRole, GetRole, ListRoles, UpdateRole, UpdateRoleDescription, UpdateAssumeRolePolicy, DeleteRole.

use crate::directory::entity::{Permissions, Role, Trust};
use crate::directory::roster::{Entity, Kind};
use crate::directory::{Draft, Snapshot, id};
use crate::iam::names::{self, NAME_BYTES_MAX};
use crate::iam::page::Pager;
use crate::iam::request::{Request, arn, exists};
use crate::iam::{boundaries, inline, tags};
use crate::query_api::{Answer, Fault, Form};
use crate::time::iso8601_second;
use crate::xml::Writer;

/// The most roles of an account, as at AWS.
pub const ROLES_MAX: usize = 1000;
/// How many characters a trust policy may have without white space.
const TRUST_CHARS_MAX: usize = 4096;
/// How long a session lasts unless the role says otherwise, in seconds.
const SESSION_SECONDS_DEFAULT: u32 = 3600;
const SESSION_SECONDS_MIN: u32 = 3600;
const SESSION_SECONDS_MAX: u32 = 43_200;

/// Makes a role.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let (name, path) = (names::name(form, "RoleName", NAME_BYTES_MAX)?, names::path(form, "Path")?);
    let tags = names::tags(form)?;
    let boundary = form.get("PermissionsBoundary");
    let keys = boundaries::key(request.keys().with_tags(&tags), boundary);
    request.require(&arn(request.account, Kind::Role, path, name), &keys)?;
    let roster = request.roster(draft.snapshot())?;
    boundaries::check(roster, boundary)?;
    if roster.keyed::<Role>(&name.to_lowercase()).is_some() {
        return Err(exists(Kind::Role, name));
    }
    if roster.all::<Role>().len() >= ROLES_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for RolesPerAccount: {ROLES_MAX}")));
    }
    let role = Role {
        name: name.to_owned(),
        path: path.to_owned(),
        id: id::generate(id::IdKind::Role, request.account)?,
        created: request.call.now,
        description: names::description(form)?,
        tags: tags.clone(),
        trust: trust(form, "AssumeRolePolicyDocument", draft.snapshot())?,
        session_seconds_max: session_seconds(form)?.unwrap_or(SESSION_SECONDS_DEFAULT),
        permissions: Permissions::default(),
        boundary: boundary.map(str::to_owned),
    };
    element(answer.result(), request, draft.snapshot(), &role);
    Ok(draft.put(request.account, role)?)
}

/// Shows a role.
pub fn get(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let role = request.entity::<Role>(snapshot, request.form().required("RoleName")?)?;
    element(answer.result(), request, snapshot, &role);
    Ok(())
}

/// Lists roles.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let (prefix, pager) = (names::path_prefix(request.form())?, Pager::new(request.form())?);
    request.require(&arn(request.account, Kind::Role, "/", "*"), &request.keys())?;
    let roles = request.roster(snapshot)?.all::<Role>().range::<str, _>(pager.range());
    let roles = roles.filter(|(_, role)| role.path.starts_with(prefix)).map(|(key, role)| (key.as_str(), role));
    pager.page(roles).write(answer.result(), "Roles", |writer, role| write(writer, request, snapshot, role));
    Ok(())
}

/// Changes the description and how long sessions may last.
pub fn update(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut role: Role = request.entity_to_change(draft, form.required("RoleName")?)?;
    if form.get("Description").is_some() {
        role.description = names::description(form)?;
    }
    role.session_seconds_max = session_seconds(form)?.unwrap_or(role.session_seconds_max);
    // The answer has an empty result.
    answer.result();
    Ok(draft.put(request.account, role)?)
}

/// Changes the description, and shows the role.
pub fn update_description(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut role: Role = request.entity_to_change(draft, form.required("RoleName")?)?;
    form.required("Description")?;
    role.description = names::description(form)?;
    element(answer.result(), request, draft.snapshot(), &role);
    Ok(draft.put(request.account, role)?)
}

/// Changes who may take the role on.
pub fn update_trust(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut role: Role = request.entity_to_change(draft, form.required("RoleName")?)?;
    role.trust = trust(form, "PolicyDocument", draft.snapshot())?;
    Ok(draft.put(request.account, role)?)
}

/// Removes a role that has no policies left. Its sessions end.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let role = request.entity::<Role>(draft.snapshot(), request.form().required("RoleName")?)?;
    let what = match () {
        () if !role.permissions.inline.is_empty() => "delete policies",
        () if !role.permissions.attached.is_empty() => "detach all policies",
        () => return Ok(draft.remove::<Role>(request.account, &role.name)?),
    };
    Err(Fault::delete_conflict(format!("Cannot delete entity, must {what} first.")))
}

fn trust(form: &Form, parameter: &str, snapshot: &Snapshot) -> Result<Trust, Fault> {
    let text = form.required(parameter)?;
    if inline::chars(text) > TRUST_CHARS_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_CHARS_MAX}")));
    }
    Ok(Trust::parse(text, &|name| snapshot.unique_id(name))?)
}

fn session_seconds(form: &Form) -> Result<Option<u32>, Fault> {
    form.number("MaxSessionDuration", SESSION_SECONDS_MIN, SESSION_SECONDS_MAX)
}

fn element(writer: &mut Writer, request: &Request, snapshot: &Snapshot, role: &Role) {
    writer.open("Role");
    write(writer, request, snapshot, role);
    boundaries::write(writer, role.boundary.as_deref());
    tags::write(writer, &role.tags);
    writer.close();
}

fn write(writer: &mut Writer, request: &Request, snapshot: &Snapshot, role: &Role) {
    writer.element("Path", &role.path).element("RoleName", &role.name).element("RoleId", &role.id);
    writer.element("Arn", role.arn(request.account)).element("CreateDate", iso8601_second(role.created));
    let shown = role.trust.0.policy.shown(&|id| snapshot.arn_of(id));
    writer.element("AssumeRolePolicyDocument", inline::encoded(&shown));
    if let Some(description) = &role.description {
        writer.element("Description", description);
    }
    writer.element("MaxSessionDuration", role.session_seconds_max.to_string());
}

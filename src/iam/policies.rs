//! Managed policies: CreatePolicy, GetPolicy, ListPolicies, DeletePolicy, ListEntitiesForPolicy.

use std::borrow::Cow;
use std::collections::BTreeMap;

use strata_storage::AccountId;

use crate::directory::entity::{Group, ManagedPolicy, Permission, PolicyVersion, Role, User};
use crate::directory::roster::{Entity, Kind, Reference, Roster, Use};
use crate::directory::{Draft, Snapshot, id, managed};
use crate::iam::names::{self, LONG_NAME_BYTES_MAX};
use crate::iam::page::Pager;
use crate::iam::request::{Request, arn, exists, missing};
use crate::iam::{inline, tags};
use crate::query_api::{Answer, Fault, Form};
use crate::time::iso8601_second;
use crate::xml::Writer;

/// The most managed policies of an account, as at AWS.
pub const POLICIES_MAX: usize = 1500;
/// How many characters a managed policy may have without white space, as at AWS.
pub const POLICY_CHARS_MAX: usize = 6144;

/// Makes a policy.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let (name, path) = (names::name(form, "PolicyName", LONG_NAME_BYTES_MAX)?, names::path(form, "Path")?);
    let tags = names::tags(form)?;
    request.require(&arn(request.account, Kind::Policy, path, name), &request.keys().with_tags(&tags))?;
    let roster = request.roster(draft.snapshot())?;
    if roster.keyed::<ManagedPolicy>(&name.to_lowercase()).is_some() {
        return Err(exists(Kind::Policy, name));
    }
    if roster.all::<ManagedPolicy>().len() >= POLICIES_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for PoliciesPerAccount: {POLICIES_MAX}")));
    }
    let created = request.call.now;
    let policy = ManagedPolicy {
        name: name.to_owned(),
        path: path.to_owned(),
        id: id::generate(id::IdKind::Policy, request.account)?,
        created,
        updated: created,
        description: names::description(form)?,
        tags: tags.clone(),
        versions: vec![PolicyVersion { number: 1, created, document: document(form)? }],
        default: 1,
        next: 2,
    };
    let writer = answer.result();
    writer.open("Policy");
    write(writer, roster, &policy);
    super::tags::write(writer, &policy.tags);
    writer.close();
    Ok(draft.put(request.account, policy)?)
}

/// Shows a policy, without its document.
pub fn get(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let policy = find(request, snapshot)?;
    let writer = answer.result();
    writer.open("Policy");
    write(writer, request.roster(snapshot)?, &policy);
    if let Some(description) = &policy.description {
        writer.element("Description", description);
    }
    tags::write(writer, &policy.tags);
    writer.close();
    Ok(())
}

/// Lists policies.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let (prefix, pager) = (names::path_prefix(form)?, Pager::new(form)?);
    let (own, others) = match form.get("Scope").unwrap_or("All") {
        "All" => (true, true),
        "Local" => (true, false),
        "AWS" => (false, true),
        text => return Err(Fault::constraint("Scope", text, "Member must satisfy enum value set: [All, AWS, Local]")),
    };
    let only_attached = form.flag("OnlyAttached")?.unwrap_or(false);
    let wanted = match form.get("PolicyUsageFilter") {
        None => None,
        Some("PermissionsPolicy") => Some(Use::Attached),
        Some("PermissionsBoundary") => Some(Use::Boundary),
        Some(text) => return Err(Fault::constraint("PolicyUsageFilter", text, "Member must be a known usage")),
    };
    request.require("*", &request.keys())?;
    let roster = request.roster(snapshot)?;
    let is_listed = |arn: &str, policy: &ManagedPolicy| {
        policy.path.starts_with(prefix)
            && (!only_attached || roster.uses(arn).any(|reference| reference.how == Use::Attached))
            && wanted.is_none_or(|how| roster.uses(arn).any(|reference| reference.how == how))
    };
    // By ARN, in which those of the store come after those of the account: `aws` is after every digit.
    let mut listed: BTreeMap<String, &ManagedPolicy> = BTreeMap::new();
    for policy in own.then(|| roster.all::<ManagedPolicy>().values()).into_iter().flatten() {
        listed.insert(policy.arn(request.account), policy);
    }
    for policy in others.then(managed::all).into_iter().flatten() {
        listed.insert(format!("{}{}", managed::ARN_PREFIX, policy.name), policy);
    }
    listed.retain(|arn, policy| is_listed(arn, policy));
    let page = pager.page(listed.iter().map(|(arn, policy)| (arn.as_str(), *policy)));
    page.write(answer.result(), "Policies", |writer, policy| write(writer, roster, policy));
    Ok(())
}

/// Removes a policy that nobody uses and that has no other versions.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let policy = find_own(request, draft.snapshot())?;
    let roster = request.roster(draft.snapshot())?;
    if roster.uses(&policy.arn(request.account)).next().is_some() {
        return Err(Fault::delete_conflict("Cannot delete a policy attached to entities."));
    }
    if policy.versions.len() > 1 {
        return Err(Fault::delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
             The default version is deleted with the policy.",
        ));
    }
    Ok(draft.remove::<ManagedPolicy>(request.account, &policy.name)?)
}

/// Lists who uses a policy.
pub fn entities(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let wanted_kind = match form.get("EntityFilter") {
        None => None,
        Some("User") => Some(Kind::User),
        Some("Group") => Some(Kind::Group),
        Some("Role") => Some(Kind::Role),
        Some(text @ ("LocalManagedPolicy" | "AWSManagedPolicy")) => {
            return Err(Fault::validation(format!("Policies have no policies, so {text} lists nothing.")));
        }
        Some(text) => return Err(Fault::constraint("EntityFilter", text, "Member must be a known entity type")),
    };
    let how = match form.get("PolicyUsageFilter") {
        None | Some("PermissionsPolicy") => Use::Attached,
        Some("PermissionsBoundary") => Use::Boundary,
        Some(text) => return Err(Fault::constraint("PolicyUsageFilter", text, "Member must be a known usage")),
    };
    let (prefix, pager) = (names::path_prefix(form)?, Pager::new(form)?);
    let policy = find(request, snapshot)?;
    let roster = request.roster(snapshot)?;
    let users = roster.uses(&arn_of(request.account, &policy));
    let users = users.filter(|reference| reference.how == how && wanted_kind.is_none_or(|kind| kind == reference.kind));
    let mut found: Vec<(String, Found<'_>)> = users.filter_map(|reference| entity(roster, reference)).collect();
    found.retain(|(_, found)| found.path.starts_with(prefix));
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let page = pager.page(found.iter().map(|(key, found)| (key.as_str(), found)));
    let writer = answer.result();
    for (kind, list, word) in [
        (Kind::Group, "PolicyGroups", "Group"),
        (Kind::User, "PolicyUsers", "User"),
        (Kind::Role, "PolicyRoles", "Role"),
    ] {
        writer.open(list);
        for found in page.items.iter().filter(|found| found.kind == kind) {
            writer.open("member").element(&format!("{word}Name"), found.name);
            writer.element(&format!("{word}Id"), found.id).close();
        }
        writer.close();
    }
    page.write_end(writer);
    Ok(())
}

struct Found<'r> {
    kind: Kind,
    path: &'r str,
    name: &'r str,
    id: &'r str,
}

fn entity<'r>(roster: &'r Roster, reference: &Reference) -> Option<(String, Found<'r>)> {
    let name = &reference.name;
    let (path, name, id) = match reference.kind {
        Kind::User => roster.keyed::<User>(name).map(|user| (&user.path, &user.name, &user.id))?,
        Kind::Group => roster.keyed::<Group>(name).map(|group| (&group.path, &group.name, &group.id))?,
        Kind::Role => roster.keyed::<Role>(name).map(|role| (&role.path, &role.name, &role.id))?,
        Kind::Policy | Kind::Provider => return None,
    };
    Some((format!("{:?} {name}", reference.kind), Found { kind: reference.kind, path, name, id }))
}

/// The policy that a call names by `PolicyArn`, if the caller may do this to it: its account's, or one of the store's.
pub fn find<'s>(request: &Request, snapshot: &'s Snapshot) -> Result<Cow<'s, ManagedPolicy>, Fault> {
    let arn = request.form().required("PolicyArn")?;
    let roster = request.roster(snapshot)?;
    let found = managed::find(arn).or_else(|| roster.policy(arn).map(|policy| &**policy));
    match found {
        Some(policy) => {
            request.require(arn, &request.keys().on(&policy.tags))?;
            Ok(Cow::Borrowed(policy))
        }
        None => {
            request.require(arn, &request.keys())?;
            Err(Fault::no_such_entity(format!("Policy {arn} was not found.")))
        }
    }
}

/// As [`find`], of the account alone: nobody changes those of the store.
pub fn find_own(request: &Request, snapshot: &Snapshot) -> Result<ManagedPolicy, Fault> {
    let arn = request.form().required("PolicyArn")?;
    let policy = find(request, snapshot)?;
    if managed::find(arn).is_some() {
        return Err(missing(Kind::Policy, arn));
    }
    Ok(policy.into_owned())
}

/// The document in `PolicyDocument`.
pub fn document(form: &Form) -> Result<Permission, Fault> {
    let text = form.required("PolicyDocument")?;
    if inline::chars(text) > POLICY_CHARS_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for PolicySize: {POLICY_CHARS_MAX}")));
    }
    Ok(Permission::parse(text.to_owned())?)
}

fn arn_of(account: AccountId, policy: &ManagedPolicy) -> String {
    let of_store = format!("{}{}", managed::ARN_PREFIX, policy.name);
    let is_of_store = managed::find(&of_store).is_some_and(|found| found.id == policy.id);
    if is_of_store { of_store } else { policy.arn(account) }
}

fn write(writer: &mut Writer, roster: &Roster, policy: &ManagedPolicy) {
    let arn = arn_of(roster.id(), policy);
    let count = |how: Use| roster.uses(&arn).filter(|reference| reference.how == how).count().to_string();
    writer.element("PolicyName", &policy.name).element("PolicyId", &policy.id).element("Arn", &arn);
    writer.element("Path", &policy.path).element("DefaultVersionId", format!("v{}", policy.default));
    writer.element("AttachmentCount", count(Use::Attached));
    writer.element("PermissionsBoundaryUsageCount", count(Use::Boundary)).element("IsAttachable", "true");
    writer.element("CreateDate", iso8601_second(policy.created));
    writer.element("UpdateDate", iso8601_second(policy.updated));
}

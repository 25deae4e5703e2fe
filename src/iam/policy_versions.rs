//! Versions of managed policies: CreatePolicyVersion, GetPolicyVersion, ListPolicyVersions, SetDefaultPolicyVersion,
//! DeletePolicyVersion.

use crate::directory::entity::{ManagedPolicy, PolicyVersion};
use crate::directory::{Draft, Snapshot};
use crate::iam::inline;
use crate::iam::page::Pager;
use crate::iam::policies::{document, find, find_own};
use crate::iam::request::Request;
use crate::query_api::{Answer, Fault, Form};
use crate::time::iso8601_second;
use crate::xml::Writer;

/// The most versions of a policy, as at AWS.
pub const VERSIONS_MAX: usize = 5;

/// Adds a version, which takes force if the call says so.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let mut policy = find_own(request, draft.snapshot())?;
    let (document, takes_force) = (document(request.form())?, request.form().flag("SetAsDefault")?.unwrap_or(false));
    if policy.versions.len() >= VERSIONS_MAX {
        return Err(Fault::limit_exceeded(
            "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing \
             version.",
        ));
    }
    let version = PolicyVersion { number: policy.next, created: request.call.now, document };
    policy.next = policy.next.saturating_add(1);
    if takes_force {
        policy.default = version.number;
    }
    policy.updated = request.call.now;
    answer.result().open("PolicyVersion");
    write(answer.result(), &policy, &version);
    answer.result().close();
    policy.versions.push(version);
    Ok(draft.put(request.account, policy)?)
}

/// Shows a version with its document.
pub fn get(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let policy = find(request, snapshot)?;
    let version = named(&policy, request.form())?;
    let writer = answer.result();
    writer.open("PolicyVersion").element("Document", inline::encoded(&version.document.0.text));
    write(writer, &policy, version);
    writer.close();
    Ok(())
}

/// Lists the versions, the latest first, without their documents.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let policy = find(request, snapshot)?;
    // Keys that fall as the numbers rise.
    let key = |version: &PolicyVersion| format!("{:010}", u32::MAX - version.number);
    let versions: Vec<_> = policy.versions.iter().rev().map(|version| (key(version), version)).collect();
    let page = Pager::new(request.form())?.page(versions.iter().map(|(key, version)| (key.as_str(), *version)));
    page.write(answer.result(), "Versions", |writer, version| write(writer, &policy, version));
    Ok(())
}

/// Puts a version into force.
pub fn set_default(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let mut policy = find_own(request, draft.snapshot())?;
    policy.default = named(&policy, request.form())?.number;
    policy.updated = request.call.now;
    Ok(draft.put(request.account, policy)?)
}

/// Removes a version that is not in force.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let mut policy = find_own(request, draft.snapshot())?;
    let number = named(&policy, request.form())?.number;
    if number == policy.default {
        return Err(Fault::delete_conflict("Cannot delete the default version of a policy."));
    }
    policy.versions.retain(|version| version.number != number);
    policy.updated = request.call.now;
    Ok(draft.put(request.account, policy)?)
}

fn named<'p>(policy: &'p ManagedPolicy, form: &Form) -> Result<&'p PolicyVersion, Fault> {
    let id = form.required("VersionId")?;
    let number = id.strip_prefix('v').and_then(|number| number.parse().ok());
    let found = number.and_then(|number| policy.version(number)).filter(|version| format!("v{}", version.number) == id);
    found.ok_or_else(|| Fault::no_such_entity(format!("Policy version {id} does not exist.")))
}

fn write(writer: &mut Writer, policy: &ManagedPolicy, version: &PolicyVersion) {
    let is_default = version.number == policy.default;
    writer.element("VersionId", format!("v{}", version.number));
    writer.element("IsDefaultVersion", if is_default { "true" } else { "false" });
    writer.element("CreateDate", iso8601_second(version.created));
}

//! Access keys of users: CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey, GetAccessKeyLastUsed.

use crate::credentials::Secret;
use crate::directory::entity::{AccessKey, User};
use crate::directory::{Draft, Snapshot, id};
use crate::iam::page::Pager;
use crate::iam::request::Request;
use crate::query_api::{Answer, Fault};
use crate::time::iso8601_second;
use crate::xml::Writer;

/// The most keys of a user: one in use, and one to replace it.
const KEYS_MAX: usize = 2;

/// Makes a key. The answer is the only place where its secret is ever told.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let mut user: User = request.entity_to_change(draft, request.user_name()?)?;
    if user.keys.len() >= KEYS_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}")));
    }
    let secret = Secret::generate()?;
    let access_key = loop {
        let drawn = id::generate(id::IdKind::AccessKey, request.account)?;
        if draft.snapshot().access_key(&drawn).is_none() {
            break drawn;
        }
    };
    let key = draft.access_key(&access_key, &secret, request.call.now)?;
    let writer = answer.result();
    writer.open("AccessKey").element("UserName", &user.name);
    write(writer, &key);
    writer.element("SecretAccessKey", secret.expose()).close();
    user.keys.push(key);
    Ok(draft.put(request.account, user)?)
}

/// Lists a user's keys, without their secrets.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let user = request.entity::<User>(snapshot, request.user_name()?)?;
    let mut keys: Vec<&AccessKey> = user.keys.iter().collect();
    keys.sort_by(|one, other| one.id.cmp(&other.id));
    let page = Pager::new(request.form())?.page(keys.iter().map(|key| (key.id.as_str(), *key)));
    page.write(answer.result(), "AccessKeyMetadata", |writer, key| {
        writer.element("UserName", &user.name);
        write(writer, key);
    });
    Ok(())
}

/// Makes a key accepted or refused.
pub fn update(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let active = match form.required("Status")? {
        "Active" => true,
        "Inactive" => false,
        text => {
            return Err(Fault::constraint("Status", text, "Member must satisfy enum value set: [Active, Inactive]"));
        }
    };
    let mut user: User = request.entity_to_change(draft, request.user_name()?)?;
    let id = form.required("AccessKeyId")?;
    user.keys.iter_mut().find(|key| key.id == id).ok_or_else(|| missing(id))?.active = active;
    Ok(draft.put(request.account, user)?)
}

/// Removes a key.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let mut user: User = request.entity_to_change(draft, request.user_name()?)?;
    let id = request.form().required("AccessKeyId")?;
    let index = user.keys.iter().position(|key| key.id == id).ok_or_else(|| missing(id))?;
    user.keys.remove(index);
    Ok(draft.put(request.account, user)?)
}

/// Tells when and for what a key was last used.
pub fn last_used(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let id = request.form().required("AccessKeyId")?;
    let name = match snapshot.bearer(id) {
        Some((account, name)) if account == request.account => name,
        // Whose key it is does not concern other accounts.
        _ => {
            request.require("*", &request.keys())?;
            return Err(Fault::access_denied("Access Denied"));
        }
    };
    let user = request.entity::<User>(snapshot, name)?;
    let last = request.directory.last_use(id);
    let writer = answer.result();
    writer.element("UserName", &user.name).open("AccessKeyLastUsed");
    if let Some(last) = &last {
        writer.element("LastUsedDate", iso8601_second(last.at));
    }
    let (service, region) = last.as_ref().map_or(("N/A", "N/A"), |last| (&*last.service, &*last.region));
    writer.element("ServiceName", service).element("Region", region).close();
    Ok(())
}

fn write(writer: &mut Writer, key: &AccessKey) {
    writer.element("AccessKeyId", &key.id).element("Status", if key.active { "Active" } else { "Inactive" });
    writer.element("CreateDate", iso8601_second(key.created));
}

fn missing(id: &str) -> Fault {
    Fault::no_such_entity(format!("The Access Key with id {id} cannot be found."))
}

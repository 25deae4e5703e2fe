//! Users: CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser.

use crate::directory::entity::{Permissions, User};
use crate::directory::roster::{Entity, Kind};
use crate::directory::{Draft, Snapshot, id};
use crate::iam::boundaries;
use crate::iam::names::{self, NAME_BYTES_MAX};
use crate::iam::page::Pager;
use crate::iam::request::{Request, arn, exists};
use crate::identity::Who;
use crate::query_api::{Answer, Fault};
use crate::time::iso8601_second;
use crate::xml::Writer;

/// The most users of an account, as at AWS.
pub const USERS_MAX: usize = 5000;

/// Makes a user.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let (name, path) = (names::name(form, "UserName", NAME_BYTES_MAX)?, names::path(form, "Path")?);
    let tags = names::tags(form)?;
    let boundary = form.get("PermissionsBoundary");
    let keys = boundaries::key(request.keys().with_tags(&tags), boundary);
    request.require(&arn(request.account, Kind::User, path, name), &keys)?;
    let roster = request.roster(draft.snapshot())?;
    boundaries::check(roster, boundary)?;
    if roster.keyed::<User>(&name.to_lowercase()).is_some() {
        return Err(exists(Kind::User, name));
    }
    if roster.all::<User>().len() >= USERS_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for UsersPerAccount: {USERS_MAX}")));
    }
    let user = User {
        name: name.to_owned(),
        path: path.to_owned(),
        id: id::generate(id::IdKind::User, request.account)?,
        created: request.call.now,
        tags: tags.clone(),
        keys: Vec::new(),
        permissions: Permissions::default(),
        boundary: boundary.map(str::to_owned),
        groups: Default::default(),
    };
    answer.result().open("User");
    write(answer.result(), request, &user);
    write_more(answer.result(), &user);
    answer.result().close();
    Ok(draft.put(request.account, user)?)
}

/// Shows a user: the caller, if none is named.
pub fn get(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    if request.form().get("UserName").is_none() && request.call.caller.who == Who::Root {
        let account = request.account;
        let created = request.roster(snapshot)?.record.created;
        let writer = answer.result();
        writer.open("User").element("UserId", account.to_string());
        writer.element("Arn", request.call.caller.arn()).element("CreateDate", iso8601_second(created)).close();
        return Ok(());
    }
    let user = request.entity::<User>(snapshot, request.user_name()?)?;
    answer.result().open("User");
    write(answer.result(), request, &user);
    write_more(answer.result(), &user);
    answer.result().close();
    Ok(())
}

/// Lists users.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let (prefix, pager) = (names::path_prefix(request.form())?, Pager::new(request.form())?);
    request.require(&arn(request.account, Kind::User, "/", "*"), &request.keys())?;
    let users = request.roster(snapshot)?.all::<User>().range::<str, _>(pager.range());
    let users = users.filter(|(_, user)| user.path.starts_with(prefix)).map(|(key, user)| (key.as_str(), user));
    pager.page(users).write(answer.result(), "Users", |writer, user| write(writer, request, user));
    Ok(())
}

/// Gives a user another name or path.
pub fn update(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut user: User = request.entity_to_change(draft, form.required("UserName")?)?;
    if form.get("NewPath").is_some() {
        user.path = names::path(form, "NewPath")?.to_owned();
    }
    if form.get("NewUserName").is_some() {
        let name = names::name(form, "NewUserName", NAME_BYTES_MAX)?;
        let other = request.roster(draft.snapshot())?.keyed::<User>(&name.to_lowercase());
        if other.is_some_and(|other| other.id != user.id) {
            return Err(exists(Kind::User, name));
        }
        user.name = name.to_owned();
    }
    // The user that it becomes must be one that the caller may change, too.
    request.require(&user.arn(request.account), &request.keys().on(&user.tags))?;
    Ok(draft.put(request.account, user)?)
}

/// Removes a user who has nothing left.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let user: User = request.entity_to_change(draft, request.form().required("UserName")?)?;
    let first = match () {
        () if !user.keys.is_empty() => "access keys",
        () if !user.permissions.inline.is_empty() => "policies",
        () if !user.permissions.attached.is_empty() => {
            return Err(Fault::delete_conflict("Cannot delete entity, must detach all policies first."));
        }
        () if !user.groups.is_empty() => {
            return Err(Fault::delete_conflict("Cannot delete entity, must remove users from group first."));
        }
        () => return Ok(draft.remove::<User>(request.account, &user.name)?),
    };
    Err(Fault::delete_conflict(format!("Cannot delete entity, must delete {first} first.")))
}

/// Writes what lists tell of a user.
pub fn write(writer: &mut Writer, request: &Request, user: &User) {
    writer.element("Path", &user.path).element("UserName", &user.name).element("UserId", &user.id);
    writer.element("Arn", user.arn(request.account)).element("CreateDate", iso8601_second(user.created));
}

fn write_more(writer: &mut Writer, user: &User) {
    boundaries::write(writer, user.boundary.as_deref());
    super::tags::write(writer, &user.tags);
}

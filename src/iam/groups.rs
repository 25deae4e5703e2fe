//! Groups: CreateGroup, GetGroup, ListGroups, UpdateGroup, DeleteGroup, AddUserToGroup, RemoveUserFromGroup,
//! ListGroupsForUser.

use std::sync::Arc;

use crate::directory::entity::{Group, Permissions, User};
use crate::directory::roster::{Entity, Kind};
use crate::directory::{Draft, Snapshot, id};
use crate::iam::names::{self, LONG_NAME_BYTES_MAX};
use crate::iam::page::Pager;
use crate::iam::request::{Request, arn, exists, missing};
use crate::iam::users;
use crate::query_api::{Answer, Fault};
use crate::time::iso8601_second;
use crate::xml::Writer;

/// The most groups of an account, as at AWS.
pub const GROUPS_MAX: usize = 300;
/// The most groups of a user, as at AWS.
pub const GROUPS_PER_USER_MAX: usize = 10;

/// Makes a group.
pub fn create(request: &Request, draft: &mut Draft, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let (name, path) = (names::name(form, "GroupName", LONG_NAME_BYTES_MAX)?, names::path(form, "Path")?);
    request.require(&arn(request.account, Kind::Group, path, name), &request.keys())?;
    let roster = request.roster(draft.snapshot())?;
    if roster.keyed::<Group>(&name.to_lowercase()).is_some() {
        return Err(exists(Kind::Group, name));
    }
    if roster.all::<Group>().len() >= GROUPS_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for GroupsPerAccount: {GROUPS_MAX}")));
    }
    let group = Group {
        name: name.to_owned(),
        path: path.to_owned(),
        id: id::generate(id::IdKind::Group, request.account)?,
        created: request.call.now,
        permissions: Permissions::default(),
    };
    element(answer.result(), request, &group);
    Ok(draft.put(request.account, group)?)
}

/// Shows a group with its users.
pub fn get(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let group = request.entity::<Group>(snapshot, request.form().required("GroupName")?)?;
    let roster = request.roster(snapshot)?;
    let members =
        roster.uses(&group.id).filter_map(|member| Some((&*member.name, roster.keyed::<User>(&member.name)?)));
    let page = Pager::new(request.form())?.page(members);
    element(answer.result(), request, &group);
    page.write(answer.result(), "Users", |writer, user| users::write(writer, request, user));
    Ok(())
}

/// Lists groups.
pub fn list(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let (prefix, pager) = (names::path_prefix(request.form())?, Pager::new(request.form())?);
    request.require(&arn(request.account, Kind::Group, "/", "*"), &request.keys())?;
    let groups = request.roster(snapshot)?.all::<Group>().range::<str, _>(pager.range());
    let groups = groups.filter(|(_, group)| group.path.starts_with(prefix)).map(|(key, group)| (key.as_str(), group));
    pager.page(groups).write(answer.result(), "Groups", |writer, group| write(writer, request, group));
    Ok(())
}

/// Gives a group another name or path.
pub fn update(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut group: Group = request.entity_to_change(draft, form.required("GroupName")?)?;
    if form.get("NewPath").is_some() {
        group.path = names::path(form, "NewPath")?.to_owned();
    }
    if form.get("NewGroupName").is_some() {
        let name = names::name(form, "NewGroupName", LONG_NAME_BYTES_MAX)?;
        let other = request.roster(draft.snapshot())?.keyed::<Group>(&name.to_lowercase());
        if other.is_some_and(|other| other.id != group.id) {
            return Err(exists(Kind::Group, name));
        }
        group.name = name.to_owned();
    }
    // The group that it becomes must be one that the caller may change, too.
    request.require(&group.arn(request.account), &request.keys())?;
    Ok(draft.put(request.account, group)?)
}

/// Removes a group that has nobody and nothing left.
pub fn delete(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let group = request.entity::<Group>(draft.snapshot(), request.form().required("GroupName")?)?;
    let what = match () {
        () if request.roster(draft.snapshot())?.uses(&group.id).next().is_some() => "remove users from group",
        () if !group.permissions.inline.is_empty() => "delete policies",
        () if !group.permissions.attached.is_empty() => "detach all policies",
        () => return Ok(draft.remove::<Group>(request.account, &group.name)?),
    };
    Err(Fault::delete_conflict(format!("Cannot delete entity, must {what} first.")))
}

/// Puts a user into a group.
pub fn add_user(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let (group, mut user) = both(request, draft)?;
    if !user.groups.insert(group.id.clone()) {
        return Ok(());
    }
    if user.groups.len() > GROUPS_PER_USER_MAX {
        return Err(Fault::limit_exceeded(format!("Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER_MAX}")));
    }
    Ok(draft.put(request.account, user)?)
}

/// Takes a user out of a group.
pub fn remove_user(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let (group, mut user) = both(request, draft)?;
    if !user.groups.remove(&group.id) {
        return Ok(());
    }
    Ok(draft.put(request.account, user)?)
}

/// Lists the groups of a user.
pub fn list_for_user(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let user = request.entity::<User>(snapshot, request.form().required("UserName")?)?;
    let roster = request.roster(snapshot)?;
    let mut groups: Vec<_> = user.groups.iter().filter_map(|id| roster.with_id::<Group>(id)).collect();
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    let page = Pager::new(request.form())?.page(groups.into_iter().map(|group| (group.name.as_str(), group)));
    page.write(answer.result(), "Groups", |writer, group| write(writer, request, group));
    Ok(())
}

/// The group and the user that a call names. Permission is asked for the group.
fn both(request: &Request, draft: &Draft) -> Result<(Arc<Group>, User), Fault> {
    let form = request.form();
    let group = request.entity::<Group>(draft.snapshot(), form.required("GroupName")?)?;
    let name = form.required("UserName")?;
    let user = request.roster(draft.snapshot())?.named::<User>(name).ok_or_else(|| missing(Kind::User, name))?;
    Ok((group, User::clone(user)))
}

fn element(writer: &mut Writer, request: &Request, group: &Group) {
    writer.open("Group");
    write(writer, request, group);
    writer.close();
}

fn write(writer: &mut Writer, request: &Request, group: &Group) {
    writer.element("Path", &group.path).element("GroupName", &group.name).element("GroupId", &group.id);
    writer.element("Arn", group.arn(request.account)).element("CreateDate", iso8601_second(group.created));
}

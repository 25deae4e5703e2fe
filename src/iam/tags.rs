//! Tags of users, roles, policies and providers: TagUser, UntagUser, ListUserTags, and the same of the others.

use crate::directory::entity::{Role, Tags, User};
use crate::directory::{Draft, Snapshot};
use crate::iam::holder::Holder;
use crate::iam::names;
use crate::iam::page::Pager;
use crate::iam::request::Request;
use crate::query_api::{Answer, Fault};
use crate::xml::Writer;

/// A holder that can have tags.
pub trait Tagged: Holder {
    /// The tags, to be changed.
    fn tags_mut(&mut self) -> &mut Tags;
}

impl Tagged for User {
    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Tagged for Role {
    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

/// Adds tags, or gives others of the same keys.
pub fn tag<E: Tagged>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let tags = names::tags(form)?;
    let name = form.required(E::PARAMETER)?;
    let mut holder = E::clone(&*request.entity_tagged::<E>(draft.snapshot(), name, &tags)?);
    names::merge(holder.tags_mut(), tags)?;
    Ok(draft.put(request.account, holder)?)
}

/// Removes tags; those that are not there are none.
pub fn untag<E: Tagged>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let keys = names::tag_keys(form)?;
    let name = form.required(E::PARAMETER)?;
    let found = request.entity_with::<E>(draft.snapshot(), name, |known| known.with_tag_keys(keys.clone()))?;
    let mut holder = E::clone(&found);
    holder.tags_mut().retain(|(own, _)| !keys.iter().any(|key| key.eq_ignore_ascii_case(own)));
    Ok(draft.put(request.account, holder)?)
}

/// Lists tags.
pub fn list<E: Tagged>(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let holder = request.entity::<E>(snapshot, request.form().required(E::PARAMETER)?)?;
    let mut tags: Vec<&(String, String)> = holder.tags().iter().collect();
    tags.sort();
    let page = Pager::new(request.form())?.page(tags.iter().map(|tag| (tag.0.as_str(), *tag)));
    page.write(answer.result(), "Tags", |writer, tag| one(writer, tag));
    Ok(())
}

/// Writes what answers tell of tags, if there are any.
pub fn write(writer: &mut Writer, tags: &Tags) {
    if tags.is_empty() {
        return;
    }
    writer.open("Tags");
    for tag in tags {
        writer.open("member");
        one(writer, tag);
        writer.close();
    }
    writer.close();
}

fn one(writer: &mut Writer, (key, value): &(String, String)) {
    writer.element("Key", key).element("Value", value);
}

//! Inline policies of users, groups and roles: Put, Get, List and Delete of UserPolicy, GroupPolicy, RolePolicy.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::directory::entity::{Permission, Permissions};
use crate::directory::{Draft, Snapshot};
use crate::iam::holder::Holder;
use crate::iam::names::{self, LONG_NAME_BYTES_MAX};
use crate::iam::page::Pager;
use crate::iam::request::{Request, word};
use crate::query_api::{Answer, Fault};

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds or replaces a policy.
pub fn put<E: Holder>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut holder: E = request.entity_to_change(draft, form.required(E::PARAMETER)?)?;
    let name = names::name(form, "PolicyName", LONG_NAME_BYTES_MAX)?;
    let permission = Permission::parse(form.required("PolicyDocument")?.to_owned())?;
    holder.permissions_mut().inline.insert(name.to_owned(), permission);
    if inline_chars(holder.permissions()) > E::INLINE_CHARS_MAX {
        return Err(Fault::limit_exceeded(format!(
            "Maximum policy size of {} bytes exceeded for {} {}",
            E::INLINE_CHARS_MAX,
            word(E::KIND),
            holder.name()
        )));
    }
    Ok(draft.put(request.account, holder)?)
}

/// Shows a policy.
pub fn get<E: Holder>(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let holder = request.entity::<E>(snapshot, form.required(E::PARAMETER)?)?;
    let name = form.required("PolicyName")?;
    let permission = holder.permissions().inline.get(name).ok_or_else(|| missing(E::KIND, name))?;
    let writer = answer.result();
    writer.element(E::PARAMETER, holder.name()).element("PolicyName", name);
    writer.element("PolicyDocument", encoded(&permission.0.text));
    Ok(())
}

/// Lists the names of policies.
pub fn list<E: Holder>(request: &Request, snapshot: &Snapshot, answer: &mut Answer) -> Result<(), Fault> {
    let holder = request.entity::<E>(snapshot, request.form().required(E::PARAMETER)?)?;
    let names = holder.permissions().inline.keys().map(|name| (name.as_str(), name));
    let page = Pager::new(request.form())?.page(names);
    page.write(answer.result(), "PolicyNames", |writer, name| {
        writer.text(name);
    });
    Ok(())
}

/// Removes a policy.
pub fn delete<E: Holder>(request: &Request, draft: &mut Draft, _answer: &mut Answer) -> Result<(), Fault> {
    let form = request.form();
    let mut holder: E = request.entity_to_change(draft, form.required(E::PARAMETER)?)?;
    let name = form.required("PolicyName")?;
    holder.permissions_mut().inline.remove(name).ok_or_else(|| missing(E::KIND, name))?;
    Ok(draft.put(request.account, holder)?)
}

/// A document as IAM shows it: percent-encoded.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// The characters of a policy as IAM counts them: white space is free.
pub fn chars(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}

fn inline_chars(permissions: &Permissions) -> usize {
    permissions.inline.values().map(|permission| chars(&permission.0.text)).sum()
}

fn missing(kind: crate::directory::roster::Kind, name: &str) -> Fault {
    Fault::no_such_entity(format!("The {} policy with name {name} cannot be found.", word(kind)))
}

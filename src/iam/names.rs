//! What names, paths, descriptions and tags may be, in IAM's words.

use crate::directory::entity::Tags;
use crate::query_api::{Fault, Form, member};

/// The longest name of a user or role.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest name of a group or policy.
pub const LONG_NAME_BYTES_MAX: usize = 128;

const PATH_BYTES_MAX: usize = 512;
const DESCRIPTION_CHARS_MAX: usize = 1000;
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// The name in a parameter that must be there.
pub fn name<'f>(form: &'f Form, parameter: &str, bytes_max: usize) -> Result<&'f str, Fault> {
    let name = form.required(parameter)?;
    if !(1..=bytes_max).contains(&name.len()) {
        let constraint = format!("Member must have length from 1 to {bytes_max}");
        return Err(Fault::constraint(parameter, name, &constraint));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte)) {
        return Err(Fault::validation(format!(
            "The specified value for {} is invalid. It must contain only alphanumeric characters and/or the following: \
             +=,.@_-",
            member(parameter)
        )));
    }
    Ok(name)
}

/// The path in a parameter; `/` if there is none.
pub fn path<'f>(form: &'f Form, parameter: &str) -> Result<&'f str, Fault> {
    let path = form.get(parameter).unwrap_or("/");
    let is_path = path.len() <= PATH_BYTES_MAX
        && path.starts_with('/')
        && path.ends_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path {
        return Ok(path);
    }
    Err(Fault::validation(format!(
        "The specified value for {} is invalid. It must begin and end with / and contain only alphanumeric characters \
         and/or / characters.",
        member(parameter)
    )))
}

/// The beginning of paths by which a list is narrowed.
pub fn path_prefix(form: &Form) -> Result<&str, Fault> {
    let prefix = form.get("PathPrefix").unwrap_or("/");
    match prefix.starts_with('/') && prefix.len() <= PATH_BYTES_MAX {
        true => Ok(prefix),
        false => Err(Fault::validation("The specified value for pathPrefix is invalid. It must begin with /")),
    }
}

/// The description, if there is one.
pub fn description(form: &Form) -> Result<Option<String>, Fault> {
    let Some(text) = form.get("Description") else { return Ok(None) };
    match text.chars().count() <= DESCRIPTION_CHARS_MAX {
        true => Ok(Some(text.to_owned())),
        false => Err(Fault::constraint("Description", text, "Member must have length less than or equal to 1000")),
    }
}

/// The tags in `Tags`.
pub fn tags(form: &Form) -> Result<Tags, Fault> {
    let mut tags: Tags = Vec::new();
    for tag in form.members("Tags") {
        let key = tag.get("Key").unwrap_or_default();
        let value = tag.get("Value").unwrap_or_default();
        check_key(key)?;
        if value.chars().count() > TAG_VALUE_CHARS_MAX || value.chars().any(char::is_control) {
            return Err(Fault::constraint("tags", value, "Member must have length less than or equal to 256"));
        }
        if tags.iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            return Err(Fault::invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.push((key.to_owned(), value.to_owned()));
    }
    check_count(&tags)?;
    Ok(tags)
}

/// The keys in `TagKeys`.
pub fn tag_keys(form: &Form) -> Result<Vec<&str>, Fault> {
    let keys = form.list("TagKeys");
    keys.iter().try_for_each(|key| check_key(key))?;
    Ok(keys)
}

/// Lays tags over others: the same key, whatever its case, has the value given last.
pub fn merge(tags: &mut Tags, more: Tags) -> Result<(), Fault> {
    for (key, value) in more {
        match tags.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(&key)) {
            Some(tag) => *tag = (key, value),
            None => tags.push((key, value)),
        }
    }
    check_count(tags)
}

fn check_key(key: &str) -> Result<(), Fault> {
    let is_key = (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) && !key.chars().any(char::is_control);
    if !is_key {
        return Err(Fault::constraint("tags", key, "Member must have length from 1 to 128"));
    }
    match key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        true => Err(Fault::invalid_input("Tag keys beginning with aws: are reserved.")),
        false => Ok(()),
    }
}

fn check_count(tags: &Tags) -> Result<(), Fault> {
    match tags.len() <= TAGS_MAX {
        true => Ok(()),
        false => Err(Fault::limit_exceeded("The number of tags has reached the maximum limit: 50")),
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES_MAX, merge, name, path, tags};
    use crate::query_api::Form;

    #[test]
    fn names_and_paths() {
        let form = |text: &str| Form::parse(format!("UserName={text}&Path={text}").as_bytes()).unwrap();
        let check =
            |text: &str, valid| assert_eq!(name(&form(text), "UserName", NAME_BYTES_MAX).is_ok(), valid, "{text}");
        for text in ["a", "bob", "a%2Bb%3D,.@_-9", &"x".repeat(64)] {
            check(text, true);
        }
        for text in ["", "a/b", "a%20b", "%C3%BC", "a*", &"x".repeat(65)] {
            check(text, false);
        }
        let check = |text: &str, valid| assert_eq!(path(&form(text), "Path").is_ok(), valid, "{text}");
        for text in ["/", "/a/", "/a/b/"] {
            check(text, true);
        }
        for text in ["", "a/", "/a", "/a%20b/"] {
            check(text, false);
        }
        assert_eq!(path(&Form::parse(b"").unwrap(), "Path").unwrap(), "/");
    }

    #[test]
    fn tags_are_unique_whatever_their_case() {
        let form = |text: &str| Form::parse(text.as_bytes()).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut found = tags(&form("Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.2.Key=b")).unwrap();
        assert_eq!(found, [pair("a", "1"), pair("b", "")]);
        merge(&mut found, vec![pair("A", "2"), pair("c", "3")]).unwrap();
        assert_eq!(found, [pair("A", "2"), pair("b", ""), pair("c", "3")]);
        for text in ["Tags.member.1.Key=a&Tags.member.2.Key=A", "Tags.member.1.Key=aws:x", "Tags.member.1.Value=x"] {
            assert!(tags(&form(text)).is_err(), "{text}");
        }
    }
}

//! Access control lists on their way to another store: its owner takes the place of the one that was.

use http::Method;
use serde::Deserialize;

use super::place::{Ask, Place};
use crate::cli::CliError;
use crate::xml;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    owner: Owner,
    access_control_list: Grants,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Grants {
    grant: Vec<Grant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Grant {
    grantee: Grantee,
    permission: String,
}

#[derive(Deserialize)]
struct Grantee {
    #[serde(rename = "ID")]
    id: Option<String>,
}

/// Whether a list grants nothing to anybody but the owner, who has all.
pub fn is_private(document: &str) -> bool {
    let Ok(Policy { owner, access_control_list }) = xml::parse(document.as_bytes()) else { return false };
    let [Grant { grantee, permission }] = &access_control_list.grant[..] else { return false };
    grantee.id.as_ref() == Some(&owner.id) && permission == "FULL_CONTROL"
}

/// The bucket's list with the owner that it has at `place`. The inner `Err` says why there is none.
pub async fn of_bucket(place: &Place, document: &str) -> Result<Result<String, String>, CliError> {
    of(place, None, "", document).await
}

/// The same of a version's list.
pub async fn of(
    place: &Place,
    key: Option<&str>,
    version_id: &str,
    document: &str,
) -> Result<Result<String, String>, CliError> {
    let mut ask = Ask::new(Method::GET, key).with("acl", "");
    ask.query.extend((!version_id.is_empty()).then_some(("versionId", version_id)));
    let answer = match place.ask(&ask).await? {
        Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
        Err(refusal) => return Ok(Err(refusal.to_string())),
    };
    Ok(owned(document, &answer).ok_or_else(|| "the access control list cannot be read".to_owned()))
}

/// `document` with the owner of `other` for its own.
fn owned(document: &str, other: &str) -> Option<String> {
    let owner = |document: &str| xml::parse::<Policy>(document.as_bytes()).ok().map(|policy| policy.owner.id);
    let (from, to) = (owner(document)?, owner(other)?);
    Some(document.replace(&format!("<ID>{from}</ID>"), &format!("<ID>{to}</ID>")))
}

#[cfg(test)]
mod tests {
    use super::{is_private, owned};

    fn list(owner: &str, grants: &[(&str, &str)]) -> String {
        let grants = grants.iter().map(|(id, permission)| {
            format!(
                "<Grant><Grantee xmlns:xsi=\"x\" xsi:type=\"CanonicalUser\"><ID>{id}</ID></Grantee>\
                 <Permission>{permission}</Permission></Grant>"
            )
        });
        format!(
            "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList>{}</AccessControlList>\
             </AccessControlPolicy>",
            grants.collect::<String>()
        )
    }

    #[test]
    fn lists_of_nobody_else_are_private() {
        assert!(is_private(&list("a", &[("a", "FULL_CONTROL")])));
        assert!(!is_private(&list("a", &[("a", "READ")])));
        assert!(!is_private(&list("a", &[("b", "FULL_CONTROL")])));
        assert!(!is_private(&list("a", &[("a", "FULL_CONTROL"), ("b", "READ")])));
        assert!(!is_private(&list("a", &[])));
        assert!(!is_private(""));
    }

    #[test]
    fn owners_are_exchanged() {
        let here = list("a", &[("a", "FULL_CONTROL"), ("b", "READ")]);
        let expected = list("c", &[("c", "FULL_CONTROL"), ("b", "READ")]);
        assert_eq!(owned(&here, &list("c", &[])), Some(expected));
        assert_eq!(owned(&here, "no list"), None);
    }
}

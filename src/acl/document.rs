//! `AccessControlPolicy` documents, both ways.

use http::StatusCode;
use serde::Deserialize;

use super::headers::{invalid_id, invalid_uri, no_email_grantees, too_many_grants};
use super::{Acl, CanonicalId, GRANTS_MAX, Grant, Grantee, Group, Permission};
use crate::error::S3Error;
use crate::xml::{self, Writer};

const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    owner: Owner,
    access_control_list: Grants,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "DisplayName")]
    _display_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grants {
    #[serde(rename = "Grant", default)]
    grants: Vec<GrantElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GrantElement {
    grantee: GranteeElement,
    permission: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GranteeElement {
    #[serde(rename = "@type")]
    kind: String,
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "DisplayName")]
    _display_name: Option<String>,
    #[serde(rename = "URI")]
    uri: Option<String>,
    #[serde(rename = "EmailAddress")]
    _email_address: Option<String>,
}

/// Reads a list of something that belongs to `owner`. `exists` tells whether an account has a canonical id.
///
/// `Err` is 400 `MalformedACLError`, 400 `InvalidArgument` for ids and groups that are none, 405 for e-mail addresses,
/// and 403 `AccessDenied` for another owner: lists do not change who owns what.
pub fn parse(bytes: &[u8], owner: CanonicalId, exists: &dyn Fn(&CanonicalId) -> bool) -> Result<Acl, S3Error> {
    let document: Document = xml::parse(bytes).map_err(|_| malformed())?;
    let mut grants = Vec::new();
    for element in document.access_control_list.grants {
        let permission = Permission::parse(&element.permission).ok_or_else(malformed)?;
        grants.push(Grant { grantee: grantee(&element.grantee, exists)?, permission });
    }
    if grants.len() > GRANTS_MAX {
        return Err(too_many_grants());
    }
    let named = CanonicalId::parse(&document.owner.id);
    let named = named.ok_or_else(|| invalid_id("AccessControlPolicy/Owner/ID", &document.owner.id))?;
    if named != owner {
        return Err(S3Error::access_denied("Access Denied"));
    }
    Ok(Acl { owner, grants })
}

fn grantee(element: &GranteeElement, exists: &dyn Fn(&CanonicalId) -> bool) -> Result<Grantee, S3Error> {
    match (element.kind.as_str(), &element.id, &element.uri) {
        ("CanonicalUser", Some(id), None) => {
            let known = CanonicalId::parse(id).filter(|id| exists(id));
            known.map(Grantee::CanonicalUser).ok_or_else(|| invalid_id("CanonicalUser/ID", id))
        }
        ("Group", None, Some(uri)) => {
            Group::parse(uri).map(Grantee::Group).ok_or_else(|| invalid_uri("Group/URI", uri))
        }
        ("AmazonCustomerByEmail", None, None) => Err(no_email_grantees()),
        _ => Err(malformed()),
    }
}

fn malformed() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "MalformedACLError",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// Writes a list. `display_name` tells what accounts are called, if they are known.
pub fn answer(acl: &Acl, display_name: &dyn Fn(&CanonicalId) -> Option<String>) -> String {
    let account = |writer: &mut Writer, id: &CanonicalId| {
        writer.element("ID", id.to_string());
        if let Some(name) = display_name(id) {
            writer.element("DisplayName", name);
        }
    };
    let mut writer = Writer::new("AccessControlPolicy");
    writer.open("Owner");
    account(&mut writer, &acl.owner);
    writer.close().open("AccessControlList");
    for grant in &acl.grants {
        writer.open("Grant");
        let kind = |kind| [("xmlns:xsi", INSTANCE), ("xsi:type", kind)];
        match grant.grantee {
            Grantee::CanonicalUser(id) => {
                writer.open_with("Grantee", &kind("CanonicalUser"));
                account(&mut writer, &id);
            }
            Grantee::Group(group) => {
                writer.open_with("Grantee", &kind("Group")).element("URI", group.uri());
            }
        }
        writer.close().element("Permission", grant.permission.name()).close();
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::super::{Acl, Canned, CanonicalId};
    use super::{answer, parse};

    const OWNER: CanonicalId = CanonicalId([0xaa; 32]);

    fn known(id: &CanonicalId) -> bool {
        *id == OWNER
    }

    fn policy(owner: &str, grants: &str) -> String {
        format!(
            "<AccessControlPolicy xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Owner><ID>{owner}</ID></Owner>\
             <AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
        )
    }

    fn grant(kind: &str, inside: &str, permission: &str) -> String {
        format!(
            "<Grant><Grantee xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:type='{kind}'>{inside}</Grantee>\
             <Permission>{permission}</Permission></Grant>"
        )
    }

    #[test]
    fn answers_read_back() {
        for canned in [Canned::Private, Canned::PublicReadWrite, Canned::LogDeliveryWrite] {
            let acl = canned.acl(OWNER, OWNER);
            let text = answer(&acl, &|_| Some("me".to_owned()));
            assert_eq!(parse(text.as_bytes(), OWNER, &known).expect("our own answer"), acl, "{text}");
        }
        let none = Acl { owner: OWNER, grants: Vec::new() };
        assert_eq!(parse(answer(&none, &|_| None).as_bytes(), OWNER, &known).expect("no grants"), none);
    }

    #[test]
    fn answers() {
        let text = answer(&Acl::private(OWNER), &|_| None);
        let id = "aa".repeat(32);
        let grantee = "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">";
        let expected = format!(
            "<Owner><ID>{id}</ID></Owner><AccessControlList><Grant>{grantee}<ID>{id}</ID></Grantee>\
             <Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"
        );
        assert!(text.ends_with(&expected), "{text}");
    }

    #[test]
    fn faults() {
        fn check(text: &str, status: u16, code: &str) {
            let error = parse(text.as_bytes(), OWNER, &known).expect_err(text);
            assert_eq!((error.status.as_u16(), error.code), (status, code), "{text}");
        }
        let (owner, other) = ("aa".repeat(32), "bb".repeat(32));
        let user = |id: &str| grant("CanonicalUser", &format!("<ID>{id}</ID>"), "READ");
        check("", 400, "MalformedACLError");
        check("<AccessControlPolicy/>", 400, "MalformedACLError");
        check("<AccessControlPolicy><AccessControlList/></AccessControlPolicy>", 400, "MalformedACLError");
        check(&policy(&owner, "<Grant/>"), 400, "MalformedACLError");
        check(&policy(&owner, &grant("CanonicalUser", "", "READ")), 400, "MalformedACLError");
        check(&policy(&owner, &grant("Group", &format!("<ID>{owner}</ID>"), "READ")), 400, "MalformedACLError");
        check(&policy(&owner, &grant("Group", "<URI>x</URI>", "LOOK")), 400, "MalformedACLError");
        check(&policy(&owner, &grant("Group", "<URI>x</URI>", "READ")), 400, "InvalidArgument");
        check(&policy(&owner, &user("1")), 400, "InvalidArgument");
        check(&policy(&owner, &user(&other)), 400, "InvalidArgument");
        check(&policy("1", ""), 400, "InvalidArgument");
        check(&policy(&other, ""), 403, "AccessDenied");
        let email = grant("AmazonCustomerByEmail", "<EmailAddress>a@example.com</EmailAddress>", "READ");
        check(&policy(&owner, &email), 405, "MethodNotAllowed");
        check(&policy(&owner, &user(&owner).repeat(101)), 400, "InvalidRequest");
        let bare = format!("<Grant><Grantee><ID>{owner}</ID></Grantee><Permission>READ</Permission></Grant>");
        check(&policy(&owner, &bare), 400, "MalformedACLError");
    }
}

//! Lists in headers: `x-amz-acl` with the name of a canned one, or `x-amz-grant-*` with grants.

use http::{HeaderMap, StatusCode};

use super::{Acl, Canned, CanonicalId, GRANTS_MAX, Grant, Grantee, Group, Permission};
use crate::error::S3Error;

const CANNED: &str = "x-amz-acl";

const GRANTS: [(&str, Permission); 5] = [
    ("x-amz-grant-full-control", Permission::FullControl),
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
];

/// What a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A bucket.
    Bucket,
    /// A version of an object.
    Object,
}

/// The list that a request's headers ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// A canned one.
    Canned(Canned),
    /// These grants, and no others.
    Grants(Vec<Grant>),
}

impl Requested {
    /// The list itself, of something that belongs to `owner`, in or as a bucket of `bucket_owner`.
    pub fn acl(&self, owner: CanonicalId, bucket_owner: CanonicalId) -> Acl {
        match self {
            Requested::Canned(canned) => canned.acl(owner, bucket_owner),
            Requested::Grants(grants) => Acl { owner, grants: grants.clone() },
        }
    }

    /// Whether it may be asked for where lists do not count: it gives everything to the bucket's owner, and nothing to
    /// others. S3 itself refuses `private`, but some clients send it with every object unless told otherwise.
    pub fn gives_only_the_owner(&self, bucket_owner: CanonicalId) -> bool {
        match self {
            Requested::Canned(canned) => matches!(canned, Canned::Private | Canned::BucketOwnerFullControl),
            Requested::Grants(grants) => Acl { owner: bucket_owner, grants: grants.clone() }.is_private(),
        }
    }
}

/// Reads the list that headers ask for; `None` if they ask for none. `exists` tells whether an account has a
/// canonical id.
pub fn requested(
    headers: &HeaderMap,
    scope: Scope,
    exists: &dyn Fn(&CanonicalId) -> bool,
) -> Result<Option<Requested>, S3Error> {
    let canned = headers.get(CANNED);
    let has_grants = headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    match (canned, has_grants) {
        (None, false) => Ok(None),
        (Some(_), true) => {
            Err(S3Error::invalid_request("Specifying both Canned ACLs and Header Grants is not allowed"))
        }
        (Some(value), false) => {
            let name = String::from_utf8_lossy(value.as_bytes());
            // S3 has no message for this.
            let canned = Canned::parse(&name, scope).ok_or_else(|| S3Error::invalid_argument("", CANNED, name))?;
            Ok(Some(Requested::Canned(canned)))
        }
        (None, true) => grants(headers, exists).map(|grants| Some(Requested::Grants(grants))),
    }
}

fn grants(headers: &HeaderMap, exists: &dyn Fn(&CanonicalId) -> bool) -> Result<Vec<Grant>, S3Error> {
    let known = |name: &str| GRANTS.iter().any(|(header, _)| *header == name);
    let unknown = headers.keys().find(|name| name.as_str().starts_with("x-amz-grant-") && !known(name.as_str()));
    if let Some(name) = unknown {
        return Err(S3Error::invalid_argument("Unknown grant header", name.as_str(), ""));
    }
    let mut grants = Vec::new();
    for (header, permission) in GRANTS {
        for line in headers.get_all(header) {
            let line = String::from_utf8_lossy(line.as_bytes());
            for entry in line.split(',') {
                grants.push(Grant { grantee: grantee(entry, header, exists)?, permission });
            }
        }
    }
    if grants.len() > GRANTS_MAX {
        return Err(too_many_grants());
    }
    Ok(grants)
}

/// Reads `id="..."` or `uri="..."`; quotes are optional.
fn grantee(entry: &str, header: &'static str, exists: &dyn Fn(&CanonicalId) -> bool) -> Result<Grantee, S3Error> {
    let malformed = || S3Error::invalid_argument("Argument format not recognized", header, entry.trim());
    let (kind, value) = entry.trim().split_once('=').ok_or_else(malformed)?;
    let value = value.trim().trim_matches('"');
    match kind.trim().to_ascii_lowercase().as_str() {
        "id" => {
            let id = CanonicalId::parse(value).filter(|id| exists(id)).ok_or_else(|| invalid_id(header, value))?;
            Ok(Grantee::CanonicalUser(id))
        }
        "uri" => Group::parse(value).map(Grantee::Group).ok_or_else(|| invalid_uri(header, value)),
        "emailaddress" => Err(no_email_grantees()),
        _ => Err(malformed()),
    }
}

/// 400 for a canonical id that no account has.
pub(super) fn invalid_id(argument: &str, value: &str) -> S3Error {
    S3Error::invalid_argument("Invalid id", argument, value)
}

/// 400 for a name of a group that there is not.
pub(super) fn invalid_uri(argument: &str, value: &str) -> S3Error {
    S3Error::invalid_argument("Invalid group uri", argument, value)
}

/// 405: grantees have not been named by their e-mail addresses since October 2025.
pub(super) fn no_email_grantees() -> S3Error {
    S3Error::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "Access control lists no longer support grantees by e-mail address.",
    )
}

/// 400 for a list that is too long. Unconfirmed: S3's message.
pub(super) fn too_many_grants() -> S3Error {
    S3Error::invalid_request(format!("The access control list has more than {GRANTS_MAX} grants"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::super::{Canned, CanonicalId, Grant, Grantee, Group, Permission};
    use super::{Requested, Scope, requested};

    const KNOWN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn read(pairs: &[(&'static str, &str)]) -> Result<Option<Requested>, (u16, &'static str, String)> {
        let mut headers = HeaderMap::new();
        for &(name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
        }
        let exists = |id: &CanonicalId| id.to_string() == KNOWN;
        let found = requested(&headers, Scope::Object, &exists);
        found.map_err(|error| (error.status.as_u16(), error.code, error.message.into_owned()))
    }

    #[test]
    fn lists_are_read() {
        fn check(pairs: &[(&'static str, &str)], expected: Option<Requested>) {
            assert_eq!(read(pairs), Ok(expected), "{pairs:?}");
        }
        let user = Grantee::CanonicalUser(CanonicalId::parse(KNOWN).expect("64 digits"));
        let all = Grantee::Group(Group::AllUsers);
        let grant = |grantee, permission| Grant { grantee, permission };
        check(&[("content-type", "text/plain")], None);
        check(&[("x-amz-acl", "public-read")], Some(Requested::Canned(Canned::PublicRead)));
        let both = format!("id=\"{KNOWN}\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"");
        let expected = vec![grant(user, Permission::Read), grant(all, Permission::Read)];
        check(&[("x-amz-grant-read", &both)], Some(Requested::Grants(expected)));
        let unquoted = format!("id={KNOWN}");
        let expected = vec![grant(user, Permission::FullControl), grant(user, Permission::WriteAcp)];
        check(
            &[("x-amz-grant-write-acp", &unquoted), ("x-amz-grant-full-control", &unquoted)],
            Some(Requested::Grants(expected)),
        );
    }

    #[test]
    fn some_lists_are_welcome_where_none_count() {
        fn check(header: &'static str, value: &str, expected: bool) {
            let requested = read(&[(header, value)]).expect(value).expect(value);
            let owner = CanonicalId::parse(KNOWN).expect("64 digits");
            assert_eq!(requested.gives_only_the_owner(owner), expected, "{header}: {value}");
        }
        check("x-amz-acl", "private", true);
        check("x-amz-acl", "bucket-owner-full-control", true);
        check("x-amz-acl", "bucket-owner-read", false);
        check("x-amz-acl", "public-read", false);
        check("x-amz-grant-full-control", &format!("id={KNOWN}"), true);
        check("x-amz-grant-read", &format!("id={KNOWN}"), false);
    }

    #[test]
    fn faults() {
        fn check(pairs: &[(&'static str, &str)], status: u16, code: &'static str, message: &str) {
            assert_eq!(read(pairs), Err((status, code, message.to_owned())), "{pairs:?}");
        }
        let both = "Specifying both Canned ACLs and Header Grants is not allowed";
        check(&[("x-amz-acl", "private"), ("x-amz-grant-read", "id=1")], 400, "InvalidRequest", both);
        check(&[("x-amz-acl", "open")], 400, "InvalidArgument", "");
        check(&[("x-amz-acl", "log-delivery-write")], 400, "InvalidArgument", "");
        check(&[("x-amz-grant-read", "id=1")], 400, "InvalidArgument", "Invalid id");
        check(&[("x-amz-grant-read", &format!("id={}", "b".repeat(64)))], 400, "InvalidArgument", "Invalid id");
        check(&[("x-amz-grant-read", "uri=AllUsers")], 400, "InvalidArgument", "Invalid group uri");
        let form = "Argument format not recognized";
        for value in ["", "id", "name=x", "id=\"", &format!("id={KNOWN},")] {
            let expected = if value == "id=\"" { "Invalid id" } else { form };
            check(&[("x-amz-grant-read", value)], 400, "InvalidArgument", expected);
        }
        let email = "Access control lists no longer support grantees by e-mail address.";
        check(&[("x-amz-grant-read", "emailAddress=a@example.com")], 405, "MethodNotAllowed", email);
        check(&[("x-amz-grant-everything", "id=1")], 400, "InvalidArgument", "Unknown grant header");
        let many = vec![format!("id={KNOWN}"); 101].join(",");
        let message = "The access control list has more than 100 grants";
        check(&[("x-amz-grant-read", &many)], 400, "InvalidRequest", message);
    }
}

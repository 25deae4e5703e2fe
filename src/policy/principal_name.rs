//! The names of principals as policies write them.
//!
//! Names that can be given to somebody else later (users, roles) are replaced by unique ids when a policy is saved, so that
//! who bears the name later gains nothing from the policy.

use std::fmt;

use super::arn;

/// A principal as a policy names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrincipalName {
    /// An account: its id of twelve digits, or the ARN of its root. It stands for everybody in the account.
    Account(String),
    /// `arn:aws:iam::account:user/path/name`.
    User {
        /// The account's id.
        account: String,
        /// What follows `user/`: the path without its first slash, and the name.
        path_name: String,
    },
    /// `arn:aws:iam::account:role/path/name`.
    Role {
        /// The account's id.
        account: String,
        /// What follows `role/`: the path without its first slash, and the name.
        path_name: String,
    },
    /// `arn:aws:sts::account:assumed-role/role/session`.
    Session {
        /// The account's id.
        account: String,
        /// The name of the role, without its path.
        role: String,
        /// The name of the session.
        session: String,
    },
    /// `arn:aws:sts::account:federated-user/name`.
    FederatedUser {
        /// The account's id.
        account: String,
        /// The name of the session.
        name: String,
    },
    /// The unique id of a user (`AIDA..`) or a role (`AROA..`), or of a role's session: `AROA..:session`.
    UniqueId(String),
    /// A canonical user id, which is another name of an account.
    CanonicalUser(String),
    /// A service: `logging.s3.amazonaws.com`.
    Service(String),
    /// An identity provider: its ARN, or its domain.
    Federated(String),
}

impl PrincipalName {
    /// Reads `text` as it stands below `element` of a map of principals.
    pub fn parse(element: &str, text: &str) -> Option<PrincipalName> {
        let text_owned = || text.to_owned();
        match element {
            "AWS" => parse_aws(text),
            "CanonicalUser" => {
                let is_id = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                is_id.then(|| PrincipalName::CanonicalUser(text_owned()))
            }
            "Service" => {
                let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
                let is_service = text.contains('.') && text.bytes().all(is_name);
                is_service.then(|| PrincipalName::Service(text_owned()))
            }
            "Federated" => {
                let is_name = |byte: u8| byte.is_ascii_graphic() && !b"*?\"'\\${}".contains(&byte);
                let is_provider = text.contains('.') && text.bytes().all(is_name);
                is_provider.then(|| PrincipalName::Federated(text_owned()))
            }
            _ => None,
        }
    }

    /// The name in the map of principals under which this one stands.
    pub fn element(&self) -> &'static str {
        match self {
            PrincipalName::CanonicalUser(_) => "CanonicalUser",
            PrincipalName::Service(_) => "Service",
            PrincipalName::Federated(_) => "Federated",
            _ => "AWS",
        }
    }

    /// The name that goes into a saved policy, given what identifies its bearer. None if that has not the form it needs.
    pub(super) fn bound(self, identity: String) -> Option<PrincipalName> {
        match self {
            PrincipalName::Account(_) | PrincipalName::CanonicalUser(_) => {
                arn::is_account(&identity).then_some(PrincipalName::Account(identity))
            }
            PrincipalName::User { .. } | PrincipalName::Role { .. } => unique_id(&identity),
            PrincipalName::Session { session, .. } => unique_id(&format!("{identity}:{session}")),
            named => Some(named),
        }
    }

    /// The name that is shown for one in a saved policy: the ARN of who has the unique id, if there is somebody.
    pub(super) fn shown(&self, arn_of: &dyn Fn(&str) -> Option<String>) -> String {
        let PrincipalName::UniqueId(id) = self else { return self.to_string() };
        let shown = match id.split_once(':') {
            None => arn_of(id),
            Some((role_id, session)) => arn_of(role_id).and_then(|role_arn| {
                let [_, _, _, _, account, resource] = arn::split(&role_arn)?;
                let role = resource.rsplit('/').next()?;
                Some(format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"))
            }),
        };
        shown.unwrap_or_else(|| id.clone())
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrincipalName::Account(account) => write!(formatter, "arn:aws:iam::{account}:root"),
            PrincipalName::User { account, path_name } => write!(formatter, "arn:aws:iam::{account}:user/{path_name}"),
            PrincipalName::Role { account, path_name } => write!(formatter, "arn:aws:iam::{account}:role/{path_name}"),
            PrincipalName::Session { account, role, session } => {
                write!(formatter, "arn:aws:sts::{account}:assumed-role/{role}/{session}")
            }
            PrincipalName::FederatedUser { account, name } => {
                write!(formatter, "arn:aws:sts::{account}:federated-user/{name}")
            }
            PrincipalName::UniqueId(text)
            | PrincipalName::CanonicalUser(text)
            | PrincipalName::Service(text)
            | PrincipalName::Federated(text) => formatter.write_str(text),
        }
    }
}

fn parse_aws(text: &str) -> Option<PrincipalName> {
    if arn::is_account(text) {
        return Some(PrincipalName::Account(text.to_owned()));
    }
    let Some(parts) = arn::split(text) else { return unique_id(text) };
    let [_, "aws", service @ ("iam" | "sts"), "", account, resource] = parts else { return None };
    if !arn::is_account(account) {
        return None;
    }
    let account = account.to_owned();
    if (service, resource) == ("iam", "root") {
        return Some(PrincipalName::Account(account));
    }
    let (kind, rest) = resource.split_once('/')?;
    let path_name = || is_path_name(rest).then(|| rest.to_owned());
    match (service, kind) {
        ("iam", "user") => Some(PrincipalName::User { account, path_name: path_name()? }),
        ("iam", "role") => Some(PrincipalName::Role { account, path_name: path_name()? }),
        ("sts", "assumed-role") => {
            let (role, session) = rest.split_once('/').filter(|(role, session)| is_name(role) && is_name(session))?;
            Some(PrincipalName::Session { account, role: role.to_owned(), session: session.to_owned() })
        }
        ("sts", "federated-user") if is_name(rest) => {
            Some(PrincipalName::FederatedUser { account, name: rest.to_owned() })
        }
        _ => None,
    }
}

fn unique_id(text: &str) -> Option<PrincipalName> {
    let (id, session) = text.split_once(':').map_or((text, None), |(id, session)| (id, Some(session)));
    let is_id = (16..=128).contains(&id.len())
        && (id.starts_with("AIDA") && session.is_none() || id.starts_with("AROA"))
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (is_id && session.is_none_or(is_name)).then(|| PrincipalName::UniqueId(text.to_owned()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// A path may hold any visible character; no principal is named by a pattern.
fn is_path_name(text: &str) -> bool {
    let is_part = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?".contains(&byte));
    text.split('/').all(|part| !part.is_empty() && is_part(part)) && text.rsplit('/').next().is_some_and(is_name)
}

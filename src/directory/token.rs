//! Session tokens: everything that a session is, sealed into the text that its client sends along. Nothing is stored.
//!
//! A token is base64 of `format (1) | sealed contents`, bound to its access key id. What ends a session before its time is
//! looked up at each request: whether its user or role is still there, and whether its account is enabled.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strata_storage::{AccountId, Timestamp};
use zeroize::Zeroizing;

use crate::credentials::Secret;
use crate::directory::entity::{Role, User};
use crate::directory::sealer::Sealer;
use crate::directory::snapshot::{Found, Snapshot, managed_policy};
use crate::directory::{DirectoryError, managed};
use crate::identity::Identity;
use crate::policy::{Policy, PolicyKind};

const FORMAT: u8 = 1;

/// The largest token in bytes before base64: with its 5,500 letters there is room in a request's head for all the rest.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// Everything that a session is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// The account that it acts for.
    pub account: AccountId,
    /// Whose session it is.
    pub subject: Subject,
    /// When it was made.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The text of its session policy.
    pub policy: Option<String>,
    /// The ARNs of managed policies that are session policies too.
    pub policy_arns: Vec<String>,
    /// Its tags, which come before those of the role.
    pub tags: Vec<(String, String)>,
    /// The keys of the tags that go on to the next session.
    pub transitive: Vec<String>,
    /// The ARN of the identity provider that vouched for it.
    pub provider: Option<String>,
    /// Whom it says that it acts for.
    pub source_identity: Option<String>,
}

/// Whose session it is.
#[derive(Debug, Serialize, Deserialize)]
pub enum Subject {
    /// The account's root's.
    Root,
    /// A user's, by its unique id.
    User(String),
    /// A role's, by its unique id, under a name.
    Role {
        /// The role's unique id.
        id: String,
        /// The session's name.
        session: String,
    },
    /// Somebody's for whom a user answers, or the account's root.
    Federated {
        /// The user's unique id; `None` for the root.
        user: Option<String>,
        /// The session's name.
        name: String,
    },
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It was not made here, not for this access key, or not left as it was.
    Invalid,
    /// Its time is over.
    Expired,
    /// Its user, role or account is gone.
    Ended,
}

#[derive(Serialize)]
struct Sealed<'a> {
    secret: &'a str,
    session: &'a Session,
}

#[derive(Deserialize)]
struct Opened {
    secret: Secret,
    session: Session,
}

/// The token of a session whose requests are signed with `secret`; `None` if the session is too large for one.
pub fn token(
    sealer: &Sealer,
    access_key: &str,
    secret: &Secret,
    session: &Session,
) -> Result<Option<String>, DirectoryError> {
    let json = serde_json::to_vec(&Sealed { secret: secret.expose(), session }).map(Zeroizing::new);
    let json = json.map_err(|error| DirectoryError::Encoding(error.to_string()))?;
    if json.len() > TOKEN_BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = vec![FORMAT];
    bytes.extend(sealer.seal(access_key, &json)?);
    Ok(Some(STANDARD.encode(bytes)))
}

/// Who signs with `access_key` and sends `token`.
pub fn open(
    sealer: &Sealer,
    snapshot: &Snapshot,
    token: &str,
    access_key: &str,
    now: Timestamp,
) -> Result<(Found, Session), TokenFault> {
    if token.len() > TOKEN_BYTES_MAX * 2 {
        return Err(TokenFault::Invalid);
    }
    let bytes = STANDARD.decode(token).map_err(|_| TokenFault::Invalid)?;
    let sealed = bytes.strip_prefix(&[FORMAT]).ok_or(TokenFault::Invalid)?;
    let json = sealer.open(access_key, sealed).ok_or(TokenFault::Invalid)?;
    let Opened { secret, session } = serde_json::from_slice(&json).map_err(|_| TokenFault::Invalid)?;
    if now >= session.expires {
        return Err(TokenFault::Expired);
    }
    let mut identity = identity(snapshot, &session).ok_or(TokenFault::Ended)?;
    identity.access_key = Some(access_key.to_owned());
    Ok((Found { secret, identity: Arc::new(identity), active: true }, session))
}

/// Who a session is now; `None` if its user, role or account is gone.
fn identity(snapshot: &Snapshot, session: &Session) -> Option<Identity> {
    let roster = snapshot.roster(session.account)?;
    let mut identity = match &session.subject {
        Subject::Root => Identity::root(Arc::clone(&roster.account), String::new()),
        Subject::User(id) => snapshot.identity_of_user(roster, roster.with_id::<User>(id)?),
        Subject::Role { id, session } => snapshot.identity_of_role(roster, roster.with_id::<Role>(id)?, session),
        Subject::Federated { user, name } => {
            let user = match user {
                Some(id) => Some(roster.with_id::<User>(id)?),
                None => None,
            };
            snapshot.identity_of_federated(roster, user.map(|user| &**user), name)
        }
    };
    let own = session.policy.as_ref().map(|text| {
        let parsed = Policy::parse(text.as_bytes(), &PolicyKind::Session).map(Arc::new);
        // It was read before it was sealed. Could it not be read any more, nothing may be allowed for that.
        parsed.unwrap_or_else(|_| Arc::clone(managed::deny_all()))
    });
    let shared = session.policy_arns.iter().map(|arn| managed_policy(roster, arn));
    let policies: Vec<Arc<Policy>> = own.into_iter().chain(shared).collect();
    // Without policies a federated user has no rights at all; other sessions have all that their owner has.
    let is_limited = !policies.is_empty() || matches!(session.subject, Subject::Federated { .. });
    identity.session = is_limited.then_some(policies);
    for (key, value) in &session.tags {
        identity.tags.retain(|(own, _)| !own.eq_ignore_ascii_case(key));
        identity.tags.push((key.clone(), value.clone()));
    }
    identity.transitive_tags.clone_from(&session.transitive);
    identity.issued = Some(session.issued);
    identity.provider.clone_from(&session.provider);
    identity.source_identity.clone_from(&session.source_identity);
    Some(identity)
}

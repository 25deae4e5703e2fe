//! Who sends a request: an account's root, a user, a role, or nobody who is known; and which policies say what they may.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use strata_storage::{AccountId, Quota, Timestamp};

use crate::policy::{ConditionKey, Decision, KeyValue, Policy, Principal, Question};
pub use crate::public_access_block::PublicAccessBlock;
use crate::request::Owner;

/// An account: what buckets and objects belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What ACLs and `Owner` elements call it: 64 hex digits.
    pub canonical_id: String,
    /// What it is called in lists.
    pub display_name: String,
    /// The address of whoever answers for it; no two accounts share one.
    pub email: Option<String>,
    /// Whether all its keys and sessions are refused.
    pub disabled: bool,
    /// How much its buckets may hold together.
    pub quota: Quota,
    /// What is blocked in all its buckets; `None` if that was never set.
    pub public_access_block: Option<PublicAccessBlock>,
}

impl Account {
    /// The account of the store's root credentials.
    pub fn root() -> Account {
        Account {
            id: AccountId::ROOT,
            canonical_id: Account::canonical_id_of(AccountId::ROOT),
            display_name: "root".to_owned(),
            email: None,
            disabled: false,
            quota: Quota::default(),
            public_access_block: None,
        }
    }

    /// The canonical id of an account.
    pub fn canonical_id_of(id: AccountId) -> String {
        hex::encode(Sha256::digest(format!("strata account {id}")))
    }

    /// How `Owner` elements name it.
    pub fn owner(&self) -> Owner {
        Owner { account: self.id.to_string(), id: self.canonical_id.clone(), display_name: self.display_name.clone() }
    }
}

/// What kind of caller an identity is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Without credentials.
    Anonymous,
    /// The account itself.
    Root,
    /// An IAM user.
    User {
        /// `/` or `/division/`.
        path: String,
        /// Its name.
        name: String,
        /// Its unique id, `AIDA...`.
        id: String,
    },
    /// A session of an IAM role.
    Role {
        /// `/` or `/division/`.
        path: String,
        /// The role's name.
        name: String,
        /// Its unique id, `AROA...`.
        id: String,
        /// The session's name.
        session: String,
    },
    /// Somebody whom a user lets act for it, within the session's policies.
    FederatedUser {
        /// The session's name.
        name: String,
        /// Who answers for it; `None` for the account's root.
        user: Option<FederatedBy>,
    },
}

/// The user who answers for a federated user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedBy {
    /// Its ARN.
    pub arn: String,
    /// Its unique id, `AIDA...`.
    pub id: String,
}

/// Who sends a request, with every policy that the directory knows about them.
#[derive(Clone)]
pub struct Identity {
    /// The account that it acts for; `None` for anonymous callers.
    pub account: Option<Arc<Account>>,
    /// What kind of caller it is.
    pub who: Who,
    /// The access key id that it signed with.
    pub access_key: Option<String>,
    /// The policies of the principal and of its groups, inline and managed.
    pub policies: Vec<Arc<Policy>>,
    /// The session policies, of which one has to allow what is asked; `None` if the session has none.
    pub session: Option<Vec<Arc<Policy>>>,
    /// The permissions boundary, which has to allow what is asked.
    pub boundary: Option<Arc<Policy>>,
    /// `aws:PrincipalTag`: the tags of the user, or those of the role under those of the session.
    pub tags: Vec<(String, String)>,
    /// The keys of the tags that go on to the sessions that a session asks for.
    pub transitive_tags: Vec<String>,
    /// When temporary credentials were issued.
    pub issued: Option<Timestamp>,
    /// The identity provider that vouched for the session, by its ARN.
    pub provider: Option<String>,
    /// Whom a session says that it acts for, and cannot take back.
    pub source_identity: Option<String>,
}

/// What the policies of an identity say to one question: one part of what decides it.
pub struct Decisions {
    /// Each of [`Identity::policies`].
    pub identity: Vec<Decision>,
    /// All session policies together; `None` if there are none.
    pub session: Option<Decision>,
    /// The permissions boundary; `None` if there is none.
    pub boundary: Option<Decision>,
}

impl Identity {
    /// Somebody without credentials.
    pub fn anonymous() -> Identity {
        Identity::new(None, Who::Anonymous)
    }

    /// An account's root.
    pub fn root(account: Arc<Account>, access_key: String) -> Identity {
        Identity { access_key: Some(access_key), ..Identity::new(Some(account), Who::Root) }
    }

    /// Somebody of an account whom no policy says anything about.
    pub fn new(account: Option<Arc<Account>>, who: Who) -> Identity {
        Identity {
            account,
            who,
            access_key: None,
            policies: Vec::new(),
            session: None,
            boundary: None,
            tags: Vec::new(),
            transitive_tags: Vec::new(),
            issued: None,
            provider: None,
            source_identity: None,
        }
    }

    /// The account id, if it is known.
    pub fn account_id(&self) -> Option<AccountId> {
        self.account.as_ref().map(|account| account.id)
    }

    /// Whether it is the root of the store's first account, who also may administer the store.
    pub fn is_store_root(&self) -> bool {
        self.who == Who::Root && self.account_id() == Some(AccountId::ROOT)
    }

    /// The ARN that policies and logs name it by; empty for anonymous callers.
    pub fn arn(&self) -> String {
        let Some(account) = self.account_id() else { return String::new() };
        match &self.who {
            Who::Anonymous => String::new(),
            Who::Root => format!("arn:aws:iam::{account}:root"),
            Who::User { path, name, .. } => format!("arn:aws:iam::{account}:user{path}{name}"),
            Who::Role { name, session, .. } => format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            Who::FederatedUser { name, .. } => format!("arn:aws:sts::{account}:federated-user/{name}"),
        }
    }

    /// The ARN of the role behind a session; of anyone else, its own.
    pub fn principal_arn(&self) -> String {
        match (&self.who, self.account_id()) {
            (Who::Role { path, name, .. }, Some(account)) => format!("arn:aws:iam::{account}:role{path}{name}"),
            _ => self.arn(),
        }
    }

    /// `aws:userid`
    pub fn user_id(&self) -> String {
        match &self.who {
            Who::Anonymous => "anonymous".to_owned(),
            Who::Root => self.account_id().map(|id| id.to_string()).unwrap_or_default(),
            Who::User { id, .. } => id.clone(),
            Who::Role { id, session, .. } => format!("{id}:{session}"),
            Who::FederatedUser { name, .. } => {
                self.account_id().map(|account| format!("{account}:{name}")).unwrap_or_default()
            }
        }
    }

    /// Whom the principals of a policy are compared with.
    pub fn principal(&self) -> Principal {
        let Some(account) = self.account_id().map(|id| id.to_string()) else { return Principal::Anonymous };
        match &self.who {
            Who::Anonymous => Principal::Anonymous,
            Who::Root => Principal::Root { account },
            Who::User { id, .. } => Principal::User { account, arn: self.arn(), id: id.clone() },
            Who::Role { id, .. } => Principal::Role {
                account,
                role_arn: self.principal_arn(),
                role_id: id.clone(),
                session_arn: self.arn(),
                user_id: self.user_id(),
            },
            Who::FederatedUser { user, .. } => Principal::FederatedUser {
                account,
                arn: self.arn(),
                user: user.as_ref().map(|user| (user.arn.clone(), user.id.clone())),
            },
        }
    }

    /// What the caller is to conditions; `None` for what it is not, and for keys that are about something else.
    pub fn condition(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>> {
        fn text<'a>(value: impl Into<Cow<'a, str>>) -> KeyValue<'a> {
            KeyValue::Text(value.into())
        }
        match key {
            ConditionKey::AwsUserId => Some(text(self.user_id())),
            ConditionKey::AwsUsername => match &self.who {
                Who::User { name, .. } => Some(text(name.as_str())),
                Who::Anonymous | Who::Root | Who::Role { .. } | Who::FederatedUser { .. } => None,
            },
            // The role, not its session.
            ConditionKey::AwsPrincipalArn => self.account_id().map(|_| text(self.principal_arn())),
            ConditionKey::AwsPrincipalAccount => self.account_id().map(|account| text(account.to_string())),
            ConditionKey::AwsPrincipalType => Some(text(match self.who {
                Who::Anonymous => "Anonymous",
                Who::Root => "Account",
                Who::User { .. } => "User",
                Who::Role { .. } => "AssumedRole",
                Who::FederatedUser { .. } => "FederatedUser",
            })),
            ConditionKey::AwsPrincipalTag => {
                let wanted = name?;
                let found = self.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| text(value.as_str()))
            }
            ConditionKey::AwsTokenIssueTime => self.issued.map(KeyValue::Date),
            ConditionKey::AwsFederatedProvider => self.provider.as_deref().map(text),
            ConditionKey::AwsSourceIdentity => self.source_identity.as_deref().map(text),
            // There are no second factors, which only temporary credentials could tell of.
            ConditionKey::AwsMultiFactorAuthPresent => self.issued.map(|_| KeyValue::Bool(false)),
            ConditionKey::AwsPrincipalIsAwsService | ConditionKey::AwsViaAwsService => Some(KeyValue::Bool(false)),
            _ => None,
        }
    }

    /// Asks all its policies.
    pub fn decisions(&self, question: &Question<'_>) -> Decisions {
        let ask = |policy: &Arc<Policy>| policy.decide(question);
        Decisions {
            identity: self.policies.iter().map(ask).collect(),
            session: self.session.as_ref().map(|policies| together(policies.iter().map(ask))),
            boundary: self.boundary.as_ref().map(ask),
        }
    }
}

/// What policies say of which any may allow, and any may deny.
fn together(decisions: impl Iterator<Item = Decision>) -> Decision {
    let mut sum = Decision::Silent;
    for decision in decisions {
        match decision {
            Decision::Deny { .. } => return decision,
            Decision::Allow { .. } => sum = decision,
            Decision::Silent => {}
        }
    }
    sum
}

/// Names whom it is; policies would fill pages.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Identity");
        shown.field("account", &self.account_id()).field("who", &self.who).field("access_key", &self.access_key);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Account, Identity, Who};

    #[test]
    fn names() {
        fn check(who: Who, arn: &str, principal_arn: &str, user_id: &str) {
            let identity = Identity::new(Some(Arc::new(Account::root())), who);
            assert_eq!((identity.arn().as_str(), identity.user_id().as_str()), (arn, user_id));
            assert_eq!(identity.principal_arn(), principal_arn);
        }
        let text = str::to_owned;
        let root = "arn:aws:iam::000000000000:root";
        check(Who::Root, root, root, "000000000000");
        let user = Who::User { path: text("/a/"), name: text("bob"), id: text("AIDA1") };
        let arn = "arn:aws:iam::000000000000:user/a/bob";
        check(user, arn, arn, "AIDA1");
        let role = Who::Role { path: text("/p/"), name: text("reader"), id: text("AROA1"), session: text("s") };
        let arn = "arn:aws:sts::000000000000:assumed-role/reader/s";
        check(role, arn, "arn:aws:iam::000000000000:role/p/reader", "AROA1:s");
        let federated = Who::FederatedUser { name: text("eve"), user: None };
        let arn = "arn:aws:sts::000000000000:federated-user/eve";
        check(federated, arn, arn, "000000000000:eve");
        assert_eq!((Identity::anonymous().arn(), Identity::anonymous().user_id()), (String::new(), text("anonymous")));
    }
}

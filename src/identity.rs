//! Who sends a request: an account's root, a user, a role, or nobody who is known.

use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use strata_storage::AccountId;

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
}

impl Account {
    /// The account of the store's root credentials.
    pub fn root() -> Account {
        Account {
            id: AccountId::ROOT,
            canonical_id: Account::canonical_id_of(AccountId::ROOT),
            display_name: "root".to_owned(),
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
}

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account that it acts for; `None` for anonymous callers.
    pub account: Option<Arc<Account>>,
    /// What kind of caller it is.
    pub who: Who,
    /// The access key id that it signed with.
    pub access_key: Option<String>,
}

impl Identity {
    /// Somebody without credentials.
    pub fn anonymous() -> Identity {
        Identity { account: None, who: Who::Anonymous, access_key: None }
    }

    /// An account's root.
    pub fn root(account: Arc<Account>, access_key: String) -> Identity {
        Identity { account: Some(account), who: Who::Root, access_key: Some(access_key) }
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
        }
    }

    /// `aws:userid`
    pub fn user_id(&self) -> String {
        let mut text = String::new();
        match &self.who {
            Who::Anonymous => text.push_str("anonymous"),
            Who::Root => self.account_id().into_iter().for_each(|id| write!(text, "{id}").unwrap_or_default()),
            Who::User { id, .. } => text.push_str(id),
            Who::Role { id, session, .. } => write!(text, "{id}:{session}").unwrap_or_default(),
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Account, Identity, Who};

    #[test]
    fn names() {
        fn check(who: Who, arn: &str, user_id: &str) {
            let identity = Identity { account: Some(Arc::new(Account::root())), who, access_key: None };
            assert_eq!((identity.arn().as_str(), identity.user_id().as_str()), (arn, user_id));
        }
        let text = str::to_owned;
        check(Who::Root, "arn:aws:iam::000000000000:root", "000000000000");
        let user = Who::User { path: text("/a/"), name: text("bob"), id: text("AIDA1") };
        check(user, "arn:aws:iam::000000000000:user/a/bob", "AIDA1");
        let role = Who::Role { path: text("/"), name: text("reader"), id: text("AROA1"), session: text("s") };
        check(role, "arn:aws:sts::000000000000:assumed-role/reader/s", "AROA1:s");
        assert_eq!((Identity::anonymous().arn(), Identity::anonymous().user_id()), (String::new(), text("anonymous")));
    }
}

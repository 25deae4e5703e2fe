//! Who asks, and whether the principals of a statement include them.

use super::document::{Form, PrincipalText, PrincipalsText};
use super::principal_name::PrincipalName;
use super::statement::Effect;

/// Who asks. Ids and ARNs are whole, so that matching compares them and builds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody who did not sign.
    Anonymous,
    /// The root of an account.
    Root {
        /// The account's id: twelve digits.
        account: String,
    },
    /// A user.
    User {
        /// The account's id.
        account: String,
        /// `arn:aws:iam::account:user/path/name`.
        arn: String,
        /// The unique id, `AIDA..`.
        id: String,
    },
    /// A session of a role.
    Role {
        /// The account's id.
        account: String,
        /// `arn:aws:iam::account:role/path/name`.
        role_arn: String,
        /// The unique id of the role, `AROA..`.
        role_id: String,
        /// `arn:aws:sts::account:assumed-role/role/session`.
        session_arn: String,
        /// `AROA..:session`, which is also `aws:userid`.
        user_id: String,
    },
    /// Somebody whom a user, or the root of the account, lets act for it.
    FederatedUser {
        /// The account's id.
        account: String,
        /// `arn:aws:sts::account:federated-user/name`.
        arn: String,
        /// ARN and unique id of the user.
        user: Option<(String, String)>,
    },
    /// Somebody whom an identity provider vouches for, and who is nobody else yet: asks trust policies only.
    Federated {
        /// The provider's ARN.
        provider: String,
    },
    /// A service of the store itself, such as `logging.s3.amazonaws.com`.
    Service {
        /// The name of the service.
        name: String,
    },
}

impl Principal {
    /// The account that the principal belongs to; None for those who belong to none.
    pub fn account(&self) -> Option<&str> {
        match self {
            Principal::Root { account }
            | Principal::User { account, .. }
            | Principal::Role { account, .. }
            | Principal::FederatedUser { account, .. } => Some(account),
            Principal::Anonymous | Principal::Federated { .. } | Principal::Service { .. } => None,
        }
    }
}

/// Whom the principal of an allowing statement names, from what grants least to what grants most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// The account, which decides by its identity policies who of its users is meant.
    Account,
    /// Everybody.
    Everyone,
    /// The role of the session that asks, or the user who answers for it.
    Role,
    /// The user who asks, or the service. Identity policies always grant this.
    User,
    /// The very session that asks.
    Session,
}

/// The principals of a statement.
#[derive(Debug, Clone)]
pub struct PrincipalSet {
    form: Form,
    has_everyone: bool,
    /// Ids of accounts, sorted.
    accounts: Vec<Box<str>>,
    /// ARNs and unique ids of users, roles and sessions, sorted.
    names: Vec<Box<str>>,
    /// Services, sorted.
    services: Vec<Box<str>>,
    /// Identity providers, sorted.
    providers: Vec<Box<str>>,
    /// Whether somebody is named whom nobody can tell before the policy is bound.
    has_unknown: bool,
}

impl PrincipalSet {
    /// The set that a document names.
    pub fn new(text: &PrincipalsText) -> PrincipalSet {
        let mut set = PrincipalSet {
            form: text.form,
            has_everyone: false,
            accounts: Vec::new(),
            names: Vec::new(),
            services: Vec::new(),
            providers: Vec::new(),
            has_unknown: false,
        };
        for principal in &text.names {
            match principal {
                PrincipalText::Star | PrincipalText::AwsStar => set.has_everyone = true,
                PrincipalText::Named(PrincipalName::CanonicalUser(_)) => set.has_unknown = true,
                PrincipalText::Named(PrincipalName::Account(account)) => set.accounts.push(account.as_str().into()),
                PrincipalText::Named(PrincipalName::Service(name)) => set.services.push(name.as_str().into()),
                PrincipalText::Named(PrincipalName::Federated(name)) => set.providers.push(name.as_str().into()),
                PrincipalText::Named(name) => set.names.push(name.to_string().into()),
            }
        }
        for names in [&mut set.accounts, &mut set.names, &mut set.services, &mut set.providers] {
            names.sort_unstable();
        }
        set
    }

    /// How a statement of this `effect` includes `principal`; None if it does not.
    pub fn grant(&self, principal: &Principal, effect: Effect) -> Option<Grant> {
        match (self.form, effect) {
            (Form::Listed, Effect::Allow) => self.listed(principal),
            // Whoever is named by a name that can't be told may be anybody.
            (Form::Listed, Effect::Deny) if self.has_unknown => Some(Grant::Everyone),
            (Form::Listed, Effect::Deny) => {
                // A provider's people are strangers until they have assumed a role: a Deny for everybody is for them too.
                let everyone = self.has_everyone.then_some(Grant::Everyone);
                self.listed(principal).or(everyone)
            }
            (Form::AllBut, Effect::Allow) => {
                let is_excepted = self.has_unknown || self.covers(principal).any(|covered| covered);
                (!is_excepted).then_some(Grant::Everyone)
            }
            // To be excepted from a Deny, a user must be listed together with the account, a session also with its role.
            (Form::AllBut, Effect::Deny) => {
                let is_excepted = self.covers(principal).all(|covered| covered);
                (!is_excepted).then_some(Grant::Everyone)
            }
        }
    }

    /// Whether a statement with this principal is for certain principals only.
    pub fn is_limited(&self) -> bool {
        self.form == Form::Listed && !self.has_everyone
    }

    /// The strongest of the names that `principal` goes by in the list.
    fn listed(&self, principal: &Principal) -> Option<Grant> {
        let everyone = self.has_everyone.then_some(Grant::Everyone);
        match principal {
            Principal::Anonymous => everyone,
            Principal::Root { account } => everyone.or(self.account(account)),
            Principal::User { account, arn, id } => {
                let named = self.is_named(id) || self.is_named(arn);
                named.then_some(Grant::User).or(everyone).or(self.account(account))
            }
            Principal::Role { account, role_arn, role_id, session_arn, user_id } => {
                let session = (self.is_named(user_id) || self.is_named(session_arn)).then_some(Grant::Session);
                let role = || (self.is_named(role_id) || self.is_named(role_arn)).then_some(Grant::Role);
                session.or_else(role).or(everyone).or(self.account(account))
            }
            Principal::FederatedUser { account, arn, user } => {
                let session = self.is_named(arn).then_some(Grant::Session);
                let user = || self.is_user_named(user.as_ref()?).then_some(Grant::Role);
                session.or_else(user).or(everyone).or(self.account(account))
            }
            Principal::Federated { provider } => has(&self.providers, provider).then_some(Grant::User),
            Principal::Service { name } => has(&self.services, name).then_some(Grant::User).or(everyone),
        }
    }

    /// For each of the names that `principal` goes by, whether the list has it.
    fn covers(&self, principal: &Principal) -> impl Iterator<Item = bool> {
        let [first, second, third] = match principal {
            Principal::Anonymous => [Some(false), None, None],
            Principal::Root { account } => [Some(has(&self.accounts, account)), None, None],
            Principal::User { account, arn, id } => {
                [Some(has(&self.accounts, account)), Some(self.is_named(id) || self.is_named(arn)), None]
            }
            Principal::Role { account, role_arn, role_id, session_arn, user_id } => [
                Some(has(&self.accounts, account)),
                Some(self.is_named(role_id) || self.is_named(role_arn)),
                Some(self.is_named(user_id) || self.is_named(session_arn)),
            ],
            Principal::FederatedUser { account, arn, user } => [
                Some(has(&self.accounts, account)),
                user.as_ref().map(|user| self.is_user_named(user)),
                Some(self.is_named(arn)),
            ],
            Principal::Federated { provider } => [Some(has(&self.providers, provider)), None, None],
            Principal::Service { name } => [Some(has(&self.services, name)), None, None],
        };
        let has_everyone = self.has_everyone;
        [first, second, third].into_iter().flatten().map(move |covered| covered || has_everyone)
    }

    fn account(&self, account: &str) -> Option<Grant> {
        has(&self.accounts, account).then_some(Grant::Account)
    }

    fn is_user_named(&self, (arn, id): &(String, String)) -> bool {
        self.is_named(id) || self.is_named(arn)
    }

    fn is_named(&self, name: &str) -> bool {
        has(&self.names, name)
    }
}

fn has(sorted: &[Box<str>], name: &str) -> bool {
    sorted.binary_search_by(|entry| (**entry).cmp(name)).is_ok()
}

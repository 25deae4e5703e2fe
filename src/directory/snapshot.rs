//! The whole directory at one moment. It never changes: a change makes another one, which shares what stayed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use strata_storage::AccountId;

use crate::credentials::{Credentials, Secret};
use crate::directory::entity::{AccessKey, AccountRecord, Permissions, Role, User};
use crate::directory::roster::{Entity, Kind, Roster};
use crate::directory::sealer::Sealer;
use crate::directory::{id, managed};
use crate::identity::{Account, FederatedBy, Identity, Who};
use crate::policy::{Policy, PrincipalName};

/// The whole directory at one moment.
#[derive(Clone)]
pub struct Snapshot {
    rosters: Arc<BTreeMap<AccountId, Arc<Roster>>>,
    by_canonical_id: Arc<HashMap<String, AccountId>>,
    /// By e-mail address in lower case.
    by_email: Arc<HashMap<String, AccountId>>,
    /// The accounts whose roots have an access key.
    root_keys: Arc<HashMap<String, AccountId>>,
    /// The credentials of the store's root, which are the server's and not stored here.
    store_root: Arc<Credentials>,
    secrets: Arc<Sealer>,
}

/// What an access key or a session stands for.
pub struct Found {
    /// What requests are signed with.
    pub secret: Secret,
    /// Who signs.
    pub identity: Arc<Identity>,
    /// Whether the key may be used. Whether the account may is said by the account.
    pub active: bool,
}

impl Snapshot {
    /// The directory of a store in which nobody but its root exists.
    pub fn new(store_root: Arc<Credentials>, secrets: Arc<Sealer>) -> Snapshot {
        let mut snapshot = Snapshot {
            rosters: Arc::default(),
            by_canonical_id: Arc::default(),
            by_email: Arc::default(),
            root_keys: Arc::default(),
            store_root,
            secrets,
        };
        snapshot.set_account(store_account());
        snapshot
    }

    /// Who signs with that access key; `None` if there is no such key, or its secret cannot be opened.
    pub fn access_key(&self, access_key: &str) -> Option<Found> {
        if access_key == self.store_root.access_key {
            let account = Arc::clone(self.account(AccountId::ROOT)?);
            let identity = Arc::new(Identity::root(account, access_key.to_owned()));
            return Some(Found { secret: self.store_root.secret_key.clone(), identity, active: true });
        }
        if let Some(account) = self.root_keys.get(access_key) {
            let roster = self.roster(*account)?;
            let key = roster.record.keys.iter().find(|key| key.id == access_key)?;
            let identity = Arc::new(Identity::root(Arc::clone(&roster.account), access_key.to_owned()));
            return Some(Found { secret: self.secret(key)?, identity, active: key.active });
        }
        let roster = self.roster(id::account_of(access_key)?)?;
        let user = roster.user_with_key(access_key)?;
        let key = user.keys.iter().find(|key| key.id == access_key)?;
        let mut identity = self.identity_of_user(roster, user);
        identity.access_key = Some(access_key.to_owned());
        Some(Found { secret: self.secret(key)?, identity: Arc::new(identity), active: key.active })
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&Arc<Account>> {
        self.roster(id).map(|roster| &roster.account)
    }

    /// The account that ACLs call so.
    pub fn account_by_canonical_id(&self, id: &str) -> Option<&Arc<Account>> {
        self.account(*self.by_canonical_id.get(id)?)
    }

    /// The account with that e-mail address, whatever its case.
    pub fn account_by_email(&self, email: &str) -> Option<&Arc<Account>> {
        self.account(*self.by_email.get(&email.to_lowercase())?)
    }

    /// All accounts, in the order of their ids.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.rosters.values().map(|roster| &roster.account)
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> usize {
        self.rosters.len()
    }

    /// Everything in an account.
    pub fn roster(&self, account: AccountId) -> Option<&Arc<Roster>> {
        self.rosters.get(&account)
    }

    /// A user, by its exact name.
    pub fn user(&self, account: AccountId, name: &str) -> Option<&Arc<User>> {
        self.roster(account)?.named(name)
    }

    /// A role, by its exact name.
    pub fn role(&self, account: AccountId, name: &str) -> Option<&Arc<Role>> {
        self.roster(account)?.named(name)
    }

    /// Whether an access key is the store root's or another root's.
    pub fn is_root_key(&self, access_key: &str) -> bool {
        access_key == self.store_root.access_key || self.root_keys.contains_key(access_key)
    }

    /// The account that a user's access key is of, with the user's name.
    pub fn bearer(&self, access_key: &str) -> Option<(AccountId, &str)> {
        let roster = self.roster(id::account_of(access_key)?)?;
        Some((roster.id(), roster.user_with_key(access_key)?.name.as_str()))
    }

    /// A user as it would ask for something.
    pub fn user_identity(&self, account: AccountId, name: &str) -> Option<Arc<Identity>> {
        let roster = self.roster(account)?;
        Some(Arc::new(self.identity_of_user(roster, roster.named::<User>(name)?)))
    }

    /// The unique id of a principal that a policy names, as [`Policy::bind`] asks; `None` if there is no such principal.
    pub fn unique_id(&self, name: &PrincipalName) -> Option<String> {
        let roster = |account: &str| self.roster(AccountId::parse(account)?);
        match name {
            PrincipalName::Account(account) => roster(account).map(|_| account.clone()),
            PrincipalName::User { account, path_name } => {
                let user = roster(account)?.named::<User>(last(path_name))?;
                is_at(&user.path, &user.name, path_name).then(|| user.id.clone())
            }
            PrincipalName::Role { account, path_name } => {
                let role = roster(account)?.named::<Role>(last(path_name))?;
                is_at(&role.path, &role.name, path_name).then(|| role.id.clone())
            }
            PrincipalName::Session { account, role, .. } => {
                roster(account)?.named::<Role>(role).map(|role| role.id.clone())
            }
            PrincipalName::UniqueId(id) => {
                let bearer = id.split_once(':').map_or(id.as_str(), |(bearer, _)| bearer);
                self.arn_of(bearer).map(|_| id.clone())
            }
            PrincipalName::CanonicalUser(id) => self.account_by_canonical_id(id).map(|account| account.id.to_string()),
            // Whoever lets somebody act under that name is of that account.
            PrincipalName::FederatedUser { account, name } => roster(account).map(|_| name.clone()),
            PrincipalName::Service(name) | PrincipalName::Federated(name) => Some(name.clone()),
        }
    }

    /// The ARN of the user or role that has a unique id now.
    pub fn arn_of(&self, unique_id: &str) -> Option<String> {
        let roster = self.roster(id::account_of(unique_id)?)?;
        match roster.kind_of(unique_id)? {
            Kind::User => roster.with_id::<User>(unique_id).map(|user| user.arn(roster.id())),
            Kind::Role => roster.with_id::<Role>(unique_id).map(|role| role.arn(roster.id())),
            Kind::Group | Kind::Policy | Kind::Provider => None,
        }
    }

    /// A user with what its policies and those of its groups say.
    pub(super) fn identity_of_user(&self, roster: &Roster, user: &User) -> Identity {
        let who = Who::User { path: user.path.clone(), name: user.name.clone(), id: user.id.clone() };
        let mut identity = Identity::new(Some(Arc::clone(&roster.account)), who);
        add_policies(&mut identity, roster, &user.permissions);
        for group in &user.groups {
            if let Some(group) = roster.with_id::<super::entity::Group>(group) {
                add_policies(&mut identity, roster, &group.permissions);
            }
        }
        identity.boundary = user.boundary.as_deref().map(|arn| managed_policy(roster, arn));
        identity.tags.clone_from(&user.tags);
        identity
    }

    /// A session of a role with what the role's policies say.
    pub fn identity_of_role(&self, roster: &Roster, role: &Role, session: &str) -> Identity {
        let (path, name, id) = (role.path.clone(), role.name.clone(), role.id.clone());
        let who = Who::Role { path, name, id, session: session.to_owned() };
        let mut identity = Identity::new(Some(Arc::clone(&roster.account)), who);
        add_policies(&mut identity, roster, &role.permissions);
        identity.boundary = role.boundary.as_deref().map(|arn| managed_policy(roster, arn));
        identity.tags.clone_from(&role.tags);
        identity
    }

    /// A federated user, who has what the policies of its user say; those of a root allow everything.
    pub(super) fn identity_of_federated(&self, roster: &Roster, user: Option<&User>, name: &str) -> Identity {
        let mut identity = match user {
            Some(user) => self.identity_of_user(roster, user),
            None => {
                let account = Some(Arc::clone(&roster.account));
                let policies = vec![managed_policy(roster, managed::ADMINISTRATOR_ACCESS)];
                Identity { policies, ..Identity::new(account, Who::Anonymous) }
            }
        };
        let user = user.map(|user| FederatedBy { arn: user.arn(roster.id()), id: user.id.clone() });
        identity.who = Who::FederatedUser { name: name.to_owned(), user };
        identity
    }

    /// The secret of a stored key.
    fn secret(&self, key: &AccessKey) -> Option<Secret> {
        let plain = self.secrets.open(&key.id, &key.sealed)?;
        std::str::from_utf8(&plain).ok().map(|text| Secret::new(text.to_owned()))
    }

    /// Whether the secrets in an account can be opened: not if they were sealed under another key.
    pub(super) fn can_open(&self, roster: &Roster) -> bool {
        let users = roster.all::<User>().values().flat_map(|user| &user.keys);
        roster.record.keys.iter().chain(users).all(|key| self.secret(key).is_some())
    }

    /// Adds an account, or changes what is known of it.
    pub(super) fn set_account(&mut self, record: AccountRecord) {
        let id = record.id;
        if let Some(roster) = self.rosters.get(&id) {
            let old = Arc::clone(&roster.record);
            old.email.iter().for_each(|email| {
                Arc::make_mut(&mut self.by_email).remove(&email.to_lowercase());
            });
            old.keys.iter().for_each(|key| {
                Arc::make_mut(&mut self.root_keys).remove(&key.id);
            });
        }
        Arc::make_mut(&mut self.by_canonical_id).insert(Account::canonical_id_of(id), id);
        if let Some(email) = &record.email {
            Arc::make_mut(&mut self.by_email).insert(email.to_lowercase(), id);
        }
        if !record.keys.is_empty() {
            Arc::make_mut(&mut self.root_keys).extend(record.keys.iter().map(|key| (key.id.clone(), id)));
        }
        let rosters = Arc::make_mut(&mut self.rosters);
        match rosters.get_mut(&id) {
            Some(roster) => Arc::make_mut(roster).set_record(record),
            None => {
                rosters.insert(id, Arc::new(Roster::new(record)));
            }
        }
    }

    /// An account to be changed; `None` if there is no such account.
    pub(super) fn roster_mut(&mut self, account: AccountId) -> Option<&mut Roster> {
        // Looked up first: to change a map that others share is to copy it.
        self.rosters.get(&account)?;
        Arc::make_mut(&mut self.rosters).get_mut(&account).map(Arc::make_mut)
    }
}

/// The policy with that ARN as far as an account's entities can use it.
pub fn managed_policy(roster: &Roster, arn: &str) -> Arc<Policy> {
    let found = match managed::find(arn) {
        Some(policy) => policy.in_force(),
        None => roster.policy(arn).and_then(|policy| policy.in_force()),
    };
    // A policy in use is not removed. Were it missing all the same, what it denies must not become possible.
    Arc::clone(found.map_or(managed::deny_all(), |version| &version.document.0.policy))
}

fn add_policies(identity: &mut Identity, roster: &Roster, permissions: &Permissions) {
    identity.policies.extend(permissions.inline.values().map(|permission| Arc::clone(&permission.0.policy)));
    identity.policies.extend(permissions.attached.iter().map(|arn| managed_policy(roster, arn)));
}

/// The account of the store's root until something is set on it.
fn store_account() -> AccountRecord {
    let Account { id, display_name, email, disabled, quota, public_access_block, .. } = Account::root();
    let created = strata_storage::Timestamp::default();
    AccountRecord { id, display_name, email, disabled, quota, public_access_block, created, keys: Vec::new() }
}

/// The name at the end of `path/name`.
fn last(path_name: &str) -> &str {
    path_name.rsplit('/').next().unwrap_or(path_name)
}

/// Whether an ARN that goes on with `path_name` after its slash means what has this path and name.
fn is_at(path: &str, name: &str, path_name: &str) -> bool {
    path.strip_prefix('/').and_then(|path| path_name.strip_prefix(path)) == Some(name)
}

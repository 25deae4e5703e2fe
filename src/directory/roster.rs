//! One account with everything in it, and the indexes by which it is found. Cheap to copy: what a copy does not change it
//! shares.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_storage::AccountId;

use crate::directory::entity::{AccessKey, AccountRecord, Group, ManagedPolicy, Permissions, Provider, Role, User};
use crate::identity::Account;

/// Entities of one kind, by their names in lower case: names that differ in case only are the same to IAM.
pub type Table<E> = BTreeMap<String, Arc<E>>;

/// What kind of thing an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A group of users.
    Group,
    /// A managed policy.
    Policy,
    /// An identity provider.
    Provider,
    /// A role.
    Role,
    /// A user.
    User,
}

/// How an entity uses a policy or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// The policy is attached to it.
    Attached,
    /// The policy is its permissions boundary.
    Boundary,
    /// It is in the group.
    Member,
}

/// An entity that uses a policy or a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// What kind of entity.
    pub kind: Kind,
    /// How it uses it.
    pub how: Use,
    /// Its name in lower case.
    pub name: String,
}

/// One account with everything in it.
#[derive(Clone)]
pub struct Roster {
    /// The account.
    pub account: Arc<Account>,
    /// The account as stored.
    pub record: Arc<AccountRecord>,
    tables: Tables,
    /// Who has a unique id: kind, and name in lower case.
    ids: Arc<HashMap<String, (Kind, String)>>,
    /// The user that has an access key, by name in lower case.
    keys: Arc<HashMap<String, String>>,
    /// Who uses a managed policy, by its ARN, or a group, by its unique id.
    uses: Arc<BTreeMap<String, BTreeSet<Reference>>>,
}

/// The entities of an account.
#[derive(Clone, Default)]
pub struct Tables {
    users: Arc<Table<User>>,
    groups: Arc<Table<Group>>,
    roles: Arc<Table<Role>>,
    policies: Arc<Table<ManagedPolicy>>,
    providers: Arc<Table<Provider>>,
}

/// What all kinds of entities have in common.
pub trait Entity: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its kind.
    const KIND: Kind;

    /// Its name; a provider's URL.
    fn name(&self) -> &str;
    /// Its unique id; a provider's URL again.
    fn id(&self) -> &str;
    /// Its ARN.
    fn arn(&self, account: AccountId) -> String;
    /// Its tags.
    fn tags(&self) -> &[(String, String)] {
        &[]
    }
    /// Its access keys.
    fn keys(&self) -> &[AccessKey] {
        &[]
    }
    /// The policies and groups that it uses.
    fn uses(&self) -> Vec<(&str, Use)> {
        Vec::new()
    }
    /// Where entities of this kind are.
    fn table(tables: &Tables) -> &Table<Self>;
    /// Where entities of this kind are changed.
    fn table_mut(tables: &mut Tables) -> &mut Table<Self>;
}

impl Roster {
    /// An account with nothing in it.
    pub fn new(record: AccountRecord) -> Roster {
        Roster {
            account: Arc::new(account(&record)),
            record: Arc::new(record),
            tables: Tables::default(),
            ids: Arc::default(),
            keys: Arc::default(),
            uses: Arc::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> AccountId {
        self.account.id
    }

    /// Changes what is known of the account itself.
    pub fn set_record(&mut self, record: AccountRecord) {
        self.account = Arc::new(account(&record));
        self.record = Arc::new(record);
    }

    /// All entities of a kind, by their names in lower case.
    pub fn all<E: Entity>(&self) -> &Table<E> {
        E::table(&self.tables)
    }

    /// The entity of exactly that name.
    pub fn named<E: Entity>(&self, name: &str) -> Option<&Arc<E>> {
        self.all::<E>().get(&name.to_lowercase()).filter(|entity| entity.name() == name)
    }

    /// The entity of that name in lower case.
    pub fn keyed<E: Entity>(&self, key: &str) -> Option<&Arc<E>> {
        self.all::<E>().get(key)
    }

    /// The entity with that unique id.
    pub fn with_id<E: Entity>(&self, id: &str) -> Option<&Arc<E>> {
        let (kind, key) = self.ids.get(id)?;
        (*kind == E::KIND).then(|| self.keyed(key)).flatten()
    }

    /// The kind of the entity with that unique id.
    pub fn kind_of(&self, id: &str) -> Option<Kind> {
        self.ids.get(id).map(|(kind, _)| *kind)
    }

    /// The user that has an access key.
    pub fn user_with_key(&self, id: &str) -> Option<&Arc<User>> {
        self.keyed(self.keys.get(id)?)
    }

    /// The managed policy of this account that has that ARN.
    pub fn policy(&self, arn: &str) -> Option<&Arc<ManagedPolicy>> {
        let name = arn.rsplit('/').next()?;
        self.named::<ManagedPolicy>(name).filter(|policy| policy.arn(self.id()) == arn)
    }

    /// Who uses a managed policy, by its ARN, or a group, by its unique id.
    pub fn uses(&self, target: &str) -> impl Iterator<Item = &Reference> {
        self.uses.get(target).into_iter().flatten()
    }

    /// Adds an entity, or puts it in the place of the one of that name.
    pub fn put<E: Entity>(&mut self, entity: Arc<E>) {
        self.remove::<E>(entity.name());
        let key = entity.name().to_lowercase();
        Arc::make_mut(&mut self.ids).insert(entity.id().to_owned(), (E::KIND, key.clone()));
        if !entity.keys().is_empty() {
            let keys = Arc::make_mut(&mut self.keys);
            keys.extend(entity.keys().iter().map(|access_key| (access_key.id.clone(), key.clone())));
        }
        for (target, how) in entity.uses() {
            let reference = Reference { kind: E::KIND, how, name: key.clone() };
            Arc::make_mut(&mut self.uses).entry(target.to_owned()).or_default().insert(reference);
        }
        E::table_mut(&mut self.tables).insert(key, entity);
    }

    /// Removes the entity of that name, whatever its case.
    pub fn remove<E: Entity>(&mut self, name: &str) -> Option<Arc<E>> {
        let key = name.to_lowercase();
        // Looked up first: to change a table that others share is to copy it.
        self.all::<E>().get(&key)?;
        let entity = E::table_mut(&mut self.tables).remove(&key)?;
        Arc::make_mut(&mut self.ids).remove(entity.id());
        for access_key in entity.keys() {
            Arc::make_mut(&mut self.keys).remove(&access_key.id);
        }
        for (target, how) in entity.uses() {
            let uses = Arc::make_mut(&mut self.uses);
            if let Some(references) = uses.get_mut(target) {
                references.remove(&Reference { kind: E::KIND, how, name: key.clone() });
                if references.is_empty() {
                    uses.remove(target);
                }
            }
        }
        Some(entity)
    }
}

fn account(record: &AccountRecord) -> Account {
    Account {
        id: record.id,
        canonical_id: Account::canonical_id_of(record.id),
        display_name: record.display_name.clone(),
        email: record.email.clone(),
        disabled: record.disabled,
        quota: record.quota,
        public_access_block: record.public_access_block,
    }
}

fn permissions_used(permissions: &Permissions) -> impl Iterator<Item = (&str, Use)> {
    permissions.attached.iter().map(|arn| (arn.as_str(), Use::Attached))
}

fn boundary_used(boundary: &Option<String>) -> impl Iterator<Item = (&str, Use)> {
    boundary.iter().map(|arn| (arn.as_str(), Use::Boundary))
}

impl Entity for User {
    const KIND: Kind = Kind::User;

    fn name(&self) -> &str {
        &self.name
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn arn(&self, account: AccountId) -> String {
        format!("arn:aws:iam::{account}:user{}{}", self.path, self.name)
    }
    fn keys(&self) -> &[AccessKey] {
        &self.keys
    }
    fn uses(&self) -> Vec<(&str, Use)> {
        let groups = self.groups.iter().map(|id| (id.as_str(), Use::Member));
        permissions_used(&self.permissions).chain(boundary_used(&self.boundary)).chain(groups).collect()
    }
    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }
    fn table(tables: &Tables) -> &Table<User> {
        &tables.users
    }
    fn table_mut(tables: &mut Tables) -> &mut Table<User> {
        Arc::make_mut(&mut tables.users)
    }
}

impl Entity for Group {
    const KIND: Kind = Kind::Group;

    fn name(&self) -> &str {
        &self.name
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn arn(&self, account: AccountId) -> String {
        format!("arn:aws:iam::{account}:group{}{}", self.path, self.name)
    }
    fn uses(&self) -> Vec<(&str, Use)> {
        permissions_used(&self.permissions).collect()
    }
    fn table(tables: &Tables) -> &Table<Group> {
        &tables.groups
    }
    fn table_mut(tables: &mut Tables) -> &mut Table<Group> {
        Arc::make_mut(&mut tables.groups)
    }
}

impl Entity for Role {
    const KIND: Kind = Kind::Role;

    fn name(&self) -> &str {
        &self.name
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn arn(&self, account: AccountId) -> String {
        format!("arn:aws:iam::{account}:role{}{}", self.path, self.name)
    }
    fn uses(&self) -> Vec<(&str, Use)> {
        permissions_used(&self.permissions).chain(boundary_used(&self.boundary)).collect()
    }
    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }
    fn table(tables: &Tables) -> &Table<Role> {
        &tables.roles
    }
    fn table_mut(tables: &mut Tables) -> &mut Table<Role> {
        Arc::make_mut(&mut tables.roles)
    }
}

impl Entity for ManagedPolicy {
    const KIND: Kind = Kind::Policy;

    fn name(&self) -> &str {
        &self.name
    }
    fn id(&self) -> &str {
        &self.id
    }
    fn arn(&self, account: AccountId) -> String {
        format!("arn:aws:iam::{account}:policy{}{}", self.path, self.name)
    }
    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }
    fn table(tables: &Tables) -> &Table<ManagedPolicy> {
        &tables.policies
    }
    fn table_mut(tables: &mut Tables) -> &mut Table<ManagedPolicy> {
        Arc::make_mut(&mut tables.policies)
    }
}

impl Entity for Provider {
    const KIND: Kind = Kind::Provider;

    fn name(&self) -> &str {
        &self.url
    }
    fn id(&self) -> &str {
        &self.url
    }
    fn arn(&self, account: AccountId) -> String {
        format!("arn:aws:iam::{account}:oidc-provider/{}", self.url)
    }
    fn tags(&self) -> &[(String, String)] {
        &self.tags
    }
    fn table(tables: &Tables) -> &Table<Provider> {
        &tables.providers
    }
    fn table_mut(tables: &mut Tables) -> &mut Table<Provider> {
        Arc::make_mut(&mut tables.providers)
    }
}

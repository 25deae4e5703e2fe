//! One call to IAM, and what every action does first: find what it is about, and ask whether the caller may.

use std::sync::Arc;

use http::StatusCode;
use strata_storage::AccountId;

use crate::directory::roster::{Entity, Kind, Roster};
use crate::directory::{Directory, Draft, Snapshot};
use crate::identity::Who;
use crate::policy::Action;
use crate::query_api::{CallKeys, Fault, Form, QueryCall};

/// One call to IAM.
pub struct Request {
    /// The call.
    pub call: QueryCall,
    /// The directory, for what is not in its snapshots.
    pub directory: Directory,
    /// What the caller needs permission for.
    pub action: Action,
    /// The caller's account.
    pub account: AccountId,
}

impl Request {
    /// The parameters.
    pub fn form(&self) -> &Form {
        &self.call.form
    }

    /// The condition keys of the call.
    pub fn keys(&self) -> CallKeys<'_> {
        CallKeys::new(&self.call)
    }

    /// Asks whether the caller may do this to a resource.
    pub fn require(&self, resource: &str, keys: &CallKeys<'_>) -> Result<(), Fault> {
        self.call.require(self.action, resource, keys)
    }

    /// The caller's account with everything in it.
    pub fn roster<'s>(&self, snapshot: &'s Snapshot) -> Result<&'s Arc<Roster>, Fault> {
        snapshot.roster(self.account).ok_or_else(|| Fault::internal("the caller's account is missing"))
    }

    /// The entity of that name, if the caller may do this to it. Who may not does not learn whether it exists.
    pub fn entity<E: Entity>(&self, snapshot: &Snapshot, name: &str) -> Result<Arc<E>, Fault> {
        self.entity_with(snapshot, name, |keys| keys)
    }

    /// As [`Request::entity`], with more condition keys.
    pub fn entity_with<'a, E: Entity>(
        &'a self,
        snapshot: &Snapshot,
        name: &str,
        more: impl FnOnce(CallKeys<'a>) -> CallKeys<'a>,
    ) -> Result<Arc<E>, Fault> {
        self.permitted(snapshot, name, more(self.keys()))
    }

    /// As [`Request::entity`], for a call that would set tags.
    pub fn entity_tagged<E: Entity>(
        &self,
        snapshot: &Snapshot,
        name: &str,
        tags: &[(String, String)],
    ) -> Result<Arc<E>, Fault> {
        self.permitted(snapshot, name, CallKeys::new(&self.call).with_tags(tags))
    }

    fn permitted<E: Entity>(&self, snapshot: &Snapshot, name: &str, keys: CallKeys<'_>) -> Result<Arc<E>, Fault> {
        match self.roster(snapshot)?.named::<E>(name) {
            Some(entity) => {
                self.require(&entity.arn(self.account), &keys.on(entity.tags()))?;
                Ok(Arc::clone(entity))
            }
            None => {
                self.require(&arn(self.account, E::KIND, "/", name), &keys)?;
                Err(missing(E::KIND, name))
            }
        }
    }

    /// As [`Request::entity`], to be changed.
    pub fn entity_to_change<E: Entity>(&self, draft: &Draft, name: &str) -> Result<E, Fault> {
        self.entity::<E>(draft.snapshot(), name).map(|entity| E::clone(&entity))
    }

    /// The name of the user that the call is about: the caller, if it names none.
    pub fn user_name(&self) -> Result<&str, Fault> {
        match (self.form().get("UserName"), &self.call.caller.who) {
            (Some(name), _) => Ok(name),
            (None, Who::User { name, .. }) => Ok(name),
            (None, Who::Anonymous | Who::Root | Who::Role { .. } | Who::FederatedUser { .. }) => {
                Err(Fault::validation("Must specify userName when calling with non-User credentials"))
            }
        }
    }
}

/// The ARN of something in an account, whether it exists or not.
pub fn arn(account: AccountId, kind: Kind, path: &str, name: &str) -> String {
    let word = match kind {
        Kind::Group => "group",
        Kind::Policy => "policy",
        Kind::Provider => "oidc-provider",
        Kind::Role => "role",
        Kind::User => "user",
    };
    format!("arn:aws:iam::{account}:{word}{path}{name}")
}

/// 404 `NoSuchEntity`.
pub fn missing(kind: Kind, name: &str) -> Fault {
    Fault::no_such_entity(match kind {
        Kind::Policy => format!("Policy {name} does not exist or is not attachable."),
        Kind::Provider => format!("OpenIDConnect Provider not found for arn {name}"),
        kind => format!("The {} with name {name} cannot be found.", word(kind)),
    })
}

/// 409 `EntityAlreadyExists`.
pub fn exists(kind: Kind, name: &str) -> Fault {
    let word = match kind {
        Kind::Group => "Group",
        Kind::Policy => "A policy called",
        Kind::Provider => "Provider with url",
        Kind::Role => "Role with name",
        Kind::User => "User with name",
    };
    Fault::new(StatusCode::CONFLICT, "EntityAlreadyExists", format!("{word} {name} already exists."))
}

/// What a kind is called in messages.
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => "group",
        Kind::Policy => "policy",
        Kind::Provider => "provider",
        Kind::Role => "role",
        Kind::User => "user",
    }
}

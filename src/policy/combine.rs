//! The answer of several policies together: those of the principal, of the resource, of the session and the boundary.
//!
//! A Deny anywhere decides. Within one account, either side may allow: an identity policy within the session policy and the
//! permissions boundary, or a statement of the resource that names the principal. A statement that names the account only
//! delegates to the account's identity policies. Across accounts, both sides have to allow.

use super::decision::Decision;
use super::principal::{Grant, Principal};

/// What each policy says to one question.
#[derive(Clone, Copy)]
pub struct Opinions<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The id of the account that owns the resource.
    pub owner: &'a str,
    /// The policies attached to the principal and its groups.
    pub identity: &'a [Decision],
    /// The policies of the resource. A grant of an ACL counts as one that allows.
    pub resource: &'a [Decision],
    /// The session policy, if the session has one.
    pub session: Option<Decision>,
    /// The permissions boundary, if the principal has one.
    pub boundary: Option<Decision>,
    /// What the policy of the resource is worth.
    pub ruling: Ruling,
}

/// What the policy of a resource is worth within its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// It may allow what no identity policy does: buckets, access points.
    Either,
    /// It must allow, at least by delegating to the account: keys, and roles to be assumed.
    ResourceMust,
}

/// What comes of all opinions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The request may pass.
    Allowed {
        /// The policy and its statement; None if the root of the account needed none.
        by: Option<(Source, usize)>,
    },
    /// A statement refuses it.
    ExplicitDeny {
        /// The policy.
        source: Source,
        /// The statement's index in it.
        statement: usize,
    },
    /// Nothing that would have to allow it does.
    ImplicitDeny {
        /// Which kind of policy would have to.
        missing: Layer,
    },
}

/// One of the policies of `Opinions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `identity` at this index.
    Identity(usize),
    /// `resource` at this index.
    Resource(usize),
    /// The session policy.
    Session,
    /// The permissions boundary.
    Boundary,
}

/// A kind of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Attached to the principal.
    Identity,
    /// Attached to the resource.
    Resource,
    /// Handed to STS.
    Session,
    /// The permissions boundary.
    Boundary,
}

/// Decides one question from what each policy says to it.
pub fn combine(opinions: &Opinions<'_>) -> Outcome {
    if let Some((source, statement)) = opinions.denied() {
        return Outcome::ExplicitDeny { source, statement };
    }
    let Some(account) = opinions.principal.account() else { return opinions.without_account() };
    let is_owner = account == opinions.owner;
    match (is_owner, opinions.ruling) {
        (true, Ruling::Either) => opinions.within_account(),
        (true, Ruling::ResourceMust) => opinions.within_account_of_ruler(),
        (false, _) => opinions.across_accounts(),
    }
}

type Allowed = Option<(Source, usize)>;

impl Opinions<'_> {
    fn denied(&self) -> Option<(Source, usize)> {
        let single = [(Source::Session, self.session), (Source::Boundary, self.boundary)];
        let single = single.into_iter().filter_map(|(source, decision)| Some((source, decision?)));
        self.all_identity().chain(self.all_resource()).chain(single).find_map(|(source, decision)| match decision {
            Decision::Deny { statement } => Some((source, statement)),
            _ => None,
        })
    }

    /// Nobody's identity: what the resource does not allow, nothing does.
    fn without_account(&self) -> Outcome {
        match self.resource_allows() {
            // An account's delegation reaches nobody outside.
            Some((source, statement, grant)) if grant > Grant::Account => allowed(Some((source, statement))),
            _ => Outcome::ImplicitDeny { missing: Layer::Resource },
        }
    }

    fn within_account(&self) -> Outcome {
        let Some((source, statement, grant)) = self.resource_allows() else { return self.identity_side() };
        if self.is_beyond_limits(grant) {
            return allowed(Some((source, statement)));
        }
        match self.identity_side() {
            Outcome::ImplicitDeny { missing: Layer::Identity } if grant > Grant::Account => {
                self.within_limits(Some((source, statement)), grant)
            }
            outcome => outcome,
        }
    }

    fn within_account_of_ruler(&self) -> Outcome {
        match self.resource_allows() {
            None => Outcome::ImplicitDeny { missing: Layer::Resource },
            Some(_) => self.within_account(),
        }
    }

    fn across_accounts(&self) -> Outcome {
        match (self.identity_side(), self.resource_allows()) {
            (Outcome::Allowed { .. }, Some((source, statement, _))) => allowed(Some((source, statement))),
            (Outcome::Allowed { .. }, None) => Outcome::ImplicitDeny { missing: Layer::Resource },
            (denied, _) => denied,
        }
    }

    /// What the principal's own policies allow, within the session policy and the boundary.
    fn identity_side(&self) -> Outcome {
        let by = self.all_identity().find_map(|(source, decision)| match decision {
            Decision::Allow { statement, .. } => Some((source, statement)),
            _ => None,
        });
        let is_root = matches!(self.principal, Principal::Root { .. });
        match by {
            None if !is_root => Outcome::ImplicitDeny { missing: Layer::Identity },
            by => self.within_limits(by, Grant::Account),
        }
    }

    /// Allows by `by` unless the session policy or the boundary is there and does not allow too. A statement of the resource
    /// that names the user is not limited by the boundary, and one that names the session by neither.
    fn within_limits(&self, by: Allowed, grant: Grant) -> Outcome {
        let falls_short = |limit: Option<Decision>| matches!(limit, Some(Decision::Silent | Decision::Deny { .. }));
        match () {
            () if grant < Grant::Session && falls_short(self.session) => {
                Outcome::ImplicitDeny { missing: Layer::Session }
            }
            () if grant < Grant::User && falls_short(self.boundary) => {
                Outcome::ImplicitDeny { missing: Layer::Boundary }
            }
            () => allowed(by),
        }
    }

    /// Whether a statement of the resource with this grant passes the limits that identity policies have.
    fn is_beyond_limits(&self, grant: Grant) -> bool {
        grant >= Grant::User && matches!(self.within_limits(None, grant), Outcome::Allowed { .. })
    }

    /// The allowing policy of the resource whose statement grants most.
    fn resource_allows(&self) -> Option<(Source, usize, Grant)> {
        let allowing = self.all_resource().filter_map(|(source, decision)| match decision {
            Decision::Allow { statement, grant } => Some((source, statement, grant)),
            _ => None,
        });
        allowing.max_by_key(|(_, _, grant)| *grant)
    }

    fn all_identity(&self) -> impl Iterator<Item = (Source, Decision)> + '_ {
        self.identity.iter().enumerate().map(|(index, decision)| (Source::Identity(index), *decision))
    }

    fn all_resource(&self) -> impl Iterator<Item = (Source, Decision)> + '_ {
        self.resource.iter().enumerate().map(|(index, decision)| (Source::Resource(index), *decision))
    }
}

fn allowed(by: Allowed) -> Outcome {
    Outcome::Allowed { by }
}

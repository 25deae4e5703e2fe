//! Policies: who may do what to which resource, under which conditions.
//!
//! Pure: text and values go in, decisions come out. Nothing here knows a request, a store or the time; what a request says
//! is asked through `ConditionKeys`, and who exists through the function given to `Policy::bind`.
//!
//! A policy is read in two steps. `document` keeps its elements as text, which is what is stored and shown; `statement`
//! compiles them, so that a decision compares and parses nothing that could have been compared or parsed before: actions
//! are bits of a closed table, patterns are sorted sets where they can be, and numbers, dates and networks are values.
//! `combine` puts the decisions of several policies together.
//!
//! Everything fails closed. An element, operator, key or value that could not be evaluated as its author means it is
//! refused when the policy is saved.

mod action;
mod action_table;
mod arn;
mod arn_pattern;
mod bits;
mod combine;
mod condition;
mod decision;
mod document;
mod json;
mod key;
mod kind;
mod operator;
mod pattern;
mod principal;
mod principal_name;
mod public;
mod statement;
mod value;
mod variable;

use std::collections::HashSet;

pub use action::Action;
pub use combine::{Layer, Opinions, Outcome, Ruling, Source, combine};
pub use decision::Decision;
pub use document::PolicyFault;
pub use key::ConditionKey;
pub use kind::PolicyKind;
pub use principal::{Grant, Principal};
pub use principal_name::PrincipalName;
pub use statement::{Effect, Question};
pub use value::{ConditionKeys, KeyValue, NoKeys};

use document::{Document, PrincipalText, Version};
use key::KeySet;
use statement::Statement;
use variable::Substitution;

/// A policy that was read and compiled. It does not change; share it.
#[derive(Debug, Clone)]
pub struct Policy {
    document: Document,
    statements: Vec<Statement>,
    mentioned: KeySet,
}

impl Policy {
    /// Reads a policy of the given kind. `Err` says what S3 or IAM would say: it is not valid JSON, it has an element too
    /// many or too few, it names what it can't name, or it is too large.
    pub fn parse(text: &[u8], kind: &PolicyKind) -> Result<Policy, PolicyFault> {
        let document = Document::parse(text, kind)?;
        let mut sids = HashSet::new();
        for sid in document.statements.iter().filter_map(|statement| statement.sid.as_deref()) {
            if !sids.insert(sid) {
                return Err(PolicyFault::detailed("Statement IDs (SID) in a single policy must be unique.", sid));
            }
        }
        let variables = match document.version {
            Version::Of2008 => Substitution::Ordinary,
            Version::Of2012 => Substitution::Variables,
        };
        let statements = document.statements.iter().map(|text| Statement::new(text, kind, variables));
        let statements: Vec<Statement> = statements.collect::<Result<_, _>>()?;
        let mut mentioned = KeySet::EMPTY;
        statements.iter().for_each(|statement| statement.add_mentioned(&mut mentioned));
        Ok(Policy { document, statements, mentioned })
    }

    /// Replaces the names of principals by what identifies their bearers: unique ids of users and roles, accounts of
    /// canonical users. Who is given such a name later gains nothing from the policy.
    ///
    /// `resolve` is asked about every principal. It answers the unique id of a user or role (of the role, for a session),
    /// the account of a canonical user, anything for the others, and None for who does not exist: that is the fault
    /// "Invalid principal in policy".
    pub fn bind(mut self, resolve: &dyn Fn(&PrincipalName) -> Option<String>) -> Result<Policy, PolicyFault> {
        for (text, statement) in self.document.statements.iter_mut().zip(&mut self.statements) {
            let Some(principals) = &mut text.principals else { continue };
            for principal in &mut principals.names {
                let PrincipalText::Named(name) = principal else { continue };
                let bound = resolve(name).and_then(|identity| name.clone().bound(identity));
                let invalid = || PolicyFault::detailed("Invalid principal in policy", name.to_string());
                *name = bound.ok_or_else(invalid)?;
            }
            // Canonical users have become accounts, which stand under another name of the map.
            principals.names.sort_by_key(PrincipalText::element);
            statement.rename_principals(text);
        }
        Ok(self)
    }

    /// The policy in its normal form: what is to be stored, and what its size is counted by. It reads as the same policy.
    pub fn text(&self) -> String {
        self.document.text()
    }

    /// The policy as it is shown to users: `text`, with the ARN that `arn_of` has for each unique id. The ids of users and
    /// roles that are gone stay.
    pub fn shown(&self, arn_of: &dyn Fn(&str) -> Option<String>) -> String {
        self.document.text_with(&|name| name.shown(arn_of))
    }

    /// What the policy says to `question`. One Deny outweighs everything; of several Allows the one counts that grants most.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let with = |effect: Effect| {
            let indexed = self.statements.iter().enumerate();
            indexed.filter(move |(_, statement)| statement.effect == effect)
        };
        for (index, statement) in with(Effect::Deny) {
            if statement.applies(question).is_some() {
                return Decision::Deny { statement: index };
            }
        }
        let mut best: Option<(usize, Grant)> = None;
        for (index, statement) in with(Effect::Allow) {
            let Some(grant) = statement.applies(question) else { continue };
            if best.is_none_or(|(_, most)| grant > most) {
                best = Some((index, grant));
            }
            // Nobody is both a user and a session, so nothing grants the same principal more.
            if grant >= Grant::User {
                break;
            }
        }
        best.map_or(Decision::Silent, |(statement, grant)| Decision::Allow { statement, grant })
    }

    /// Whether the policy is public, by the rules of Block Public Access.
    pub fn is_public(&self) -> bool {
        let pairs = self.statements.iter().zip(&self.document.statements);
        pairs.into_iter().any(|(statement, text)| public::is_public(statement, text))
    }

    /// Whether the value of `key` can make a difference, with any name that follows it.
    pub fn mentions(&self, key: ConditionKey) -> bool {
        self.mentioned.contains(key.index())
    }

    /// The `Sid` of the statement at this index, if it has one.
    pub fn statement_id(&self, statement: usize) -> Option<&str> {
        self.document.statements.get(statement)?.sid.as_deref()
    }
}

#[cfg(test)]
mod tests;

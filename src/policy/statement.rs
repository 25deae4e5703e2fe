//! One statement, compiled: whether it speaks about a request, and if so what it grants to whom.

use super::action::{Action, ActionSet};
use super::arn_pattern::ArnPattern;
use super::condition::{Condition, Surroundings};
use super::document::{Form, ListText, PolicyFault, StatementText};
use super::key::{ConditionKey, KeySet};
use super::kind::PolicyKind;
use super::pattern::{Part, PatternSet, Piece};
use super::principal::{Grant, Principal, PrincipalSet};
use super::value::ConditionKeys;
use super::variable::{self, Substitution, Syntax, Wildcards};

/// What a statement does to the requests that it speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It lets them pass.
    Allow,
    /// It refuses them, whatever else lets them pass.
    Deny,
}

/// A request, as policies see it.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is to be done.
    pub action: Action,
    /// The ARN of what it is to be done to; `*` if the action has no resource.
    pub resource: &'a str,
    /// What else the request says.
    pub keys: &'a dyn ConditionKeys,
}

/// A statement, ready to be asked.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What it does.
    pub effect: Effect,
    actions: ActionSet,
    /// None in policies that are attached to their principal.
    principals: Option<PrincipalSet>,
    /// None in policies that are attached to their resource and can name no other.
    resources: Option<ResourceSet>,
    conditions: Vec<Condition>,
}

impl Statement {
    /// Compiles `text`, and checks that a policy of this kind may say it.
    pub fn new(text: &StatementText, kind: &PolicyKind, variables: Substitution) -> Result<Statement, PolicyFault> {
        kind.check_principals(text)?;
        let actions = kind.actions(text)?;
        kind.check_resources(text)?;
        let resources = text.resources.as_ref().map(|list| ResourceSet::new(list, variables)).transpose()?;
        let surroundings = Surroundings { effect: text.effect, variables };
        let conditions = text.conditions.iter().map(|condition| {
            let key = kind.key(condition, text)?;
            Condition::new(condition, key, surroundings)
        });
        Ok(Statement {
            effect: text.effect,
            actions,
            principals: text.principals.as_ref().map(PrincipalSet::new),
            resources,
            conditions: conditions.collect::<Result<_, _>>()?,
        })
    }

    /// Takes the principals from `text`, whose names have been replaced.
    pub fn rename_principals(&mut self, text: &StatementText) {
        self.principals = text.principals.as_ref().map(PrincipalSet::new);
    }

    /// Whom the statement names if it speaks about the request. What is cheap to tell is told first; conditions, whose
    /// values may have to be fetched, come last.
    pub fn applies(&self, question: &Question<'_>) -> Option<Grant> {
        if !self.actions.contains(question.action.index()) {
            return None;
        }
        let grant = match &self.principals {
            None => Grant::User,
            Some(principals) => principals.grant(question.principal, self.effect)?,
        };
        let is_meant = self.resources.as_ref().is_none_or(|set| set.has(question.resource, question.keys))
            && self.conditions.iter().all(|condition| condition.holds(question.keys));
        is_meant.then_some(grant)
    }

    /// Whether the statement names certain principals only.
    pub fn has_limited_principals(&self) -> bool {
        self.principals.as_ref().is_none_or(PrincipalSet::is_limited)
    }

    /// Adds the keys whose values the statement asks for.
    pub fn add_mentioned(&self, keys: &mut KeySet) {
        let mentioned = self.conditions.iter().flat_map(Condition::mentioned);
        mentioned.for_each(|key| keys.insert(key.index()));
        let resources = self.resources.iter().flat_map(|resources| &resources.mentioned);
        resources.for_each(|key| keys.insert(key.index()));
    }
}

/// The resources of a statement.
#[derive(Debug, Clone)]
struct ResourceSet {
    form: Form,
    /// Patterns whose first five parts are certain, so that they match as a whole.
    whole: PatternSet,
    /// Patterns whose first five parts have wildcards or variables.
    by_parts: Vec<ArnPattern>,
    mentioned: Vec<ConditionKey>,
}

impl ResourceSet {
    fn new(list: &ListText, variables: Substitution) -> Result<ResourceSet, PolicyFault> {
        let (mut whole, mut by_parts, mut mentioned) = (Vec::new(), Vec::new(), Vec::new());
        for text in &list.values {
            let invalid = || PolicyFault::detailed("Policy has invalid resource", text);
            let syntax = Syntax { wildcards: Wildcards::Special, variables };
            let parts = variable::parts(text, syntax).ok_or_else(invalid)?;
            mentioned.extend(parts.iter().filter_map(Part::mentioned));
            let pattern = ArnPattern::new(&parts).ok_or_else(invalid)?;
            let Some(fields) = pattern.parts() else {
                whole.push(parts);
                continue;
            };
            if !is_partition(&fields[1]) {
                return Err(invalid());
            }
            if fields[..5].iter().all(|field| is_certain(field)) {
                whole.push(parts);
            } else {
                by_parts.push(pattern);
            }
        }
        Ok(ResourceSet { form: list.form, whole: PatternSet::new(whole), by_parts, mentioned })
    }

    fn has(&self, resource: &str, keys: &dyn ConditionKeys) -> bool {
        let is_listed = || {
            self.whole.matches(resource, keys) || self.by_parts.iter().any(|pattern| pattern.matches(resource, keys))
        };
        match self.form {
            Form::Listed => is_listed(),
            // Not to match because a variable has no value would make a statement match that must not.
            Form::AllBut => {
                let lacks_a_value =
                    self.whole.lacks_a_value(keys) || self.by_parts.iter().any(|pattern| pattern.lacks_a_value(keys));
                !lacks_a_value && !is_listed()
            }
        }
    }
}

/// Whether a part of an ARN is the same in every request.
fn is_certain(field: &[Part]) -> bool {
    matches!(field, [] | [Part::Fixed(Piece::Text(_))])
}

/// There is one partition here: a statement about another would never match.
fn is_partition(field: &[Part]) -> bool {
    match field {
        [Part::Fixed(Piece::Text(text))] => *text == "aws",
        other => !is_certain(other),
    }
}

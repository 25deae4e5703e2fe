//! One condition of a statement: an operator, a key, and the values that it is compared with.

use ipnet::IpNet;
use strata_storage::Timestamp;

use super::arn_pattern::ArnPattern;
use super::document::{ConditionText, PolicyFault};
use super::key::{ConditionKey, Presence};
use super::operator::{Comparison, Operator, Order, Quantifier, Sense};
use super::pattern::{self, Part, PatternSet, Piece};
use super::statement::Effect;
use super::value::{self, ConditionKeys, Decimal, KeyValue};
use super::variable::{self, Substitution, Syntax, Wildcards};

/// A condition, ready to be asked.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The key whose values are compared.
    pub key: ConditionKey,
    name: Option<Box<str>>,
    sense: Sense,
    when_absent: bool,
    of_several: OfSeveral,
    test: Test,
    /// Keys that the values mention as variables.
    variables: Vec<ConditionKey>,
}

/// How many of several values have to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfSeveral {
    One,
    All,
}

#[derive(Debug, Clone)]
enum Test {
    Pattern(PatternSet),
    IgnoreCase(Vec<Vec<Part>>),
    Number(Order, Vec<Decimal>),
    Date(Order, Vec<Timestamp>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<IpNet>),
    Arn(Vec<ArnPattern>),
    /// The truths that "the key is absent" may have.
    Null(Vec<bool>),
}

/// What surrounds a condition and decides how it is read.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// What the statement does.
    pub effect: Effect,
    /// Whether the version of the policy has variables.
    pub variables: Substitution,
}

impl Condition {
    /// Reads a condition whose `key` was found already.
    pub fn new(
        text: &ConditionText,
        (key, name): (ConditionKey, Option<&str>),
        surroundings: Surroundings,
    ) -> Result<Condition, PolicyFault> {
        let operator = Operator::parse(&text.operator)
            .ok_or_else(|| PolicyFault::new(format!("Invalid Condition type : {}", text.operator)))?;
        if !operator.fits(key.kind()) {
            let detail = format!("{} does not apply to {}", text.operator, text.key);
            return Err(PolicyFault::detailed("Policy has an invalid condition key", detail));
        }
        let (test, variables) = test(operator.comparison, &text.values, surroundings.variables).ok_or_else(|| {
            let detail = format!("{} of {}", text.operator, text.key);
            PolicyFault::detailed("Policy has an invalid condition value", detail)
        })?;
        let of_several = match (operator.quantifier, surroundings.effect) {
            (Quantifier::Any, _) => OfSeveral::One,
            (Quantifier::All, _) => OfSeveral::All,
            // Without a quantifier IAM leaves several values undefined: here the stricter reading holds.
            (Quantifier::Single, Effect::Allow) => OfSeveral::All,
            (Quantifier::Single, Effect::Deny) => OfSeveral::One,
        };
        let name = name.map(Box::from);
        let (sense, when_absent) = (operator.sense, operator.when_absent());
        let condition = Condition { key, name, sense, when_absent, of_several, test, variables };
        condition.refuse_if_pointless(surroundings.effect, &text.key)?;
        Ok(condition)
    }

    /// Whether the request fulfils the condition.
    pub fn holds(&self, keys: &dyn ConditionKeys) -> bool {
        let found = keys.value(self.key, self.name.as_deref());
        let found = found.filter(|value| !matches!(value, KeyValue::Texts(texts) if texts.is_empty()));
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&found.is_none());
        }
        // A variable without a value makes the statement not match, which "none of the values" would turn around.
        if self.sense == Sense::Negated && self.test.lacks_a_value(keys) {
            return false;
        }
        match found {
            None => self.when_absent,
            Some(KeyValue::Texts(texts)) => {
                let mut accepted = texts.into_iter().map(|text| self.accepts(&KeyValue::Text(text), keys));
                match self.of_several {
                    OfSeveral::One => accepted.any(|accepted| accepted),
                    OfSeveral::All => accepted.all(|accepted| accepted),
                }
            }
            Some(value) => self.accepts(&value, keys),
        }
    }

    /// The keys whose values the condition asks for.
    pub fn mentioned(&self) -> impl Iterator<Item = ConditionKey> + '_ {
        std::iter::once(self.key).chain(self.variables.iter().copied())
    }

    fn accepts(&self, value: &KeyValue<'_>, keys: &dyn ConditionKeys) -> bool {
        self.test.matches(value, keys) == (self.sense == Sense::Positive)
    }

    /// Refuses conditions on keys that no request has if they would keep a Deny from ever denying, or would not limit an
    /// Allow at all: whoever wrote them expects something else.
    fn refuse_if_pointless(&self, effect: Effect, key: &str) -> Result<(), PolicyFault> {
        if self.key.presence() == Presence::Sometimes {
            return Ok(());
        }
        let is_fulfilled = match &self.test {
            Test::Null(wanted) => wanted.contains(&true),
            _ => self.when_absent,
        };
        let message = "Policy has an invalid condition key";
        match (effect, is_fulfilled) {
            (Effect::Deny, false) => {
                Err(PolicyFault::detailed(message, format!("{key} is never present: never denies")))
            }
            (Effect::Allow, true) => Err(PolicyFault::detailed(message, format!("{key} is never present: no limit"))),
            _ => Ok(()),
        }
    }
}

impl Test {
    fn matches(&self, value: &KeyValue<'_>, keys: &dyn ConditionKeys) -> bool {
        // Only values that are no text already are written as text here.
        let with_text = |compare: &dyn Fn(&str) -> bool| match value {
            KeyValue::Text(text) => compare(text),
            other => other.clone().into_text().is_some_and(|text| compare(&text)),
        };
        match self {
            Test::Pattern(set) => with_text(&|text| set.matches(text, keys)),
            Test::IgnoreCase(patterns) => {
                with_text(&|text| patterns.iter().any(|parts| is_same_but_for_case(parts, text, keys)))
            }
            Test::Number(order, values) => {
                value.number().is_some_and(|ours| values.iter().any(|theirs| order.holds(ours, *theirs)))
            }
            Test::Date(order, values) => {
                value.date().is_some_and(|ours| values.iter().any(|theirs| order.holds(ours, *theirs)))
            }
            Test::Bool(values) => value.truth().is_some_and(|ours| values.contains(&ours)),
            Test::Binary(values) => {
                with_text(&|text| value::parse_binary(text).is_some_and(|bytes| values.contains(&bytes)))
            }
            Test::Ip(networks) => {
                value.address().is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
            }
            Test::Arn(patterns) => with_text(&|text| patterns.iter().any(|pattern| pattern.matches(text, keys))),
            // Asked of no value: `holds` answers it.
            Test::Null(_) => false,
        }
    }

    fn lacks_a_value(&self, keys: &dyn ConditionKeys) -> bool {
        match self {
            Test::Pattern(set) => set.lacks_a_value(keys),
            Test::IgnoreCase(patterns) => patterns.iter().any(|parts| pattern::lacks_a_value(parts, keys)),
            Test::Arn(patterns) => patterns.iter().any(|pattern| pattern.lacks_a_value(keys)),
            _ => false,
        }
    }
}

/// The test that `values` make, and the keys of their variables; None if a value is not what the operator compares.
fn test(comparison: Comparison, values: &[String], substitution: Substitution) -> Option<(Test, Vec<ConditionKey>)> {
    let texts = || values.iter().map(String::as_str);
    let test = match comparison {
        Comparison::Number(order) => Test::Number(order, texts().map(Decimal::parse).collect::<Option<_>>()?),
        Comparison::Date(order) => Test::Date(order, texts().map(value::parse_date).collect::<Option<_>>()?),
        Comparison::Bool => Test::Bool(texts().map(value::parse_bool).collect::<Option<_>>()?),
        Comparison::Null => Test::Null(texts().map(value::parse_bool).collect::<Option<_>>()?),
        Comparison::Binary => Test::Binary(texts().map(value::parse_binary).collect::<Option<_>>()?),
        Comparison::Ip => Test::Ip(texts().map(value::parse_network).collect::<Option<_>>()?),
        Comparison::Text | Comparison::TextIgnoreCase | Comparison::Like | Comparison::Arn => {
            return pattern_test(comparison, values, substitution);
        }
    };
    Some((test, Vec::new()))
}

fn pattern_test(
    comparison: Comparison,
    values: &[String],
    variables: Substitution,
) -> Option<(Test, Vec<ConditionKey>)> {
    let wildcards = match comparison {
        Comparison::Like | Comparison::Arn => Wildcards::Special,
        _ => Wildcards::Ordinary,
    };
    let patterns = values.iter().map(|value| variable::parts(value, Syntax { wildcards, variables }));
    let patterns: Vec<Vec<Part>> = patterns.collect::<Option<_>>()?;
    let mentioned = patterns.iter().flatten().filter_map(Part::mentioned).collect();
    let test = match comparison {
        Comparison::TextIgnoreCase => Test::IgnoreCase(patterns),
        Comparison::Arn => Test::Arn(patterns.iter().map(|parts| ArnPattern::new(parts)).collect::<Option<_>>()?),
        _ => Test::Pattern(PatternSet::new(patterns)),
    };
    Some((test, mentioned))
}

/// Compares without regard to case. A variable that has no value is like nothing.
fn is_same_but_for_case(parts: &[Part], text: &str, keys: &dyn ConditionKeys) -> bool {
    if let [Part::Fixed(Piece::Text(expected))] = parts
        && expected.is_ascii()
        && text.is_ascii()
    {
        return expected.eq_ignore_ascii_case(text);
    }
    let mut expected = String::new();
    for part in parts {
        match part {
            Part::Fixed(Piece::Text(text)) => expected.push_str(text),
            // Wildcards are ordinary characters to this operator, so there are no such pieces.
            Part::Fixed(Piece::One | Piece::Many) => return false,
            Part::Variable(variable) => match variable.value(keys) {
                Some(value) => expected.push_str(&value),
                None => return false,
            },
        }
    }
    expected.to_lowercase() == text.to_lowercase()
}

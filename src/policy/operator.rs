//! The operators of conditions: what they compare, and what they make of absent and of several values.

use super::key::Kind;

/// An operator as a policy names it, such as `ForAnyValue:StringNotLikeIfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// What is compared, and how.
    pub comparison: Comparison,
    /// Whether none of the policy's values may compare, instead of one.
    pub sense: Sense,
    /// What is asked of the values of a key that has several.
    pub quantifier: Quantifier,
    /// Whether the condition is true when the key is absent.
    pub absence: Absence,
}

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same text.
    Text,
    /// The same text but for the case of letters.
    TextIgnoreCase,
    /// Text that matches a pattern.
    Like,
    /// An order of numbers.
    Number(Order),
    /// An order of moments.
    Date(Order),
    /// The same truth.
    Bool,
    /// The same bytes.
    Binary,
    /// An address within a network.
    Ip,
    /// A resource name whose parts match patterns.
    Arn,
    /// Whether the key is absent.
    Null,
}

/// How a request's value stands to a policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It is the same.
    Equal,
    /// It is smaller.
    Less,
    /// It is not greater.
    LessOrEqual,
    /// It is greater.
    Greater,
    /// It is not smaller.
    GreaterOrEqual,
}

/// Whether values are to compare or not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// A value of the policy has to compare.
    Positive,
    /// No value of the policy may.
    Negated,
}

/// What is asked of the values of a key that has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// Nothing: the operator is meant for keys with one value.
    Single,
    /// `ForAnyValue:` one of them is accepted.
    Any,
    /// `ForAllValues:` each of them is.
    All,
}

/// What an absent key makes of the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// What the operator says.
    Ordinary,
    /// `IfExists`: true.
    Accepted,
}

impl Operator {
    /// The operator that `text` names.
    pub fn parse(text: &str) -> Option<Operator> {
        let (quantifier, text) = match text.split_once(':') {
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(_) => return None,
            None => (Quantifier::Single, text),
        };
        let (text, absence) = match text.strip_suffix("IfExists") {
            Some(text) => (text, Absence::Accepted),
            None => (text, Absence::Ordinary),
        };
        let (comparison, sense) = comparison(text)?;
        // The presence of a key can't be asked of its values, nor on condition that it is present.
        let is_plain = quantifier == Quantifier::Single && absence == Absence::Ordinary;
        (comparison != Comparison::Null || is_plain).then_some(Operator { comparison, sense, quantifier, absence })
    }

    /// What the condition is when its key is absent, for every operator but `Null`.
    pub fn when_absent(self) -> bool {
        match (self.absence, self.quantifier) {
            (Absence::Accepted, _) | (_, Quantifier::All) => true,
            (_, Quantifier::Any) => false,
            (_, Quantifier::Single) => self.sense == Sense::Negated,
        }
    }

    /// Whether values of `kind` can be compared at all. Text may be anything; everything has a form as text.
    pub fn fits(self, kind: Kind) -> bool {
        match self.comparison {
            Comparison::Text | Comparison::TextIgnoreCase | Comparison::Like | Comparison::Null => true,
            Comparison::Number(_) => matches!(kind, Kind::Text | Kind::Number | Kind::Date),
            Comparison::Date(_) => matches!(kind, Kind::Text | Kind::Date),
            Comparison::Bool => matches!(kind, Kind::Text | Kind::Bool),
            Comparison::Binary => kind == Kind::Text,
            Comparison::Ip => matches!(kind, Kind::Text | Kind::Ip),
            Comparison::Arn => matches!(kind, Kind::Text | Kind::Arn),
        }
    }
}

impl Order {
    /// Whether `ours`, the request's value, stands so to `theirs`.
    pub fn holds<T: Ord>(self, ours: T, theirs: T) -> bool {
        match self {
            Order::Equal => ours == theirs,
            Order::Less => ours < theirs,
            Order::LessOrEqual => ours <= theirs,
            Order::Greater => ours > theirs,
            Order::GreaterOrEqual => ours >= theirs,
        }
    }
}

fn comparison(text: &str) -> Option<(Comparison, Sense)> {
    use Sense::{Negated, Positive};
    Some(match text {
        "StringEquals" => (Comparison::Text, Positive),
        "StringNotEquals" => (Comparison::Text, Negated),
        "StringEqualsIgnoreCase" => (Comparison::TextIgnoreCase, Positive),
        "StringNotEqualsIgnoreCase" => (Comparison::TextIgnoreCase, Negated),
        "StringLike" => (Comparison::Like, Positive),
        "StringNotLike" => (Comparison::Like, Negated),
        "Bool" => (Comparison::Bool, Positive),
        "BinaryEquals" => (Comparison::Binary, Positive),
        "IpAddress" => (Comparison::Ip, Positive),
        "NotIpAddress" => (Comparison::Ip, Negated),
        "ArnEquals" | "ArnLike" => (Comparison::Arn, Positive),
        "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, Negated),
        "Null" => (Comparison::Null, Positive),
        _ => match (text.strip_prefix("Numeric"), text.strip_prefix("Date")) {
            (Some(order), _) => order_named(order).map(|(order, sense)| (Comparison::Number(order), sense))?,
            (_, Some(order)) => order_named(order).map(|(order, sense)| (Comparison::Date(order), sense))?,
            _ => return None,
        },
    })
}

fn order_named(text: &str) -> Option<(Order, Sense)> {
    Some(match text {
        "Equals" => (Order::Equal, Sense::Positive),
        "NotEquals" => (Order::Equal, Sense::Negated),
        "LessThan" => (Order::Less, Sense::Positive),
        "LessThanEquals" => (Order::LessOrEqual, Sense::Positive),
        "GreaterThan" => (Order::Greater, Sense::Positive),
        "GreaterThanEquals" => (Order::GreaterOrEqual, Sense::Positive),
        _ => return None,
    })
}

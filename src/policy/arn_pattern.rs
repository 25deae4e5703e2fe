//! Patterns of resource names, of which each part is matched on its own: a wildcard does not reach over a colon, except in
//! the last part, whose colons are its own.

use std::borrow::Cow;

use super::arn::{self, PARTS};
use super::pattern::{self, Part, Piece};
use super::value::ConditionKeys;

/// A pattern for resource names.
#[derive(Debug, Clone, PartialEq)]
pub enum ArnPattern {
    /// `*`: everything.
    Any,
    /// A pattern for each part.
    Parts(Box<[Vec<Part>; PARTS]>),
}

impl ArnPattern {
    /// The pattern that `parts` are; None if they are not `*` and have too few colons, or do not begin with `arn:`.
    /// Colons within variables do not count, neither as they are written nor in their values.
    pub fn new(parts: &[Part]) -> Option<ArnPattern> {
        if parts == [Part::Fixed(Piece::Many)] {
            return Some(ArnPattern::Any);
        }
        let mut fields: [Vec<Part>; PARTS] = Default::default();
        let mut field = 0;
        for part in parts {
            let Part::Fixed(Piece::Text(text)) = part else {
                fields[field].push(part.clone());
                continue;
            };
            let mut rest: &str = text;
            while field < PARTS - 1
                && let Some((before, after)) = rest.split_once(':')
            {
                push_text(&mut fields[field], before);
                field += 1;
                rest = after;
            }
            push_text(&mut fields[field], rest);
        }
        let is_arn = field == PARTS - 1 && fields[0] == [Part::Fixed(Piece::Text(Cow::Borrowed("arn")))];
        is_arn.then(|| ArnPattern::Parts(Box::new(fields)))
    }

    /// The patterns of the parts; None for `*`.
    pub fn parts(&self) -> Option<&[Vec<Part>; PARTS]> {
        match self {
            ArnPattern::Any => None,
            ArnPattern::Parts(parts) => Some(parts),
        }
    }

    /// Whether `text` is a resource name that matches. A pattern with a variable that has no value matches nothing.
    pub fn matches(&self, text: &str, keys: &dyn ConditionKeys) -> bool {
        let Some(patterns) = self.parts() else { return true };
        let Some(parts) = arn::split(text) else { return false };
        patterns.iter().zip(parts).all(|(pattern, part)| match pattern.as_slice() {
            [] => part.is_empty(),
            [Part::Fixed(Piece::Text(expected))] => *expected == part,
            [Part::Fixed(Piece::Many)] => true,
            pattern => pattern::matches_parts(pattern, part, keys) == Some(true),
        })
    }

    /// Whether a variable of the pattern has no value in this request.
    pub fn lacks_a_value(&self, keys: &dyn ConditionKeys) -> bool {
        self.parts().is_some_and(|parts| parts.iter().any(|part| pattern::lacks_a_value(part, keys)))
    }
}

fn push_text(field: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        field.push(Part::Fixed(Piece::Text(Cow::Owned(text.to_owned()))));
    }
}

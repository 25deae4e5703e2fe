//! Policy variables: `${key}` and `${key, 'default'}` become what the request says; `${*}`, `${?}`, `${$}` are the bare character.

use std::borrow::Cow;

use super::key::{ConditionKey, Presence, Shape};
use super::pattern::{Part, Piece};
use super::value::{ConditionKeys, KeyValue};

/// A place in a pattern that the request fills.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// The key whose value is taken.
    pub key: ConditionKey,
    name: Option<Box<str>>,
    default: Option<Box<str>>,
}

impl Variable {
    /// What the request says, or the default; None if there is neither.
    pub fn value<'a>(&'a self, keys: &'a dyn ConditionKeys) -> Option<Cow<'a, str>> {
        let value = keys.value(self.key, self.name.as_deref()).and_then(KeyValue::into_text);
        value.or_else(|| self.default.as_deref().map(Cow::Borrowed))
    }
}

/// What has a meaning of its own in the text of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syntax {
    /// Whether `*` and `?` stand for other characters.
    pub wildcards: Wildcards,
    /// Whether `${..}` stands for a value: since version 2012-10-17.
    pub variables: Substitution,
}

/// What `*` and `?` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcards {
    /// Wildcards.
    Special,
    /// Ordinary characters.
    Ordinary,
}

/// What `${..}` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Substitution {
    /// A variable.
    Variables,
    /// Ordinary characters.
    Ordinary,
}

/// Reads a pattern; None if it has a variable that is not closed, or is of no key with single values.
pub fn parts(text: &str, syntax: Syntax) -> Option<Vec<Part>> {
    let mut builder = Builder { parts: Vec::new(), literal: String::new() };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if syntax.variables == Substitution::Variables && rest.starts_with("${") {
            let (content, after) = variable_content(rest)?;
            match content {
                "*" | "?" | "$" => builder.literal.push_str(content),
                _ => builder.push(Part::Variable(variable(content)?)),
            }
            rest = after;
            continue;
        }
        match (character, syntax.wildcards) {
            ('*', Wildcards::Special) => builder.push_many(),
            ('?', Wildcards::Special) => builder.push(Part::Fixed(Piece::One)),
            _ => builder.literal.push(character),
        }
        rest = &rest[character.len_utf8()..];
    }
    builder.finish_literal();
    Some(builder.parts)
}

struct Builder {
    parts: Vec<Part>,
    literal: String,
}

impl Builder {
    fn push(&mut self, part: Part) {
        self.finish_literal();
        self.parts.push(part);
    }

    fn push_many(&mut self) {
        self.finish_literal();
        if self.parts.last() != Some(&Part::Fixed(Piece::Many)) {
            self.parts.push(Part::Fixed(Piece::Many));
        }
    }

    fn finish_literal(&mut self) {
        if !self.literal.is_empty() {
            let literal = std::mem::take(&mut self.literal);
            self.parts.push(Part::Fixed(Piece::Text(Cow::Owned(literal))));
        }
    }
}

/// What stands between `${` and its `}`, which a default text in quotes may hold too, and what follows.
fn variable_content(text: &str) -> Option<(&str, &str)> {
    let content = &text[2..];
    let mut is_quoted = false;
    let end = content.char_indices().find(|(_, character)| {
        is_quoted ^= *character == '\'';
        *character == '}' && !is_quoted
    });
    end.map(|(place, _)| (&content[..place], &content[place + 1..]))
}

fn variable(content: &str) -> Option<Variable> {
    let (key, default) = match content.split_once(',') {
        None => (content, None),
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key, (!default.contains('\'')).then_some(Some(default))?)
        }
    };
    let (key, name) = ConditionKey::named(key.trim())?;
    // A statement with a variable that never has a value would never match.
    let is_useful = key.presence() == Presence::Sometimes || default.is_some();
    (is_useful && key.shape() != Shape::Multi).then(|| Variable {
        key,
        name: name.map(Box::from),
        default: default.map(Box::from),
    })
}

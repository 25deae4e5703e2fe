//! Patterns with wildcards and variables, and sets of them that are searched instead of tried one by one.
//!
//! A wildcard never makes matching exponential: only the last `*` that was met is ever widened, which costs at most the
//! length of the text times the length of the pattern.

use std::borrow::Cow;

use super::key::ConditionKey;
use super::value::ConditionKeys;
use super::variable::Variable;

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece<'a> {
    /// These characters.
    Text(Cow<'a, str>),
    /// `?`: any one character.
    One,
    /// `*`: any characters, or none.
    Many,
}

/// A part of a pattern as it is written: a piece, or a variable that becomes text when a request is known.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A piece that is the same for every request.
    Fixed(Piece<'static>),
    /// What the request says in this place. Wildcards in it are ordinary characters.
    Variable(Variable),
}

impl Part {
    /// The key that the part asks for, if it is a variable.
    pub fn mentioned(&self) -> Option<ConditionKey> {
        match self {
            Part::Fixed(_) => None,
            Part::Variable(variable) => Some(variable.key),
        }
    }
}

/// Whether the whole of `text` is what `pieces` describe.
pub fn matches(pieces: &[Piece<'_>], text: &str) -> bool {
    let (mut index, mut place) = (0, 0);
    // The piece after the last `*`, and where that piece was last tried.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let rest = &text[place..];
        let step = match pieces.get(index) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Piece::Many) => {
                match &pieces[index + 1..] {
                    [] => return true,
                    [Piece::Text(end)] => return rest.ends_with(&**end),
                    _ => retry = Some((index + 1, place)),
                }
                Some(0)
            }
            Some(Piece::One) => rest.chars().next().map(char::len_utf8),
            Some(Piece::Text(expected)) => rest.starts_with(&**expected).then_some(expected.len()),
        };
        if let Some(bytes) = step {
            index += 1;
            place += bytes;
            continue;
        }
        let Some((after, tried)) = retry else { return false };
        // The `*` takes one character more, or as many as it must for the text after it to be there.
        let Some(width) = text[tried..].chars().next().map(char::len_utf8) else { return false };
        let next = match &pieces[after] {
            Piece::Text(expected) => match text[tried + width..].find(&**expected) {
                Some(distance) => tried + width + distance,
                None => return false,
            },
            _ => tried + width,
        };
        retry = Some((after, next));
        (index, place) = (after, next);
    }
}

/// Whether the whole of `text` is what `parts` describe in this request; None if a variable has no value.
pub fn matches_parts(parts: &[Part], text: &str, keys: &dyn ConditionKeys) -> Option<bool> {
    let mut resolved = Vec::with_capacity(parts.len());
    for part in parts {
        resolved.push(match part {
            Part::Fixed(Piece::Text(text)) => Piece::Text(Cow::Borrowed(&**text)),
            Part::Fixed(Piece::One) => Piece::One,
            Part::Fixed(Piece::Many) => Piece::Many,
            Part::Variable(variable) => Piece::Text(variable.value(keys)?),
        });
    }
    Some(matches(&resolved, text))
}

/// The pieces of a pattern without variables; None if it has some.
pub fn fixed(parts: &[Part]) -> Option<Vec<Piece<'static>>> {
    parts.iter().map(|part| if let Part::Fixed(piece) = part { Some(piece.clone()) } else { None }).collect()
}

/// Several patterns, of which a text has to match one.
#[derive(Debug, Clone, Default)]
pub struct PatternSet {
    /// Texts without wildcards, sorted.
    exact: Vec<Box<str>>,
    /// Texts that a single `*` follows, sorted; none of them begins with another.
    prefixes: Vec<Box<str>>,
    /// The other patterns without variables.
    globs: Vec<Box<[Piece<'static>]>>,
    /// The patterns with variables.
    templates: Vec<Box<[Part]>>,
}

impl PatternSet {
    /// The set of `patterns`.
    pub fn new(patterns: Vec<Vec<Part>>) -> PatternSet {
        let mut set = PatternSet::default();
        for pattern in patterns {
            match fixed(&pattern).as_deref() {
                None => set.templates.push(pattern.into()),
                Some([]) => set.exact.push("".into()),
                Some([Piece::Text(text)]) => set.exact.push((**text).into()),
                Some([Piece::Many]) => set.prefixes.push("".into()),
                Some([Piece::Text(text), Piece::Many]) => set.prefixes.push((**text).into()),
                Some(pieces) => set.globs.push(pieces.into()),
            }
        }
        set.exact.sort_unstable();
        set.exact.dedup();
        set.prefixes.sort_unstable();
        set.prefixes.dedup_by(|longer, shorter| longer.starts_with(&**shorter));
        set
    }

    /// Whether `text` matches one of the patterns. A pattern with a variable that has no value matches nothing.
    pub fn matches(&self, text: &str, keys: &dyn ConditionKeys) -> bool {
        self.exact.binary_search_by(|exact| (**exact).cmp(text)).is_ok()
            || self.has_prefix_of(text)
            || self.globs.iter().any(|pieces| matches(pieces, text))
            || self.templates.iter().any(|parts| matches_template(parts, text, keys))
    }

    /// Whether a variable of some pattern has no value in this request.
    pub fn lacks_a_value(&self, keys: &dyn ConditionKeys) -> bool {
        self.templates.iter().any(|parts| lacks_a_value(parts, keys))
    }

    /// Of the prefixes at or before `text` only the last can be its beginning: anything sorted between the two would
    /// begin with that prefix, and was left out when the set was made.
    fn has_prefix_of(&self, text: &str) -> bool {
        let after = self.prefixes.partition_point(|prefix| **prefix <= *text);
        after.checked_sub(1).is_some_and(|last| text.starts_with(&*self.prefixes[last]))
    }
}

/// Whether a variable among `parts` has no value in this request.
pub fn lacks_a_value(parts: &[Part], keys: &dyn ConditionKeys) -> bool {
    parts.iter().any(|part| matches!(part, Part::Variable(variable) if variable.value(keys).is_none()))
}

fn matches_template(parts: &[Part], text: &str, keys: &dyn ConditionKeys) -> bool {
    // Most texts differ from the pattern before its first variable, whose value is then not worth asking for.
    if let Some(Part::Fixed(Piece::Text(start))) = parts.first()
        && !text.starts_with(&**start)
    {
        return false;
    }
    matches_parts(parts, text, keys) == Some(true)
}

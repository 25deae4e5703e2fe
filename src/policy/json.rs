//! JSON as policies are written in: the order of names is kept, and a name that occurs twice in an object is noticed.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value. Numbers are kept as the text that they are compared as.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, written the shortest way.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order in which it was written.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value that fills `text`; None if it is no valid JSON, or nested too deeply (128 levels).
    pub fn parse(text: &[u8]) -> Option<Json> {
        serde_json::from_slice(text).ok()
    }

    /// A name that occurs twice within one object, anywhere in the value.
    pub fn repeated_name(&self) -> Option<&str> {
        match self {
            Json::List(items) => items.iter().find_map(Json::repeated_name),
            Json::Object(members) => {
                let mut seen = HashSet::with_capacity(members.len());
                let repeated = members.iter().find(|(name, _)| !seen.insert(name.as_str()));
                let repeated = repeated.map(|(name, _)| name.as_str());
                repeated.or_else(|| members.iter().find_map(|(_, value)| value.repeated_name()))
            }
            _ => None,
        }
    }
}

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if u32::from(control) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Appends one string, or an array of several: the form in which S3 shows lists.
pub fn push_strings<'a>(out: &mut String, values: impl ExactSizeIterator<Item = &'a str>) {
    let is_list = values.len() != 1;
    if is_list {
        out.push('[');
    }
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(out, value);
    }
    if is_list {
        out.push(']');
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }
}

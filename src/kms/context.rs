//! Encryption contexts: names and values that a ciphertext is bound to, in one canonical form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::KmsError;

/// The most bytes of all names and values together, KMS's limit.
const BYTES_MAX: usize = 8192;

/// Names and values, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncryptionContext(BTreeMap<String, String>);

impl EncryptionContext {
    /// Reads a JSON object of strings.
    pub fn parse(json: &[u8]) -> Result<EncryptionContext, KmsError> {
        let context: EncryptionContext = serde_json::from_slice(json)
            .map_err(|_| KmsError::validation("The encryption context is not a JSON object of strings."))?;
        context.check()?;
        Ok(context)
    }

    /// Refuses what is too large.
    pub fn check(&self) -> Result<(), KmsError> {
        let bytes: usize = self.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > BYTES_MAX {
            return Err(KmsError::validation("The encryption context is longer than 8192 bytes."));
        }
        Ok(())
    }

    /// The same with one more pair, unless the name is there already.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> EncryptionContext {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        self
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The canonical JSON: names in order, no spaces. Ciphertexts are bound to its bytes.
    pub fn text(&self) -> String {
        serde_json::to_string(&self.0).expect("a map of strings is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::EncryptionContext;

    #[test]
    fn one_form() {
        fn check(json: &str, expected: Option<&str>) {
            let found = EncryptionContext::parse(json.as_bytes()).ok().map(|context| context.text());
            assert_eq!(found.as_deref(), expected, "{json}");
        }
        check("{}", Some("{}"));
        check(r#"{ "b": "1", "a": "\u0032" }"#, Some(r#"{"a":"2","b":"1"}"#));
        for wrong in ["", "[]", "1", r#"{"a":1}"#, r#"{"a":null}"#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(8192))] {
            check(wrong, None);
        }
    }
}

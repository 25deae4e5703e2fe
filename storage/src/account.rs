//! Account ids: who owns buckets and objects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest number that an id shows in its 12 digits.
const LARGEST: u64 = 999_999_999_999;

/// An account, by its 12-digit id. What else is known of accounts is no affair of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct AccountId(u64);

impl AccountId {
    /// The account of the store's own root: `000000000000`.
    pub const ROOT: AccountId = AccountId(0);

    /// The id of that number; `None` if it has more than 12 digits.
    pub const fn new(number: u64) -> Option<AccountId> {
        if number <= LARGEST { Some(AccountId(number)) } else { None }
    }

    /// Reads exactly 12 digits.
    pub fn parse(text: &str) -> Option<AccountId> {
        let is_id = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_id.then(|| text.parse().ok().map(AccountId)).flatten()
    }

    /// The id as a number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The 12 digits.
impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::AccountId;

    #[test]
    fn ids_have_twelve_digits() {
        fn check(text: &str, expected: Option<u64>) {
            let found = AccountId::parse(text);
            assert_eq!(found.map(AccountId::number), expected, "{text}");
            assert!(found.is_none_or(|id| id.to_string() == text), "{text}");
        }
        check("000000000000", Some(0));
        check("000000000042", Some(42));
        check("999999999999", Some(999_999_999_999));
        for text in ["", "42", "0000000000000", "00000000004x", "+00000000042", "00000000004٢"] {
            check(text, None);
        }
        assert_eq!(AccountId::new(1_000_000_000_000), None);
    }
}

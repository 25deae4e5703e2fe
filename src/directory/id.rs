//! Unique ids and access key ids: a word for the kind, the account, and random letters.
//!
//! As AWS's, they tell the account, so that whoever has an id knows where to look: 8 letters of base32 are its 40 bits.

use strata_storage::AccountId;

use crate::credentials::{RandomnessError, random_text};

/// The 32 letters: those of base32.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters of the word for the kind.
const WORD_LETTERS: usize = 4;
/// Letters of the account.
const ACCOUNT_LETTERS: usize = 8;

/// What an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// `AKIA...`: an access key.
    AccessKey,
    /// `ASIA...`: a temporary access key.
    TemporaryKey,
    /// `AIDA...`: a user.
    User,
    /// `AGPA...`: a group.
    Group,
    /// `AROA...`: a role.
    Role,
    /// `ANPA...`: a managed policy.
    Policy,
}

/// A new id of something in `account`. Whoever needs it to be unique looks whether it is taken: there are some 10^12 for
/// keys and 10^13 for the rest.
pub fn generate(kind: IdKind, account: AccountId) -> Result<String, RandomnessError> {
    let (word, random) = match kind {
        IdKind::AccessKey => ("AKIA", 8),
        IdKind::TemporaryKey => ("ASIA", 8),
        IdKind::User => ("AIDA", 9),
        IdKind::Group => ("AGPA", 9),
        IdKind::Role => ("AROA", 9),
        IdKind::Policy => ("ANPA", 9),
    };
    let mut id = word.to_owned();
    for place in (0..ACCOUNT_LETTERS).rev() {
        let digit = usize::try_from(account.number() >> (5 * place) & 31).expect("five bits");
        id.push(char::from(LETTERS[digit]));
    }
    id.push_str(&random_text(LETTERS, random)?);
    Ok(id)
}

/// The account that an id tells; `None` if it tells none.
pub fn account_of(id: &str) -> Option<AccountId> {
    let letters = id.as_bytes().get(WORD_LETTERS..WORD_LETTERS + ACCOUNT_LETTERS)?;
    let mut number = 0;
    for letter in letters {
        let digit = LETTERS.iter().position(|known| known == letter)?;
        number = number << 5 | u64::try_from(digit).ok()?;
    }
    AccountId::new(number)
}

#[cfg(test)]
mod tests {
    use strata_storage::AccountId;

    use super::{IdKind, account_of, generate};

    #[test]
    fn ids_tell_their_account() {
        for text in ["000000000000", "000000000001", "123456789012", "999999999999"] {
            let account = AccountId::parse(text).unwrap();
            for (kind, length) in [(IdKind::AccessKey, 20), (IdKind::User, 21)] {
                let id = generate(kind, account).unwrap();
                assert_eq!((id.len(), account_of(&id)), (length, Some(account)), "{id}");
            }
        }
        for id in ["", "AKIA", "AKIA0000000000000000", "STRATA1", "AKIA77777777AAAAAAAA", "ÄÄÄÄÄÄÄÄÄÄ"] {
            assert_eq!(account_of(id), None, "{id}");
        }
    }
}

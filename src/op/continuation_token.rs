//! Continuation tokens: opaque texts that say where a list goes on, and that only this server makes.
//!
//! A token is URL-safe base64 over a version byte, a check value and the position. The check tells our tokens from
//! texts that merely decode; it is not a secret, since a token grants nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::error::S3Error;

/// The first byte of a token, to be raised when its layout changes.
const VERSION: u8 = 1;

/// How many bytes of the hash a token carries: enough to make an accident unlikely.
const CHECK_BYTES: usize = 6;

/// Makes the token of a position in the list called `list`.
pub fn encode(list: &str, position: &str) -> String {
    let mut bytes = Vec::with_capacity(1 + CHECK_BYTES + position.len());
    bytes.push(VERSION);
    bytes.extend(check_value(list, position.as_bytes()));
    bytes.extend(position.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position that [`encode`] put into a token of the same list; anything else is `InvalidArgument`.
pub fn decode(list: &str, token: &str) -> Result<String, S3Error> {
    position(list, token).ok_or_else(|| {
        S3Error::invalid_argument("The continuation token provided is incorrect", "continuation-token", token)
    })
}

fn position(list: &str, token: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let rest = bytes.strip_prefix(&[VERSION])?;
    let (check, position) = rest.split_at_checked(CHECK_BYTES)?;
    (check == check_value(list, position)).then(|| String::from_utf8(position.to_vec()).ok())?
}

fn check_value(list: &str, position: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(list.as_bytes()).chain_update([0]).chain_update(position).finalize();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hash[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn tokens_read_back() {
        for position in ["", "a", "a/b c", "ü\u{1}\u{fffe}", &"k".repeat(1024)] {
            let token = encode("objects", position);
            assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            assert_eq!(decode("objects", &token).expect(position), position);
            assert!(decode("buckets", &token).is_err(), "{position}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let token = encode("objects", "key");
        let mut other = token.clone();
        other.replace_range(3..4, if &token[3..4] == "A" { "B" } else { "A" });
        for text in ["", "a", "key", "====", &token[1..], &token[..token.len() - 1], &other, &format!("{token}=")] {
            let error = decode("objects", text).expect_err(text);
            assert_eq!((error.status.as_u16(), error.code), (400, "InvalidArgument"), "{text}");
        }
    }
}

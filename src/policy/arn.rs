//! Amazon resource names: `arn:partition:service:region:account:resource`.

/// The parts of an ARN: the last one may hold colons of its own.
pub const PARTS: usize = 6;

/// The six parts of `text`; None if it has fewer, or is no ARN at all.
pub fn split(text: &str) -> Option<[&str; PARTS]> {
    let mut rest = text.splitn(PARTS, ':');
    let parts = [rest.next()?, rest.next()?, rest.next()?, rest.next()?, rest.next()?, rest.next()?];
    (parts[0] == "arn").then_some(parts)
}

/// Whether `text` is the id of an account: twelve digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

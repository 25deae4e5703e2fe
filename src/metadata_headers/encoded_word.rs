//! RFC 2047 words: how text beyond ASCII travels in the values of user metadata.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The longest encoded word, delimiters included.
const WORD_CHARS_MAX: usize = 75;
const PREFIX_Q: &str = "=?UTF-8?Q?";
const PREFIX_B: &str = "=?UTF-8?B?";
const SUFFIX: &str = "?=";

/// Decodes the encoded words of a value; what is not a well-formed one stays as it is.
pub fn decode(value: &str) -> String {
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find("=?") {
        let Some((text, length)) = word(&rest[start..]) else {
            decoded.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        decoded.push_str(&rest[..start]);
        decoded.push_str(&text);
        rest = &rest[start + length..];
        // White space between two encoded words only separates them.
        let next = rest.trim_start();
        if next.len() < rest.len() && word(next).is_some() {
            rest = next;
        }
    }
    decoded.push_str(rest);
    decoded
}

/// The encoded word at the beginning of `text`: what it says, and how long it is.
fn word(text: &str) -> Option<(String, usize)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (encoded, _) = rest.split_once(SUFFIX)?;
    if !encoded.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?') {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(encoded).ok()?,
        "Q" | "q" => decode_q(encoded)?,
        _ => return None,
    };
    let said = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((said, "=????=".len() + charset.len() + encoding.len() + encoded.len()))
}

fn decode_q(encoded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'_' => bytes.push(b' '),
            b'=' => {
                let mut value = [0];
                hex::decode_to_slice(rest.get(..2)?, &mut value).ok()?;
                bytes.push(value[0]);
                rest = &rest[2..];
            }
            _ => bytes.push(byte),
        }
    }
    Some(bytes)
}

/// The value as a header carries it: ASCII as it is, other text in encoded words. `None` for control characters of
/// ASCII, which no header carries.
pub fn encode(value: &str) -> Option<String> {
    if value.chars().any(|character| character.is_ascii_control() && character != '\t') {
        return None;
    }
    if value.is_ascii() {
        return Some(value.to_owned());
    }
    // Mostly ASCII is left readable, as S3 does.
    let ascii = value.chars().filter(char::is_ascii).count();
    let readable = ascii * 2 > value.chars().count();
    let encode_word = if readable { encode_q } else { encode_b };
    let room = WORD_CHARS_MAX - PREFIX_Q.len() - SUFFIX.len();
    let mut words = Vec::new();
    let mut start = 0;
    for (position, character) in value.char_indices() {
        let end = position + character.len_utf8();
        if encode_word(&value[start..end]).len() > room {
            words.push(encode_word(&value[start..position]));
            start = position;
        }
    }
    words.push(encode_word(&value[start..]));
    let prefix = if readable { PREFIX_Q } else { PREFIX_B };
    let words: Vec<String> = words.into_iter().map(|word| format!("{prefix}{word}{SUFFIX}")).collect();
    Some(words.join(" "))
}

fn encode_b(text: &str) -> String {
    BASE64.encode(text)
}

fn encode_q(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('_'),
            b'=' | b'?' | b'_' => encoded.push_str(&format!("={byte:02X}")),
            _ if byte.is_ascii_graphic() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("={byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn words_are_decoded() {
        fn check(value: &str, expected: &str) {
            assert_eq!(decode(value), expected, "{value}");
        }
        check("plain", "plain");
        check("=?UTF-8?Q?a=C3=BC_b?=", "aü b");
        check("=?utf-8?b?w7w=?=", "ü");
        check("=?ISO-8859-1?Q?=FC?=", "ü");
        check("a =?UTF-8?Q?b?= c", "a b c");
        check("=?UTF-8?Q?a?= =?UTF-8?Q?b?=", "ab");
    }

    #[test]
    fn lookalikes_stay() {
        for value in [
            "=?",
            "=?UTF-8?",
            "=?UTF-8?Q?a",
            "=?UTF-8?X?a?=",
            "=?UTF-8?B?*?=",
            "=?UTF-8?Q?=zz?=",
            "=?UTF-8?Q?=4?=",
            "=?UTF-8?Q?=FF?=",
            "=?KOI8-R?Q?a?=",
            "=?UTF-8?Q?a b?=",
            "a=?=?b",
        ] {
            assert_eq!(decode(value), value);
        }
    }

    #[test]
    fn values_come_back() {
        let long = "Größe ".repeat(40);
        let longer = "длинный".repeat(30);
        for value in ["", "plain", "a=?b_c", "grün", "日本語", &long, &longer] {
            let encoded = encode(value).expect("no control characters");
            assert!(encoded.is_ascii() && encoded.split(' ').all(|word| word.len() <= 75 || value.is_ascii()));
            assert_eq!(decode(&encoded), value);
        }
        assert_eq!(encode("a\nb"), None);
        assert_eq!(encode("a\tb").as_deref(), Some("a\tb"));
    }
}

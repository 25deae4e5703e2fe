//! The `Range` header: which bytes of an object it means, or that S3 ignores it.

use std::ops::Range;

/// What a `Range` header means for an object of a given size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requested {
    /// The header is not one range of bytes: the whole object is answered, as if there were none.
    Whole,
    /// These bytes, which lie within the object.
    Bytes(Range<u64>),
    /// No byte of the object is meant.
    Unsatisfiable,
}

/// Reads the header's value. Ends beyond the object are clipped; anything but one well-formed range is ignored.
pub fn resolve(header: &str, size: u64) -> Requested {
    parse(header, size).unwrap_or(Requested::Whole)
}

fn parse(header: &str, size: u64) -> Option<Requested> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))?;
    if first.is_empty() {
        // The last bytes of an empty object are all of it, and no partial answer could describe them.
        return Some(match number(last)? {
            0 => Requested::Unsatisfiable,
            _ if size == 0 => Requested::Whole,
            length => Requested::Bytes(size - length.min(size)..size),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    match first {
        _ if last < first => None,
        _ if first >= size => Some(Requested::Unsatisfiable),
        _ => Some(Requested::Bytes(first..last.saturating_add(1).min(size))),
    }
}

/// Digits only; a number too large for 64 bits is beyond every object anyway.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Requested, resolve};

    fn check(header: &str, size: u64, expected: Requested) {
        assert_eq!(resolve(header, size), expected, "{header} of {size}");
    }

    #[test]
    fn ranges_are_clipped() {
        for (header, bytes) in [
            ("bytes=0-8", 0..9),
            ("bytes=9-9", 9..10),
            ("bytes=1-", 1..10),
            ("bytes=-2", 8..10),
            ("bytes=0-100", 0..10),
            ("bytes=-15", 0..10),
            ("bytes=3-99999999999999999999999", 3..10),
            ("bytes=3-18446744073709551615", 3..10),
            ("Bytes=0-0", 0..1),
        ] {
            check(header, 10, Requested::Bytes(bytes));
        }
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=1-0",
            "bytes=100-50",
            "bytes=-1-",
            "bytes=0--1",
            "bytes=0-1,3-4",
            "bytes=0-1, 3-4",
            "bytes=a-b",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes= 0-1",
            "items=0-1",
            "0-8",
        ] {
            check(header, 10, Requested::Whole);
            check(header, 0, Requested::Whole);
        }
    }

    #[test]
    fn ranges_without_a_byte_are_unsatisfiable() {
        for (header, size) in [
            ("bytes=100-200", 10),
            ("bytes=10-", 10),
            ("bytes=-0", 10),
            ("bytes=99999999999999999999999-", 10),
            ("bytes=0-", 0),
            ("bytes=0-0", 0),
            ("bytes=-0", 0),
        ] {
            check(header, size, Requested::Unsatisfiable);
        }
        check("bytes=-1", 0, Requested::Whole);
    }
}

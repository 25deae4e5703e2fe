//! The values that conditions compare: what a request says, and how text is read as a number, a date, an address.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use strata_storage::Timestamp;

use super::key::ConditionKey;
use crate::time;

/// What a request says to the condition keys of policies.
pub trait ConditionKeys {
    /// The value of `key`, or None if it is absent from the request. Asked only for keys of statements that fit otherwise.
    ///
    /// `name` is what follows the key in the policy, as the policy spells it: the key of a tag for
    /// `s3:ExistingObjectTag/team`, which is to be compared without regard to the case of ASCII letters; the name of the
    /// entry for `kms:EncryptionContext:name`; the whole `provider:claim` for `ConditionKey::Claim`.
    fn value(&self, key: ConditionKey, name: Option<&str>) -> Option<KeyValue<'_>>;
}

/// A request that says nothing: every key is absent.
#[derive(Debug, Clone, Copy)]
pub struct NoKeys;

impl ConditionKeys for NoKeys {
    fn value(&self, _: ConditionKey, _: Option<&str>) -> Option<KeyValue<'_>> {
        None
    }
}

/// The value of a key in one request. Every kind can also be compared as the text that AWS writes for it.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyValue<'a> {
    /// Text, also that of a number or an ARN.
    Text(Cow<'a, str>),
    /// The values of a key that can have several. No values count as an absent key.
    Texts(Vec<Cow<'a, str>>),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Bool(bool),
    /// A moment.
    Date(Timestamp),
    /// An address. One of IPv4 that is written in IPv6 counts as IPv4.
    Ip(IpAddr),
}

impl<'a> KeyValue<'a> {
    /// The single value as text; None if there are several, or none.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            KeyValue::Text(text) => Some(text),
            KeyValue::Texts(mut texts) if texts.len() == 1 => texts.pop(),
            KeyValue::Texts(_) => None,
            KeyValue::Number(number) => Some(Cow::Owned(number.to_string())),
            KeyValue::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            KeyValue::Date(date) => Some(Cow::Owned(time::iso8601_second(date))),
            KeyValue::Ip(address) => Some(Cow::Owned(address.to_canonical().to_string())),
        }
    }

    /// The value as a number; None if it is none.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            KeyValue::Text(text) => Decimal::parse(text),
            KeyValue::Number(number) => Some(Decimal::from_whole(*number)),
            KeyValue::Date(date) => Some(Decimal::from_whole(i64::try_from(date.as_secs()).ok()?)),
            _ => None,
        }
    }

    /// The value as a moment; None if it is none.
    pub fn date(&self) -> Option<Timestamp> {
        match self {
            KeyValue::Text(text) => parse_date(text),
            KeyValue::Number(seconds) => from_epoch(u64::try_from(*seconds).ok()?),
            KeyValue::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// The value as a truth; None if it is none.
    pub fn truth(&self) -> Option<bool> {
        match self {
            KeyValue::Text(text) => parse_bool(text),
            KeyValue::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value as an address; None if it is none.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            KeyValue::Text(text) => text.parse().ok().map(|address: IpAddr| address.to_canonical()),
            KeyValue::Ip(address) => Some(address.to_canonical()),
            _ => None,
        }
    }
}

/// A number with at most 18 digits before the point and 9 after it, which compares exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i128);

impl Decimal {
    const FRACTION_DIGITS: usize = 9;
    const WHOLE_DIGITS_MAX: usize = 18;

    /// Reads `[+-]digits[.digits]`.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (is_negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        if whole.len() > Decimal::WHOLE_DIGITS_MAX || fraction.len() > Decimal::FRACTION_DIGITS {
            return None;
        }
        let scaled: i128 = format!("{whole}{fraction:0<width$}", width = Decimal::FRACTION_DIGITS).parse().ok()?;
        Some(Decimal(if is_negative { -scaled } else { scaled }))
    }

    fn from_whole(number: i64) -> Decimal {
        Decimal(i128::from(number) * 1_000_000_000)
    }
}

/// Reads a date in ISO 8601, or seconds since 1970. Fewer than nine digits are neither: they look like a year or a day.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.len() >= 9 => from_epoch(text.parse().ok()?),
        true => None,
        false => time::parse_iso8601(text),
    }
}

/// A moment in nanoseconds has room for some 584 years.
fn from_epoch(seconds: u64) -> Option<Timestamp> {
    seconds.checked_mul(1_000_000_000).map(Timestamp::from_nanos)
}

/// Reads `true` or `false`, whatever the case.
pub fn parse_bool(text: &str) -> Option<bool> {
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}

/// Reads an address, or a network in CIDR notation, of which only the bits of the network count.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let network = match text.contains('/') {
        true => text.parse().ok()?,
        false => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    Some(canonical(network).trunc())
}

/// A network of IPv4 addresses written in IPv6 becomes the one of IPv4, as addresses do before they are compared.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let address = mapped.addr().to_ipv4_mapped();
    let length = mapped.prefix_len().checked_sub(96);
    let shorter = address.zip(length).and_then(|(address, length)| IpNet::new(IpAddr::V4(address), length).ok());
    shorter.unwrap_or(network)
}

/// Reads base64.
pub fn parse_binary(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

//! How the text of one setting is read. Each function's error says what is allowed.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use strata_storage::ZoneOptions;
use tracing_subscriber::EnvFilter;

use super::NewBucketEncryption;
use super::networks::Networks;

/// What a setting allows, as the end of "it must be ...".
pub type Allowed = String;

/// The text of a TOML value; lists are joined by commas. `None` for tables, dates and nested lists.
pub fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            items.map(|items| items.join(","))
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}

/// The text of a value written as TOML.
pub fn literal_text(literal: &str) -> Option<String> {
    let document: toml::Table = format!("value = {literal}").parse().ok()?;
    text(document.get("value")?)
}

/// A path that is not empty.
pub fn path(text: &str) -> Result<PathBuf, Allowed> {
    match text {
        "" => Err("a directory".to_owned()),
        _ => Ok(PathBuf::from(text)),
    }
}

/// A path, or none if the text is empty.
pub fn optional_path(text: &str) -> Result<Option<PathBuf>, Allowed> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Yes or no.
pub fn flag(text: &str) -> Result<bool, Allowed> {
    choice(text, &[("true", true), ("false", false)])
}

/// Networks separated by commas; an address alone is a network of one.
pub fn networks(text: &str) -> Result<Vec<IpNet>, Allowed> {
    // IPv4 clients are always compared as such, so a network of their form within IPv6 would hold nobody.
    let is_sound = |network: &IpNet| match network.addr() {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_none(),
    };
    let networks = text.split(',').map(str::trim).filter(|network| !network.is_empty());
    networks
        .map(|network| {
            let parsed = network.parse().ok().or_else(|| network.parse::<IpAddr>().ok().map(IpNet::from));
            let sound = parsed.filter(is_sound);
            sound.ok_or_else(|| "addresses or networks, such as 10.0.0.0/8, 192.0.2.7 or fd00::/8".to_owned())
        })
        .collect()
}

/// An IP address with a port.
pub fn address(text: &str) -> Result<SocketAddr, Allowed> {
    text.parse().map_err(|_| "an IP address and port, such as 127.0.0.1:9000, 0.0.0.0:9000 or [::]:9000".to_owned())
}

/// A region name.
pub fn region(text: &str) -> Result<String, Allowed> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(text.to_owned()),
        false => Err("1 to 64 lower-case letters, digits and hyphens, such as us-east-1".to_owned()),
    }
}

/// Domain names separated by commas.
pub fn domains(text: &str) -> Result<Vec<String>, Allowed> {
    let valid = |domain: &str| {
        domain.len() <= 253
            && domain.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    };
    let domains = text.split(',').map(str::trim).filter(|domain| !domain.is_empty());
    domains
        .map(|domain| match valid(domain) {
            true => Ok(domain.to_ascii_lowercase()),
            false => Err("domain names without scheme and port, such as s3.example.com".to_owned()),
        })
        .collect()
}

/// Zones separated by commas, each a name and an absolute path.
pub fn zones(text: &str) -> Result<Vec<ZoneOptions>, Allowed> {
    const ALLOWED: &str = "zones such as a=/disks/a, each with another name of 1 to 32 letters, digits or characters of \
                           -_. and with another absolute path without commas";
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut zones: Vec<ZoneOptions> = Vec::new();
    for zone in text.split(',').map(str::trim).filter(|zone| !zone.is_empty()) {
        let (name, path) = zone.split_once('=').ok_or(ALLOWED)?;
        let (name, directory) = (name.trim(), Path::new(path.trim()));
        let is_twice = zones.iter().any(|other| other.name == name || other.directory == directory);
        let is_valid = (1..=32).contains(&name.len()) && name.bytes().all(allowed) && directory.is_absolute();
        if is_twice || !is_valid {
            return Err(ALLOWED.to_owned());
        }
        zones.push(ZoneOptions { name: name.to_owned(), directory: directory.to_owned() });
    }
    Ok(zones)
}

/// Virtual private clouds: `id=network`, separated by commas.
pub fn virtual_networks(text: &str) -> Result<Networks, Allowed> {
    const ALLOWED: &str = "networks such as vpc-1=10.0.0.0/8, each an id of up to 64 characters without spaces and a range \
                           of addresses";
    let read = |entry: &str| {
        let (id, network) = entry.split_once('=')?;
        let id = id.trim();
        let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        let network = network.trim().parse().ok()?;
        is_id.then(|| (id.to_owned(), network))
    };
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let list: Option<Vec<_>> = entries.map(read).collect();
    list.map(Networks::new).ok_or_else(|| ALLOWED.to_owned())
}

/// The default encryption of new buckets.
pub fn new_bucket_encryption(text: &str) -> Result<NewBucketEncryption, Allowed> {
    let is_key = || text.starts_with("arn:aws:kms:") && text.split_once(":key/").is_some_and(|(_, id)| !id.is_empty());
    match text {
        "AES256" => Ok(NewBucketEncryption::Store),
        "aws:kms" => Ok(NewBucketEncryption::Kms),
        _ if is_key() => Ok(NewBucketEncryption::KmsKey(text.to_owned())),
        _ => Err("AES256, aws:kms, or the ARN of a key such as arn:aws:kms:us-east-1:000000000001:key/ID".to_owned()),
    }
}

/// One of a few words.
pub fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Allowed> {
    choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        words.join(" or ")
    })
}

/// A level or a list of directives.
pub fn log_level(text: &str) -> Result<String, Allowed> {
    // A bare word that is no level would be read as the name of a target, and silence everything else.
    let known = |directive: &str| {
        directive.contains('=')
            || ["off", "error", "warn", "info", "debug", "trace"].contains(&directive.to_ascii_lowercase().as_str())
    };
    match text.split(',').map(str::trim).all(known) && EnvFilter::try_new(text).is_ok() {
        true => Ok(text.to_owned()),
        false => Err("off, error, warn, info, debug or trace, or directives such as warn,strata=debug".to_owned()),
    }
}

/// 32 bytes in hex or base64; none if the text is empty.
pub fn master_key(text: &str) -> Result<Option<String>, Allowed> {
    match text.len() {
        0 => Ok(None),
        44 | 64 => Ok(Some(text.to_owned())),
        _ => Err("32 bytes in hex (64 digits) or base64 (44 characters)".to_owned()),
    }
}

/// An access key id; none if the text is empty.
pub fn access_key(text: &str) -> Result<Option<String>, Allowed> {
    // The id stands between slashes and commas in the Authorization header.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    match text {
        "" => Ok(None),
        _ if (3..=128).contains(&text.len()) && text.bytes().all(allowed) => Ok(Some(text.to_owned())),
        _ => Err("3 to 128 letters, digits, or characters of -_.@".to_owned()),
    }
}

/// A secret key; none if the text is empty.
pub fn secret_key(text: &str) -> Result<Option<String>, Allowed> {
    match text {
        "" => Ok(None),
        _ if (8..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(text.to_owned()))
        }
        _ => Err("8 to 128 printable ASCII characters without spaces".to_owned()),
    }
}

/// A whole number.
pub fn count(text: &str, least: usize, most: usize) -> Result<usize, Allowed> {
    text.parse()
        .ok()
        .filter(|count| (least..=most).contains(count))
        .ok_or_else(|| format!("a whole number from {least} to {most}"))
}

/// A number of seconds, bare or with a unit.
pub fn seconds(text: &str, least: u64, most: u64) -> Result<u64, Allowed> {
    with_unit(text, &[("", 1), ("s", 1), ("m", 60), ("h", 3600)])
        .filter(|seconds| (least..=most).contains(seconds))
        .ok_or_else(|| format!("seconds from {least} to {most}, such as 30, 30s, 5m or 1h"))
}

/// A length of time with a unit, or in seconds. Lengths below a second are for trying things out.
pub fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, Allowed> {
    with_unit(text, &[("", 1000), ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)])
        .map(Duration::from_millis)
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| format!("a time from {least:?} to {most:?}, such as 500ms, 30s, 5m or 4h"))
}

/// How often something is done, at the least each hour; `None` for 0, which is never.
pub fn schedule(text: &str) -> Result<Option<Duration>, Allowed> {
    const HOURS: std::ops::RangeInclusive<u64> = 1..=3650 * 24;
    if text == "0" {
        return Ok(None);
    }
    let hours = with_unit(text, &[("h", 1), ("d", 24)]).filter(|hours| HOURS.contains(hours));
    let every = hours.map(|hours| Some(Duration::from_secs(hours * 3600)));
    every.ok_or_else(|| "0, or a time from 1h to 3650d, such as 12h or 30d".to_owned())
}

/// A number by which times are multiplied.
pub fn factor(text: &str, most: f64) -> Result<f64, Allowed> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse()
        .ok()
        .filter(|&factor: &f64| digits(text) && factor > 0.0 && factor <= most)
        .ok_or_else(|| format!("a number above 0 and up to {most}, such as 1 or 0.001"))
}

/// A number of bytes, bare or with a unit.
pub fn size(text: &str, least: u64, most: u64) -> Result<u64, Allowed> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    with_unit(text, UNITS)
        .filter(|bytes| (least..=most).contains(bytes))
        .ok_or_else(|| format!("a size from {} to {}, such as 1048576, 512KiB or 64MB", show(least), show(most)))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn sizes() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(super::size(text, 1, 1 << 50).ok(), expected, "{text:?}");
        }
        check("1", Some(1));
        check("512MiB", Some(512 << 20));
        check("512 MiB", Some(512 << 20));
        check("64MB", Some(64_000_000));
        check("0", None);
        for text in ["", "MiB", "-1", "1.5GiB", "5 gibibytes", "99999999TiB", "1e6", "18446744073709551616"] {
            check(text, None);
        }
    }

    #[test]
    fn times() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(super::seconds(text, 1, 86_400).ok(), expected, "{text:?}");
        }
        check("30", Some(30));
        check("30s", Some(30));
        check("5m", Some(300));
        check("1h", Some(3600));
        for text in ["", "0", "25h", "soon", "1d", "-5"] {
            check(text, None);
        }
    }

    #[test]
    fn schedules() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (text, every) in [("0", None), ("1h", hours(1)), ("30d", hours(720)), ("3650d", hours(87_600))] {
            assert_eq!(super::schedule(text), Ok(every), "{text}");
        }
        for text in ["", "0h", "30", "59m", "3651d", "d"] {
            assert!(super::schedule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        fn check(text: &str, expected_ms: Option<u64>) {
            let found = super::duration(text, Duration::from_millis(1), Duration::from_secs(48 * 3600));
            assert_eq!(found.ok(), expected_ms.map(Duration::from_millis), "{text:?}");
        }
        check("500ms", Some(500));
        check("10s", Some(10_000));
        check("10", Some(10_000));
        check("3m", Some(180_000));
        check("24h", Some(86_400_000));
        check("48h", Some(172_800_000));
        for text in ["", "0", "0ms", "49h", "1.5s", "1d", "ms", "-1s", "18446744073709551615h"] {
            check(text, None);
        }
    }

    #[test]
    fn factors() {
        fn check(text: &str, expected: Option<f64>) {
            assert_eq!(super::factor(text, 10.0).ok(), expected, "{text:?}");
        }
        check("1", Some(1.0));
        check("0.001", Some(0.001));
        check("10", Some(10.0));
        for text in ["", "0", "0.0", "-1", "10.1", "1e-3", "inf", "NaN", "+1", "1x"] {
            check(text, None);
        }
    }

    #[test]
    fn domains() {
        fn check(text: &str, expected: Option<&[&str]>) {
            let expected = expected.map(|domains| domains.iter().map(|&domain| domain.to_owned()).collect());
            assert_eq!(super::domains(text).ok(), expected, "{text:?}");
        }
        check("", Some(&[]));
        check("s3.example.com, Store.local", Some(&["s3.example.com", "store.local"]));
        for text in ["http://s3.example.com", "s3.example.com:9000", "a..b", "-a.b", "*.example.com"] {
            check(text, None);
        }
    }

    #[test]
    fn networks() {
        fn check(text: &str, expected: Option<&str>) {
            let networks = super::networks(text).ok();
            let shown = networks.map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        }
        check("", Some(""));
        check("10.0.0.0/8, 192.0.2.7,fd00::/8", Some("10.0.0.0/8 192.0.2.7/32 fd00::/8"));
        for text in ["10.0.0.0/33", "proxy.example", "10.0.0.1:80", "::ffff:10.0.0.0/104"] {
            check(text, None);
        }
    }

    #[test]
    fn zones() {
        fn check(text: &str, expected: Option<&[(&str, &str)]>) {
            let zones = super::zones(text).ok();
            let pairs: Option<Vec<(&str, &str)>> = zones
                .as_ref()
                .map(|zones| zones.iter().map(|zone| (zone.name.as_str(), zone.directory.to_str().unwrap())).collect());
            assert_eq!(pairs.as_deref(), expected, "{text:?}");
        }
        check("", Some(&[]));
        check("a=/disks/a, rack-2.b=/b=c", Some(&[("a", "/disks/a"), ("rack-2.b", "/b=c")]));
        for text in ["a", "/disks/a", "=/a", "a=", "a=disks/a", "a b=/a", "a=/x,a=/y", "a=/x,b=/x/", "a=/x,y", "é=/e"]
        {
            check(text, None);
        }
    }

    #[test]
    fn log_levels() {
        fn check(text: &str, valid: bool) {
            assert_eq!(super::log_level(text).is_ok(), valid, "{text:?}");
        }
        for text in ["info", "WARN", "warn,strata=debug", "off"] {
            check(text, true);
        }
        for text in ["", "loud", "strata=loud", "info,"] {
            check(text, false);
        }
    }
}

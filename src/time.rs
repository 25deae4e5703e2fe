//! Dates as S3 writes and reads them: HTTP dates, ISO 8601 in XML, and the basic form of signatures.
//!
//! Pure. Moments before 1970 cannot be told apart from 1970 itself, which no stored object is older than.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use strata_storage::Timestamp;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Fri, 02 Jan 2026 03:04:05 GMT`: `Last-Modified` and its relatives. The fraction of the second is dropped.
pub fn http_date(moment: Timestamp) -> String {
    let date = moment.to_datetime();
    let mut text = String::with_capacity(29);
    text.push_str(WEEKDAYS[date.weekday().num_days_from_monday() as usize]);
    text.push_str(", ");
    push_digits(&mut text, date.day(), 2);
    text.push(' ');
    text.push_str(MONTHS[date.month0() as usize]);
    text.push(' ');
    push_digits(&mut text, year(&date), 4);
    text.push(' ');
    push_time(&mut text, &date, ":");
    text.push_str(" GMT");
    text
}

/// `2026-01-02T03:04:05.000Z`: dates in XML documents.
pub fn iso8601(moment: Timestamp) -> String {
    let date = moment.to_datetime();
    let mut text = String::with_capacity(24);
    push_iso8601_second(&mut text, &date);
    text.push('.');
    push_digits(&mut text, date.nanosecond() / 1_000_000, 3);
    text.push('Z');
    text
}

/// `2026-01-02T03:04:05Z`: dates in the elements of signing errors, which have no fraction.
pub fn iso8601_second(moment: Timestamp) -> String {
    let mut text = String::with_capacity(20);
    push_iso8601_second(&mut text, &moment.to_datetime());
    text.push('Z');
    text
}

/// `20260102T030405Z`: `x-amz-date`.
pub fn amz_date(moment: Timestamp) -> String {
    let date = moment.to_datetime();
    let mut text = String::with_capacity(16);
    push_digits(&mut text, year(&date), 4);
    push_digits(&mut text, date.month(), 2);
    push_digits(&mut text, date.day(), 2);
    text.push('T');
    push_time(&mut text, &date, "");
    text.push('Z');
    text
}

/// `06/Feb/2019:00:00:38 +0000`: access logs.
pub fn log_date(moment: Timestamp) -> String {
    let date = moment.to_datetime();
    let mut text = String::with_capacity(26);
    push_digits(&mut text, date.day(), 2);
    text.extend(["/", MONTHS[date.month0() as usize], "/"]);
    push_digits(&mut text, year(&date), 4);
    text.push(':');
    push_time(&mut text, &date, ":");
    text.push_str(" +0000");
    text
}

/// `2026-01-02-03-04-05`: the keys of access logs.
pub fn dashed(moment: Timestamp) -> String {
    iso8601_second(moment).trim_end_matches('Z').replace(['T', ':'], "-")
}

/// Reads the three forms that HTTP knows: IMF-fixdate, RFC 850, asctime. The weekday is not compared with the date.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    match text.split_once(',') {
        Some((_, rest)) => parse_after_weekday(rest.trim_start()),
        None => parse_asctime(text),
    }
}

/// Reads exactly `YYYYMMDDTHHMMSSZ`.
pub fn parse_amz_date(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || !text.is_ascii() || bytes[8] != b'T' || bytes[15] != b'Z' {
        return None;
    }
    let part = |from: usize, to: usize| number(&text[from..to]);
    moment([part(0, 4)?, part(4, 6)?, part(6, 8)?], [part(9, 11)?, part(11, 13)?, part(13, 15)?])
}

/// Reads what XML documents have: a date, or a date with a time of day; a time without a zone is in UTC. Dates before
/// 1970 are 1970; dates that no timestamp can tell are refused.
pub fn parse_iso8601(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let zoned = DateTime::parse_from_rfc3339(text).map(|date| date.to_utc());
    let date = zoned.ok().or_else(|| {
        let bare = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN));
        bare.or_else(|_| day()).ok().map(|date| date.and_utc())
    })?;
    let nanos = if date.year() < 1970 { 0 } else { date.timestamp_nanos_opt()? };
    u64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

/// `02 Jan 2026 03:04:05 GMT`, or `02-Jan-26 03:04:05 GMT` with two digits of the year.
fn parse_after_weekday(text: &str) -> Option<Timestamp> {
    let mut parts = text.split([' ', '-']).filter(|part| !part.is_empty());
    let day = number(parts.next()?)?;
    let month = month(parts.next()?)?;
    let year_text = parts.next()?;
    let time = time_of_day(parts.next()?)?;
    let zone = parts.next()?;
    if parts.next().is_some() || !["GMT", "UTC", "+0000"].contains(&zone) {
        return None;
    }
    let year = match (year_text.len(), number(year_text)?) {
        // The pivot of two-digit years, as every HTTP library in use has it.
        (2, short @ 70..) => 1900 + short,
        (2, short) => 2000 + short,
        (_, full) => full,
    };
    moment([year, month, day], time)
}

/// `Fri Jan  2 03:04:05 2026`, in UTC.
fn parse_asctime(text: &str) -> Option<Timestamp> {
    let mut parts = text.split_ascii_whitespace();
    if !WEEKDAYS.contains(&parts.next()?) {
        return None;
    }
    let month = month(parts.next()?)?;
    let day = number(parts.next()?)?;
    let time = time_of_day(parts.next()?)?;
    let year = number(parts.next()?)?;
    if parts.next().is_some() {
        return None;
    }
    moment([year, month, day], time)
}

fn moment([year, month, day]: [u32; 3], [hour, minute, second]: [u32; 3]) -> Option<Timestamp> {
    // The grammar of HTTP allows a leap second; it is the same moment as the second before it.
    let second = if second == 60 { 59 } else { second };
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?.and_hms_opt(hour, minute, second)?;
    Some(Timestamp::from_secs(u64::try_from(date.and_utc().timestamp()).unwrap_or(0)))
}

fn time_of_day(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split(':').map(number);
    let time = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(time)
}

fn month(text: &str) -> Option<u32> {
    let index = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    u32::try_from(index + 1).ok()
}

/// One to four digits, and nothing else: `parse` alone would take a sign.
fn number(text: &str) -> Option<u32> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn year(date: &DateTime<Utc>) -> u32 {
    u32::try_from(date.year()).expect("a timestamp is not before 1970")
}

fn push_iso8601_second(text: &mut String, date: &DateTime<Utc>) {
    push_digits(text, year(date), 4);
    text.push('-');
    push_digits(text, date.month(), 2);
    text.push('-');
    push_digits(text, date.day(), 2);
    text.push('T');
    push_time(text, date, ":");
}

fn push_time(text: &mut String, date: &DateTime<Utc>, separator: &str) {
    push_digits(text, date.hour(), 2);
    text.push_str(separator);
    push_digits(text, date.minute(), 2);
    text.push_str(separator);
    push_digits(text, date.second(), 2);
}

/// Appends `value` with leading zeros; cheaper than the formatting machinery, which would be met on every answer.
fn push_digits(text: &mut String, value: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = value / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).expect("a remainder of ten is a digit"));
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::Timestamp;

    use super::{amz_date, http_date, iso8601, iso8601_second, parse_amz_date, parse_http_date, parse_iso8601};

    const SECONDS: u64 = 1_767_323_045;

    #[test]
    fn written_forms() {
        let moment = Timestamp::from_nanos(SECONDS * 1_000_000_000 + 7_999_999);
        assert_eq!(http_date(moment), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(iso8601(moment), "2026-01-02T03:04:05.007Z");
        assert_eq!(iso8601_second(moment), "2026-01-02T03:04:05Z");
        assert_eq!(amz_date(moment), "20260102T030405Z");
        assert_eq!(http_date(Timestamp::from_secs(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(Timestamp::from_secs(1_709_164_800)), "Thu, 29 Feb 2024 00:00:00 GMT");
    }

    #[test]
    fn http_dates() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_http_date(text).map(Timestamp::as_secs), expected, "{text}");
        }
        check("Fri, 02 Jan 2026 03:04:05 GMT", Some(SECONDS));
        check(" Fri, 2 Jan 2026 03:04:05 GMT ", Some(SECONDS));
        check("Friday, 02-Jan-26 03:04:05 GMT", Some(SECONDS));
        check("Fri Jan  2 03:04:05 2026", Some(SECONDS));
        check("Fri, 02 Jan 2026 03:04:05 +0000", Some(SECONDS));
        check("Sun, 06-Nov-94 08:49:37 GMT", Some(784_111_777));
        check("Sun, 06 Nov 1994 08:49:60 GMT", Some(784_111_799));
        check("Mon, 01 Jan 1900 00:00:00 GMT", Some(0));
        for text in [
            "",
            ",",
            "Fri, 02 Jan 2026",
            "Fri, 02 Jan 2026 03:04 GMT",
            "Fri, 30 Feb 2026 03:04:05 GMT",
            "Fri, 02 Jan 2026 24:04:05 GMT",
            "Fri, 02 Jan 2026 +3:04:05 GMT",
            "Fri, 02 Jan 2026 03:04:05 PST",
            "Fri, 02 Jan 2026 03:04:05 GMT x",
            "Fri Jan 2 03:04:05 2026 x",
            "2026-01-02T03:04:05Z",
            "Jan 2 2026",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn iso8601_dates() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_iso8601(text).map(Timestamp::as_nanos), expected, "{text}");
        }
        let nanos = Some(SECONDS * 1_000_000_000);
        check("2026-01-02T03:04:05Z", nanos);
        check("2026-01-02T03:04:05.000Z", nanos);
        check(" 2026-01-02T03:04:05.000Z ", nanos);
        check("2026-01-02T03:04:05.007Z", nanos.map(|nanos| nanos + 7_000_000));
        check("2026-01-02T05:04:05+02:00", nanos);
        check("2026-01-02T03:04:05", nanos);
        check("2026-01-02", Some((SECONDS - 11_045) * 1_000_000_000));
        check("1900-01-01T00:00:00Z", Some(0));
        for text in ["", "2026", "2026-02-30", "02.01.2026", "2026-01-02T", "3000-01-01", "now", "20260102T030405Z"] {
            check(text, None);
        }
    }

    #[test]
    fn amz_dates() {
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_amz_date(text).map(Timestamp::as_secs), expected, "{text}");
        }
        check("20260102T030405Z", Some(SECONDS));
        for text in ["", "20260102", "20260102T030405", "20261302T030405Z", "2026-102T030405Z", "20260102T03040äZ"] {
            check(text, None);
        }
    }
}

//! The report of one day as rows of comma-separated values.

use crate::analytics::usage::{AgeGroup, ClassUsage, DayUsage, Usage};
use crate::analytics::{Analysis, AnalyticsConfiguration};
use crate::configuration::ConfigurationFilter;
use crate::object::StorageClass;

/// The columns, as the first line of a report names them.
pub const COLUMNS: &str = "Date,ConfigId,Filter,StorageClass,ObjectAge,ObjectCount,DataUploaded_MB,Storage_MB,\
                           DataRetrieved_MB,GetRequestCount,CumulativeAccessRatio,ObjectAgeForSIATransition,\
                           RecommendedObjectAgeForSIATransition";

/// Bytes in one of the report's megabytes.
const MEGABYTE: f64 = 1_048_576.0;

/// The rows of one day, without line ends: by age group, then those of all ages; in each by storage class.
///
/// The access ratio is given for `STANDARD`, the class that `analysis` judges, and the ages for its row of all ages.
pub fn rows(configuration: &AnalyticsConfiguration, day: &DayUsage, analysis: &Analysis) -> Vec<String> {
    let start = [
        day.date.to_datetime().format("%m-%d-%Y").to_string(),
        field(&configuration.id),
        field(&filter_text(&configuration.filter)),
    ]
    .join(",");
    let groups = AgeGroup::all().map(Some).chain([None]);
    let cells = groups.flat_map(|group| day.classes().map(move |(class, usage)| (group, class, usage)));
    cells.map(|(group, class, usage)| format!("{start},{}", cell(group, class, usage, analysis))).collect()
}

/// The columns after the filter; `group` is `None` for all ages.
fn cell(group: Option<AgeGroup>, class: StorageClass, usage: &ClassUsage, analysis: &Analysis) -> String {
    let sums = group.map_or_else(|| usage.all(), |group| usage.group(group));
    let Usage { objects, bytes, get_requests, bytes_retrieved, bytes_uploaded } = sums;
    let is_judged = class == StorageClass::Standard;
    let ratio = analysis.access_ratio(group.unwrap_or(AgeGroup::of(0))).filter(|_| is_judged);
    let ages = Some(analysis).filter(|_| is_judged && group.is_none());
    [
        class.name().to_owned(),
        group.map_or("ALL", AgeGroup::name).to_owned(),
        objects.to_string(),
        megabytes(bytes_uploaded),
        megabytes(bytes),
        megabytes(bytes_retrieved),
        get_requests.to_string(),
        ratio.map(|ratio| format!("{ratio:.6}")).unwrap_or_default(),
        number(ages.and_then(Analysis::observed_age)),
        number(ages.and_then(Analysis::recommended_age)),
    ]
    .join(",")
}

fn megabytes(bytes: u64) -> String {
    format!("{:.6}", bytes as f64 / MEGABYTE)
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A filter in one line. S3 does not publish its form.
fn filter_text(filter: &ConfigurationFilter) -> String {
    let prefix = filter.prefix.iter().map(|prefix| format!("prefix={prefix}"));
    let tags = filter.tags.iter().map(|tag| format!("tag:{}={}", tag.key, tag.value));
    prefix.chain(tags).collect::<Vec<_>>().join("&")
}

/// A text as one field: in quotes where it holds what separates fields or lines.
fn field(text: &str) -> String {
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, field, filter_text, rows};
    use crate::analytics::{Analysis, AnalyticsConfiguration, DayUsage, Usage};
    use crate::configuration::ConfigurationFilter;
    use crate::object::{StorageClass, Tag};
    use crate::stamp::Timestamp;

    fn filter(prefix: Option<&str>, tags: &[(&str, &str)]) -> ConfigurationFilter {
        let tags = tags.iter().map(|(key, value)| Tag { key: key.to_string(), value: value.to_string() }).collect();
        ConfigurationFilter { prefix: prefix.map(str::to_string), tags }
    }

    #[test]
    fn a_report() {
        let configuration =
            AnalyticsConfiguration { id: "logs".to_string(), filter: filter(Some("a,b"), &[]), export: None };
        let mut day = DayUsage::new(Timestamp::from_secs(784_111_777));
        let (mib, half) = (1 << 20, 1 << 19);
        *day.of(StorageClass::Standard, 40, mib) =
            Usage { objects: 2, bytes: 3 * mib, get_requests: 5, bytes_retrieved: half, bytes_uploaded: 0 };
        day.of(StorageClass::Standard, 0, 100).objects = 1;
        day.of(StorageClass::Standard, 0, mib).bytes_uploaded = mib + half;
        *day.of(StorageClass::StandardIa, 800, mib) = Usage { objects: 1, bytes: mib, ..Usage::default() };
        let mut analysis = Analysis::default();
        analysis.observe(&day);
        let found = rows(&configuration, &day, &analysis);
        assert_eq!(found.len(), 26);
        assert!(found.iter().all(|row| row.starts_with("11-06-1994,logs,\"prefix=a,b\",STANDARD")), "{found:?}");
        let check = |number: usize, ending: &str| assert!(found[number].ends_with(ending), "{}", found[number]);
        check(0, ",STANDARD,000-014,0,1.500000,0.000000,0.000000,0,0.166667,,");
        check(1, ",STANDARD_IA,000-014,0,0.000000,0.000000,0.000000,0,,,");
        check(4, ",STANDARD,030-044,2,0.000000,3.000000,0.500000,5,0.166667,,");
        check(6, ",STANDARD,045-059,0,0.000000,0.000000,0.000000,0,,,");
        check(23, ",STANDARD_IA,730+,1,0.000000,1.000000,0.000000,0,,,");
        check(24, ",STANDARD,ALL,3,1.500000,3.000000,0.500000,5,0.166667,,");
        check(25, ",STANDARD_IA,ALL,1,0.000000,1.000000,0.000000,0,,,");
        for row in &found {
            assert_eq!(row.replace("a,b", "").matches(',').count(), COLUMNS.matches(',').count(), "{row}");
        }
        for _ in 0..60 {
            analysis.observe(&day);
        }
        let found = rows(&configuration, &day, &analysis);
        assert!(found[24].ends_with(",5,5.000000,,"), "{}", found[24]);
        *day.of(StorageClass::Standard, 40, mib) = Usage { objects: 2, bytes: 3 * mib, ..Usage::default() };
        for _ in 0..60 {
            analysis.observe(&day);
        }
        let found = rows(&configuration, &day, &analysis);
        assert!(found[24].ends_with(",0,0.000000,30,30"), "{}", found[24]);
        assert!(found[4].ends_with(",0,0.000000,,"), "{}", found[4]);
    }

    #[test]
    fn filters_have_a_text() {
        fn check(prefix: Option<&str>, tags: &[(&str, &str)], expected: &str) {
            assert_eq!(filter_text(&filter(prefix, tags)), expected);
        }
        check(None, &[], "");
        check(Some("logs/"), &[], "prefix=logs/");
        check(None, &[("a", "1")], "tag:a=1");
        check(Some("logs/"), &[("a", "1"), ("b", "")], "prefix=logs/&tag:a=1&tag:b=");
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        fn check(text: &str, expected: &str) {
            assert_eq!(field(text), expected);
        }
        check("", "");
        check("plain = ü", "plain = ü");
        check("a,b", "\"a,b\"");
        check("a\"b", "\"a\"\"b\"");
        check("a\nb", "\"a\nb\"");
    }
}

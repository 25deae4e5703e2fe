//! Put, Get, List and Delete of the configurations that opt objects in to the archive tiers of `INTELLIGENT_TIERING`.

use std::ops::RangeInclusive;

use serde::Deserialize;
use strata_storage::{BucketChange, Tier, TieringConfiguration};

use crate::error::S3Error;
use crate::op::bucket_configurations::{self, Kind, Operations};
use crate::op::configuration_filter::{self, FilterElement};
use crate::request::Query;
use crate::xml::{self, Writer};

/// Days without access after which a configuration can move objects to the archive access tier.
const ARCHIVE_DAYS: RangeInclusive<i32> = 90..=730;
/// Days without access after which a configuration can move objects to the deep archive access tier.
const DEEP_ARCHIVE_DAYS: RangeInclusive<i32> = 180..=730;

const KIND: Kind<TieringConfiguration> = Kind {
    list: "ListBucketIntelligentTieringConfigurationsOutput",
    element: "IntelligentTieringConfiguration",
    id: |configuration| &configuration.id,
    write,
};

/// The operations on `/bucket?intelligent-tiering`.
pub static OPERATIONS: Operations<TieringConfiguration> = Operations {
    kind: KIND,
    of: |bucket| &bucket.tiering,
    read,
    put: BucketChange::PutTiering,
    delete: BucketChange::DeleteTiering,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    id: String,
    filter: Option<FilterElement>,
    status: String,
    #[serde(default)]
    tiering: Vec<TieringElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TieringElement {
    access_tier: String,
    days: i32,
}

fn read(bytes: &[u8], query: &Query) -> Result<TieringConfiguration, S3Error> {
    let Document { id, filter, status, tiering } = xml::parse_root(bytes, KIND.element)?;
    let id = bucket_configurations::stored_id(query, id)?;
    let filter = configuration_filter::read(filter)?;
    let enabled = match status.as_str() {
        "Enabled" => true,
        "Disabled" => false,
        _ => return Err(S3Error::malformed_xml()),
    };
    if tiering.is_empty() {
        return Err(S3Error::malformed_xml());
    }
    let (mut archive_days, mut deep_archive_days) = (None, None);
    for TieringElement { access_tier, days } in tiering {
        let (place, allowed) = match access_tier.as_str() {
            "ARCHIVE_ACCESS" => (&mut archive_days, ARCHIVE_DAYS),
            "DEEP_ARCHIVE_ACCESS" => (&mut deep_archive_days, DEEP_ARCHIVE_DAYS),
            _ => return Err(S3Error::malformed_xml()),
        };
        let days = u32::try_from(days).ok().filter(|_| allowed.contains(&days)).ok_or_else(|| {
            let message = format!("Days of {access_tier} must be from {} to {}", allowed.start(), allowed.end());
            S3Error::invalid_argument(message, "Days", days.to_string())
        })?;
        if place.replace(days).is_some() {
            let message = "Each access tier can be given only once";
            return Err(S3Error::invalid_argument(message, "AccessTier", access_tier));
        }
    }
    if let Some((_, deep)) = archive_days.zip(deep_archive_days).filter(|(archive, deep)| deep <= archive) {
        let message = "Days of DEEP_ARCHIVE_ACCESS must be more than those of ARCHIVE_ACCESS";
        return Err(S3Error::invalid_argument(message, "Days", deep.to_string()));
    }
    Ok(TieringConfiguration { id, filter, enabled, archive_days, deep_archive_days })
}

fn write(writer: &mut Writer, configuration: &TieringConfiguration) {
    writer.element("Id", &configuration.id);
    configuration_filter::write(writer, &configuration.filter);
    writer.element("Status", if configuration.enabled { "Enabled" } else { "Disabled" });
    let tiers = [(Tier::Archive, configuration.archive_days), (Tier::DeepArchive, configuration.deep_archive_days)];
    for (tier, days) in tiers {
        if let Some((name, days)) = tier.archive_status().zip(days) {
            writer.open("Tiering").element("AccessTier", name).element("Days", days.to_string()).close();
        }
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::TieringConfiguration;

    use super::{KIND, read};
    use crate::error::S3Error;
    use crate::op::bucket_configurations;
    use crate::request::Query;

    fn parse(inside: &str) -> Result<TieringConfiguration, S3Error> {
        let text = format!("<IntelligentTieringConfiguration>{inside}</IntelligentTieringConfiguration>");
        read(text.as_bytes(), &Query(vec![("id".to_string(), "id".to_string())]))
    }

    fn tiering(tier: &str, days: &str) -> String {
        format!("<Tiering><AccessTier>{tier}</AccessTier><Days>{days}</Days></Tiering>")
    }

    #[test]
    fn configurations_read_back() {
        fn check(text: &str, enabled: bool, archive_days: Option<u32>, deep_archive_days: Option<u32>) {
            let found = parse(text).expect(text);
            let days = (found.enabled, found.archive_days, found.deep_archive_days);
            assert_eq!(days, (enabled, archive_days, deep_archive_days), "{text}");
            let written = bucket_configurations::document(&KIND, &[found], "id").expect("it is there");
            assert!(written.ends_with(&format!(">{text}</IntelligentTieringConfiguration>")), "{written}");
        }
        let (archive, deep) = (tiering("ARCHIVE_ACCESS", "90"), tiering("DEEP_ARCHIVE_ACCESS", "180"));
        let enabled = "<Id>id</Id><Status>Enabled</Status>";
        check(&format!("{enabled}{archive}"), true, Some(90), None);
        check(&format!("{enabled}{deep}"), true, None, Some(180));
        check(&format!("{enabled}{archive}{deep}"), true, Some(90), Some(180));
        check(&format!("{enabled}{}", tiering("ARCHIVE_ACCESS", "730")), true, Some(730), None);
        check(&format!("{enabled}{}", tiering("DEEP_ARCHIVE_ACCESS", "730")), true, None, Some(730));
        let filter = "<Filter><Prefix>logs/</Prefix></Filter>";
        check(&format!("<Id>id</Id>{filter}<Status>Disabled</Status>{archive}"), false, Some(90), None);
    }

    #[test]
    fn other_documents_are_refused() {
        fn check(inside: &str, code: &str) {
            assert_eq!(parse(inside).expect_err(inside).code, code, "{inside}");
        }
        let (archive, deep) = (tiering("ARCHIVE_ACCESS", "90"), tiering("DEEP_ARCHIVE_ACCESS", "180"));
        let status = "<Status>Enabled</Status>";
        let enabled = &format!("<Id>id</Id>{status}");
        for inside in [
            String::new(),
            enabled.clone(),
            format!("{status}{archive}"),
            format!("<Id>id</Id>{archive}"),
            format!("<Id>other</Id>{status}{archive}"),
            format!("<Id>id</Id><Status>enabled</Status>{archive}"),
            format!("{enabled}<Tiering/>"),
            format!("{enabled}<Tiering><AccessTier>ARCHIVE_ACCESS</AccessTier></Tiering>"),
            format!("{enabled}<Tiering><Days>90</Days></Tiering>"),
            format!("{enabled}{}", tiering("ARCHIVE_ACCESS", "ninety")),
            format!("{enabled}{}", tiering("FREQUENT_ACCESS", "90")),
            format!("{enabled}{archive}<Other/>"),
            format!("{enabled}<Filter/>{archive}"),
        ] {
            check(&inside, "MalformedXML");
        }
        for (tier, days) in [
            ("ARCHIVE_ACCESS", "89"),
            ("ARCHIVE_ACCESS", "731"),
            ("ARCHIVE_ACCESS", "-90"),
            ("DEEP_ARCHIVE_ACCESS", "179"),
            ("DEEP_ARCHIVE_ACCESS", "731"),
        ] {
            check(&format!("{enabled}{}", tiering(tier, days)), "InvalidArgument");
        }
        check(&format!("{enabled}{archive}{archive}"), "InvalidArgument");
        check(&format!("{enabled}{}{deep}", tiering("ARCHIVE_ACCESS", "180")), "InvalidArgument");
        assert_eq!(read(b"", &Query::default()).expect_err("no document").code, "MissingRequestBodyError");
    }
}

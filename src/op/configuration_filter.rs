//! The `Filter` element by which configurations choose objects: `Prefix`, `Tag`, or several of them in `And`.

use serde::Deserialize;
use strata_storage::{ConfigurationFilter, Tag};

use crate::error::S3Error;
use crate::tagging::{self, OBJECT_TAGS_MAX};
use crate::xml::Writer;

/// The longest prefix that a key can have, in bytes.
const PREFIX_BYTES_MAX: usize = 1024;

/// `Filter` as sent.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FilterElement {
    prefix: Option<String>,
    tag: Option<TagElement>,
    and: Option<AndElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AndElement {
    prefix: Option<String>,
    #[serde(default)]
    tag: Vec<TagElement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagElement {
    key: String,
    value: String,
}

/// The filter that the document has; no filter chooses everything.
///
/// `MalformedXML` unless exactly one of the three is there, and for an `And` of fewer than two. A prefix that no key
/// can have, and tags that no object can have, are refused instead of choosing nothing.
pub fn read(element: Option<FilterElement>) -> Result<ConfigurationFilter, S3Error> {
    let Some(element) = element else { return Ok(ConfigurationFilter::default()) };
    let (prefix, tags) = match element {
        FilterElement { prefix: Some(prefix), tag: None, and: None } => (Some(prefix), Vec::new()),
        FilterElement { prefix: None, tag: Some(tag), and: None } => (None, vec![tag]),
        FilterElement { prefix: None, tag: None, and: Some(AndElement { prefix, tag }) }
            if usize::from(prefix.is_some()) + tag.len() >= 2 =>
        {
            (prefix, tag)
        }
        _ => return Err(S3Error::malformed_xml()),
    };
    check_prefix(prefix.as_deref())?;
    let tags = tags.into_iter().map(|TagElement { key, value }| Tag { key, value }).collect();
    Ok(ConfigurationFilter { prefix, tags: tagging::checked(tags, OBJECT_TAGS_MAX)? })
}

/// The same where a filter may name nothing, and then chooses everything.
pub fn read_or_all(element: FilterElement) -> Result<ConfigurationFilter, S3Error> {
    match element {
        FilterElement { prefix: None, tag: None, and: None } => Ok(ConfigurationFilter::default()),
        element => read(Some(element)),
    }
}

/// Refuses a prefix that no key can have.
pub fn check_prefix(prefix: Option<&str>) -> Result<(), S3Error> {
    match prefix {
        Some(prefix) if prefix.len() > PREFIX_BYTES_MAX => {
            let message = format!("The maximum size of a prefix is {PREFIX_BYTES_MAX}");
            Err(S3Error::invalid_argument(message, "Prefix", prefix))
        }
        _ => Ok(()),
    }
}

/// Writes the filter in the form in which it was sent, if there is one.
pub fn write(writer: &mut Writer, filter: &ConfigurationFilter) {
    let predicates = usize::from(filter.prefix.is_some()) + filter.tags.len();
    if predicates == 0 {
        return;
    }
    writer.open("Filter");
    if predicates > 1 {
        writer.open("And");
    }
    if let Some(prefix) = &filter.prefix {
        writer.element("Prefix", prefix);
    }
    for tag in &filter.tags {
        writer.open("Tag").element("Key", &tag.key).element("Value", &tag.value).close();
    }
    if predicates > 1 {
        writer.close();
    }
    writer.close();
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use strata_storage::{ConfigurationFilter, Tag};

    use super::{FilterElement, read, write};
    use crate::error::S3Error;
    use crate::xml::{self, Writer};

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Document {
        filter: Option<FilterElement>,
    }

    fn parse(inside: &str) -> Result<ConfigurationFilter, S3Error> {
        let document: Document = xml::parse(format!("<D>{inside}</D>").as_bytes())?;
        read(document.filter)
    }

    #[test]
    fn filters_read_back() {
        fn check(text: &str, prefix: Option<&str>, tags: &[(&str, &str)]) {
            let tags = tags.iter().map(|(key, value)| Tag { key: key.to_string(), value: value.to_string() }).collect();
            let filter = ConfigurationFilter { prefix: prefix.map(str::to_string), tags };
            assert_eq!(parse(text).expect(text), filter, "{text}");
            let mut writer = Writer::plain("D");
            write(&mut writer, &filter);
            let written = writer.finish();
            assert!(written.ends_with(&format!("<D>{text}</D>")), "{text}: {written}");
        }
        let tag = |key: &str, value: &str| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
        check("", None, &[]);
        check("<Filter><Prefix>logs/</Prefix></Filter>", Some("logs/"), &[]);
        check("<Filter><Prefix></Prefix></Filter>", Some(""), &[]);
        check(&format!("<Filter>{}</Filter>", tag("a", "")), None, &[("a", "")]);
        let both = format!("<Filter><And><Prefix>a&amp;b</Prefix>{}</And></Filter>", tag("a", "1"));
        check(&both, Some("a&b"), &[("a", "1")]);
        let tags = format!("<Filter><And>{}{}</And></Filter>", tag("b", "1"), tag("a", "2"));
        check(&tags, None, &[("b", "1"), ("a", "2")]);
    }

    #[test]
    fn other_filters_are_refused() {
        fn check(inside: &str, code: &str) {
            assert_eq!(parse(&format!("<Filter>{inside}</Filter>")).expect_err(inside).code, code, "{inside}");
        }
        let tag = "<Tag><Key>a</Key><Value>1</Value></Tag>";
        for inside in [
            "",
            "<And/>",
            "<Other/>",
            "<Prefix>a</Prefix><Prefix>b</Prefix>",
            "<And><Prefix>a</Prefix></And>",
            &format!("<And>{tag}</And>"),
            &format!("<Prefix>a</Prefix>{tag}"),
            &format!("{tag}{tag}"),
            &format!("<Prefix>a</Prefix><And><Prefix>a</Prefix>{tag}</And>"),
            "<Tag><Key>a</Key></Tag>",
        ] {
            check(inside, "MalformedXML");
        }
        check(&format!("<Prefix>{}</Prefix>", "p".repeat(1025)), "InvalidArgument");
        check(&format!("<And>{tag}{tag}</And>"), "InvalidTag");
        check("<Tag><Key/><Value>1</Value></Tag>", "InvalidTag");
        let many: String = (0..11).map(|n| format!("<Tag><Key>{n}</Key><Value/></Tag>")).collect();
        check(&format!("<And>{many}</And>"), "BadRequest");
    }
}

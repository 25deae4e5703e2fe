//! `NotificationConfiguration` documents, both ways; the rules that follow from them; and their stored form: a format byte,
//! then postcard's encoding. The document is stored as it came, so that it goes out again so.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use strata_storage::{Bucket, BucketDocument, EventKinds, NotificationRule};

use super::{envelope, kinds};
use crate::error::S3Error;
use crate::xml::{self, Writer};

const FORMAT: u8 = 1;
/// The most configurations of a bucket. Unconfirmed.
const CONFIGURATIONS_MAX: usize = 100;
const ID_CHARACTERS_MAX: usize = 255;
/// Nothing longer can be part of a key.
const VALUE_BYTES_MAX: usize = 1024;
/// The id of the rule that brings everything to the event bus; a document's own ids are not empty.
const BUS_ID: &str = "";

/// What a bucket wants to be told of, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// Topics, then queues, then functions, each in the order of the document.
    pub entries: Vec<Entry>,
    /// Whether everything goes to the event bus.
    pub event_bridge: bool,
}

/// One configuration of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id; never empty.
    pub id: String,
    /// What its destination is.
    pub destination: Destination,
    /// The ARN of the destination.
    pub arn: String,
    events: Vec<String>,
    filter: Option<Vec<FilterRule>>,
}

/// What a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// A topic of SNS.
    Topic,
    /// A queue of SQS.
    Queue,
    /// A function of Lambda.
    Function,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct FilterRule {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "TopicConfiguration", default)]
    topics: Vec<DocumentEntry>,
    #[serde(rename = "QueueConfiguration", default)]
    queues: Vec<DocumentEntry>,
    #[serde(rename = "CloudFunctionConfiguration", default)]
    functions: Vec<DocumentEntry>,
    #[serde(rename = "EventBridgeConfiguration")]
    event_bridge: Option<Empty>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DocumentEntry {
    id: Option<String>,
    topic: Option<String>,
    queue: Option<String>,
    cloud_function: Option<String>,
    #[serde(rename = "Event", default)]
    events: Vec<String>,
    filter: Option<DocumentFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentFilter {
    #[serde(rename = "S3Key")]
    key: Option<DocumentKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentKey {
    #[serde(rename = "FilterRule", default)]
    rules: Vec<FilterRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

impl Destination {
    /// The element that names the destination inside an entry.
    pub const fn element(self) -> &'static str {
        match self {
            Destination::Topic => "Topic",
            Destination::Queue => "Queue",
            Destination::Function => "CloudFunction",
        }
    }

    const fn entry_element(self) -> &'static str {
        match self {
            Destination::Topic => "TopicConfiguration",
            Destination::Queue => "QueueConfiguration",
            Destination::Function => "CloudFunctionConfiguration",
        }
    }

    /// The service in its ARNs.
    pub const fn service(self) -> &'static str {
        match self {
            Destination::Topic => "sns",
            Destination::Queue => "sqs",
            Destination::Function => "lambda",
        }
    }

    /// What error messages call it.
    pub const fn noun(self) -> &'static str {
        match self {
            Destination::Topic => "topic",
            Destination::Queue => "queue",
            Destination::Function => "Lambda function",
        }
    }
}

impl Configuration {
    /// The bucket's. `Err` if what is stored cannot be read.
    pub fn of(bucket: &Bucket) -> Result<Configuration, S3Error> {
        match bucket.documents.get(&BucketDocument::Notifications).map(|stored| &stored[..]) {
            None => Ok(Configuration::default()),
            Some([FORMAT, rest @ ..]) => postcard::from_bytes(rest).map_err(S3Error::internal),
            Some(_) => Err(S3Error::internal("a notification configuration of unknown format")),
        }
    }

    /// The stored form.
    pub fn to_stored(&self) -> Result<Vec<u8>, S3Error> {
        postcard::to_extend(self, vec![FORMAT]).map_err(S3Error::internal)
    }

    /// Whether nobody is told anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.event_bridge
    }

    /// Reads a document, and checks all that can be said of it without asking anybody. Entries without id get one of
    /// `new_id`.
    pub fn parse(bytes: &[u8], mut new_id: impl FnMut() -> String) -> Result<Configuration, S3Error> {
        let Document { topics, queues, functions, event_bridge } = xml::parse(bytes)?;
        let mut entries = Vec::new();
        for (destination, list) in
            [(Destination::Topic, topics), (Destination::Queue, queues), (Destination::Function, functions)]
        {
            for entry in list {
                entries.push(entry.checked(destination, &mut new_id)?);
            }
        }
        if entries.len() > CONFIGURATIONS_MAX {
            let message = format!("A bucket can have at most {CONFIGURATIONS_MAX} notification configurations");
            return Err(S3Error::invalid_argument(message, "NotificationConfiguration", entries.len().to_string()));
        }
        check_ids(&entries)?;
        check_overlaps(&entries)?;
        Ok(Configuration { entries, event_bridge: event_bridge.is_some() })
    }

    /// The document; without configuration an empty one.
    pub fn document(&self) -> String {
        let mut writer = Writer::new("NotificationConfiguration");
        for entry in &self.entries {
            writer.open(entry.destination.entry_element()).element("Id", &entry.id);
            writer.element(entry.destination.element(), &entry.arn);
            for event in &entry.events {
                writer.element("Event", event);
            }
            if let Some(rules) = &entry.filter {
                writer.open("Filter").open("S3Key");
                for FilterRule { name, value } in rules {
                    writer.open("FilterRule").element("Name", name).element("Value", value).close();
                }
                writer.close().close();
            }
            writer.close();
        }
        if self.event_bridge {
            writer.open("EventBridgeConfiguration").close();
        }
        writer.finish()
    }

    /// The rules that the engine follows; `bus` is the ARN of the event bus, if everything goes there.
    pub fn rules(&self, bus: Option<&str>) -> Vec<NotificationRule> {
        let bus = bus.map(|bus| NotificationRule {
            id: BUS_ID.to_owned(),
            target: bus.to_owned(),
            kinds: envelope::event_bridge_kinds(),
            prefix: String::new(),
            suffix: String::new(),
        });
        self.entries.iter().map(Entry::rule).chain(bus).collect()
    }
}

impl DocumentEntry {
    fn checked(self, destination: Destination, new_id: impl FnOnce() -> String) -> Result<Entry, S3Error> {
        let DocumentEntry { id, topic, queue, cloud_function, events, filter } = self;
        let arn = match (destination, topic, queue, cloud_function) {
            (Destination::Topic, Some(arn), None, None)
            | (Destination::Queue, None, Some(arn), None)
            | (Destination::Function, None, None, Some(arn)) => arn,
            _ => return Err(S3Error::malformed_xml()),
        };
        if events.is_empty() {
            return Err(S3Error::malformed_xml());
        }
        if let Some(unknown) = events.iter().find(|event| kinds::meant(event).is_none()) {
            return Err(S3Error::invalid_argument(
                "The event is not supported for notifications",
                "Event",
                unknown.clone(),
            ));
        }
        let filter = match filter {
            None => None,
            Some(DocumentFilter { key: None }) => return Err(S3Error::malformed_xml()),
            Some(DocumentFilter { key: Some(DocumentKey { rules }) }) => Some(rules),
        };
        check_filter(filter.as_deref().unwrap_or_default())?;
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(new_id);
        Ok(Entry { id, destination, arn, events, filter })
    }
}

impl FilterRule {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

impl Entry {
    fn kinds(&self) -> EventKinds {
        let mut all = EventKinds::default();
        for kinds in self.events.iter().filter_map(|event| kinds::meant(event)) {
            all = all.with(kinds);
        }
        all
    }

    /// What the key must begin or end with.
    fn value(&self, name: &str) -> Cow<'_, str> {
        let rule = self.filter.as_deref().unwrap_or_default().iter().find(|rule| rule.is(name));
        rule.map_or(Cow::Borrowed(""), |rule| decoded(&rule.value))
    }

    fn rule(&self) -> NotificationRule {
        NotificationRule {
            id: self.id.clone(),
            target: self.arn.clone(),
            kinds: self.kinds(),
            prefix: self.value("prefix").into_owned(),
            suffix: self.value("suffix").into_owned(),
        }
    }
}

/// A filter's value as keys have it: documents hold it URL-encoded, with `+` for a space. What cannot be decoded means
/// itself.
fn decoded(value: &str) -> Cow<'_, str> {
    let spaced = value.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map_or(Cow::Borrowed(value), |text| Cow::Owned(text.into_owned()))
}

fn check_filter(rules: &[FilterRule]) -> Result<(), S3Error> {
    if let Some(other) = rules.iter().find(|rule| !rule.is("prefix") && !rule.is("suffix")) {
        let message = "filter rule name must be either prefix or suffix";
        return Err(S3Error::invalid_argument(message, "FilterRule.Name", other.name.clone()));
    }
    // Unconfirmed: the words for both.
    for name in ["prefix", "suffix"] {
        if rules.iter().filter(|rule| rule.is(name)).count() > 1 {
            let message = format!("Cannot specify more than one {name} rule in a filter.");
            return Err(S3Error::invalid_argument(message, "FilterRule.Name", name));
        }
    }
    if let Some(long) = rules.iter().find(|rule| rule.value.len() > VALUE_BYTES_MAX) {
        let message = "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation";
        return Err(S3Error::invalid_argument(message, "FilterRule.Value", long.value.clone()));
    }
    Ok(())
}

/// Unconfirmed: the words for both faults.
fn check_ids(entries: &[Entry]) -> Result<(), S3Error> {
    for (index, entry) in entries.iter().enumerate() {
        if entry.id.chars().count() > ID_CHARACTERS_MAX {
            let message = format!("ID length should not exceed allowed limit of {ID_CHARACTERS_MAX}");
            return Err(S3Error::invalid_argument(message, "Id", entry.id.clone()));
        }
        if entries[..index].iter().any(|earlier| earlier.id == entry.id) {
            let message = "Same ID used for multiple configurations. IDs must be unique";
            return Err(S3Error::invalid_argument(message, "Id", entry.id.clone()));
        }
    }
    Ok(())
}

/// No event may match two entries.
fn check_overlaps(entries: &[Entry]) -> Result<(), S3Error> {
    let rules: Vec<NotificationRule> = entries.iter().map(Entry::rule).collect();
    for (index, rule) in rules.iter().enumerate() {
        for other in &rules[..index] {
            let prefixes = rule.prefix.starts_with(&other.prefix) || other.prefix.starts_with(&rule.prefix);
            let suffixes = rule.suffix.ends_with(&other.suffix) || other.suffix.ends_with(&rule.suffix);
            if !(prefixes && suffixes && rule.kinds.intersects(other.kinds)) {
                continue;
            }
            let filtered = |rule: &NotificationRule| !(rule.prefix.is_empty() && rule.suffix.is_empty());
            // Both were seen; unconfirmed which is for which case.
            let message = match filtered(rule) && filtered(other) {
                true => {
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
                     overlapping for the same event type."
                }
                false => "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
            };
            return Err(S3Error::new(http::StatusCode::BAD_REQUEST, "InvalidArgument", message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strata_storage::{Bucket, BucketDocument, EventKind};

    use super::Configuration;

    const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:q";

    fn parse(inside: &str) -> Result<Configuration, crate::error::S3Error> {
        let mut made = 0;
        Configuration::parse(
            format!("<NotificationConfiguration>{inside}</NotificationConfiguration>").as_bytes(),
            || {
                made += 1;
                format!("made-{made}")
            },
        )
    }

    fn queue(id: &str, more: &str) -> String {
        format!("<QueueConfiguration><Id>{id}</Id><Queue>{ARN}</Queue>{more}</QueueConfiguration>")
    }

    fn filter(rules: &[(&str, &str)]) -> String {
        let rules = rules
            .iter()
            .map(|(name, value)| format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>"));
        format!("<Filter><S3Key>{}</S3Key></Filter>", rules.collect::<String>())
    }

    const PUT: &str = "<Event>s3:ObjectCreated:Put</Event>";
    const CREATED: &str = "<Event>s3:ObjectCreated:*</Event>";

    #[test]
    fn documents_come_back_as_they_went() {
        fn check(inside: &str) {
            let configuration = parse(inside).unwrap_or_else(|error| panic!("{inside}: {error}"));
            let shown = configuration.document();
            assert!(shown.ends_with(&format!(">{inside}</NotificationConfiguration>")), "{shown}");
            let mut bucket = Bucket::default();
            let stored = Arc::from(configuration.to_stored().unwrap());
            bucket.documents.insert(BucketDocument::Notifications, stored);
            assert_eq!(Configuration::of(&bucket).unwrap(), configuration);
        }
        check("");
        check(&queue("id", PUT));
        check("<EventBridgeConfiguration></EventBridgeConfiguration>");
        let topic = "<TopicConfiguration><Id>t</Id><Topic>arn:aws:sns:us-east-1:0:t</Topic>\
                     <Event>s3:ReducedRedundancyLostObject</Event></TopicConfiguration>";
        let function = format!(
            "<CloudFunctionConfiguration><Id>f</Id><CloudFunction>arn:aws:lambda:::f</CloudFunction>\
             <Event>s3:ObjectTagging:Delete</Event><Event>s3:ObjectRemoved:*</Event>{}</CloudFunctionConfiguration>",
            filter(&[("Suffix", "+a%2Bb"), ("prefix", "")])
        );
        let (queue, bus) = (queue("q", PUT), "<EventBridgeConfiguration></EventBridgeConfiguration>");
        check(&format!("{topic}{queue}{function}{bus}"));
        check(&super::tests::queue("id", &format!("{PUT}{}", filter(&[]))));
        assert_eq!(Configuration::of(&Bucket::default()).unwrap(), Configuration::default());
    }

    #[test]
    fn rules_follow_from_documents() {
        let inside = format!(
            "<QueueConfiguration><Queue>{ARN}</Queue>{CREATED}<Event>s3:ObjectAcl:Put</Event>{}</QueueConfiguration>\
             <EventBridgeConfiguration/>",
            filter(&[("PREFIX", "a+b/%C3%A9%2B"), ("suffix", "100%")])
        );
        let rules = parse(&inside).unwrap().rules(Some("bus"));
        let [rule, bus] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!((&*rule.id, &*rule.target, &*rule.prefix, &*rule.suffix), ("made-1", ARN, "a b/\u{e9}+", "100%"));
        for kind in EventKind::ALL {
            let wanted = matches!(
                kind,
                EventKind::CreatedPut
                    | EventKind::CreatedPost
                    | EventKind::CreatedCopy
                    | EventKind::CreatedUpload
                    | EventKind::AclPut
            );
            assert_eq!(rule.kinds.contains(kind), wanted, "{kind:?}");
        }
        assert_eq!((&*bus.id, &*bus.target), ("", "bus"));
        assert!(bus.wants(EventKind::TaggingDelete, "any") && !bus.wants(EventKind::LostObject, "any"));
    }

    #[test]
    fn faults() {
        fn check(inside: &str, code: &str, message: &str) {
            let error = parse(inside).unwrap_err();
            assert!(error.code == code && error.message.contains(message), "{inside}: {error}");
        }
        check("<Other/>", "MalformedXML", "");
        check(&queue("a", ""), "MalformedXML", "");
        check(&queue("a", &format!("{PUT}<Other/>")), "MalformedXML", "");
        check(&queue("a", &format!("{PUT}<Topic>arn</Topic>")), "MalformedXML", "");
        check(&queue("a", &format!("{PUT}<Filter/>")), "MalformedXML", "");
        let half = "<Filter><S3Key><FilterRule><Name>prefix</Name></FilterRule></S3Key></Filter>";
        check(&queue("a", &format!("{PUT}{half}")), "MalformedXML", "");
        check(&format!("<TopicConfiguration><Queue>{ARN}</Queue>{PUT}</TopicConfiguration>"), "MalformedXML", "");
        for event in ["s3:ObjectAnnotation:Put", "s3:Nothing", ""] {
            check(&queue("a", &format!("<Event>{event}</Event>")), "InvalidArgument", "The event is not supported");
        }
        let named = |rules: &[(&str, &str)]| queue("a", &format!("{PUT}{}", filter(rules)));
        let name = "filter rule name must be either prefix or suffix";
        check(&named(&[("infix", "a")]), "InvalidArgument", name);
        check(&named(&[("prefix", "a"), ("Prefix", "b")]), "InvalidArgument", "more than one prefix rule");
        check(&named(&[("suffix", &"a".repeat(1025))]), "InvalidArgument", "1024");
        let other = "<Event>s3:ObjectRemoved:Delete</Event>";
        check(&format!("{}{}", queue("a", PUT), queue("a", other)), "InvalidArgument", "unique");
        check(&queue(&"i".repeat(256), PUT), "InvalidArgument", "255");
        let events = |index: usize| format!("{PUT}{}", filter(&[("prefix", &format!("{index:03}"))]));
        let many = |count: usize| (0..count).map(|index| queue(&index.to_string(), &events(index))).collect::<String>();
        assert!(parse(&many(100)).is_ok());
        check(&many(101), "InvalidArgument", "at most 100");
    }

    #[test]
    fn overlaps() {
        fn check(first: (&str, &str), second: (&str, &str), events: [&str; 2], expected: Option<&str>) {
            let entry = |id, (prefix, suffix), events: &str| {
                queue(id, &format!("{events}{}", filter(&[("prefix", prefix), ("suffix", suffix)])))
            };
            let found = parse(&format!("{}{}", entry("a", first, events[0]), entry("b", second, events[1])));
            match (found, expected) {
                (Ok(_), None) => {}
                (Err(error), Some(expected)) => {
                    assert!(error.code == "InvalidArgument" && error.message.starts_with(expected), "{error}");
                }
                (found, _) => panic!("{first:?} {second:?}: {:?}", found.map(|_| ())),
            }
        }
        let ambiguous = Some("Configuration is ambiguously defined.");
        let removed = "<Event>s3:ObjectRemoved:Delete</Event>";
        check(("", ""), ("", ""), [PUT, CREATED], Some("Configurations overlap."));
        check(("", ""), ("", ""), [PUT, removed], None);
        check(("images/", ""), ("", ""), [PUT, PUT], Some("Configurations overlap."));
        check(("images/", ""), ("images/a", ""), [PUT, PUT], ambiguous);
        check(("images/", ""), ("logs/", ""), [PUT, PUT], None);
        check(("", ".jpg"), ("", ".png"), [PUT, PUT], None);
        check(("", ".jpg"), ("", "a.jpg"), [PUT, PUT], ambiguous);
        check(("images/", ".jpg"), ("images/", ".png"), [PUT, PUT], None);
        check(("images/", ""), ("", ".png"), [PUT, PUT], ambiguous);
    }
}

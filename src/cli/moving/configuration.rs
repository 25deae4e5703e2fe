//! How a bucket is configured: asked for as S3 answers it, and put to another one, last of all.
//!
//! Rules that act on versions (lifecycle, retention, replication) come after the versions, so that they never see half of them.
//! What versions themselves need, versioning, Object Lock and who owns objects, is set before them, and here once more.

use http::{Method, StatusCode};

use super::acl;
use super::document::Configuration;
use super::place::{Ask, Place};
use super::report::Report;
use crate::cli::CliError;

/// What says whether versions are kept.
pub const VERSIONING: &str = "versioning";
/// What keeps versions from being removed.
pub const OBJECT_LOCK: &str = "object-lock";
/// Whether access control lists count.
pub const OWNERSHIP: &str = "ownershipControls";
/// What keeps a bucket from being public.
pub const ACCESS_BLOCK: &str = "publicAccessBlock";
const ACL: &str = "acl";
const POLICY: &str = "policy";

/// S3's sub-resources with one document, in the order in which they are put: nothing is public before it is known what blocks
/// that, and rules that act come last.
const SINGLE: [&str; 16] = [
    OWNERSHIP,
    VERSIONING,
    "encryption",
    "tagging",
    "cors",
    "website",
    "logging",
    PAYMENT,
    "accelerate",
    ACCESS_BLOCK,
    ACL,
    POLICY,
    OBJECT_LOCK,
    "notification",
    "lifecycle",
    "replication",
];

/// The one of them that says something when it was never set: that the owner pays.
const PAYMENT: &str = "requestPayment";
/// Those with several, each of which has an id, and the element that holds one of them.
const SEVERAL: [(&str, &str); 4] = [
    ("analytics", "AnalyticsConfiguration"),
    ("intelligent-tiering", "IntelligentTieringConfiguration"),
    ("inventory", "InventoryConfiguration"),
    ("metrics", "MetricsConfiguration"),
];

/// All that is configured of a bucket. What cannot be asked for is told.
pub async fn of_bucket(place: &Place, report: &mut Report<'_>) -> Result<Vec<Configuration>, CliError> {
    let mut found = Vec::new();
    for name in SINGLE {
        let Some(document) = get(place, &[(name, "")], report).await? else { continue };
        if !says_nothing(name, &document) {
            found.push(Configuration { name: name.to_owned(), id: None, document });
        }
    }
    for (name, element) in SEVERAL {
        let mut token = String::new();
        loop {
            let mut query = vec![(name, "")];
            query.extend((!token.is_empty()).then_some(("continuation-token", token.as_str())));
            let Some(page) = get(place, &query, report).await? else { break };
            for document in elements(&page, element) {
                let id = elements(document, "Id").next().map(|id| inside(id).to_owned());
                let document = document.to_owned();
                found.push(Configuration { name: name.to_owned(), id, document });
            }
            let next = elements(&page, "NextContinuationToken").next().map(|token| inside(token).to_owned());
            match next {
                Some(next) if next != token => token = next,
                _ => break,
            }
        }
    }
    Ok(found)
}

/// Puts what a bucket was configured to. What is refused is told.
pub async fn apply(place: &Place, all: &[Configuration], report: &mut Report<'_>) -> Result<(), CliError> {
    let mut sorted: Vec<&Configuration> = all.iter().collect();
    sorted.sort_by_key(|configuration| {
        SINGLE.iter().position(|name| *name == configuration.name).unwrap_or(SINGLE.len())
    });
    for configuration in sorted {
        put(place, configuration, report).await?;
    }
    Ok(())
}

/// Puts one of them.
pub async fn put(place: &Place, configuration: &Configuration, report: &mut Report<'_>) -> Result<(), CliError> {
    let Configuration { name, id, document } = configuration;
    let is_known = SINGLE.contains(&name.as_str()) || SEVERAL.iter().any(|(known, _)| known == name);
    if !is_known {
        return report.configuration(name, "this version of strata does not know it");
    }
    let document = match name.as_str() {
        ACL => match acl::of_bucket(place, document).await? {
            Ok(document) => document,
            Err(reason) => return report.configuration(name, &reason),
        },
        _ => document.clone(),
    };
    let mut ask = Ask::new(Method::PUT, None).with(name, "").document(&document);
    ask.query.extend(id.iter().map(|id| ("id", id.as_str())));
    match place.ask(&ask).await? {
        Ok(_) => Ok(()),
        Err(refusal) => report.configuration(name, &refusal.to_string()),
    }
}

/// The one of that name.
pub fn named<'c>(all: &'c [Configuration], name: &str) -> Option<&'c Configuration> {
    all.iter().find(|configuration| configuration.name == name)
}

async fn get(place: &Place, query: &[(&str, &str)], report: &mut Report<'_>) -> Result<Option<String>, CliError> {
    let ask = Ask { method: Method::GET, query: query.to_vec(), ..Ask::default() };
    let name = query.first().map_or("", |(name, _)| *name);
    match place.ask(&ask).await? {
        Ok(answer) => Ok(Some(String::from_utf8_lossy(&answer.body).into_owned())),
        Err(refusal) if refusal.code == "NoSuchBucket" => {
            Err(CliError::NotDone(format!("there is no bucket {}", place.bucket())))
        }
        // None is set, or the store has no such thing.
        Err(refusal) if [StatusCode::NOT_FOUND, StatusCode::NOT_IMPLEMENTED].contains(&refusal.status) => Ok(None),
        Err(refusal) => {
            report.configuration(name, &refusal.to_string())?;
            Ok(None)
        }
    }
}

/// Whether a document has a root and nothing in it.
fn is_empty(document: &str) -> bool {
    let opening = document.split('<').skip(1).filter(|tag| !tag.starts_with(['/', '?', '!']));
    opening.count() <= 1
}

/// Whether a document is what S3 answers where nothing was set.
fn says_nothing(name: &str, document: &str) -> bool {
    match name {
        POLICY => false,
        ACL => acl::is_private(document),
        PAYMENT => elements(document, "Payer").all(|payer| inside(payer) == "BucketOwner"),
        _ => is_empty(document),
    }
}

/// The outermost elements of that name, as they stand in the document.
fn elements<'d>(document: &'d str, name: &str) -> impl Iterator<Item = &'d str> {
    let (opening, closing) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = document;
    std::iter::from_fn(move || {
        let from = rest.find(&opening)?;
        let until = from + rest[from..].find(&closing)? + closing.len();
        let found = &rest[from..until];
        rest = &rest[until..];
        Some(found)
    })
}

/// What is between the tags of an element without children.
fn inside(element: &str) -> &str {
    let text = element.split_once('>').map_or("", |(_, rest)| rest);
    text.split_once('<').map_or("", |(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::{elements, inside, says_nothing};

    #[test]
    fn documents_that_say_nothing() {
        fn check(name: &str, document: &str, expected: bool) {
            assert_eq!(says_nothing(name, document), expected, "{document}");
        }
        check("versioning", "<?xml version=\"1.0\"?>\n<VersioningConfiguration xmlns=\"x\"/>", true);
        check("logging", "<BucketLoggingStatus xmlns=\"x\"></BucketLoggingStatus>", true);
        check("versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>", false);
        let payment = |who| format!("<RequestPaymentConfiguration><Payer>{who}</Payer></RequestPaymentConfiguration>");
        check("requestPayment", &payment("BucketOwner"), true);
        check("requestPayment", &payment("Requester"), false);
    }

    #[test]
    fn configurations_are_taken_out_of_their_list() {
        let list = "<L><C><Id>a</Id><T>1</T></C><C><Id>b</Id></C></L>";
        let found: Vec<&str> = elements(list, "C").collect();
        assert_eq!(found, ["<C><Id>a</Id><T>1</T></C>", "<C><Id>b</Id></C>"]);
        assert_eq!(elements(found[1], "Id").next().map(inside), Some("b"));
        assert_eq!(elements(list, "D").next(), None);
    }
}

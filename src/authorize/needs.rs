//! Which permissions a request needs: one table, from the operation and its headers to actions. Pure.
//!
//! Every operation of S3 is in it, whether this server offers it or not: strangers are refused before they learn what
//! is implemented. What a request's body adds is asked for by the operation that reads it.

use http::HeaderMap;

use crate::policy::Action;
use crate::replication::replica;
use crate::request::Query;
use crate::route::Operation;

/// One permission that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// To do what.
    pub action: Action,
    /// To what.
    pub on: On,
}

/// What the action of a need is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Nothing but the caller's account.
    Account,
    /// The bucket that the request names.
    Bucket,
    /// The object that it names, or the version of it.
    Object,
}

/// An action on an object, and the one that takes its place where `versionId` names a version.
#[derive(Clone, Copy)]
struct Versioned {
    current: Action,
    version: Action,
}

const BYPASS: Action = Action::known("s3:BypassGovernanceRetention");
const GET: Action = Action::known("s3:GetObject");
const GET_VERSION: Action = Action::known("s3:GetObjectVersion");

/// To find out whether a key is there.
pub const LIST: Action = Action::known("s3:ListBucket");
/// To find out whether a version is there.
pub const LIST_VERSIONS: Action = Action::known("s3:ListBucketVersions");

macro_rules! versioned {
    ($current:literal) => {
        versioned!($current $current)
    };
    ($current:literal $version:literal) => {
        Versioned {
            current: Action::known(concat!("s3:", $current)),
            version: Action::known(concat!("s3:", $version)),
        }
    };
}

macro_rules! rows {
    ($($on:ident [$($($action:literal)+),*] $($operation:ident)+;)*) => {
        /// The actions of an operation, whatever its headers say.
        fn row(operation: Operation) -> (On, &'static [Versioned]) {
            match operation {
                $($(Operation::$operation)|+ => (On::$on, const { &[$(versioned!($($action)+)),*] }),)*
            }
        }
    };
}

rows! {
    Account ["ListAllMyBuckets"] ListBuckets ListDirectoryBuckets;

    // Each of the keys is asked for by itself; a form says in its fields who sends it; a preflight is answered to
    // everybody.
    Bucket [] DeleteObjects PostObject PreflightRequest;

    Bucket ["CreateBucket"] CreateBucket;
    Bucket ["CreateBucketMetadataTableConfiguration"] CreateBucketMetadataConfiguration
        CreateBucketMetadataTableConfiguration UpdateBucketMetadataAnnotationTableConfiguration;
    Bucket ["DeleteBucket"] DeleteBucket;
    Bucket ["DeleteBucketMetadataTableConfiguration"] DeleteBucketMetadataConfiguration
        DeleteBucketMetadataTableConfiguration;
    Bucket ["DeleteBucketPolicy"] DeleteBucketPolicy;
    Bucket ["DeleteBucketWebsite"] DeleteBucketWebsite;
    Bucket ["GetAccelerateConfiguration"] GetBucketAccelerateConfiguration;
    Bucket ["GetAnalyticsConfiguration"] GetBucketAnalyticsConfiguration ListBucketAnalyticsConfigurations;
    Bucket ["GetBucketAbac"] GetBucketAbac;
    Bucket ["GetBucketAcl"] GetBucketAcl;
    Bucket ["GetBucketCORS"] GetBucketCors;
    Bucket ["GetBucketLocation"] GetBucketLocation;
    Bucket ["GetBucketLogging"] GetBucketLogging;
    Bucket ["GetBucketMetadataTableConfiguration"] GetBucketMetadataConfiguration GetBucketMetadataTableConfiguration;
    Bucket ["GetBucketNotification"] GetBucketNotificationConfiguration;
    Bucket ["GetBucketObjectLockConfiguration"] GetObjectLockConfiguration;
    Bucket ["GetBucketOwnershipControls"] GetBucketOwnershipControls;
    Bucket ["GetBucketPolicy"] GetBucketPolicy;
    Bucket ["GetBucketPolicyStatus"] GetBucketPolicyStatus;
    Bucket ["GetBucketPublicAccessBlock"] GetPublicAccessBlock;
    Bucket ["GetBucketRequestPayment"] GetBucketRequestPayment;
    Bucket ["GetBucketTagging"] GetBucketTagging;
    Bucket ["GetBucketVersioning"] GetBucketVersioning;
    Bucket ["GetBucketWebsite"] GetBucketWebsite;
    Bucket ["GetEncryptionConfiguration"] GetBucketEncryption;
    Bucket ["GetIntelligentTieringConfiguration"] GetBucketIntelligentTieringConfiguration
        ListBucketIntelligentTieringConfigurations;
    Bucket ["GetInventoryConfiguration"] GetBucketInventoryConfiguration ListBucketInventoryConfigurations;
    Bucket ["GetLifecycleConfiguration"] GetBucketLifecycleConfiguration;
    Bucket ["GetMetricsConfiguration"] GetBucketMetricsConfiguration ListBucketMetricsConfigurations;
    Bucket ["GetReplicationConfiguration"] GetBucketReplication;
    // A session of a directory bucket could do more than list, but there are none here.
    Bucket ["ListBucket"] HeadBucket ListObjects ListObjectsV2 CreateSession;
    Bucket ["ListBucketMultipartUploads"] ListMultipartUploads;
    Bucket ["ListBucketVersions"] ListObjectVersions;
    // Deleting a configuration needs what putting it needs, but for policies and web sites.
    Bucket ["PutAccelerateConfiguration"] PutBucketAccelerateConfiguration;
    Bucket ["PutAnalyticsConfiguration"] PutBucketAnalyticsConfiguration DeleteBucketAnalyticsConfiguration;
    Bucket ["PutBucketAbac"] PutBucketAbac;
    Bucket ["PutBucketAcl"] PutBucketAcl;
    Bucket ["PutBucketCORS"] PutBucketCors DeleteBucketCors;
    Bucket ["PutBucketLogging"] PutBucketLogging;
    Bucket ["PutBucketNotification"] PutBucketNotificationConfiguration;
    Bucket ["PutBucketObjectLockConfiguration"] PutObjectLockConfiguration;
    Bucket ["PutBucketOwnershipControls"] PutBucketOwnershipControls DeleteBucketOwnershipControls;
    Bucket ["PutBucketPolicy"] PutBucketPolicy;
    Bucket ["PutBucketPublicAccessBlock"] PutPublicAccessBlock DeletePublicAccessBlock;
    Bucket ["PutBucketRequestPayment"] PutBucketRequestPayment;
    Bucket ["PutBucketTagging"] PutBucketTagging DeleteBucketTagging;
    Bucket ["PutBucketVersioning"] PutBucketVersioning;
    Bucket ["PutBucketWebsite"] PutBucketWebsite;
    Bucket ["PutEncryptionConfiguration"] PutBucketEncryption DeleteBucketEncryption;
    Bucket ["PutIntelligentTieringConfiguration"] PutBucketIntelligentTieringConfiguration
        DeleteBucketIntelligentTieringConfiguration;
    Bucket ["PutInventoryConfiguration"] PutBucketInventoryConfiguration DeleteBucketInventoryConfiguration;
    Bucket ["PutLifecycleConfiguration"] PutBucketLifecycleConfiguration DeleteBucketLifecycle;
    Bucket ["PutMetricsConfiguration"] PutBucketMetricsConfiguration DeleteBucketMetricsConfiguration;
    Bucket ["PutReplicationConfiguration"] PutBucketReplication DeleteBucketReplication;
    Bucket ["UpdateBucketMetadataInventoryTableConfiguration"] UpdateBucketMetadataInventoryTableConfiguration;
    Bucket ["UpdateBucketMetadataJournalTableConfiguration"] UpdateBucketMetadataJournalTableConfiguration;

    Object ["AbortMultipartUpload"] AbortMultipartUpload;
    Object ["DeleteObject" "DeleteObjectVersion"] DeleteObject;
    Object ["DeleteObjectAnnotation"] DeleteObjectAnnotation;
    Object ["DeleteObjectTagging" "DeleteObjectVersionTagging"] DeleteObjectTagging;
    Object ["GetObject" "GetObjectVersion"] GetObject HeadObject SelectObjectContent;
    Object ["GetObject" "GetObjectVersion", "GetObjectAttributes" "GetObjectVersionAttributes"] GetObjectAttributes;
    Object ["GetObjectAcl" "GetObjectVersionAcl"] GetObjectAcl;
    Object ["GetObjectAnnotation"] GetObjectAnnotation;
    Object ["GetObjectLegalHold"] GetObjectLegalHold;
    Object ["GetObjectRetention"] GetObjectRetention;
    Object ["GetObjectTagging" "GetObjectVersionTagging"] GetObjectTagging;
    Object ["GetObjectTorrent" "GetObjectVersionTorrent"] GetObjectTorrent;
    Object ["ListMultipartUploadParts"] ListParts;
    Object ["ListObjectAnnotations"] ListObjectAnnotations;
    // The sources of copies are asked for where they are opened.
    Object ["PutObject"] CompleteMultipartUpload CopyObject CreateMultipartUpload PutObject UploadPart UploadPartCopy;
    Object ["PutObjectAcl" "PutObjectVersionAcl"] PutObjectAcl;
    Object ["PutObjectAnnotation"] PutObjectAnnotation;
    Object ["PutObjectLegalHold"] PutObjectLegalHold;
    Object ["PutObjectRetention"] PutObjectRetention;
    Object ["PutObjectTagging" "PutObjectVersionTagging"] PutObjectTagging;
    Object ["PutObject", "GetObject", "DeleteObject"] RenameObject;
    Object ["RestoreObject"] RestoreObject;
    Object ["UpdateObjectEncryption"] UpdateObjectEncryption;
}

/// All that a request needs, the operation's own action first. One that makes a replica needs what makes replicas
/// instead.
pub fn needs(operation: Operation, query: &Query, headers: &HeaderMap) -> Vec<Need> {
    if let Some(Some(actions)) = replica::needs(operation, headers) {
        return actions.iter().map(|&action| Need { action, on: On::Object }).collect();
    }
    let (on, actions) = row(operation);
    let has_version = query.contains("versionId");
    let own = actions.iter().map(|action| if has_version { action.version } else { action.current });
    own.chain(by_headers(operation, headers, has_version)).map(|action| Need { action, on }).collect()
}

/// What the headers of a request add to the operation's own action.
fn by_headers(operation: Operation, headers: &HeaderMap, has_version: bool) -> Vec<Action> {
    match operation {
        Operation::CreateBucket => to_create_bucket(headers),
        Operation::PutObject | Operation::CreateMultipartUpload | Operation::CopyObject => to_write(headers),
        Operation::CompleteMultipartUpload => to_match(headers, GET).into_iter().collect(),
        Operation::DeleteObject => {
            let read = if has_version { GET_VERSION } else { GET };
            to_match(headers, read).into_iter().chain(bypasses_retention(headers).then_some(BYPASS)).collect()
        }
        Operation::PutObjectRetention => bypasses_retention(headers).then_some(BYPASS).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn to_create_bucket(headers: &HeaderMap) -> Vec<Action> {
    let mut actions = Vec::new();
    if sets_acl(headers) {
        actions.push(const { Action::known("s3:PutBucketAcl") });
    }
    if is_true(headers, "x-amz-bucket-object-lock-enabled") {
        actions.push(const { Action::known("s3:PutBucketObjectLockConfiguration") });
        actions.push(const { Action::known("s3:PutBucketVersioning") });
    }
    if headers.contains_key("x-amz-object-ownership") {
        actions.push(const { Action::known("s3:PutBucketOwnershipControls") });
    }
    actions
}

fn to_write(headers: &HeaderMap) -> Vec<Action> {
    let mut actions: Vec<Action> = to_match(headers, GET).into_iter().collect();
    if headers.contains_key("x-amz-tagging") {
        actions.push(const { Action::known("s3:PutObjectTagging") });
    }
    if sets_acl(headers) {
        actions.push(const { Action::known("s3:PutObjectAcl") });
    }
    if ["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"].iter().any(|name| headers.contains_key(*name))
    {
        actions.push(const { Action::known("s3:PutObjectRetention") });
    }
    if headers.contains_key("x-amz-object-lock-legal-hold") {
        actions.push(const { Action::known("s3:PutObjectLegalHold") });
    }
    actions
}

/// Whether a write succeeds if an ETag matches tells that ETag. That something is there at all, a write tells anyway.
fn to_match(headers: &HeaderMap, read: Action) -> Option<Action> {
    headers.get_all("if-match").iter().any(|value| value.as_bytes() != b"*").then_some(read)
}

fn sets_acl(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name == "x-amz-acl" || name.as_str().starts_with("x-amz-grant-"))
}

/// Whether a request asks to bypass retention in governance mode.
pub fn bypasses_retention(headers: &HeaderMap) -> bool {
    is_true(headers, "x-amz-bypass-governance-retention")
}

fn is_true(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(name).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{On, needs};
    use crate::address::parse_query;
    use crate::route::Operation;

    /// The actions without their prefix, in one line.
    fn actions(operation: Operation, query: &str, pairs: &[(&'static str, &'static str)]) -> String {
        let header = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers: HeaderMap = pairs.iter().map(header).collect();
        let needs = needs(operation, &parse_query(query).expect("a valid query"), &headers);
        let names: Vec<&str> =
            needs.iter().map(|need| need.action.name().strip_prefix("s3:").expect("an action of S3")).collect();
        names.join(" ")
    }

    #[test]
    fn every_operation_but_three_needs_something() {
        for operation in Operation::ALL {
            let is_judged_later =
                matches!(operation, Operation::DeleteObjects | Operation::PostObject | Operation::PreflightRequest);
            assert_eq!(actions(*operation, "", &[]).is_empty(), is_judged_later, "{operation:?}");
        }
    }

    #[test]
    fn versions_have_actions_of_their_own() {
        fn check(operation: Operation, current: &str, version: &str) {
            assert_eq!(actions(operation, "", &[]), current);
            assert_eq!(actions(operation, "versionId=null", &[]), version);
        }
        check(Operation::GetObject, "GetObject", "GetObjectVersion");
        check(Operation::HeadObject, "GetObject", "GetObjectVersion");
        check(Operation::DeleteObject, "DeleteObject", "DeleteObjectVersion");
        check(Operation::GetObjectAcl, "GetObjectAcl", "GetObjectVersionAcl");
        check(Operation::PutObjectAcl, "PutObjectAcl", "PutObjectVersionAcl");
        check(Operation::GetObjectTagging, "GetObjectTagging", "GetObjectVersionTagging");
        check(Operation::PutObjectTagging, "PutObjectTagging", "PutObjectVersionTagging");
        check(Operation::DeleteObjectTagging, "DeleteObjectTagging", "DeleteObjectVersionTagging");
        check(Operation::GetObjectTorrent, "GetObjectTorrent", "GetObjectVersionTorrent");
        check(Operation::GetObjectRetention, "GetObjectRetention", "GetObjectRetention");
        check(Operation::RestoreObject, "RestoreObject", "RestoreObject");
        check(
            Operation::GetObjectAttributes,
            "GetObject GetObjectAttributes",
            "GetObjectVersion GetObjectVersionAttributes",
        );
    }

    #[test]
    fn headers_add_to_what_is_needed() {
        fn check(operation: Operation, headers: &[(&'static str, &'static str)], expected: &str) {
            assert_eq!(actions(operation, "", headers), expected, "{operation:?} {headers:?}");
        }
        for operation in [Operation::PutObject, Operation::CreateMultipartUpload, Operation::CopyObject] {
            check(operation, &[], "PutObject");
            check(operation, &[("x-amz-tagging", "")], "PutObject PutObjectTagging");
            check(operation, &[("x-amz-acl", "private")], "PutObject PutObjectAcl");
            check(operation, &[("x-amz-grant-read", "id=1")], "PutObject PutObjectAcl");
            check(operation, &[("x-amz-object-lock-mode", "GOVERNANCE")], "PutObject PutObjectRetention");
            check(operation, &[("x-amz-object-lock-legal-hold", "OFF")], "PutObject PutObjectLegalHold");
            check(operation, &[("if-match", "\"e\"")], "PutObject GetObject");
            check(operation, &[("if-none-match", "*")], "PutObject");
        }
        check(Operation::UploadPart, &[("x-amz-tagging", "a=b")], "PutObject");
        check(Operation::CompleteMultipartUpload, &[("if-match", "e")], "PutObject GetObject");
        let bypass = [("x-amz-bypass-governance-retention", "TRUE")];
        check(Operation::DeleteObject, &bypass, "DeleteObject BypassGovernanceRetention");
        check(Operation::DeleteObject, &[("x-amz-bypass-governance-retention", "false")], "DeleteObject");
        check(Operation::DeleteObject, &[("if-match", "e")], "DeleteObject GetObject");
        check(Operation::DeleteObject, &[("if-match", "*")], "DeleteObject");
        check(Operation::PutObjectRetention, &bypass, "PutObjectRetention BypassGovernanceRetention");
        check(Operation::CreateBucket, &[("x-amz-acl", "private")], "CreateBucket PutBucketAcl");
        check(
            Operation::CreateBucket,
            &[("x-amz-bucket-object-lock-enabled", "True"), ("x-amz-object-ownership", "ObjectWriter")],
            "CreateBucket PutBucketObjectLockConfiguration PutBucketVersioning PutBucketOwnershipControls",
        );
    }

    #[test]
    fn actions_are_applied_to_what_the_operation_names() {
        fn check(operation: Operation, expected: On) {
            let needs = needs(operation, &parse_query("").expect("a valid query"), &HeaderMap::new());
            assert!(needs.iter().all(|need| need.on == expected), "{operation:?}");
        }
        check(Operation::ListBuckets, On::Account);
        check(Operation::CreateBucket, On::Bucket);
        check(Operation::ListObjectsV2, On::Bucket);
        check(Operation::PutObject, On::Object);
    }
}

//! Which calls are changes that the audit log records, and what names their subjects. Every API has its rule here; what is
//! not known to be a read or to concern data only is recorded.

use http::Method;

use crate::query_api::Form;
use crate::request::Query;
use crate::route::Operation;

/// Parameters of IAM and STS that name what a call is about. None of them is a secret, and no other is recorded.
const FORM_NAMES: [&str; 19] = [
    "Name",
    "UserName",
    "NewUserName",
    "NewPath",
    "GroupName",
    "NewGroupName",
    "RoleName",
    "PolicyName",
    "PolicyArn",
    "PermissionsBoundary",
    "AccessKeyId",
    "Status",
    "VersionId",
    "AccountAlias",
    "OpenIDConnectProviderArn",
    "Url",
    "ClientID",
    "RoleArn",
    "RoleSessionName",
];

/// The same of KMS.
const KMS_NAMES: [&str; 6] = ["KeyId", "TargetKeyId", "AliasName", "PolicyName", "PendingWindowInDays", "KeySpec"];

/// The same of the admin API.
const ADMIN_NAMES: [&str; 10] =
    ["id", "name", "email", "bucket", "zone", "path", "bytes", "objects", "destination", "rule"];

/// Operations of KMS that read, or that only use a key.
const KMS_USES: [&str; 8] = [
    "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateRandom",
];

/// Topics of the admin API that are asked with a body and change nothing.
const ADMIN_READS: [&str; 4] = ["cost", "projection", "lifecycle-preview", "replication/details"];

/// One call that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The API.
    pub api: &'static str,
    /// The operation, as the API calls it.
    pub operation: String,
    /// What names its subject.
    pub resource: Vec<(&'static str, String)>,
}

impl Call {
    /// Of S3; `None` for what is no change.
    pub fn of_s3(operation: Operation, bucket: &str, key: Option<&str>) -> Option<Call> {
        let named = [("bucket", Some(bucket)), ("key", key)];
        let resource = named.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect();
        is_change(operation).then(|| Call { api: "S3", operation: operation.name().to_owned(), resource })
    }

    /// Of IAM or STS.
    pub fn of_form(api: &'static str, form: &Form) -> Option<Call> {
        let action = form.action();
        let reads = match api {
            "STS" => ["GetCallerIdentity", "GetAccessKeyInfo", "DecodeAuthorizationMessage"].contains(&action),
            _ => ["Get", "List", "Simulate"].iter().any(|verb| action.starts_with(verb)),
        };
        let named = FORM_NAMES.into_iter();
        let resource = named.filter_map(|name| Some((name, form.get(name)?.to_owned()))).collect();
        (!reads).then(|| Call { api, operation: action.to_owned(), resource })
    }

    /// Of KMS, by `X-Amz-Target` and the body.
    pub fn of_kms(target: &str, body: &[u8]) -> Option<Call> {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let reads = ["Get", "List", "Describe"].iter().any(|verb| operation.starts_with(verb));
        if reads || KMS_USES.contains(&operation) {
            return None;
        }
        let document: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| match document.get(name)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let resource = KMS_NAMES.into_iter().filter_map(|name| Some((name, text(name)?))).collect();
        Some(Call { api: "KMS", operation: operation.to_owned(), resource })
    }

    /// Of S3 Control, whose paths name everything.
    pub fn of_control(method: &Method, path: &str, account: &str) -> Option<Call> {
        let resource = vec![("account", account.to_owned()), ("path", path.to_owned())];
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        (!reads).then(|| Call { api: "S3Control", operation: control_operation(method, path), resource })
    }

    /// Of the admin API.
    pub fn of_admin(method: &Method, topic: &str, query: &Query) -> Option<Call> {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || ADMIN_READS.contains(&topic);
        let named = ADMIN_NAMES.into_iter();
        let resource = named.filter_map(|name| Some((name, query.get(name)?.to_owned()))).collect();
        (!reads).then(|| Call { api: "Admin", operation: topic.to_owned(), resource })
    }
}

fn control_operation(method: &Method, path: &str) -> String {
    let verb = if *method == Method::DELETE { "Delete" } else { "Put" };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        [_, "configuration", "publicAccessBlock"] => format!("{verb}PublicAccessBlock"),
        [_, "accesspoint", _] if verb == "Put" => "CreateAccessPoint".to_owned(),
        [_, "accesspoint", _] => "DeleteAccessPoint".to_owned(),
        [_, "accesspoint", _, "policy"] => format!("{verb}AccessPointPolicy"),
        _ => method.as_str().to_owned(),
    }
}

/// Whether an operation of S3 changes more than data: what a bucket is, how it behaves, or who may do what.
fn is_change(operation: Operation) -> bool {
    use Operation as O;
    match operation {
        O::CreateBucket
        | O::DeleteBucket
        | O::CreateBucketMetadataConfiguration
        | O::CreateBucketMetadataTableConfiguration
        | O::DeleteBucketAnalyticsConfiguration
        | O::DeleteBucketCors
        | O::DeleteBucketEncryption
        | O::DeleteBucketIntelligentTieringConfiguration
        | O::DeleteBucketInventoryConfiguration
        | O::DeleteBucketLifecycle
        | O::DeleteBucketMetadataConfiguration
        | O::DeleteBucketMetadataTableConfiguration
        | O::DeleteBucketMetricsConfiguration
        | O::DeleteBucketOwnershipControls
        | O::DeleteBucketPolicy
        | O::DeleteBucketReplication
        | O::DeleteBucketTagging
        | O::DeleteBucketWebsite
        | O::DeletePublicAccessBlock
        | O::PutBucketAbac
        | O::PutBucketAccelerateConfiguration
        | O::PutBucketAcl
        | O::PutBucketAnalyticsConfiguration
        | O::PutBucketCors
        | O::PutBucketEncryption
        | O::PutBucketIntelligentTieringConfiguration
        | O::PutBucketInventoryConfiguration
        | O::PutBucketLifecycleConfiguration
        | O::PutBucketLogging
        | O::PutBucketMetricsConfiguration
        | O::PutBucketNotificationConfiguration
        | O::PutBucketOwnershipControls
        | O::PutBucketPolicy
        | O::PutBucketReplication
        | O::PutBucketRequestPayment
        | O::PutBucketTagging
        | O::PutBucketVersioning
        | O::PutBucketWebsite
        | O::PutObjectAcl
        | O::PutObjectLegalHold
        | O::PutObjectLockConfiguration
        | O::PutObjectRetention
        | O::PutPublicAccessBlock
        | O::UpdateBucketMetadataAnnotationTableConfiguration
        | O::UpdateBucketMetadataInventoryTableConfiguration
        | O::UpdateBucketMetadataJournalTableConfiguration => true,
        O::AbortMultipartUpload
        | O::CompleteMultipartUpload
        | O::CopyObject
        | O::CreateMultipartUpload
        | O::CreateSession
        | O::DeleteObject
        | O::DeleteObjectAnnotation
        | O::DeleteObjectTagging
        | O::DeleteObjects
        | O::GetBucketAbac
        | O::GetBucketAccelerateConfiguration
        | O::GetBucketAcl
        | O::GetBucketAnalyticsConfiguration
        | O::GetBucketCors
        | O::GetBucketEncryption
        | O::GetBucketIntelligentTieringConfiguration
        | O::GetBucketInventoryConfiguration
        | O::GetBucketLifecycleConfiguration
        | O::GetBucketLocation
        | O::GetBucketLogging
        | O::GetBucketMetadataConfiguration
        | O::GetBucketMetadataTableConfiguration
        | O::GetBucketMetricsConfiguration
        | O::GetBucketNotificationConfiguration
        | O::GetBucketOwnershipControls
        | O::GetBucketPolicy
        | O::GetBucketPolicyStatus
        | O::GetBucketReplication
        | O::GetBucketRequestPayment
        | O::GetBucketTagging
        | O::GetBucketVersioning
        | O::GetBucketWebsite
        | O::GetObject
        | O::GetObjectAcl
        | O::GetObjectAnnotation
        | O::GetObjectAttributes
        | O::GetObjectLegalHold
        | O::GetObjectLockConfiguration
        | O::GetObjectRetention
        | O::GetObjectTagging
        | O::GetObjectTorrent
        | O::GetPublicAccessBlock
        | O::HeadBucket
        | O::HeadObject
        | O::ListBucketAnalyticsConfigurations
        | O::ListBucketIntelligentTieringConfigurations
        | O::ListBucketInventoryConfigurations
        | O::ListBucketMetricsConfigurations
        | O::ListBuckets
        | O::ListDirectoryBuckets
        | O::ListMultipartUploads
        | O::ListObjectAnnotations
        | O::ListObjectVersions
        | O::ListObjects
        | O::ListObjectsV2
        | O::ListParts
        | O::PostObject
        | O::PreflightRequest
        | O::PutObject
        | O::PutObjectAnnotation
        | O::PutObjectTagging
        | O::RenameObject
        | O::RestoreObject
        | O::SelectObjectContent
        | O::UpdateObjectEncryption
        | O::UploadPart
        | O::UploadPartCopy => false,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Call;
    use crate::query_api::Form;
    use crate::request::Query;

    #[test]
    fn calls() {
        fn check(call: Option<Call>, expected: Option<(&str, &[(&str, &str)])>) {
            let found = call.map(|call| {
                let resource: Vec<String> =
                    call.resource.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{} {}", call.operation, resource.join(" "))
            });
            let expected = expected.map(|(operation, resource)| {
                let resource: Vec<String> = resource.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("{operation} {}", resource.join(" "))
            });
            assert_eq!(found, expected);
        }
        let form = |text: &str| Form::parse(text.as_bytes()).unwrap();
        let put = form("Action=PutUserPolicy&UserName=bob&PolicyName=p&PolicyDocument=secret");
        check(Call::of_form("IAM", &put), Some(("PutUserPolicy", &[("UserName", "bob"), ("PolicyName", "p")])));
        check(Call::of_form("IAM", &form("Action=ListUsers")), None);
        check(Call::of_form("STS", &form("Action=GetCallerIdentity")), None);
        let role = form("Action=AssumeRole&RoleArn=a&RoleSessionName=s&Policy=secret&WebIdentityToken=secret");
        check(Call::of_form("STS", &role), Some(("AssumeRole", &[("RoleArn", "a"), ("RoleSessionName", "s")])));
        check(Call::of_form("STS", &form("Action=GetSessionToken")), Some(("GetSessionToken", &[])));
        let federated = form("Action=GetFederationToken&Name=eve&Policy=secret");
        check(Call::of_form("STS", &federated), Some(("GetFederationToken", &[("Name", "eve")])));
        check(Call::of_kms("TrentService.Decrypt", b"{}"), None);
        let disable = Call::of_kms("TrentService.DisableKey", br#"{"KeyId":"k","Plaintext":"secret"}"#);
        check(disable, Some(("DisableKey", &[("KeyId", "k")])));
        check(Call::of_kms("TrentService.CreateKey", b"nonsense"), Some(("CreateKey", &[])));
        check(Call::of_control(&Method::GET, "/v20180820/accesspoint/p", "1"), None);
        let point = Call::of_control(&Method::PUT, "/v20180820/accesspoint/p/policy", "1");
        let path = ("path", "/v20180820/accesspoint/p/policy");
        check(point, Some(("PutAccessPointPolicy", &[("account", "1"), path])));
        let query = Query(vec![("id".to_owned(), "1".to_owned()), ("secret".to_owned(), "s".to_owned())]);
        check(Call::of_admin(&Method::POST, "accounts/disable", &query), Some(("accounts/disable", &[("id", "1")])));
        check(Call::of_admin(&Method::POST, "cost", &query), None);
    }
}

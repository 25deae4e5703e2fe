//! Which requests have a price, and of which class: noted in the store's meter once they are served.
//!
//! The class is the one that the request asks for, or the answer tells. UploadPart, UploadPartCopy and
//! CompleteMultipartUpload name none: the engine, which knows it, notes them. Restores have prices of their own.

use http::header::CONTENT_LENGTH;
use strata_storage::{BucketName, RequestKind, StorageClass, Store};

use crate::metadata_headers;
use crate::request::Request;
use crate::response::Response;
use crate::route::Operation;

/// A request that has a price once it is served.
pub struct Priced {
    bucket: BucketName,
    kind: RequestKind,
    operation: Operation,
    /// The class that the request asks for.
    class: StorageClass,
}

impl Priced {
    /// `None` for what is free, or noted elsewhere.
    pub fn of(operation: Operation, request: &Request) -> Option<Priced> {
        let kind = kind(operation)?;
        let bucket = request.bucket.clone()?;
        let class = match operation {
            // A class that is not valid fails the request.
            Operation::PutObject | Operation::CopyObject | Operation::CreateMultipartUpload => {
                metadata_headers::storage_class(&request.headers).unwrap_or_default()
            }
            _ => StorageClass::Standard,
        };
        Some(Priced { bucket, kind, operation, class })
    }

    /// Notes the request in the store's meter.
    pub fn note(self, store: &Store, response: &Response) {
        let told = response.headers.get("x-amz-storage-class").and_then(|value| value.to_str().ok());
        let class = told.and_then(StorageClass::parse).unwrap_or(self.class);
        store.meter().request(&self.bucket, class, self.kind);
        if self.operation == Operation::GetObject && response.status.is_success() {
            let length = response.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            store.meter().retrieval(&self.bucket, class, length.unwrap_or(0));
        }
    }
}

fn kind(operation: Operation) -> Option<RequestKind> {
    match operation {
        Operation::UploadPart
        | Operation::UploadPartCopy
        | Operation::CompleteMultipartUpload
        | Operation::RestoreObject => None,
        _ => kind_by_verb(operation.name()),
    }
}

fn kind_by_verb(name: &str) -> Option<RequestKind> {
    let begins = |verbs: &[&str]| verbs.iter().any(|verb| name.starts_with(verb));
    if begins(&["Delete", "Abort", "Preflight"]) {
        None
    } else if begins(&["Put", "Post", "Copy", "List", "Create"]) {
        Some(RequestKind::Write)
    } else {
        Some(RequestKind::Read)
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::RequestKind;

    use super::kind;
    use crate::route::Operation;

    #[test]
    fn kinds() {
        fn check(operation: Operation, expected: Option<RequestKind>) {
            assert_eq!(kind(operation), expected, "{operation:?}");
        }
        for operation in [
            Operation::PutObject,
            Operation::CopyObject,
            Operation::CreateMultipartUpload,
            Operation::ListObjectsV2,
            Operation::PutObjectTagging,
            Operation::CreateBucket,
        ] {
            check(operation, Some(RequestKind::Write));
        }
        for operation in [Operation::GetObject, Operation::HeadObject, Operation::GetBucketTagging] {
            check(operation, Some(RequestKind::Read));
        }
        for operation in [
            Operation::DeleteObject,
            Operation::DeleteObjects,
            Operation::AbortMultipartUpload,
            Operation::UploadPart,
            Operation::RestoreObject,
        ] {
            check(operation, None);
        }
    }
}

//! A store that is a replica: its objects change by replication only.
//!
//! What is refused is what would make the replica differ from its source. Buckets can still be made and configured, for that
//! is done on both sides by hand; uploads that no replica began cannot be begun, and so their parts cannot be sent.

use http::HeaderMap;

use crate::error::S3Error;
use crate::route::Operation;

use super::replica::REPLICA;

/// Refuses a request that would change objects of a replica, unless it is replication's. Whether its sender may send replicas
/// is for the operation to ask.
pub fn refuse_changes(operation: Operation, headers: &HeaderMap) -> Result<(), S3Error> {
    if !changes_objects(operation) || headers.contains_key(REPLICA) {
        return Ok(());
    }
    Err(S3Error::access_denied("This store is a replica: its objects are changed by replication only."))
}

/// Whether an operation changes what objects are, or begins to.
fn changes_objects(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::CompleteMultipartUpload
            | O::CopyObject
            | O::CreateMultipartUpload
            | O::DeleteObject
            | O::DeleteObjectAnnotation
            | O::DeleteObjectTagging
            | O::DeleteObjects
            | O::PostObject
            | O::PutObject
            | O::PutObjectAcl
            | O::PutObjectAnnotation
            | O::PutObjectLegalHold
            | O::PutObjectRetention
            | O::PutObjectTagging
            | O::RenameObject
            | O::UpdateObjectEncryption
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{REPLICA, refuse_changes};
    use crate::route::Operation;

    #[test]
    fn replicas_take_replicas_only() {
        let plain = HeaderMap::new();
        let mut replica = HeaderMap::new();
        replica.insert(REPLICA, HeaderValue::from_static("1"));
        let refused: Vec<&str> = Operation::ALL
            .iter()
            .filter(|operation| refuse_changes(**operation, &plain).is_err())
            .map(|operation| operation.name())
            .collect();
        assert_eq!(
            refused,
            [
                "CompleteMultipartUpload",
                "CopyObject",
                "CreateMultipartUpload",
                "DeleteObject",
                "DeleteObjectAnnotation",
                "DeleteObjectTagging",
                "DeleteObjects",
                "PostObject",
                "PutObject",
                "PutObjectAcl",
                "PutObjectAnnotation",
                "PutObjectLegalHold",
                "PutObjectRetention",
                "PutObjectTagging",
                "RenameObject",
                "UpdateObjectEncryption",
            ]
        );
        assert!(Operation::ALL.iter().all(|operation| refuse_changes(*operation, &replica).is_ok()));
    }
}

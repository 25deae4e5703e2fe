//! The policies of buckets as they are asked: read once for each change of a bucket, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use strata_storage::{Bucket, BucketDocument, BucketName};

use crate::error::S3Error;
use crate::policy::{Policy, PolicyKind};

/// The sizes of all texts together whose policies are kept, in bytes; in memory a policy takes some times as much.
const TEXT_BYTES_MAX: usize = 16 << 20;

/// A bucket's policy, ready to be asked.
#[derive(Debug)]
pub struct BucketPolicy {
    /// The policy.
    pub policy: Policy,
    /// Whether Block Public Access takes it for public.
    pub is_public: bool,
}

/// The policies that were asked last; one per server.
#[derive(Default)]
pub struct BucketPolicies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_bucket: HashMap<u64, Entry>,
    text_bytes: usize,
}

struct Entry {
    revision: u64,
    policy: Arc<BucketPolicy>,
}

impl BucketPolicies {
    /// The policy of a bucket, if it has one.
    ///
    /// `Err` if the stored text cannot be read: nobody may then do anything that a policy could deny.
    pub fn of(&self, name: &BucketName, bucket: &Bucket) -> Result<Option<Arc<BucketPolicy>>, S3Error> {
        let Some(text) = bucket.documents.get(&BucketDocument::Policy) else { return Ok(None) };
        if let Some(policy) = self.kept(bucket) {
            return Ok(Some(policy));
        }
        let kind = PolicyKind::Bucket { bucket: name.as_str().to_owned() };
        let policy = Policy::parse(text, &kind)
            .map_err(|fault| S3Error::internal(format!("the policy of bucket {name} cannot be read: {fault}")))?;
        let policy = Arc::new(BucketPolicy { is_public: policy.is_public(), policy });
        self.keep(bucket, &policy, text.len());
        Ok(Some(policy))
    }

    fn kept(&self, bucket: &Bucket) -> Option<Arc<BucketPolicy>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.by_bucket.get(&bucket.id).filter(|entry| entry.revision == bucket.revision)?;
        Some(Arc::clone(&entry.policy))
    }

    fn keep(&self, bucket: &Bucket, policy: &Arc<BucketPolicy>, text_bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.text_bytes + text_bytes > TEXT_BYTES_MAX {
            kept.by_bucket.clear();
            kept.text_bytes = 0;
        }
        // What is replaced stays counted until all is forgotten: an estimate from above.
        kept.text_bytes += text_bytes;
        kept.by_bucket.insert(bucket.id, Entry { revision: bucket.revision, policy: Arc::clone(policy) });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use strata_storage::{Bucket, BucketDocument, BucketName};

    use super::{BucketPolicies, TEXT_BYTES_MAX};

    fn bucket(id: u64, revision: u64, policy: &str) -> Bucket {
        let mut bucket = Bucket { id, revision, ..Bucket::default() };
        bucket.documents.insert(BucketDocument::Policy, Arc::from(policy.as_bytes()));
        bucket
    }

    fn text(principal: &str, sid: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"{sid}","Effect":"Allow","Principal":{principal},
               "Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}]}}"#
        )
    }

    #[test]
    fn a_change_of_the_bucket_is_seen() {
        let name = BucketName::parse("bucket").expect("a valid name");
        let policies = BucketPolicies::default();
        let is_public = |bucket: &Bucket| {
            policies.of(&name, bucket).expect("a policy that can be read").map(|policy| policy.is_public)
        };
        let everyone = text("\"*\"", "a");
        let one = text(r#"{"AWS":"000000000001"}"#, "a");
        assert_eq!(is_public(&Bucket::default()), None);
        assert_eq!(is_public(&bucket(1, 0, &everyone)), Some(true));
        assert_eq!(is_public(&bucket(1, 1, &one)), Some(false));
        assert_eq!(is_public(&bucket(2, 1, &everyone)), Some(true), "another bucket of that revision");
        let first = policies.of(&name, &bucket(1, 1, &one)).expect("a policy").expect("there");
        let again = policies.of(&name, &bucket(1, 1, &one)).expect("a policy").expect("there");
        assert!(Arc::ptr_eq(&first, &again));
        assert!(policies.of(&name, &bucket(3, 0, "{}")).is_err(), "what cannot be read is no absent policy");
    }

    #[test]
    fn memory_is_bounded() {
        let name = BucketName::parse("bucket").expect("a valid name");
        let policies = BucketPolicies::default();
        let text = text("\"*\"", &"a".repeat(15_000));
        for id in 0..2 * (TEXT_BYTES_MAX / text.len()) as u64 {
            policies.of(&name, &bucket(id, 0, &text)).expect("a policy that can be read");
        }
        let kept = policies.0.lock().expect("not poisoned");
        assert!(kept.by_bucket.len() <= TEXT_BYTES_MAX / text.len());
    }
}

//! Where the destinations of a bucket's rules were found when the rules were set. Replicas go there and nowhere else.
//!
//! They are kept beside the rules, in the batch that sets them. Rules of before have none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strata_storage::{AccountId, Bucket, BucketDocument};

use crate::error::S3Error;

/// The stored form's first byte.
const FORMAT: u8 = 1;

/// Where a destination is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In this store, in a bucket of that account.
    Here(AccountId),
    /// In the region of that name.
    There(String),
}

/// Those of a bucket's rules, by the ARNs of their destinations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// The bucket's. `Err` if what is stored cannot be read.
    pub fn of(bucket: &Bucket) -> Result<Places, S3Error> {
        match bucket.documents.get(&BucketDocument::ReplicationPlaces).map(|stored| &stored[..]) {
            None => Ok(Places::default()),
            Some([FORMAT, rest @ ..]) => postcard::from_bytes(rest).map_err(S3Error::internal),
            Some(_) => Err(S3Error::internal("places of destinations in an unknown format")),
        }
    }

    /// The stored form.
    pub fn to_stored(&self) -> Result<Vec<u8>, S3Error> {
        postcard::to_extend(self, vec![FORMAT]).map_err(S3Error::internal)
    }

    /// That of a destination, if it is known.
    pub fn of_destination(&self, arn: &str) -> Option<&Place> {
        self.0.get(arn)
    }

    /// Says where a destination is.
    pub fn set(&mut self, arn: &str, place: Place) {
        self.0.insert(arn.to_owned(), place);
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, Bucket, BucketDocument};

    use super::{Place, Places};

    #[test]
    fn what_is_stored_reads_back() {
        let mut bucket = Bucket::default();
        assert_eq!(Places::of(&bucket).expect("none"), Places::default());
        let mut places = Places::default();
        places.set("arn:aws:s3:::a", Place::Here(AccountId::ROOT));
        places.set("arn:aws:s3:::b", Place::There("site-b".to_owned()));
        let stored = places.to_stored().expect("bytes");
        assert_eq!(hex::encode(&stored[..2]), "0102");
        bucket.documents.insert(BucketDocument::ReplicationPlaces, stored.into());
        assert_eq!(Places::of(&bucket).expect("places"), places);
        bucket.documents.insert(BucketDocument::ReplicationPlaces, vec![9].into());
        assert!(Places::of(&bucket).is_err());
    }
}

//! Replication: versions go to the buckets that a bucket's rules name, here or in other stores, and come from there.
//!
//! The engine queues what is to be done with the change itself; `sender` does it, task by task. `destinations` finds where a
//! bucket is, `role` says who may send, `replica` is what a replica says of itself on the way between two Stratas, and
//! `read_only` what a store refuses that is a replica as a whole.

mod destinations;
mod lags;
mod places;
mod read_only;
mod region_client;
mod regions;
pub mod replica;
mod role;
pub mod sender;
#[cfg(test)]
pub(crate) mod stand_in;
mod troubles;

pub use destinations::{Destinations, EXPECTED_OWNER, Found, Unresolved, bucket_of_arn, error_code};
pub use lags::{Lag, Lags};
pub use places::{Place, Places};
pub use read_only::refuse_changes;
pub use region_client::{RegionBody, RegionClient, RegionError, RegionRequest};
pub use regions::{Region, Regions, RegionsError};
pub use role::{RoleFault, trusted_role};
pub use troubles::Troubles;

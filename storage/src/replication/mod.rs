//! Replication: which versions go where, and what is known of each. `rules` and `status` are pure; `queue` holds what is
//! still to be done, `announce` puts it there, and `replica` takes what comes from another store.

mod rules;
mod status;

pub use rules::{Candidate, Destination, Replication, ReplicationForm, ReplicationRule};
pub use status::{Changes, ReplicationState, ReplicationStatus};

//! INTELLIGENT_TIERING: the tiers of its objects.

mod tier;

pub use tier::Tier;

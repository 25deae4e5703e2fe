//! INTELLIGENT_TIERING: its tiers.

mod tier;

pub use tier::Tier;

//! What a store would cost at S3's prices, and what its lifecycle rules and tiers save. Pure.

mod bill;
mod prices;
mod projection;

pub use bill::{Bill, Line, bill, physical_bytes};
pub use prices::{DEFAULT_PRICES, Prices, PricesError};
pub use projection::{Projection, projection};

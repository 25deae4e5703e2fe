//! Batches, as SQS, SNS and EventBridge take them: so many entries and bytes in one call, whose answer speaks of each entry.

use serde::Deserialize;

use super::aws::judge;
use super::order::Order;
use super::target::{Deliveries, DeliveryError, Message};

/// The most entries of one batch.
pub const ENTRIES_MAX: usize = 10;
/// How many batches are under way at once.
pub const CALLS_MAX: usize = 4;
/// The largest batch, in bytes.
const BYTES_MAX: usize = 256 << 10;

/// The messages of one batch, each with its place among all.
pub type Batch<'a> = Vec<(usize, &'a Message)>;

/// Delivers messages in batches. `send` tells what became of each message of its batch, or why nothing became of any.
pub async fn deliver<'a, F>(messages: &'a [Message], send: impl Fn(Batch<'a>) -> F) -> Deliveries
where
    F: Future<Output = Result<Deliveries, DeliveryError>>,
{
    let mut order = Order::new(messages);
    loop {
        let batch = order.next(ENTRIES_MAX, BYTES_MAX);
        if batch.is_empty() {
            return order.deliveries();
        }
        let places: Vec<usize> = batch.iter().map(|(place, _)| *place).collect();
        let outcomes = send(batch).await.unwrap_or_else(|error| vec![Err(error); places.len()]);
        places.into_iter().zip(outcomes).for_each(|(place, outcome)| order.note(place, outcome));
    }
}

/// An entry that was taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Successful {
    /// Which one.
    pub id: String,
}

/// An entry that was not taken.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Failed {
    /// Which one.
    pub id: String,
    /// The error's code.
    #[serde(default)]
    pub code: String,
    /// The error's text.
    #[serde(default)]
    pub message: String,
    /// Whether the entry itself is at fault.
    #[serde(default)]
    pub sender_fault: bool,
}

/// What SQS and SNS say of the messages of a batch, whose ids are their places.
pub fn outcomes(batch: &Batch<'_>, taken: &[Successful], failed: &[Failed]) -> Deliveries {
    let outcome = |(place, _): &(usize, &Message)| {
        let id = place.to_string();
        match failed.iter().find(|failed| failed.id == id) {
            Some(Failed { code, message, sender_fault, .. }) => Err(judge(!sender_fault, &format!("{code} {message}"))),
            None if taken.iter().any(|taken| taken.id == id) => Ok(()),
            None => Err(DeliveryError::Unavailable("the answer does not speak of the message".to_owned())),
        }
    };
    batch.iter().map(outcome).collect()
}

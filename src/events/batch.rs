//! What SQS and SNS say of a batch: which entries were taken, and why others were not.

use serde::Deserialize;

use super::aws::judge;
use super::order::Order;
use super::target::{DeliveryError, Message};

/// The most entries of one batch.
pub const ENTRIES_MAX: usize = 10;
/// How many batches are under way at once.
pub const CALLS_MAX: usize = 4;

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

/// Notes what became of the messages of one call: its answer gives the ids of those taken, and those that were not.
/// A message's id is its place.
pub fn note_all(
    order: &mut Order<'_>,
    call: &[(usize, &Message)],
    answer: Result<(Vec<String>, Vec<Failed>), DeliveryError>,
) {
    let (taken, failed) = match answer {
        Ok(answer) => answer,
        Err(error) => {
            call.iter().for_each(|(index, _)| order.note(*index, Err(error.clone())));
            return;
        }
    };
    for (index, _) in call {
        let id = index.to_string();
        let fault = failed.iter().find(|failed| failed.id == id);
        let outcome = match fault {
            Some(Failed { code, message, sender_fault, .. }) => Err(judge(!sender_fault, &format!("{code} {message}"))),
            None if taken.contains(&id) => Ok(()),
            None => Err(DeliveryError::Unavailable("the answer does not speak of the message".to_owned())),
        };
        order.note(*index, outcome);
    }
}

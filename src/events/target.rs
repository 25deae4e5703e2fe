//! What every target of events is, whatever it speaks: something that takes messages in order and says of each whether it
//! has it.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use strata_storage::Timestamp;

/// One event on its way to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same at every attempt, and unique among all messages: what receivers tell repetitions by.
    pub id: String,
    /// The bucket's name.
    pub bucket: String,
    /// The object's key as it is, not encoded. Messages of one bucket and key are delivered in order.
    pub key: String,
    /// `ObjectCreated:Put`, without `s3:`.
    pub event_name: String,
    /// When it happened.
    pub time: Timestamp,
    /// The document to deliver, JSON, in the form that the target was configured for.
    pub body: Bytes,
}

/// Why a target has not taken a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The target does not answer, or says that it is busy: the same message later may be taken. Nothing is wrong with it.
    #[error("{0}")]
    Unavailable(String),
    /// The target refused this very message. A few more attempts are made, then it is put aside.
    #[error("{0}")]
    Rejected(String),
}

/// What became of each message of a call, in their order.
pub type Deliveries = Vec<Result<(), DeliveryError>>;

/// Where events go.
pub trait Target: Send + Sync {
    /// The most messages that one call may be given, 1 or more.
    fn batch_max(&self) -> usize;

    /// How many calls may be under way at once, 1 or more. No two of them have messages of the same bucket and key.
    fn calls_max(&self) -> usize {
        1
    }

    /// Delivers the messages, in their order. `Ok` means that the target has acknowledged the message. After a failure, later
    /// messages of the same bucket and key are not sent but `Unavailable`. A call is bounded in time by the target itself.
    ///
    /// Dropping the future may leave messages delivered that nobody knows of; they will be delivered again.
    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries>;

    /// Whether the target is there and would take events: asked when a bucket's configuration names it.
    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>>;
}

//! What may be sent at once: messages of one bucket and key go one after the other, and none goes past one that failed.

use std::collections::HashSet;

use futures_util::future::join_all;

use super::target::{Deliveries, DeliveryError, Message};

/// The messages of one call of `deliver`, and what became of them so far. No I/O.
pub struct Order<'a> {
    messages: &'a [Message],
    outcomes: Vec<Option<Result<(), DeliveryError>>>,
    /// Buckets and keys of which a message failed.
    failed: HashSet<(&'a str, &'a str)>,
    /// Why nothing more is sent.
    stopped: Option<DeliveryError>,
}

impl<'a> Order<'a> {
    /// Nothing was sent yet.
    pub fn new(messages: &'a [Message]) -> Order<'a> {
        Order { messages, outcomes: vec![None; messages.len()], failed: HashSet::new(), stopped: None }
    }

    /// The messages that may be sent now, with their places: no two of one key, at most so many and, unless there is only
    /// one, with bodies of so many bytes together. None if all are done.
    pub fn next(&mut self, count_max: usize, bytes_max: usize) -> Vec<(usize, &'a Message)> {
        let mut chosen = Vec::new();
        let (mut keys, mut bytes) = (HashSet::new(), 0);
        for (index, message) in self.messages.iter().enumerate() {
            let key = (message.bucket.as_str(), message.key.as_str());
            if self.outcomes[index].is_some() {
                continue;
            }
            if let Some(reason) = &self.stopped {
                self.outcomes[index] = Some(Err(reason.clone()));
            } else if self.failed.contains(&key) {
                let reason = "an earlier message of the same object was not delivered".to_owned();
                self.outcomes[index] = Some(Err(DeliveryError::Unavailable(reason)));
            } else if chosen.len() < count_max && keys.insert(key) {
                bytes += message.body.len();
                if bytes > bytes_max && !chosen.is_empty() {
                    break;
                }
                chosen.push((index, message));
            }
        }
        chosen
    }

    /// Says what became of the message at that place. When the target is unavailable, nothing more is sent.
    pub fn note(&mut self, index: usize, outcome: Result<(), DeliveryError>) {
        if let Err(error) = &outcome {
            let message = &self.messages[index];
            self.failed.insert((&message.bucket, &message.key));
            if matches!(error, DeliveryError::Unavailable(_)) {
                self.stop(error.clone());
            }
        }
        self.outcomes[index] = Some(outcome);
    }

    /// Says why nothing more is sent, unless that was said before.
    pub fn stop(&mut self, reason: DeliveryError) {
        self.stopped.get_or_insert(reason);
    }

    /// All of them, sent or not.
    #[cfg(feature = "kafka")]
    pub fn messages(&self) -> &'a [Message] {
        self.messages
    }

    /// Whether nothing more is sent.
    #[cfg(any(feature = "amqp", feature = "kafka", feature = "nats", feature = "redis"))]
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// What became of all. Those that nobody spoke of were not sent.
    pub fn deliveries(self) -> Deliveries {
        let reason = self.stopped.unwrap_or_else(|| DeliveryError::Unavailable("not sent".to_owned()));
        let unsent = || Err(reason.clone());
        self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unsent)).collect()
    }
}

/// Delivers each message by a call of its own, up to `at_once` of them at the same time.
pub async fn deliver_each<'a, F>(
    messages: &'a [Message],
    at_once: usize,
    deliver: impl Fn(&'a Message) -> F,
) -> Deliveries
where
    F: Future<Output = Result<(), DeliveryError>>,
{
    let mut order = Order::new(messages);
    loop {
        let calls = order.next(at_once, usize::MAX);
        if calls.is_empty() {
            return order.deliveries();
        }
        let outcomes = join_all(calls.iter().map(|(_, message)| deliver(message))).await;
        calls.iter().zip(outcomes).for_each(|((index, _), outcome)| order.note(*index, outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::message;
    use super::{DeliveryError, Order};

    /// Sends all, up to `count_max` at once; bodies are of 10 bytes. The outcome of each message is by its place.
    fn check(keys: &str, count_max: usize, outcomes: &str, calls: &[&[usize]], expected: &str) {
        let messages: Vec<_> = keys.chars().map(|key| message("b", &key.to_string(), "0123456789")).collect();
        let mut order = Order::new(&messages);
        let mut seen = Vec::new();
        loop {
            let call: Vec<usize> = order.next(count_max, 35).into_iter().map(|(index, _)| index).collect();
            if call.is_empty() {
                break;
            }
            for &index in &call {
                order.note(
                    index,
                    match outcomes.as_bytes()[index] {
                        b'.' => Ok(()),
                        b'r' => Err(DeliveryError::Rejected("refused".to_owned())),
                        _ => Err(DeliveryError::Unavailable("busy".to_owned())),
                    },
                );
            }
            seen.push(call);
        }
        assert_eq!(seen, calls, "{keys} {outcomes}");
        let ends = order.deliveries().into_iter().map(|end| match end {
            Ok(()) => '.',
            Err(DeliveryError::Rejected(_)) => 'r',
            Err(DeliveryError::Unavailable(_)) => 'u',
        });
        assert_eq!(ends.collect::<String>(), expected, "{keys} {outcomes}");
    }

    #[test]
    fn messages_of_a_key_follow_each_other() {
        check("", 10, "", &[], "");
        check("abc", 10, "...", &[&[0, 1, 2]], "...");
        check("abab", 10, "....", &[&[0, 1], &[2, 3]], "....");
        check("aaa", 10, "...", &[&[0], &[1], &[2]], "...");
        check("abcd", 2, "....", &[&[0, 1], &[2, 3]], "....");
        check("abcd", 10, "....", &[&[0, 1, 2], &[3]], "....");
    }

    #[test]
    fn nothing_passes_what_failed() {
        check("aba", 10, "r..", &[&[0, 1]], "r.u");
        check("abac", 1, "r...", &[&[0], &[1], &[3]], "r.u.");
        check("abc", 1, ".u.", &[&[0], &[1]], ".uu");
        check("abac", 10, ".u..", &[&[0, 1, 3]], ".uu.");
    }
}

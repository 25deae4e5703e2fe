//! Sends the records of one partition, in order.
//!
//! A request is taken as a whole or not at all. If a broker refuses one for what is in it, it does not say for which
//! record: its records are then sent one by one.

use std::collections::HashSet;

use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient};
use rskafka::record::Record;

use super::unavailable;
use crate::events::target::DeliveryError;

/// The most bytes of records in one request: half of what brokers take by default.
const REQUEST_BYTES_MAX: usize = 512 << 10;

/// What became of each record, by its place in the call.
pub type Outcomes = Vec<(usize, Result<(), DeliveryError>)>;

/// Sends all, in as few requests as their size allows. After a record was refused, later ones of its key are not sent;
/// once the broker cannot be used, none is.
pub async fn all(client: &PartitionClient, records: Vec<(usize, Record)>) -> Outcomes {
    let mut sending = Sending { client, outcomes: Vec::with_capacity(records.len()), refused: HashSet::new() };
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let mut bytes = 0;
        let mut chunk = Vec::new();
        while let Some(next) =
            records.next_if(|(_, record)| chunk.is_empty() || bytes + record.approximate_size() <= REQUEST_BYTES_MAX)
        {
            bytes += next.1.approximate_size();
            chunk.push(next);
        }
        if let Err(reason) = sending.chunk(chunk).await {
            sending.outcomes.extend(records.by_ref().map(|(index, _)| (index, Err(reason.clone()))));
        }
    }
    sending.outcomes
}

struct Sending<'a> {
    client: &'a PartitionClient,
    outcomes: Outcomes,
    refused: HashSet<Option<Vec<u8>>>,
}

impl Sending<'_> {
    /// Settles every record of a chunk. `Err` tells why the broker cannot be used.
    async fn chunk(&mut self, chunk: Vec<(usize, Record)>) -> Result<(), DeliveryError> {
        let chunk = self.hold_back(chunk);
        let (indexes, records): (Vec<_>, Vec<_>) = chunk.into_iter().unzip();
        match self.client.produce(records.clone(), Compression::NoCompression).await {
            Ok(_) => self.outcomes.extend(indexes.into_iter().map(|index| (index, Ok(())))),
            Err(error) if is_about_a_record(&error) => {
                let mut left = indexes.into_iter().zip(records);
                while let Some((index, record)) = left.next() {
                    if let Err(reason) = self.single(index, record).await {
                        self.outcomes.extend(left.map(|(index, _)| (index, Err(reason.clone()))));
                        return Err(reason);
                    }
                }
            }
            Err(error) => {
                let reason = unavailable(error);
                self.outcomes.extend(indexes.into_iter().map(|index| (index, Err(reason.clone()))));
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Settles one record. `Err` tells why the broker cannot be used.
    async fn single(&mut self, index: usize, record: Record) -> Result<(), DeliveryError> {
        let Some((index, record)) = self.hold_back(vec![(index, record)]).pop() else { return Ok(()) };
        let key = record.key.clone();
        match self.client.produce(vec![record], Compression::NoCompression).await {
            Ok(_) => self.outcomes.push((index, Ok(()))),
            Err(error) if is_about_a_record(&error) => {
                self.refused.insert(key);
                self.outcomes.push((index, Err(DeliveryError::Rejected(format!("Kafka: {error}")))));
            }
            Err(error) => {
                let reason = unavailable(error);
                self.outcomes.push((index, Err(reason.clone())));
                return Err(reason);
            }
        }
        Ok(())
    }

    /// Settles the records of keys of which one was refused, and leaves the others.
    fn hold_back(&mut self, mut records: Vec<(usize, Record)>) -> Vec<(usize, Record)> {
        for (index, _) in records.extract_if(.., |(_, record)| self.refused.contains(&record.key)) {
            let reason = "an earlier event of the same object was refused".to_owned();
            self.outcomes.push((index, Err(DeliveryError::Unavailable(reason))));
        }
        records
    }
}

/// Whether the broker refused a record for what it is. Everything else (another leader, too few replicas, no topic, no
/// permission) would meet every event alike, until the cluster or its settings are mended: were it a refusal, all events
/// until then would be put aside.
fn is_about_a_record(error: &Error) -> bool {
    let Error::ServerError { protocol_error, .. } = error else { return false };
    matches!(
        protocol_error,
        ProtocolError::MessageTooLarge
            | ProtocolError::RecordListTooLarge
            | ProtocolError::InvalidRecord
            | ProtocolError::InvalidTimestamp
            | ProtocolError::PolicyViolation
    )
}

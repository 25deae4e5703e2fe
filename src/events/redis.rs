//! Events as entries of a Redis stream: `XADD stream * id <id> event <document>`.
//!
//! Redis acknowledges an entry once it is in the memory of the master; whether it survives a crash of Redis is up to its
//! `appendfsync`, and a failover may lose it unless `replicas` asks for copies to be waited for. An entry that was added,
//! but whose acknowledgement got lost, is added again under the same `id` field.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, RedisResult, Value};
use serde::Deserialize;

use super::broker::{self, Address, BATCH_MAX, Broker, Link, LinkSettings, RUN_BYTES_MAX};
use super::order::Order;
use super::target::{DeliveryError, Message};

/// A stream of a Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// The server's `host:port`.
    pub address: String,
    /// The stream's key. Redis makes the stream when the first event comes.
    pub stream: String,
    /// The number of the database.
    #[serde(default)]
    pub database: u32,
    /// About how many entries are kept: older ones are dropped (`MAXLEN ~`), read or not. None to keep all.
    pub length_max: Option<u64>,
    /// How many replicas must have an event before it counts as delivered (`WAIT`).
    #[serde(default)]
    pub replicas: u32,
    /// How it is reached. A password alone is that of the default user.
    #[serde(flatten)]
    pub link: LinkSettings,
}

/// Delivers to a stream.
pub struct RedisTarget {
    address: Address,
    info: RedisConnectionInfo,
    stream: String,
    length_max: Option<u64>,
    replicas: u32,
    link: Link<MultiplexedConnection>,
}

impl RedisTarget {
    /// Connects only when there is something to deliver. `Err` says what is wrong with the settings.
    pub fn new(settings: &RedisSettings) -> Result<RedisTarget, String> {
        if settings.stream.is_empty() {
            return Err("stream must be the key of a stream".to_owned());
        }
        if settings.length_max == Some(0) {
            return Err("length_max must be at least 1; leave it out to keep all".to_owned());
        }
        let mut info = RedisConnectionInfo::default().set_db(i64::from(settings.database)).set_skip_set_lib_name();
        match (&settings.link.username, &settings.link.password) {
            (Some(_), None) => return Err("username needs a password".to_owned()),
            (Some(username), Some(_)) => info = info.set_username(username),
            (None, _) => {}
        }
        if let Some(password) = &settings.link.password {
            info = info.set_password(password.expose());
        }
        Ok(RedisTarget {
            address: Address::parse(&settings.address)?,
            info,
            stream: settings.stream.clone(),
            length_max: settings.length_max,
            replicas: settings.replicas,
            link: Link::new(&settings.link)?,
        })
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> DeliveryError {
        DeliveryError::Unavailable(format!("Redis at {}: {error}", self.address))
    }

    fn pipeline(&self, messages: &[&Message]) -> redis::Pipeline {
        let mut pipeline = redis::pipe();
        for message in messages {
            let command = pipeline.cmd("XADD").arg(&self.stream);
            if let Some(length) = self.length_max {
                command.arg("MAXLEN").arg("~").arg(length);
            }
            command.arg("*").arg("id").arg(&message.id).arg("event").arg(message.body.as_ref());
        }
        if self.replicas > 0 {
            // Half of the time, so that its answer is one; 0 would be for ever.
            let wait = (self.link.timeout.as_millis() as u64 / 2).max(1);
            pipeline.cmd("WAIT").arg(self.replicas).arg(wait);
        }
        pipeline.ignore_errors();
        pipeline
    }

    /// Takes the answer to `WAIT` off the end.
    fn replicated(&self, answers: &mut Vec<RedisResult<Value>>) -> Result<(), DeliveryError> {
        if self.replicas == 0 {
            return Ok(());
        }
        match answers.pop() {
            Some(Ok(Value::Int(replicas))) if replicas >= i64::from(self.replicas) => Ok(()),
            Some(Ok(Value::Int(replicas))) => {
                Err(DeliveryError::Unavailable(format!("{replicas} of {} replicas have the event", self.replicas)))
            }
            Some(Err(error)) => Err(refusal(error)),
            _ => Err(DeliveryError::Unavailable("WAIT was not answered with a number".to_owned())),
        }
    }
}

/// What an error answer says. None is about one event: no memory, no permission, not a stream, read only, loading would
/// meet every event alike, until somebody mends the server or the settings. Were these refusals, all events until then would
/// be put aside.
fn refusal(error: RedisError) -> DeliveryError {
    DeliveryError::Unavailable(format!("Redis: {error}"))
}

impl Broker for RedisTarget {
    type Session = MultiplexedConnection;

    fn link(&self) -> &Link<MultiplexedConnection> {
        &self.link
    }

    async fn connect(&self) -> Result<MultiplexedConnection, DeliveryError> {
        let stream = broker::connect(&self.address).await.map_err(|error| self.unreachable(&error))?;
        let stream = broker::secure(stream, &self.address, self.link.tls.as_ref()).await;
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        // Time is bounded for the call as a whole.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.info, stream, config).await;
        let (connection, driver) = made.map_err(|error| self.unreachable(&error))?;
        // Ends when the connection is dropped.
        tokio::spawn(driver);
        Ok(connection)
    }

    async fn send(&self, connection: &mut MultiplexedConnection, order: &mut Order<'_>) -> Result<(), DeliveryError> {
        loop {
            let run = order.next(BATCH_MAX, RUN_BYTES_MAX);
            if run.is_empty() {
                return Ok(());
            }
            let messages: Vec<_> = run.iter().map(|(_, message)| *message).collect();
            let answers = self.pipeline(&messages).query_async::<Vec<RedisResult<Value>>>(connection).await;
            let mut answers = answers.map_err(|error| self.unreachable(&error))?;
            let replicated = self.replicated(&mut answers);
            for ((index, _), answer) in run.into_iter().zip(answers) {
                order.note(index, answer.map(|_| ()).map_err(refusal).and_then(|()| replicated.clone()));
            }
        }
    }

    async fn look(&self, mut connection: MultiplexedConnection) -> Result<(), DeliveryError> {
        let kind = redis::cmd("TYPE").arg(&self.stream).query_async::<String>(&mut connection).await;
        match kind.map_err(refusal)?.as_str() {
            "stream" | "none" => Ok(()),
            kind => Err(DeliveryError::Rejected(format!("the key {} holds a {kind}, not a stream", self.stream))),
        }
    }
}

//! Events as persistent messages of an AMQP 0.9.1 exchange, such as RabbitMQ's.
//!
//! A message counts as delivered when the broker confirms it: with a durable queue that is when it is on disk, with a
//! quorum queue when a majority has it. It is published as mandatory, so that one that no queue takes comes back instead of
//! vanishing. A message whose confirmation got lost is published again, with the same message id.

mod runtime;

use std::net::Shutdown;
use std::os::fd::AsFd as _;

use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::AsyncTcpStream;
use lapin::types::{FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{BasicProperties, Channel, Confirmation, ConnectionProperties, ErrorKind, ExchangeKind};
use serde::Deserialize;
use socket2::Socket;
use tokio::net::TcpStream;

use super::broker::{self, Address, BATCH_MAX, Broker, Link, LinkSettings, RUN_BYTES_MAX};
use super::order::Order;
use super::target::{DeliveryError, Message};
use crate::credentials::Secret;

/// How often each side says that it is there, in seconds.
const HEARTBEAT_SECONDS: u16 = 30;
/// The longest routing key before its placeholders are filled in, in bytes. AMQP takes 255.
const ROUTING_KEY_BYTES_MAX: usize = 255;
/// AMQP's number for messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;
/// AMQP's number for that all is well.
const REPLY_SUCCESS: u16 = 200;

/// An exchange of an AMQP broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpSettings {
    /// The broker's `host:port`.
    pub address: String,
    /// The virtual host.
    #[serde(default = "virtual_host")]
    pub virtual_host: String,
    /// The exchange to publish to, which must exist; empty for the default one, whose routing keys name queues.
    pub exchange: String,
    /// The routing key; `{bucket}` and `{event}` in it stand for the bucket's name and for such as `ObjectCreated:Put`.
    pub routing_key: String,
    /// How it is reached. Nobody named is `guest`, whom brokers believe on their own machine only.
    #[serde(flatten)]
    pub link: LinkSettings,
}

fn virtual_host() -> String {
    "/".to_owned()
}

/// A connection with one channel, on which the broker confirms messages.
pub struct Session {
    channel: Channel,
    connection: lapin::Connection,
    _hangup: Hangup,
}

/// Shuts a connection down when it is dropped. Else a broker that does not answer would keep lapin's thread, and the
/// connection, for good: one of each for every attempt.
struct Hangup(Socket);

impl Hangup {
    fn of(stream: &TcpStream) -> std::io::Result<Hangup> {
        Ok(Hangup(stream.as_fd().try_clone_to_owned()?.into()))
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let _already_shut = self.0.shutdown(Shutdown::Both);
    }
}

/// Delivers to an exchange.
pub struct AmqpTarget {
    address: Address,
    virtual_host: String,
    username: String,
    password: Secret,
    exchange: ShortString,
    routing_key: String,
    link: Link<Session>,
}

/// How a run ended.
enum Ended {
    /// Every message is settled, and the channel goes on.
    Settled,
    /// The broker closed the channel for one of the messages; some are not settled.
    Refused(String),
}

impl AmqpTarget {
    /// Connects only when there is something to deliver. `Err` says what is wrong with the settings.
    pub fn new(settings: &AmqpSettings) -> Result<AmqpTarget, String> {
        if settings.routing_key.len() > ROUTING_KEY_BYTES_MAX {
            return Err("routing_key must be at most 255 bytes long".to_owned());
        }
        let long = "exchange must be at most 255 bytes long".to_owned();
        let exchange = ShortString::try_new(settings.exchange.clone()).map_err(|_| long)?;
        let guest = || ("guest".to_owned(), Secret::new("guest".to_owned()));
        let (username, password) = settings.link.user()?.unwrap_or_else(guest);
        Ok(AmqpTarget {
            address: Address::parse(&settings.address)?,
            virtual_host: settings.virtual_host.clone(),
            username,
            password,
            exchange,
            routing_key: settings.routing_key.clone(),
            link: Link::new(&settings.link)?,
        })
    }

    fn uri(&self) -> AMQPUri {
        let userinfo = AMQPUserInfo { username: self.username.clone(), password: self.password.expose().to_owned() };
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority { userinfo, host: self.address.host.clone(), port: self.address.port },
            vhost: self.virtual_host.clone(),
            query: AMQPQueryString { heartbeat: Some(HEARTBEAT_SECONDS), ..AMQPQueryString::default() },
        }
    }

    fn unavailable(&self, error: &dyn std::error::Error) -> DeliveryError {
        DeliveryError::Unavailable(format!("AMQP at {}: {error}", self.address))
    }

    async fn publish_all(
        &self,
        channel: &Channel,
        order: &mut Order<'_>,
        run: &[(usize, &Message)],
    ) -> Result<Ended, DeliveryError> {
        let mut waiting = Vec::with_capacity(run.len());
        let mut failure = None;
        for (index, message) in run {
            let Ok(routing_key) = self.routing_key(message) else {
                let reason = "AMQP: the routing key would be longer than 255 bytes".to_owned();
                order.note(*index, Err(DeliveryError::Rejected(reason)));
                continue;
            };
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let exchange = self.exchange.clone();
            match channel.basic_publish(exchange, routing_key, options, &message.body, properties(message)).await {
                Ok(confirmation) => waiting.push((*index, confirmation)),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let (indexes, confirmations): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        for (index, confirmed) in indexes.into_iter().zip(join_all(confirmations).await) {
            match confirmed {
                Ok(confirmation) => order.note(index, outcome(confirmation)),
                // The broker's word comes before what follows from it.
                Err(error) if error.is_amqp_error() => failure = Some(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            None => Ok(Ended::Settled),
            Some(error) if is_about_a_message(&error) => Ok(Ended::Refused(error.to_string())),
            Some(error) => Err(self.unavailable(&error)),
        }
    }

    fn routing_key(&self, message: &Message) -> Result<ShortString, lapin::types::ShortStringError> {
        let key = self.routing_key.replace("{bucket}", &message.bucket).replace("{event}", &message.event_name);
        ShortString::try_new(key)
    }
}

fn properties(message: &Message) -> BasicProperties {
    let properties = BasicProperties::default()
        .with_app_id("strata".into())
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(message.time.as_nanos() / 1_000_000_000);
    let kind = ShortString::try_new(message.event_name.clone()).unwrap_or_default();
    let id = ShortString::try_new(message.id.clone()).unwrap_or_default();
    properties.with_type(kind).with_message_id(id)
}

fn outcome(confirmation: Confirmation) -> Result<(), DeliveryError> {
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        // The routing key may come of the bucket and the event, so a binding that is missing concerns these.
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            let (text, key) = (&returned.reply_text, &returned.delivery.routing_key);
            Err(DeliveryError::Rejected(format!("AMQP: no queue is bound for the routing key {key} ({text})")))
        }
        // A queue that is full, or an error inside the broker.
        Confirmation::Nack(None) => {
            Err(DeliveryError::Unavailable("AMQP: a queue did not take the message".to_owned()))
        }
        Confirmation::NotRequested => {
            Err(DeliveryError::Unavailable("AMQP: the broker confirms no messages".to_owned()))
        }
    }
}

/// Whether the broker ended the channel or the connection because of a message's size or form. That there is no such
/// exchange, or no permission to write to it, is true of every event of the target, until somebody mends it: were these
/// refusals, all events until then would be put aside.
fn is_about_a_message(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(
        error.kind(),
        AMQPErrorKind::Soft(AMQPSoftError::CONTENTTOOLARGE | AMQPSoftError::PRECONDITIONFAILED)
            | AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR | AMQPHardError::SYNTAXERROR)
    )
}

impl Broker for AmqpTarget {
    type Session = Session;

    fn link(&self) -> &Link<Session> {
        &self.link
    }

    async fn connect(&self) -> Result<Session, DeliveryError> {
        let stream = broker::connect(&self.address).await.map_err(|error| self.unavailable(&error))?;
        let hangup = Hangup::of(&stream).map_err(|error| self.unavailable(&error))?;
        let stream = broker::secure(stream, &self.address, self.link.tls.as_ref()).await;
        let stream = stream.map_err(|error| self.unavailable(&error))?;
        // lapin asks for a connection once, as it may not reconnect by itself.
        let stream = std::sync::Mutex::new(Some(stream));
        let take = async move |_: AMQPUri, _: runtime::OurRuntime| {
            let taken = stream.lock().ok().and_then(|mut stream| stream.take());
            let taken = taken.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected))?;
            Ok(AsyncTcpStream::Plain(runtime::socket(taken)))
        };
        let properties = ConnectionProperties::default().with_connection_name("strata".into());
        let made = lapin::Connection::connector(self.uri(), runtime::current(), take, properties).await;
        let connection = made.map_err(|error| self.unavailable(&error))?;
        let channel = connection.create_channel().await.map_err(|error| self.unavailable(&error))?;
        let selected = channel.confirm_select(ConfirmSelectOptions::default()).await;
        selected.map_err(|error| self.unavailable(&error))?;
        Ok(Session { channel, connection, _hangup: hangup })
    }

    fn is_open(session: &Session) -> bool {
        session.channel.status().connected()
    }

    async fn send(&self, session: &mut Session, order: &mut Order<'_>) -> Result<(), DeliveryError> {
        let mut run_max = BATCH_MAX;
        loop {
            let run = order.next(run_max, RUN_BYTES_MAX);
            if run.is_empty() {
                return Ok(());
            }
            if let Ended::Refused(reason) = self.publish_all(&session.channel, order, &run).await? {
                // Which of several the broker did not like, it does not say: so they are sent again, one by one.
                if let [(index, _)] = run.as_slice() {
                    order.note(*index, Err(DeliveryError::Rejected(format!("AMQP: {reason}"))));
                }
                run_max = 1;
                *session = self.connect().await?;
            }
        }
    }

    async fn look(&self, session: Session) -> Result<(), DeliveryError> {
        let channel = &session.channel;
        let found = if !self.exchange.as_str().is_empty() {
            let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            // Of which kind it is, the broker does not compare.
            let (exchange, arguments) = (self.exchange.clone(), FieldTable::default());
            channel.exchange_declare(exchange, ExchangeKind::Direct, options, arguments).await
        } else if self.routing_key.contains('{') {
            // The default exchange always exists; its queues are known only with an event.
            Ok(())
        } else {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = ShortString::try_new(self.routing_key.clone()).unwrap_or_default();
            channel.queue_declare(queue, options, FieldTable::default()).await.map(|_| ())
        };
        // So that the broker does not take it for a crash.
        let _broken_anyway = session.connection.close(REPLY_SUCCESS, "checked".into()).await;
        found.map_err(|error| match error.is_amqp_soft_error() {
            true => DeliveryError::Rejected(format!("AMQP: {error}")),
            false => self.unavailable(&error),
        })
    }
}

//! Events as messages of a NATS JetStream stream.
//!
//! A message counts as delivered when JetStream acknowledges that a stream has stored it. Its `Nats-Msg-Id` is the event's
//! id, so that a repetition within the stream's duplicate window is stored once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{
    ContextBuilder, GetStreamByNameErrorKind, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{ConnectOptions, Event, ServerAddr};
use futures_util::future::join_all;
use rustls::ClientConfig;
use serde::Deserialize;

use super::broker::{Address, BATCH_MAX, Broker, Link, LinkSettings, RUN_BYTES_MAX};
use super::order::Order;
use super::target::{DeliveryError, Message};
use crate::credentials::Secret;

/// A subject that a JetStream stream takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    /// The `host:port` of servers of one cluster.
    pub addresses: Vec<String>,
    /// The subject to publish to. A stream must take it.
    pub subject: String,
    /// The token to sign in with, instead of a user.
    pub token: Option<Secret>,
    /// How it is reached.
    #[serde(flatten)]
    pub link: LinkSettings,
}

enum SignIn {
    Nobody,
    User(String, Secret),
    Token(Secret),
}

/// A connection that was not lost when it was looked at last.
pub struct Session {
    context: Context,
    /// Set once the connection was lost.
    is_lost: Arc<AtomicBool>,
}

/// Delivers to a subject.
pub struct NatsTarget {
    servers: Vec<ServerAddr>,
    subject: String,
    sign_in: SignIn,
    link: Link<Session>,
}

impl NatsTarget {
    /// Connects only when there is something to deliver. `Err` says what is wrong with the settings.
    pub fn new(settings: &NatsSettings) -> Result<NatsTarget, String> {
        let wildcard = settings.subject.contains(['*', '>', ' ', '\t', '\r', '\n']);
        if settings.subject.is_empty() || wildcard {
            return Err("subject must be a subject without wildcards and spaces".to_owned());
        }
        let scheme = if settings.link.tls { "tls" } else { "nats" };
        let server = |address: &Address| {
            let url = format!("{scheme}://{address}");
            url.parse().map_err(|error| format!("{address} is no address: {error}"))
        };
        let servers = Address::parse_all(&settings.addresses)?.iter().map(server).collect::<Result<_, String>>()?;
        let sign_in = match (settings.link.user()?, settings.token.clone()) {
            (None, None) => SignIn::Nobody,
            (Some((username, password)), None) => SignIn::User(username, password),
            (None, Some(token)) => SignIn::Token(token),
            _ => return Err("give username and password, or a token, or neither".to_owned()),
        };
        let link = Link::new(&settings.link)?;
        Ok(NatsTarget { servers, subject: settings.subject.clone(), sign_in, link })
    }

    async fn publish(&self, context: &Context, message: &Message) -> Result<PublishAckFuture, PublishError> {
        let publish = PublishMessage::build().message_id(&message.id).payload(message.body.clone());
        context.send_publish(self.subject.clone(), publish).await
    }
}

/// What an error says about the message. Too large a message is refused for itself. That no stream takes the subject is
/// true of every event of the target, until somebody makes the stream: were it a refusal, all events until then would be
/// put aside. The same goes for a stream that is full, has no leader, or may not be written to.
fn refusal(error: &PublishError) -> DeliveryError {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => DeliveryError::Rejected(format!("NATS: {error}")),
        PublishErrorKind::Other if is_too_large(error) => DeliveryError::Rejected(format!("JetStream: {error}")),
        _ => DeliveryError::Unavailable(format!("JetStream: {error}")),
    }
}

/// Whether the stream's own bound on messages was exceeded.
fn is_too_large(error: &PublishError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.is_some_and(|source: &async_nats::jetstream::Error| {
        source.error_code() == async_nats::jetstream::ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
    })
}

impl Broker for NatsTarget {
    type Session = Session;

    fn link(&self) -> &Link<Session> {
        &self.link
    }

    async fn connect(&self) -> Result<Session, DeliveryError> {
        let is_lost = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_lost);
        let mut options = ConnectOptions::new()
            .name("strata")
            .connection_timeout(self.link.timeout)
            .request_timeout(Some(self.link.timeout))
            // Every call that finds the connection lost makes a new one. What a lost one still holds would be published
            // after newer messages of the same key.
            .max_reconnects(self.servers.len())
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed | Event::LameDuckMode) {
                    seen.store(true, Ordering::Release);
                }
                std::future::ready(())
            });
        if let Some(tls) = &self.link.tls {
            options = options.require_tls(true).tls_client_config(ClientConfig::clone(tls));
        }
        options = match &self.sign_in {
            SignIn::Nobody => options,
            SignIn::User(name, password) => options.user_and_password(name.clone(), password.expose().to_owned()),
            SignIn::Token(token) => options.token(token.expose().to_owned()),
        };
        let client = options.connect(&self.servers).await;
        let client = client.map_err(|error| DeliveryError::Unavailable(format!("NATS: {error}")))?;
        // An acknowledgement that nobody waits for any more holds its permit for a while, hence twice as many.
        let context = ContextBuilder::new()
            .timeout(self.link.timeout)
            .max_ack_inflight(2 * BATCH_MAX)
            .backpressure_on_inflight(true)
            .build(client);
        Ok(Session { context, is_lost })
    }

    fn is_open(session: &Session) -> bool {
        !session.is_lost.load(Ordering::Acquire)
    }

    async fn send(&self, session: &mut Session, order: &mut Order<'_>) -> Result<(), DeliveryError> {
        loop {
            let run = order.next(BATCH_MAX, RUN_BYTES_MAX);
            if run.is_empty() {
                return Ok(());
            }
            let mut waiting = Vec::with_capacity(run.len());
            for (index, message) in run {
                match self.publish(&session.context, message).await {
                    Ok(acknowledgement) => waiting.push((index, acknowledgement)),
                    Err(error) => order.note(index, Err(refusal(&error))),
                }
            }
            let (indexes, acknowledgements): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            let acknowledged = join_all(acknowledgements.into_iter().map(IntoFuture::into_future)).await;
            for (index, outcome) in indexes.into_iter().zip(acknowledged) {
                order.note(index, outcome.map(|_| ()).map_err(|error| refusal(&error)));
            }
        }
    }

    async fn look(&self, session: Session) -> Result<(), DeliveryError> {
        let found = session.context.stream_by_subject(self.subject.clone()).await;
        found.map(|_| ()).map_err(|error| match error.kind() {
            GetStreamByNameErrorKind::NotFound | GetStreamByNameErrorKind::InvalidSubject => {
                DeliveryError::Rejected(format!("no stream takes the subject {}", self.subject))
            }
            _ => DeliveryError::Unavailable(format!("JetStream: {error}")),
        })
    }
}

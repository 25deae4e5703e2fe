//! Events reach message brokers: each test starts a broker of its own, on free ports and in a directory that vanishes.

#[cfg(any(feature = "amqp", feature = "nats", feature = "redis"))]
mod server;
#[cfg(any(feature = "amqp", feature = "kafka", feature = "nats", feature = "redis"))]
mod support;

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_broker;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "redis")]
mod redis;

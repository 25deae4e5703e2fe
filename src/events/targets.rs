//! The targets of events that the settings name, by their ARNs. They are opened at the start and stay as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use strata_storage::Clock;

#[cfg(feature = "amqp")]
use super::amqp::AmqpTarget;
use super::arn::TargetArn;
use super::event_bridge::EventBridge;
use super::exec::Exec;
#[cfg(feature = "kafka")]
use super::kafka::KafkaTarget;
use super::lambda::Lambda;
#[cfg(feature = "nats")]
use super::nats::NatsTarget;
#[cfg(feature = "redis")]
use super::redis::RedisTarget;
use super::sns::Sns;
use super::sqs::Sqs;
use super::target::Target;
use super::webhook::Webhook;
use crate::config::{TargetKind, TargetSettings};

/// All targets; cheap to clone.
#[derive(Clone, Default)]
pub struct Targets(Arc<BTreeMap<String, Configured>>);

/// A target with what the settings say of it.
#[derive(Clone)]
pub struct Configured {
    /// What they say.
    pub settings: Arc<TargetSettings>,
    /// The target itself.
    pub target: Arc<dyn Target>,
}

/// A target's settings cannot be used. The message says what to change.
#[derive(Debug, thiserror::Error)]
#[error("the target {arn} of [[events.targets]] cannot be used: {reason}")]
pub struct TargetsError {
    arn: TargetArn,
    reason: String,
}

impl Targets {
    /// Prepares all targets. Nothing is sent yet.
    pub fn open(settings: &[TargetSettings], clock: &Arc<dyn Clock>) -> Result<Targets, TargetsError> {
        let mut targets = BTreeMap::new();
        for settings in settings {
            let failed = |reason| TargetsError { arn: settings.arn.clone(), reason };
            let target = open(settings, clock).map_err(failed)?;
            let configured = Configured { settings: Arc::new(settings.clone()), target };
            targets.insert(settings.arn.as_str().to_owned(), configured);
        }
        Ok(Targets(Arc::new(targets)))
    }

    /// The target of that ARN.
    pub fn get(&self, arn: &str) -> Option<&Configured> {
        self.0.get(arn)
    }

    /// All of them, by their ARNs.
    pub fn iter(&self) -> impl Iterator<Item = &Configured> {
        self.0.values()
    }

    /// Asks every target whether it would take events, and logs those that would not. They are used all the same: they
    /// may be started later.
    pub async fn check_all(self) {
        for Configured { settings, target } in self.iter() {
            let arn = &settings.arn;
            match target.check().await {
                Ok(()) => tracing::info!(%arn, "a target of events is there"),
                Err(reason) => tracing::warn!(%arn, %reason, "a target of events takes none at present"),
            }
        }
    }
}

fn open(settings: &TargetSettings, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Target>, String> {
    let arn = &settings.arn;
    Ok(match &settings.kind {
        TargetKind::Lambda(aws, lambda) => Arc::new(Lambda::open(aws, lambda, arn, clock)?),
        TargetKind::Exec(exec) => Arc::new(Exec::open(exec, arn)?),
        TargetKind::Sqs(aws, sqs) => Arc::new(Sqs::open(aws, sqs, arn, clock)?),
        TargetKind::Sns(aws, sns) => Arc::new(Sns::open(aws, sns, arn, clock)?),
        TargetKind::EventBridge(aws, bus) => Arc::new(EventBridge::open(aws, bus, arn, clock)?),
        TargetKind::Webhook(webhook) => Arc::new(Webhook::open(webhook, settings.format, clock)?),
        #[cfg(feature = "amqp")]
        TargetKind::Amqp(amqp) => Arc::new(AmqpTarget::new(amqp)?),
        #[cfg(feature = "kafka")]
        TargetKind::Kafka(kafka) => Arc::new(KafkaTarget::new(kafka)?),
        #[cfg(feature = "nats")]
        TargetKind::Nats(nats) => Arc::new(NatsTarget::new(nats)?),
        #[cfg(feature = "redis")]
        TargetKind::Redis(redis) => Arc::new(RedisTarget::new(redis)?),
    })
}

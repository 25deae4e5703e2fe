//! The audit log: a record of every change to configuration, identities, keys and policies, and the count of failed
//! sign-ins. As events of the target `strata::audit`, and in a file of its own if one is set.
//!
//! A record names who asked for what from where, and how it ended. It holds only names: no document, no header and no
//! parameter that is not listed here, so that no secret gets into it. A change whose client went away before the answer
//! is recorded as well, since it may have been made.

mod file;
mod kind;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};
use strata_storage::Timestamp;

use crate::identity::Identity;
use crate::time;

pub use file::{AuditFile, AuditFileError};
pub use kind::Call;

/// The longest value of a record; clients choose some of them.
const VALUE_CHARS_MAX: usize = 1100;

/// Failed sign-ins are told at most so often.
const FAILURES_EVERY: Duration = Duration::from_secs(60);

/// Where records go; one per server. Copies are the same log.
#[derive(Clone)]
pub struct Audit(Arc<Shared>);

struct Shared {
    file: Option<AuditFile>,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    /// Since these were told last.
    count: u64,
    told: Option<Timestamp>,
}

/// Who asks for a change, and from where.
pub struct Asker<'a> {
    /// Who.
    pub caller: &'a Identity,
    /// The client's address.
    pub source: IpAddr,
    /// The request's id.
    pub request_id: &'a str,
    /// When.
    pub now: Timestamp,
}

/// A change that is asked for. Its record is written when it is dropped.
pub struct Change {
    audit: Audit,
    record: Map<String, Value>,
    outcome: &'static str,
}

impl Audit {
    /// Records go to `file` as well as to the process's log.
    pub fn new(file: Option<AuditFile>) -> Audit {
        Audit(Arc::new(Shared { file, failures: Mutex::default() }))
    }

    /// Begins the record of a change. `resource` names what it is about.
    pub fn begin(&self, call: &Call, asker: &Asker<'_>) -> Change {
        let Asker { caller, source, request_id, now } = asker;
        let resource: Map<String, Value> =
            call.resource.iter().map(|(name, value)| ((*name).to_owned(), Value::from(shortened(value)))).collect();
        let record = json!({
            "time": time::iso8601(*now),
            "event": "change",
            "request_id": request_id,
            "api": call.api,
            "operation": shortened(&call.operation),
            "account": caller.account_id().map(|account| account.to_string()),
            "principal": caller.arn(),
            "access_key": caller.access_key,
            "source": source.to_string(),
            "resource": resource,
        });
        let Value::Object(record) = record else { unreachable!("an object was written") };
        Change { audit: self.clone(), record, outcome: "abandoned" }
    }

    /// Counts a sign-in that failed. The count is told with the first, and then at most once a minute.
    pub fn sign_in_failed(&self, source: IpAddr, now: Timestamp) {
        let count = {
            let mut failures = self.0.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.count += 1;
            if failures.told.is_some_and(|told| now.since(told) < FAILURES_EVERY) {
                return;
            }
            failures.told = Some(now);
            std::mem::take(&mut failures.count)
        };
        let (time, last_source) = (time::iso8601(now), source.to_string());
        tracing::info!(target: "strata::audit", time, event = "sign_in_failures", count, last_source, "sign-ins failed");
        self.write(&json!({
            "time": time, "event": "sign_in_failures", "count": count, "last_source": last_source,
        }));
    }

    /// Opens the file anew, as after it was renamed.
    pub fn reopen(&self) {
        if let Some(file) = &self.0.file {
            file.reopen();
        }
    }

    /// Waits until everything recorded so far is in the file.
    pub async fn flush(&self) {
        let count = std::mem::take(&mut self.0.failures.lock().unwrap_or_else(PoisonError::into_inner).count);
        if count > 0 {
            tracing::info!(target: "strata::audit", event = "sign_in_failures", count, "sign-ins failed");
            self.write(&json!({ "event": "sign_in_failures", "count": count }));
        }
        if let Some(file) = &self.0.file {
            file.flush().await;
        }
    }

    fn write(&self, record: &Value) {
        if let Some(file) = &self.0.file {
            file.write(format!("{record}\n"));
        }
    }
}

impl Change {
    /// Says how it ended; `code` is the error's.
    pub fn end(&mut self, status: StatusCode, code: &str) {
        self.outcome = if status.is_success() { "success" } else { "failure" };
        self.record.insert("status".to_owned(), status.as_u16().into());
        if !code.is_empty() {
            self.record.insert("code".to_owned(), shortened(code).into());
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.record.insert("outcome".to_owned(), self.outcome.into());
        let record = Value::Object(std::mem::take(&mut self.record));
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        tracing::info!(
            target: "strata::audit",
            time = text("time"),
            event = text("event"),
            request_id = text("request_id"),
            api = text("api"),
            operation = text("operation"),
            account = text("account"),
            principal = text("principal"),
            access_key = text("access_key"),
            source = text("source"),
            resource = %record["resource"],
            outcome = text("outcome"),
            status = record["status"].as_u64().unwrap_or_default(),
            code = text("code"),
            "change"
        );
        self.audit.write(&record);
    }
}

fn shortened(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

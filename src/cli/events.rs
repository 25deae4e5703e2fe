//! `strata events`: what happens to objects, and what waits for the targets of notifications.

use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admin::{
    ChangedEventsDocument, EventTargetDocument, EventsDocument, FailedEventsDocument, HappenedDocument, TailDocument,
};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, printable, size};
use crate::cli::{AskArgs, CliError, print_json};

/// What can be asked about events.
#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Shows what happens to objects from now on, until it is interrupted.
    Tail(TailArgs),
    /// Shows the targets of notifications: whether they take events, and what waits for them.
    Status(AskArgs),
    /// Shows the events that a target refused, and why.
    Failed(TargetArgs),
    /// Delivers the events anew that a target refused.
    Retry(TargetArgs),
    /// Forgets the events that a target refused; of a target that the settings do not name any more, all that waits.
    Drop(TargetArgs),
}

/// What to follow.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// Only this bucket.
    bucket: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
}

/// Which target.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// The target's ARN.
    target: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command.
pub async fn run(command: EventCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        EventCommand::Tail(args) => tail(&args, out).await,
        EventCommand::Failed(args) => failed(&args, out).await,
        EventCommand::Retry(args) => change(&args, "retry", "delivered anew", out).await,
        EventCommand::Drop(args) => change(&args, "drop", "forgotten", out).await,
        EventCommand::Status(ask) => {
            let answer = Client::new(Connection::find(&ask)?)?.get("events").await?;
            match ask.json {
                true => print_json(&answer, out),
                false => {
                    let document = client::read::<EventsDocument>(&answer)?;
                    Ok(out.write_all(table(&document.targets).as_bytes())?)
                }
            }
        }
    }
}

async fn tail(args: &TailArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let query = args.bucket.as_ref().map(|bucket| format!("?bucket={}", encoded(bucket))).unwrap_or_default();
    let take = |line: &[u8]| {
        // Empty lines are signs of life.
        if !line.is_empty() {
            match args.ask.json {
                true => out.write_all(&[line, b"\n"].concat())?,
                false => writeln!(out, "{}", told(&client::read(line)?))?,
            }
            out.flush()?;
        }
        Ok(())
    };
    client.follow(&format!("events/tail{query}"), take).await
}

async fn failed(args: &TargetArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let mut from = String::new();
    let mut all = FailedEventsDocument { events: Vec::new(), next: None };
    loop {
        let answer = client.get(&format!("events/failed?target={}{from}", encoded(&args.target))).await?;
        let FailedEventsDocument { events, next } = client::read(&answer)?;
        all.events.extend(events);
        let Some(next) = next else { break };
        from = format!("&after={}", encoded(&next));
    }
    if args.ask.json {
        let value = serde_json::to_vec(&all).map_err(|error| CliError::Answer(error.to_string()))?;
        return print_json(&value, out);
    }
    let mut table = Table::new(&["TIME", "EVENT", "OBJECT", "ATTEMPTS", "REASON"]);
    for failed in &all.events {
        let HappenedDocument { time, event, .. } = &failed.event;
        let object = object(&failed.event);
        table.row(vec![time.clone(), event.clone(), object, failed.attempts.to_string(), failed.reason.clone()]);
    }
    Ok(out.write_all(table.text().as_bytes())?)
}

async fn change(args: &TargetArgs, topic: &str, done: &str, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let target = format!("events/{topic}?target={}", encoded(&args.target));
    let answer = client.ask(Question { method: Method::POST, target, body: &[] }).await?;
    match args.ask.json {
        true => print_json(&answer, out),
        false => {
            let ChangedEventsDocument { events } = client::read(&answer)?;
            Ok(writeln!(out, "{events} events are {done}")?)
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn object(event: &HappenedDocument) -> String {
    let version = event.version_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    format!("{}/{}{version}", event.bucket, event.key)
}

/// One line of what happens.
fn told(document: &TailDocument) -> String {
    match document {
        TailDocument::Missed { missed } => format!("{missed} events were left out here"),
        TailDocument::Happened(event) => {
            let bytes = event.size.map(|bytes| format!("  {}", size(bytes))).unwrap_or_default();
            let who = event.principal.as_ref().map(|who| format!("  {who}")).unwrap_or_default();
            printable(&format!("{}  {}  {}{bytes}{who}", event.time, event.event, object(event)))
        }
    }
}

/// The targets as a table.
pub fn table(targets: &[EventTargetDocument]) -> String {
    let head = ["TARGET", "STATE", "WAITING", "BYTES", "OLDEST", "REFUSED", "DELIVERED", "DROPPED", "LAST ERROR"];
    let mut table = Table::new(&head);
    for target in targets {
        let error = target.last_error.as_ref().map(|error| format!("{}: {}", error.at, error.message));
        table.row(vec![
            target.target.clone(),
            target.state.replace('_', " "),
            target.waiting.to_string(),
            size(target.waiting_bytes),
            target.oldest.clone().unwrap_or_else(|| "none".to_owned()),
            target.aside.to_string(),
            target.delivered.to_string(),
            target.dropped.to_string(),
            error.unwrap_or_else(|| "none".to_owned()),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::{table, told};
    use crate::admin::{EventTargetDocument, FailureDocument, HappenedDocument, TailDocument};

    #[test]
    fn what_happens_is_a_line() {
        let event = HappenedDocument {
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            event: "ObjectCreated:Put".to_owned(),
            bucket: "bucket".to_owned(),
            key: "a\nb".to_owned(),
            version_id: None,
            size: Some(1024),
            etag: None,
            principal: Some("AWS:AIDA".to_owned()),
            address: None,
            request: None,
        };
        let line = "2026-01-01T00:00:00.000Z  ObjectCreated:Put  bucket/a\\nb  1.0 KiB  AWS:AIDA";
        let document = TailDocument::Happened(Box::new(event));
        assert_eq!(told(&document), line);
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<TailDocument>(&text).unwrap(), document);
        let missed = TailDocument::Missed { missed: 3 };
        assert_eq!(serde_json::from_str::<TailDocument>("{\"missed\":3}").unwrap(), missed);
        assert_eq!(told(&missed), "3 events were left out here");
    }

    #[test]
    fn targets_are_a_table() {
        let at = "2026-01-01T00:00:00.000Z".to_owned();
        let target = EventTargetDocument {
            target: "arn:q".to_owned(),
            state: "not_configured".to_owned(),
            waiting: 2,
            waiting_bytes: 1024,
            oldest: Some(at.clone()),
            aside: 1,
            aside_bytes: 512,
            delivered: 7,
            dropped: 0,
            away_since: None,
            last_delivery: None,
            last_error: Some(FailureDocument { at, message: "no".to_owned() }),
        };
        assert_eq!(
            table(&[target]),
            "TARGET  STATE           WAITING    BYTES  OLDEST                    REFUSED  DELIVERED  DROPPED  LAST ERROR\n\
             arn:q   not configured        2  1.0 KiB  2026-01-01T00:00:00.000Z        1          7        0  \
             2026-01-01T00:00:00.000Z: no\n"
        );
    }
}

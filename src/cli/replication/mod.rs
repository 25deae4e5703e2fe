//! `strata replication`: what is still to be sent to other buckets, what could not be, sending again, and whether two buckets
//! are the same.

mod diff;

use std::io::{IsTerminal as _, Write};

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admin::{
    DroppedDocument, FailedDocument, FailedTask, QueueDocument, QueuesDocument, ResyncDocument, RetriedDocument,
};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::printable;
use crate::cli::{AskArgs, CliError, print_value, reports};

/// What can be asked about replication.
#[derive(Debug, Subcommand)]
pub enum ReplicationCommand {
    /// Shows what buckets have to send to their destinations, and how far behind those are.
    Status(StatusArgs),
    /// Lists what could not be sent and needs somebody's help, with the reasons.
    Failed(FailedArgs),
    /// Tries to send again what could not be sent.
    Retry(RetryArgs),
    /// Forgets what could not be sent: it is not tried again, and its versions count as failed no more.
    Drop(RetryArgs),
    /// Sends what was there before the rules. What was sent already, or waits to be, is left out.
    Resync(ResyncArgs),
    /// Compares all versions of a bucket with those of its destinations. The exit status is 1 if they differ.
    Diff(diff::DiffArgs),
}

/// Whose queues to show.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this bucket.
    bucket: Option<String>,
    #[command(flatten)]
    ask: AskArgs,
}

/// Whose failures to list.
#[derive(Debug, Args)]
pub struct FailedArgs {
    /// The bucket.
    bucket: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to try again, or to forget.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The bucket.
    bucket: String,
    /// The key whose versions are meant.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    key: Option<String>,
    /// All keys.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to send.
#[derive(Debug, Args)]
pub struct ResyncArgs {
    /// The bucket.
    bucket: String,
    /// Only by the rule of this id.
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
    /// Sends everything again: also what was sent already, and replicas that came from elsewhere.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command.
pub async fn run(command: ReplicationCommand, out: &mut impl Write) -> Result<(), CliError> {
    match command {
        ReplicationCommand::Status(args) => status(&args, out).await,
        ReplicationCommand::Failed(args) => failed(&args, out).await,
        ReplicationCommand::Retry(args) => take_up(&args, "retry", out).await,
        ReplicationCommand::Drop(args) => take_up(&args, "drop", out).await,
        ReplicationCommand::Resync(args) => resync(&args, out).await,
        ReplicationCommand::Diff(args) => diff::run(&args, out).await,
    }
}

async fn status(args: &StatusArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let queues = queues(&client, args.bucket.as_deref()).await?;
    match args.ask.json {
        true => print_value(&serde_json::json!(QueuesDocument { queues }), out),
        false => Ok(out.write_all(reports::queues(&queues).as_bytes())?),
    }
}

async fn queues(client: &Client, bucket: Option<&str>) -> Result<Vec<QueueDocument>, CliError> {
    let target = match bucket {
        Some(bucket) => topic("status", &[("bucket", bucket)]),
        None => "replication/status".to_owned(),
    };
    let document: QueuesDocument = client::read(&client.get(&target).await?)?;
    Ok(document.queues)
}

/// Prints failures as their pages come, so that memory does not grow with their number.
async fn failed(args: &FailedArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let mut separator = "{\"tasks\":[";
    for queue in queues(&client, Some(&args.bucket)).await? {
        let mut after = None;
        loop {
            let target = place("failed", &args.bucket, &queue.destination, after.as_deref());
            let page: FailedDocument = client::read(&client.get(&target).await?)?;
            for task in &page.tasks {
                match args.ask.json {
                    true => {
                        let text = serde_json::to_string(task).map_err(std::io::Error::from)?;
                        write!(out, "{separator}\n{text}")?;
                        separator = ",";
                    }
                    false => writeln!(out, "{}", line(task))?,
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    match (args.ask.json, separator) {
        (true, ",") => Ok(writeln!(out, "\n]}}")?),
        (true, _) => Ok(writeln!(out, "{{\"tasks\":[]}}")?),
        (false, _) => Ok(()),
    }
}

/// One failure as a line: what is known of its width comes first.
fn line(task: &FailedTask) -> String {
    let FailedTask { since, reason, part, version_id, destination, key, attempts, .. } = task;
    printable(&format!(
        "{since}  {reason:<32}  {attempts:>3} tries  {part:<13}  {version_id:<32}  {destination}  {key}"
    ))
}

async fn take_up(args: &RetryArgs, name: &str, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let which = match &args.key {
        Some(key) => format!("&key={}", encoded(key)),
        None => "&all=true".to_owned(),
    };
    let mut count = 0;
    for queue in queues(&client, Some(&args.bucket)).await? {
        let mut after = None;
        loop {
            let target = place(name, &args.bucket, &queue.destination, after.as_deref()) + &which;
            let answer = client.ask(Question { method: Method::POST, target, body: &[] }).await?;
            let (taken_up, next) = match name {
                "drop" => client::read(&answer).map(|page: DroppedDocument| (page.dropped, page.next))?,
                _ => client::read(&answer).map(|page: RetriedDocument| (page.retried, page.next))?,
            };
            count += taken_up;
            after = next;
            if after.is_none() {
                break;
            }
        }
    }
    match (name, args.ask.json) {
        ("drop", true) => print_value(&serde_json::json!(DroppedDocument { dropped: count, next: None }), out),
        ("drop", false) => Ok(writeln!(out, "{count} are forgotten")?),
        (_, true) => print_value(&serde_json::json!(RetriedDocument { retried: count, next: None }), out),
        (_, false) => Ok(writeln!(out, "{count} will be tried again")?),
    }
}

async fn resync(args: &ResyncArgs, out: &mut impl Write) -> Result<(), CliError> {
    let client = Client::new(Connection::find(&args.ask)?)?;
    let mut sum = ResyncDocument::default();
    let mut marker: Option<(String, Option<String>)> = None;
    loop {
        let mut target = topic("resync", &[("bucket", &args.bucket)]);
        for (name, value) in [("rule", &args.rule), ("all", &args.all.then(|| "true".to_owned()))] {
            target.extend(value.iter().map(|value| format!("&{name}={}", encoded(value))));
        }
        push_marker(&mut target, marker.as_ref());
        let answer = client.ask(Question { method: Method::POST, target, body: &[] }).await?;
        let page: ResyncDocument = client::read(&answer)?;
        sum.examined += page.examined;
        sum.asked += page.asked;
        sum.skipped += page.skipped;
        sum.failed += page.failed;
        tell_progress(&format!("{} versions looked at, {} will be sent", sum.examined, sum.asked));
        marker = page.next_key.map(|key| (key, page.next_version));
        if marker.is_none() {
            break;
        }
    }
    tell_progress("");
    if args.ask.json {
        return print_value(&serde_json::json!(sum), out);
    }
    let ResyncDocument { examined, asked, skipped, failed, .. } = sum;
    writeln!(out, "{examined} versions looked at: {asked} will be sent, {skipped} need not be")?;
    if failed > 0 {
        writeln!(out, "{failed} could not be sent before: see `strata replication failed`")?;
    }
    Ok(())
}

/// Shows where a long command is to whoever watches, on one line; an empty text removes it.
fn tell_progress(text: &str) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        // Nobody may be reading; the command works all the same.
        let _shown = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
    }
}

fn place(name: &str, bucket: &str, destination: &str, after: Option<&str>) -> String {
    let mut target = topic(name, &[("bucket", bucket), ("destination", destination)]);
    target.extend(after.map(|after| format!("&after={}", encoded(after))));
    target
}

fn topic(name: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("replication/{name}?{}", pairs.join("&"))
}

fn push_marker(target: &mut String, marker: Option<&(String, Option<String>)>) {
    let Some((key, version)) = marker else { return };
    target.push_str(&format!("&key_marker={}", encoded(key)));
    target.extend(version.iter().map(|version| format!("&version_marker={}", encoded(version))));
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{ReplicationCommand, line, place, push_marker};
    use crate::admin::FailedTask;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: ReplicationCommand,
    }

    #[test]
    fn arguments() {
        fn check(arguments: &[&str], allowed: bool) {
            let line = ["strata"].iter().chain(arguments);
            assert_eq!(Line::try_parse_from(line).map(|line| drop(line.command)).is_ok(), allowed, "{arguments:?}");
        }
        check(&["status"], true);
        check(&["status", "b"], true);
        check(&["failed"], false);
        check(&["retry", "b"], false);
        check(&["retry", "b", "key"], true);
        check(&["drop", "b"], false);
        check(&["drop", "b", "--all"], true);
        check(&["retry", "b", "--all"], true);
        check(&["retry", "b", "key", "--all"], false);
        check(&["resync", "b", "--rule", "r", "--all"], true);
        check(&["diff", "b", "--deep", "--prefix", "p", "--no-markers"], true);
    }

    #[test]
    fn targets() {
        let mut target = place("failed", "b", "arn:aws:s3:::c", Some("x"));
        assert_eq!(target, "replication/failed?bucket=b&destination=arn%3Aaws%3As3%3A%3A%3Ac&after=x");
        push_marker(&mut target, Some(&("a&b".to_owned(), Some("v".to_owned()))));
        assert!(target.ends_with("&key_marker=a%26b&version_marker=v"), "{target}");
    }

    #[test]
    fn failures_are_lines() {
        let task = FailedTask {
            destination: "arn:aws:s3:::c".to_owned(),
            rule: "r".to_owned(),
            key: "a\u{7}".to_owned(),
            version_id: "v".to_owned(),
            part: "object".to_owned(),
            bytes: 3,
            reason: "DstBucketNotFound".to_owned(),
            attempts: 2,
            since: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        let words: Vec<String> = line(&task).split_whitespace().map(str::to_owned).collect();
        let expected = "2026-01-01T00:00:00.000Z DstBucketNotFound 2 tries object v arn:aws:s3:::c a\\u{7}";
        assert_eq!(words.join(" "), expected);
    }
}

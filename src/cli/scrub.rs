//! `strata scrub`: has a running server read everything that is at rest, and shows how that goes.

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};

use crate::admin::ScrubDocument;
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, printable, size};
use crate::cli::{AskArgs, CliError, print_json};

/// How often a pass is asked after that is waited for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What can be asked about scrubbing.
#[derive(Debug, Subcommand)]
pub enum ScrubCommand {
    /// Begins to read everything that is at rest, in all its zones, and to repair what is damaged; nothing if that is under
    /// way.
    Start(ScrubArgs),
    /// Shows how the reading goes, or how it last went. Ends with 1 if bytes are lost.
    Status(ScrubArgs),
}

/// How to ask.
#[derive(Debug, Args)]
pub struct ScrubArgs {
    /// Waits until the reading has come to its end.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command. `Err(Faults)` if what the pass found cannot be repaired.
pub async fn run(command: ScrubCommand, out: &mut impl Write) -> Result<(), CliError> {
    let (args, method, target) = match &command {
        ScrubCommand::Start(args) => (args, Method::POST, "scrub/start"),
        ScrubCommand::Status(args) => (args, Method::GET, "scrub"),
    };
    let client = Client::new(Connection::find(&args.ask)?)?;
    let mut answer = client.ask(Question { method, target: target.to_owned(), body: &[] }).await?;
    let mut document: ScrubDocument = client::read(&answer)?;
    if args.wait {
        let style = ProgressStyle::with_template("{msg} [{bar:40}] {percent:>3}% {bytes_per_sec} {eta}");
        let bar = ProgressBar::new(0).with_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_message("scrubbing");
        while document.running {
            bar.set_length(document.total_bytes.max(document.done_bytes));
            bar.set_position(document.done_bytes);
            tokio::time::sleep(ASK_EVERY).await;
            answer = client.get("scrub").await?;
            document = client::read(&answer)?;
        }
        bar.finish_and_clear();
    }
    match args.ask.json {
        true => print_json(&answer, out)?,
        false => out.write_all(text(&document).as_bytes())?,
    }
    match document.damaged.saturating_sub(document.repaired) {
        0 => Ok(()),
        faults => Err(CliError::Faults(faults)),
    }
}

/// How it goes, for people.
fn text(document: &ScrubDocument) -> String {
    let ScrubDocument { records, damaged, repaired, lost, skipped_segments, .. } = document;
    let never = || "never".to_owned();
    let percent = document.done_bytes.saturating_mul(100).checked_div(document.total_bytes).unwrap_or(100).min(100);
    let state = match (document.running, &document.started) {
        (true, _) => format!("running, {percent} %, {}/s", size(document.bytes_per_second)),
        (false, Some(_)) => "idle".to_owned(),
        (false, None) => "idle; nothing was scrubbed yet".to_owned(),
    };
    let mut text = format!(
        "state     {state}\nstarted   {}\nfinished  {}\nnext      {}\nread      {} of {} in {records} records\nfound     \
         {damaged} damaged records: {repaired} repaired, {lost} lost\n",
        document.started.clone().unwrap_or_else(never),
        document.finished.clone().unwrap_or_else(never),
        document.next.clone().unwrap_or_else(|| "when asked for".to_owned()),
        size(document.done_bytes),
        size(document.total_bytes),
    );
    if *skipped_segments > 0 {
        text.push_str(&format!("skipped   {skipped_segments} segments whose zones are away\n"));
    }
    if !document.lost_versions.is_empty() {
        let mut versions = Table::new(&["BUCKET", "KEY", "VERSION WITH LOST BYTES"]);
        for version in &document.lost_versions {
            let cells = [&version.bucket, &version.key, &version.version_id].map(|cell| printable(cell));
            versions.row(cells.to_vec());
        }
        text.push('\n');
        text.push_str(&versions.text());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::admin::{LostVersionDocument, ScrubDocument};

    #[test]
    fn passes_are_told() {
        let document = ScrubDocument {
            running: true,
            started: Some("2026-01-01T00:00:00Z".to_owned()),
            finished: None,
            next: None,
            total_bytes: 4096,
            done_bytes: 1024,
            bytes_per_second: 512,
            records: 3,
            damaged: 2,
            repaired: 1,
            lost: 1,
            skipped_segments: 0,
            lost_versions: vec![LostVersionDocument {
                bucket: "photos".to_owned(),
                key: "cat".to_owned(),
                version_id: "null".to_owned(),
            }],
        };
        assert_eq!(
            text(&document),
            "state     running, 25 %, 512 B/s\nstarted   2026-01-01T00:00:00Z\nfinished  never\nnext      when asked for\n\
             read      1.0 KiB of 4.0 KiB in 3 records\nfound     2 damaged records: 1 repaired, 1 lost\n\n\
             BUCKET  KEY  VERSION WITH LOST BYTES\nphotos  cat  null\n"
        );
    }
}

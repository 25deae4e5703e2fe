//! `strata check`: looks at a store that no server has open, and prints what is wrong with it and what to do.
//!
//! Findings go to the output as they are made, progress to a terminal. The end of the program tells whether the store is
//! sound (0), has faults (1) or could not be checked (2).

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use strata_storage::{
    CheckDepth, CheckObserver, CheckOptions, CheckProgress, CheckReport, CheckStep, Error, Finding, FindingKind, check,
};

use crate::cli::CliError;
use crate::cli::table::{printable, size};
use crate::config::{Config, Sources};
use crate::master_key;

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Reads all content too, from every zone, and verifies it.
    #[arg(long)]
    deep: bool,
    /// The server's configuration file; also STRATA_CONFIG.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: ./strata-data].
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Prints a line of JSON for each finding, and one for the summary.
    #[arg(long)]
    json: bool,
}

/// A finding as JSON.
#[derive(Serialize)]
struct FindingDocument<'a> {
    finding: &'static str,
    fault: bool,
    place: &'a str,
    detail: &'a str,
    advice: &'static str,
}

/// Runs the check. `Err(Faults)` if the store is not sound, `Err(Unchecked)` if it could not be checked.
pub fn run(args: &CheckArgs, out: &mut impl Write) -> Result<(), CliError> {
    let config = settings(args)?;
    let unchecked = |reason: String| CliError::Unchecked { data: config.data.clone(), reason };
    let key = master_key::present(&config).map_err(|error| unchecked(error.to_string()))?;
    let previous = master_key::previous(&config).map_err(|error| unchecked(error.to_string()))?;
    let options = CheckOptions {
        directory: config.data.clone(),
        zones: config.zones.clone(),
        master_key: key,
        cache_bytes: config.storage.cache_bytes,
        depth: if args.deep { CheckDepth::Content } else { CheckDepth::Index },
    };
    let mut teller = Teller { out, json: args.json, bar: bar(), step: None, told: Ok(()), kinds: BTreeSet::new() };
    let checked = match check(&options, &mut teller) {
        // As the server opens it: after the key was changed in the settings, the one before may be the store's.
        Err(Error::MasterKeyWrong) if previous.is_some() => {
            check(&CheckOptions { master_key: previous, ..options }, &mut teller)
        }
        checked => checked,
    };
    let Teller { bar, told, kinds, .. } = teller;
    bar.finish_and_clear();
    told?;
    let report = checked.map_err(|error| unchecked(reason(&error)))?;
    match args.json {
        true => writeln!(out, "{}", summary_document(&report))?,
        false => out.write_all(summary(&report, &kinds).as_bytes())?,
    }
    match report.faults() {
        0 => Ok(()),
        faults => Err(CliError::Faults(faults)),
    }
}

fn settings(args: &CheckArgs) -> Result<Config, CliError> {
    let mut sources = Sources::of_process(args.config.clone()).map_err(CliError::Usage)?;
    sources.flags.extend(args.data.clone().map(|data| ("--data".to_owned(), "data".to_owned(), data)));
    Ok(Config::load(&sources)?)
}

fn reason(error: &Error) -> String {
    match error {
        Error::Locked => "a server has it open; stop the server, or have it scrub: `strata scrub start`".to_owned(),
        error => error.to_string(),
    }
}

/// Nothing is drawn unless the standard error is a terminal.
fn bar() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:>10} [{bar:40}] {percent:>3}% {eta}").expect("the template is right");
    ProgressBar::new(0).with_style(style.progress_chars("=> "))
}

/// Prints findings as they come, and draws progress.
struct Teller<'a, W> {
    out: &'a mut W,
    json: bool,
    bar: ProgressBar,
    step: Option<CheckStep>,
    /// The first failure to print.
    told: io::Result<()>,
    kinds: BTreeSet<FindingKind>,
}

impl<W: Write> CheckObserver for Teller<'_, W> {
    fn found(&mut self, finding: &Finding) {
        self.kinds.insert(finding.kind);
        let line = if self.json { line_of_json(finding) } else { line(finding) };
        let Teller { out, bar, told, .. } = self;
        if told.is_ok() {
            *told = bar.suspend(|| out.write_all(line.as_bytes()));
        }
    }

    fn progress(&mut self, progress: CheckProgress) {
        let CheckProgress { step, done, total } = progress;
        if self.step.replace(step) != Some(step) {
            self.bar.reset();
            self.bar.set_message(step.name());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

fn line(finding: &Finding) -> String {
    let Finding { kind, place, detail } = finding;
    let weight = if kind.is_fault() { "FAULT" } else { "note " };
    let detail = if detail.is_empty() { String::new() } else { format!(": {}", printable(detail)) };
    format!("{weight} {}  {}{detail}\n", kind.name(), printable(place))
}

fn line_of_json(finding: &Finding) -> String {
    let Finding { kind, place, detail } = finding;
    let (fault, advice) = (kind.is_fault(), kind.advice());
    let document = FindingDocument { finding: kind.name(), fault, place, detail, advice };
    serde_json::to_string(&document).expect("texts are JSON") + "\n"
}

fn summary_document(report: &CheckReport) -> serde_json::Value {
    let findings: serde_json::Map<String, serde_json::Value> =
        report.findings.iter().map(|(kind, count)| (kind.name().to_owned(), (*count).into())).collect();
    serde_json::json!({"summary": {
        "sound": report.faults() == 0,
        "faults": report.faults(),
        "findings": findings,
        "buckets": report.buckets,
        "versions": report.versions,
        "uploads": report.uploads,
        "chunks": report.blobs,
        "references": report.references,
        "segments": report.segments,
        "bytes_read": report.bytes_read,
        "garbage": report.garbage,
        "stale_timers": report.stale_timers,
    }})
}

fn summary(report: &CheckReport, kinds: &BTreeSet<FindingKind>) -> String {
    let CheckReport { buckets, versions, uploads, blobs, references, segments, bytes_read, .. } = report;
    let mut text = String::new();
    for kind in kinds.iter().filter(|kind| kind.is_fault()) {
        let count = report.findings.get(kind).copied().unwrap_or(0);
        text.push_str(&format!("{} ({count}): {}\n", kind.name(), kind.advice()));
    }
    text.push_str(&format!(
        "looked at {buckets} buckets, {versions} versions, {uploads} uploads, {blobs} chunks, {references} references and \
         {segments} segments; read {} of content; {} rows wait for the collector, {} timers are of what is gone\n",
        size(*bytes_read),
        report.garbage,
        report.stale_timers
    ));
    text.push_str(if report.faults() == 0 { "the store is sound\n" } else { "the store has faults\n" });
    text
}

#[cfg(test)]
mod tests {
    use strata_storage::{CheckReport, Finding, FindingKind};

    use super::{line, line_of_json, summary, summary_document};

    #[test]
    fn findings_are_lines() {
        let (place, detail) = ("photos/a\nb".to_owned(), "chunk 00 cannot be read".to_owned());
        let finding = Finding { kind: FindingKind::ContentLost, place, detail };
        assert_eq!(line(&finding), "FAULT content-lost  photos/a\\nb: chunk 00 cannot be read\n");
        let read: serde_json::Value = serde_json::from_str(&line_of_json(&finding)).unwrap();
        assert_eq!((&read["finding"], &read["fault"]), (&"content-lost".into(), &true.into()));
        assert!(read["advice"].as_str().unwrap().contains("write the object anew"));
    }

    #[test]
    fn the_summary_says_what_to_do() {
        let mut report = CheckReport { buckets: 1, garbage: 2, ..CheckReport::default() };
        report.findings.insert(FindingKind::SegmentGarbage, 3);
        let kinds = report.findings.keys().copied().collect();
        assert!(summary(&report, &kinds).ends_with("the store is sound\n"));
        assert_eq!(summary_document(&report)["summary"]["sound"], true);
        report.findings.insert(FindingKind::RecordLost, 1);
        let kinds = report.findings.keys().copied().collect();
        let text = summary(&report, &kinds);
        assert!(text.starts_with("record-lost (1): write the object anew"), "{text}");
        assert!(text.ends_with("the store has faults\n"));
        assert_eq!(summary_document(&report)["summary"]["faults"], 1);
    }
}

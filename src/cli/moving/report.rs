//! What a move tells while it goes on and at its end: a bar on the terminal, a line for each thing left out, a summary.

use std::io::Write;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::cli::CliError;
use crate::cli::table::{printable, size};

/// How much was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Objects with their content.
    pub objects: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Of both, what was at the target already.
    pub already_there: u64,
    /// The bytes of the contents that were moved.
    pub bytes: u64,
}

/// Tells of a move.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    json: bool,
    bar: ProgressBar,
    /// What was moved so far.
    pub counts: Counts,
    left_out: u64,
}

impl<'a> Report<'a> {
    /// On `out`, in lines of JSON or of text. `total` is how many bytes there are to go through, if that is known.
    pub fn new(out: &'a mut dyn Write, json: bool, total: Option<u64>) -> Report<'a> {
        // Nothing is drawn unless the standard error is a terminal.
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{msg} [{bar:30}] {percent:>3}% {binary_bytes_per_sec} {eta}"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} {binary_bytes} {binary_bytes_per_sec}"),
        };
        let style = ProgressStyle::with_template(template).expect("the template is right").progress_chars("=> ");
        Report { out, json, bar: bar.with_style(style), counts: Counts::default(), left_out: 0 }
    }

    /// Where a move is, in bytes of what it goes through.
    pub fn at(&self, position: u64) {
        let Counts { objects, delete_markers, .. } = self.counts;
        self.bar.set_message(format!("{} versions", objects + delete_markers));
        self.bar.set_position(position);
    }

    /// Something that is checked before the move begins.
    pub fn checking(&self, position: u64) {
        self.bar.set_message("checking the file");
        self.bar.set_position(position);
    }

    /// A version that is not moved, or not wholly.
    pub fn version(&mut self, key: &str, version_id: &str, reason: &str) -> Result<(), CliError> {
        let line = match self.json {
            true => json!({"left_out": {"key": key, "version_id": version_id, "reason": reason}}).to_string(),
            false => printable(&format!("left out  {version_id:<32}  {key}: {reason}")),
        };
        self.line(&line)
    }

    /// A configuration that is not moved.
    pub fn configuration(&mut self, name: &str, reason: &str) -> Result<(), CliError> {
        let line = match self.json {
            true => json!({"left_out": {"configuration": name, "reason": reason}}).to_string(),
            false => printable(&format!("left out  the bucket's {name}: {reason}")),
        };
        self.line(&line)
    }

    /// How many things were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Prints the summary. `Err(LeftOut)` if anything was left out.
    pub fn finish(self, did: &str, bucket: &str) -> Result<(), CliError> {
        let Report { out, json, bar, counts, left_out } = self;
        bar.finish_and_clear();
        let Counts { objects, delete_markers, already_there, bytes } = counts;
        let line = match json {
            true => json!({"summary": {
                "bucket": bucket,
                "complete": left_out == 0,
                "objects": objects,
                "delete_markers": delete_markers,
                "already_there": already_there,
                "bytes": bytes,
                "left_out": left_out,
            }})
            .to_string(),
            false => {
                let there =
                    if already_there > 0 { format!(", {already_there} of them there already") } else { String::new() };
                let bytes = size(bytes);
                format!("{did} {bucket}: {objects} objects, {delete_markers} delete markers{there}; {bytes} of content")
            }
        };
        writeln!(out, "{line}")?;
        match left_out {
            0 => Ok(()),
            left_out => Err(CliError::LeftOut(left_out)),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), CliError> {
        self.left_out += 1;
        let Report { out, bar, .. } = self;
        Ok(bar.suspend(|| writeln!(out, "{line}"))?)
    }
}

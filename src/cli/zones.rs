//! `strata zone`: the disks that object data is spread over.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admin::{ZoneDocument, ZonesDocument};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, size};
use crate::cli::{AskArgs, CliError, print_json};

/// What can be asked about zones.
#[derive(Debug, Subcommand)]
pub enum ZoneCommand {
    /// Shows the zones: their state, what is in them, and how much room there is.
    List(AskArgs),
    /// Adds a zone. Objects are spread over it in the background.
    Add(AddArgs),
    /// Empties a zone in the background and then forgets it; a lost zone can only be given up.
    Drain(DrainArgs),
}

/// What to add.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The zone's name: 1 to 32 letters, digits, `-`, `_` or `.`.
    name: String,
    /// Its directory on the server, empty or missing, on a disk of its own; an absolute path.
    path: PathBuf,
    #[command(flatten)]
    ask: AskArgs,
}

/// What to drain.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The zone's name.
    name: String,
    /// Gives up a zone that is lost: what only it has is lost for good.
    #[arg(long)]
    give_up: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command.
pub async fn run(command: ZoneCommand, out: &mut impl Write) -> Result<(), CliError> {
    let (ask, method, target) = match &command {
        ZoneCommand::List(ask) => (ask, Method::GET, "zones".to_owned()),
        ZoneCommand::Add(AddArgs { name, path, ask }) => {
            let path = path.to_str().filter(|_| path.is_absolute());
            let path = path.ok_or_else(|| CliError::Usage("PATH must be an absolute path in UTF-8".to_owned()))?;
            (ask, Method::POST, format!("zones/add?name={}&path={}", encoded(name), encoded(path)))
        }
        ZoneCommand::Drain(DrainArgs { name, give_up, ask }) => {
            let give_up = if *give_up { "&give-up=true" } else { "" };
            (ask, Method::POST, format!("zones/drain?name={}{give_up}", encoded(name)))
        }
    };
    let client = Client::new(Connection::find(ask)?)?;
    let answer = client.ask(Question { method, target, body: &[] }).await?;
    match ask.json {
        true => print_json(&answer, out),
        false => Ok(out.write_all(table(&client::read::<ZonesDocument>(&answer)?.zones).as_bytes())?),
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The zones as a table, and below it why some are lost.
pub fn table(zones: &[ZoneDocument]) -> String {
    let mut table = Table::new(&["ZONE", "STATE", "SEGMENTS", "BYTES", "FREE", "SIZE", "DIRECTORY"]);
    let room = |bytes: Option<u64>| bytes.map_or("-".to_owned(), size);
    for zone in zones {
        table.row(vec![
            zone.name.clone(),
            zone.state.clone(),
            zone.segments.to_string(),
            size(zone.bytes),
            room(zone.free_bytes),
            room(zone.total_bytes),
            zone.directory.clone(),
        ]);
    }
    let mut text = table.text();
    for zone in zones {
        if let Some(reason) = &zone.reason {
            text.push_str(&format!("zone {} is lost: {reason}\n", zone.name));
        }
    }
    let shared: BTreeSet<&String> = zones.iter().filter_map(|zone| zone.disk_shared_by.as_ref()).collect();
    for names in shared {
        text.push_str(&format!("zones {names} are on one disk: they are lost together\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{encoded, table};
    use crate::admin::ZoneDocument;

    #[test]
    fn zones_are_a_table() {
        let zone = ZoneDocument {
            name: "a".to_owned(),
            state: "active".to_owned(),
            reason: None,
            directory: "/disks/a".to_owned(),
            segments: 3,
            bytes: 2048,
            free_bytes: Some(1 << 30),
            total_bytes: Some(2 << 30),
            disk_shared_by: Some("a, c".to_owned()),
        };
        let reason = Some("the directory is missing".to_owned());
        let lost = ZoneDocument { name: "b".to_owned(), state: "lost".to_owned(), reason, ..zone.clone() };
        let lost =
            ZoneDocument { segments: 0, bytes: 0, free_bytes: None, total_bytes: None, disk_shared_by: None, ..lost };
        let other = ZoneDocument { name: "c".to_owned(), directory: "/disks/c".to_owned(), ..zone.clone() };
        assert_eq!(
            table(&[zone, lost, other]),
            "ZONE  STATE   SEGMENTS    BYTES     FREE     SIZE  DIRECTORY\n\
             a     active         3  2.0 KiB  1.0 GiB  2.0 GiB  /disks/a\n\
             b     lost           0      0 B        -        -  /disks/a\n\
             c     active         3  2.0 KiB  1.0 GiB  2.0 GiB  /disks/c\n\
             zone b is lost: the directory is missing\n\
             zones a, c are on one disk: they are lost together\n"
        );
    }

    #[test]
    fn paths_travel_whole() {
        assert_eq!(encoded("/a b&c=%"), "%2Fa%20b%26c%3D%25");
    }
}

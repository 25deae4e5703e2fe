//! What `info` and `status` print.

use crate::admin::{InfoDocument, StatusDocument};
use crate::cli::table::{Table, bytes, printable, ratio, size};

/// What a store is.
pub fn info(document: &InfoDocument) -> String {
    let [version, store, data, region] =
        [&document.version, &document.store_id, &document.data, &document.region].map(|text| printable(text));
    let mut text = format!(
        "version   {version}\nstore     {store}\ndata      {data}\nregion    {region}\nobjects   {} ({}), and {} delete markers\nsegments  {} ({})\n",
        document.objects,
        bytes(document.bytes),
        document.delete_markers,
        document.segments,
        size(document.segment_bytes),
    );
    let mut zones = Table::new(&["ZONE", "FREE", "SIZE"]);
    for zone in &document.zones {
        zones.row(vec![zone.directory.clone(), size(zone.free_bytes), size(zone.total_bytes)]);
    }
    text.push('\n');
    text.push_str(&zones.text());
    if !document.classes.is_empty() {
        let mut classes = Table::new(&["CLASS", "TIER", "OBJECTS", "SIZE", "STORED", "COMPRESSION"]);
        for class in &document.classes {
            classes.row(vec![
                class.class.clone(),
                class.tier.clone().unwrap_or_default(),
                class.objects.to_string(),
                bytes(class.bytes),
                bytes(class.stored_bytes),
                ratio(class.compression),
            ]);
        }
        text.push('\n');
        text.push_str(&classes.text());
    }
    text
}

/// What a server does.
pub fn status(document: &StatusDocument) -> String {
    let state = match document.state.as_str() {
        "ready" => "ready",
        _ => "read-only: a sync failed, so writes are refused until the server is started anew",
    };
    let mut text = format!("{state}\n");
    if document.workers.is_empty() {
        return text;
    }
    let mut workers =
        Table::new(&["WORKER", "STATE", "DONE", "PER MINUTE", "BYTES", "BACKLOG", "LAST RUN", "LAST ERROR"]);
    for worker in &document.workers {
        let error = worker.last_error.as_ref().map(|error| format!("{}: {}", error.at, error.message));
        workers.row(vec![
            worker.name.clone(),
            if worker.running { "running" } else { "idle" }.to_owned(),
            worker.done.to_string(),
            worker.done_per_minute.to_string(),
            size(worker.bytes),
            worker.backlog.to_string(),
            worker.last_run.clone().unwrap_or_else(|| "never".to_owned()),
            error.unwrap_or_else(|| "none".to_owned()),
        ]);
    }
    text.push('\n');
    text.push_str(&workers.text());
    text
}

#[cfg(test)]
mod tests {
    use super::status;
    use crate::admin::{FailureDocument, StatusDocument, WorkerDocument};

    #[test]
    fn workers_are_a_table() {
        let error =
            FailureDocument { at: "2026-01-01T00:00:00.000Z".to_owned(), message: "the disk is full".to_owned() };
        let worker = WorkerDocument {
            name: "mover".to_owned(),
            running: true,
            done: 10,
            done_per_minute: 3,
            bytes: 2048,
            backlog: 7,
            last_run: None,
            last_error: Some(error),
        };
        let text = status(&StatusDocument { state: "ready".to_owned(), workers: vec![worker] });
        assert_eq!(
            text,
            "ready\n\n\
             WORKER  STATE    DONE  PER MINUTE    BYTES  BACKLOG  LAST RUN  LAST ERROR\n\
             mover   running    10           3  2.0 KiB        7  never     2026-01-01T00:00:00.000Z: the disk is full\n"
        );
        let text = status(&StatusDocument { state: "read_only".to_owned(), workers: vec![] });
        assert!(text.starts_with("read-only"), "{text}");
    }
}

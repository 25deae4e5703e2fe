//! What `info` and `status` print.

use crate::admin::{InfoDocument, PoolDocument, QueueDocument, RecentDocument, StatusDocument};
use crate::cli::table::{Table, bytes, printable, ratio, size};
use crate::cli::{events, zones};

/// What a store is.
pub fn info(document: &InfoDocument) -> String {
    let InfoDocument { version, store_id, data, region, .. } = document;
    let [version, store, data, region, index] =
        [version, store_id, data, region, &document.index.directory].map(|text| printable(text));
    let mut text = format!(
        "version   {version}\nstore     {store}\ndata      {data}\nregion    {region}\nindex     {index}: {}\nobjects   {} ({}), and {} delete markers\n",
        document.index.redundancy,
        document.objects,
        bytes(document.bytes),
        document.delete_markers,
    );
    let (degraded, lost) = (document.degraded_segments, &document.lost);
    if degraded > 0 {
        text.push_str(&format!(
            "degraded  {degraded} segments can be read and lack a part or a copy; `strata status` shows healing\n"
        ));
    }
    if lost.segments > 0 {
        let (segments, bytes) = (lost.segments, size(lost.bytes));
        text.push_str(&format!("lost      {bytes} in {segments} segments cannot be read unless a zone comes back\n"));
    }
    text.push('\n');
    text.push_str(&zones::table(&document.zones));
    text.push('\n');
    text.push_str(&pools(&document.pools));
    if !document.classes.is_empty() {
        let mut classes = Table::new(&["CLASS", "TIER", "OBJECTS", "SIZE", "STORED", "PHYSICAL", "COMPRESSION"]);
        for class in &document.classes {
            classes.row(vec![
                class.class.clone(),
                class.tier.clone().unwrap_or_default(),
                class.objects.to_string(),
                bytes(class.bytes),
                bytes(class.stored_bytes),
                bytes(class.physical_bytes),
                ratio(class.compression),
            ]);
        }
        text.push('\n');
        text.push_str(&classes.text());
    }
    text
}

fn pools(documents: &[PoolDocument]) -> String {
    let columns = ["POOL", "SEGMENTS", "LOGICAL", "STORED", "PHYSICAL", "COMPRESSION", "REDUNDANCY OF WHAT COMES NEXT"];
    let mut table = Table::new(&columns);
    for pool in documents {
        table.row(vec![
            pool.pool.clone(),
            pool.segments.to_string(),
            bytes(pool.logical_bytes),
            bytes(pool.stored_bytes),
            size(pool.physical_bytes),
            ratio(pool.compression),
            pool.redundancy.clone(),
        ]);
    }
    table.text()
}

/// What a server does.
pub fn status(document: &StatusDocument) -> String {
    let lost: Vec<String> = document.lost_zones.iter().map(|zone| printable(zone)).collect();
    let state = match (document.state.as_str(), &lost[..]) {
        ("ready", []) => "ready".to_owned(),
        ("ready", [zone]) => format!("degraded: zone {zone} lost"),
        ("ready", zones) => format!("degraded: zones {} lost", zones.join(", ")),
        _ => "read-only: a sync failed, so writes are refused until the server is started anew".to_owned(),
    };
    let mut text = format!("{state}\n");
    if !document.workers.is_empty() {
        text.push('\n');
        text.push_str(&workers(document));
    }
    if !document.replication.is_empty() {
        text.push('\n');
        text.push_str(&queues(&document.replication));
    }
    if !document.events.is_empty() {
        text.push('\n');
        text.push_str(&events::table(&document.events));
    }
    text
}

fn workers(document: &StatusDocument) -> String {
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
            format!("{}{}", worker.backlog, if worker.backlog_capped { "+" } else { "" }),
            worker.last_run.clone().unwrap_or_else(|| "never".to_owned()),
            error.unwrap_or_else(|| "none".to_owned()),
        ]);
    }
    workers.text()
}

/// What buckets have to send to their destinations.
pub fn queues(documents: &[QueueDocument]) -> String {
    let mut table = Table::new(&[
        "BUCKET",
        "DESTINATION",
        "RULES",
        "WAITING",
        "BYTES",
        "LAG",
        "P50",
        "P99",
        "MAX",
        "FAILED",
        "DONE",
        "BYTES",
        "DROPPED",
    ]);
    for queue in documents {
        let rules = if queue.rules.is_empty() { "none any more".to_owned() } else { queue.rules.join(",") };
        let recent = |of: fn(&RecentDocument) -> f64| {
            queue.recent.as_ref().map_or("-".to_owned(), |recent| format!("{:.3} s", of(recent)))
        };
        table.row(vec![
            queue.bucket.clone(),
            queue.destination.clone(),
            rules,
            queue.waiting.to_string(),
            size(queue.waiting_bytes),
            format!("{:.1} s", queue.lag_seconds),
            recent(|recent| recent.p50_seconds),
            recent(|recent| recent.p99_seconds),
            recent(|recent| recent.max_seconds),
            queue.failed.to_string(),
            queue.done.to_string(),
            size(queue.done_bytes),
            queue.dropped.to_string(),
        ]);
        // One rule's would be the same again.
        for rule in queue.by_rule.iter().filter(|_| queue.by_rule.len() > 1) {
            table.row(vec![
                String::new(),
                String::new(),
                printable(&rule.rule),
                rule.waiting.to_string(),
                size(rule.waiting_bytes),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                rule.failed.to_string(),
                rule.done.to_string(),
                size(rule.done_bytes),
                rule.dropped.to_string(),
            ]);
        }
    }
    let mut text = table.text();
    for queue in documents {
        if let Some(trouble) = &queue.trouble {
            text.push_str(&format!("{} to {} is held up: {}\n", queue.bucket, queue.destination, printable(trouble)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::status;
    use crate::admin::{FailureDocument, QueueDocument, RecentDocument, RuleDocument, StatusDocument, WorkerDocument};

    fn nothing(state: &str) -> StatusDocument {
        let (lost_zones, workers, replication, events) = (vec![], vec![], vec![], vec![]);
        StatusDocument { state: state.to_owned(), lost_zones, workers, replication, events }
    }

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
            backlog: 10_000,
            backlog_capped: true,
            last_run: None,
            last_error: Some(error),
        };
        let document = StatusDocument { workers: vec![worker], ..nothing("ready") };
        let text = status(&document);
        assert_eq!(
            text,
            "ready\n\n\
             WORKER  STATE    DONE  PER MINUTE    BYTES  BACKLOG  LAST RUN  LAST ERROR\n\
             mover   running    10           3  2.0 KiB   10000+  never     2026-01-01T00:00:00.000Z: the disk is full\n"
        );
        for (zones, expected) in [(&["b"][..], "degraded: zone b lost\n"), (&["b", "c"], "degraded: zones b, c lost\n")]
        {
            let lost_zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
            assert_eq!(status(&StatusDocument { lost_zones, ..nothing("ready") }), expected);
        }
        let text = status(&nothing("read_only"));
        assert!(text.starts_with("read-only"), "{text}");
    }

    #[test]
    fn queues_are_a_table() {
        let queue = QueueDocument {
            bucket: "photos".to_owned(),
            destination: "arn:aws:s3:::copies".to_owned(),
            rules: vec!["all".to_owned(), "logs".to_owned()],
            waiting: 3,
            waiting_bytes: 2048,
            oldest: Some("2026-01-01T00:00:00.000Z".to_owned()),
            lag_seconds: 1.25,
            recent: Some(RecentDocument { arrived: 7, p50_seconds: 0.0041, p99_seconds: 0.25, max_seconds: 12.5 }),
            failed: 1,
            failed_bytes: 7,
            done: 10,
            done_bytes: 1 << 20,
            dropped: 0,
            trouble: None,
            by_rule: vec![],
        };
        let rule = |rule: &str, waiting| RuleDocument {
            rule: rule.to_owned(),
            waiting,
            waiting_bytes: 1024,
            failed: 0,
            failed_bytes: 0,
            done: 5,
            done_bytes: 512,
            dropped: 0,
        };
        let queue = QueueDocument { by_rule: vec![rule("all", 1), rule("logs", 2)], ..queue };
        let trouble = Some("nobody answers".to_owned());
        let left =
            QueueDocument { rules: vec![], lag_seconds: 0.0, recent: None, trouble, by_rule: vec![], ..queue.clone() };
        let document = StatusDocument { replication: vec![queue, left], ..nothing("ready") };
        assert_eq!(
            status(&document),
            "ready\n\n\
             BUCKET  DESTINATION          RULES          WAITING    BYTES    LAG      P50      P99       MAX  FAILED  DONE    BYTES  DROPPED\n\
             photos  arn:aws:s3:::copies  all,logs             3  2.0 KiB  1.2 s  0.004 s  0.250 s  12.500 s       1    10  1.0 MiB        0\n\
             \x20                            all                  1  1.0 KiB                                          0     5    512 B        0\n\
             \x20                            logs                 2  1.0 KiB                                          0     5    512 B        0\n\
             photos  arn:aws:s3:::copies  none any more        3  2.0 KiB  0.0 s        -        -         -       1    10  1.0 MiB        0\n\
             photos to arn:aws:s3:::copies is held up: nobody answers\n"
        );
    }
}

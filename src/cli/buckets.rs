//! `strata bucket`: the buckets, what they hold, and how much they may.

use std::io::Write;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::admin::{BucketDocument, BucketsDocument};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, size};
use crate::cli::{AskArgs, CliError, print_value};

/// What can be asked about buckets.
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// Shows all buckets: whose they are, what they hold, and how much they may.
    List(AskArgs),
    /// Shows one bucket.
    Info(InfoArgs),
    /// Limits what a bucket may hold, or shows the limits. Writes that would exceed one are refused.
    Quota(QuotaArgs),
}

/// Which bucket to show.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The bucket.
    bucket: String,
    #[command(flatten)]
    ask: AskArgs,
}

/// Which limits to set. A limit that is not named stays.
#[derive(Debug, Args)]
pub struct QuotaArgs {
    /// The bucket.
    bucket: String,
    /// The most bytes of all versions, and of the parts of open uploads, together.
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// The most object versions.
    #[arg(long, value_name = "N")]
    objects: Option<u64>,
    /// Removes both limits.
    #[arg(long, conflicts_with_all = ["bytes", "objects"])]
    clear: bool,
    #[command(flatten)]
    ask: AskArgs,
}

/// Runs a command.
pub async fn run(command: BucketCommand, out: &mut impl Write) -> Result<(), CliError> {
    let (ask, method, target) = match &command {
        BucketCommand::List(ask) => (ask, Method::GET, "buckets".to_owned()),
        BucketCommand::Info(InfoArgs { bucket, ask }) => (ask, Method::GET, named("buckets", bucket)),
        BucketCommand::Quota(args) => (&args.ask, quota_method(args), quota_target(args)),
    };
    let client = Client::new(Connection::find(ask)?)?;
    let mut found = ask_for(&client, method, target).await?;
    while let Some(after) = found.next.take() {
        let next = ask_for(&client, Method::GET, format!("buckets?after={}", encoded(&after))).await?;
        found.buckets.extend(next.buckets);
        found.next = next.next;
    }
    match ask.json {
        true => print_value(&serde_json::json!(found), out),
        false => Ok(out.write_all(table(&found.buckets).as_bytes())?),
    }
}

async fn ask_for(client: &Client, method: Method, target: String) -> Result<BucketsDocument, CliError> {
    client::read(&client.ask(Question { method, target, body: &[] }).await?)
}

fn quota_method(args: &QuotaArgs) -> Method {
    let changes = args.clear || args.bytes.is_some() || args.objects.is_some();
    if changes { Method::POST } else { Method::GET }
}

fn quota_target(args: &QuotaArgs) -> String {
    if quota_method(args) == Method::GET {
        return named("buckets", &args.bucket);
    }
    let mut target = named("buckets/quota", &args.bucket);
    for (name, limit) in [("bytes", args.bytes), ("objects", args.objects)] {
        match limit {
            Some(limit) => target.push_str(&format!("&{name}={limit}")),
            None if args.clear => target.push_str(&format!("&{name}=none")),
            None => {}
        }
    }
    target
}

fn named(topic: &str, bucket: &str) -> String {
    format!("{topic}?bucket={}", encoded(bucket))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The buckets as a table.
fn table(buckets: &[BucketDocument]) -> String {
    let mut table =
        Table::new(&["BUCKET", "OWNER", "VERSIONING", "LOCK", "OBJECTS", "OF AT MOST", "BYTES", "OF AT MOST"]);
    for bucket in buckets {
        table.row(vec![
            bucket.name.clone(),
            bucket.owner.clone(),
            bucket.versioning.clone(),
            if bucket.object_lock { "yes" } else { "no" }.to_owned(),
            bucket.objects.to_string(),
            bucket.quota_objects.map_or("-".to_owned(), |most| most.to_string()),
            size(u64::try_from(bucket.bytes).unwrap_or(0)),
            bucket.quota_bytes.map_or("-".to_owned(), size),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{BucketCommand, quota_method, quota_target, table};
    use crate::admin::BucketDocument;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: BucketCommand,
    }

    #[test]
    fn quotas_are_asked_for() {
        fn check(arguments: &[&str], expected: Option<(&str, &str)>) {
            let line = ["strata", "quota", "b"].iter().chain(arguments);
            let found = Line::try_parse_from(line).ok().map(|line| match line.command {
                BucketCommand::Quota(args) => (quota_method(&args).to_string(), quota_target(&args)),
                other => panic!("{other:?}"),
            });
            let found = found.as_ref().map(|(method, target)| (method.as_str(), target.as_str()));
            assert_eq!(found, expected, "{arguments:?}");
        }
        check(&[], Some(("GET", "buckets?bucket=b")));
        check(&["--bytes", "10"], Some(("POST", "buckets/quota?bucket=b&bytes=10")));
        check(&["--bytes", "10", "--objects", "2"], Some(("POST", "buckets/quota?bucket=b&bytes=10&objects=2")));
        check(&["--clear"], Some(("POST", "buckets/quota?bucket=b&bytes=none&objects=none")));
        check(&["--clear", "--bytes", "1"], None);
        check(&["--bytes", "-1"], None);
    }

    #[test]
    fn buckets_are_a_table() {
        let limited = BucketDocument {
            name: "a".to_owned(),
            owner: "000000000000".to_owned(),
            created: "2026-01-02T03:04:05.000Z".to_owned(),
            versioning: "enabled".to_owned(),
            object_lock: true,
            objects: 3,
            bytes: 2048,
            quota_objects: Some(10),
            quota_bytes: None,
        };
        let free = BucketDocument { name: "bb".to_owned(), object_lock: false, quota_objects: None, ..limited.clone() };
        assert_eq!(
            table(&[limited, free]),
            "BUCKET         OWNER  VERSIONING  LOCK  OBJECTS  OF AT MOST    BYTES  OF AT MOST\n\
             a       000000000000  enabled     yes         3          10  2.0 KiB           -\n\
             bb      000000000000  enabled     no          3           -  2.0 KiB           -\n"
        );
    }
}

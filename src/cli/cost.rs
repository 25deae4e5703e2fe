//! `strata cost`: the bill, and what a bucket's rules will save.

use std::io::Write;
use std::path::Path;

use http::Method;

use crate::admin::{CostDocument, ProjectionDocument};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::table::{Table, amount, bytes, ratio};
use crate::cli::{CliError, CostArgs, print_value, read_file};
use crate::cost::{Prices, Projection};

/// Runs the command.
pub async fn run(args: &CostArgs, out: &mut impl Write) -> Result<(), CliError> {
    let prices = match &args.prices {
        Some(path) => read_prices(path)?,
        None => String::new(),
    };
    let prices = prices.as_bytes();
    let client = Client::new(Connection::find(&args.ask)?)?;
    let query = args.bucket.as_deref().map(bucket_query).transpose()?;
    let answer = ask(&client, format!("cost{}", query.clone().unwrap_or_default()), prices).await?;
    let projected = match &query {
        Some(query) => Some(project(&client, query, args.days, prices).await?),
        None => None,
    };
    if args.ask.json {
        let mut value: serde_json::Value = client::read(&answer)?;
        if let Some(projection) = projected {
            value["days"] = args.days.into();
            value["projection"] = serde_json::to_value(projection).map_err(std::io::Error::from)?;
        }
        return print_value(&value, out);
    }
    let document: CostDocument = client::read(&answer)?;
    out.write_all(report(&document).as_bytes())?;
    if let Some(projection) = projected {
        write!(out, "\n{}", savings(&projection, args.days, &document.currency))?;
    }
    Ok(())
}

/// The query that names a bucket.
pub(super) fn bucket_query(bucket: &str) -> Result<String, CliError> {
    let name = strata_storage::BucketName::parse(bucket);
    let name = name.map_err(|_| CliError::Usage(format!("{bucket:?} is not the name of a bucket")))?;
    Ok(format!("?bucket={}", name.as_str()))
}

/// Reads a table of prices. Here the message can still name what is wrong, before a server is asked.
pub fn read_prices(path: &Path) -> Result<String, CliError> {
    let text = String::from_utf8(read_file(path)?);
    let text = text.map_err(|_| CliError::Usage("the price table is not UTF-8".to_owned()))?;
    Prices::parse(&text)?;
    Ok(text)
}

async fn ask(client: &Client, target: String, prices: &[u8]) -> Result<bytes::Bytes, CliError> {
    let method = if prices.is_empty() { Method::GET } else { Method::POST };
    client.ask(Question { method, target, body: prices }).await
}

/// All pages of the projection.
async fn project(client: &Client, query: &str, days: u32, prices: &[u8]) -> Result<Projection, CliError> {
    let mut sum = Projection::default();
    let mut after = String::new();
    loop {
        let answer = ask(client, format!("projection{query}&days={days}{after}"), prices).await?;
        let page: ProjectionDocument = client::read(&answer)?;
        sum.add(&page.projection);
        let Some(next) = page.next else { return Ok(sum) };
        after = format!("&after={next}");
    }
}

fn report(document: &CostDocument) -> String {
    let CostDocument { month, currency, prices_region, prices_date, bill } = document;
    let mut text = format!(
        "Storage as it is, for a whole month; requests and charges of {month} so far. In {currency}, at the prices of \
         {prices_region} of {prices_date}.\n\n"
    );
    let mut table = Table::new(&[
        "BUCKET",
        "CLASS",
        "TIER",
        "OBJECTS",
        "SIZE",
        "BILLED",
        "STORED",
        "PHYSICAL",
        "COMPRESSION",
        "STORAGE",
        "REQUESTS",
        "OTHER",
        "TOTAL",
    ]);
    for line in &bill.lines {
        table.row(vec![
            line.bucket.clone(),
            line.class.clone(),
            line.tier.clone().unwrap_or_default(),
            line.objects.to_string(),
            bytes(line.logical_bytes),
            bytes(line.billable_bytes),
            bytes(line.stored_bytes),
            bytes(line.physical_bytes),
            ratio(line.compression),
            amount(line.cost.storage + line.cost.archive_names + line.cost.temporary),
            amount(line.cost.requests),
            // A sum and not the total less the rest, which would round to a trace of something where nothing is.
            amount(
                line.cost.monitoring
                    + line.cost.tags
                    + line.cost.transitions
                    + line.cost.retrieval
                    + line.cost.early_delete,
            ),
            amount(line.cost.total),
        ]);
    }
    text.push_str(&table.text());
    let total = &bill.total;
    let mut sums = Table::new(&["TOTAL", currency]);
    for (name, value) in [
        ("storage", total.storage),
        ("names of archived objects", total.archive_names),
        ("restored copies and open uploads", total.temporary),
        ("monitoring", total.monitoring),
        ("tags", total.tags),
        ("requests", total.requests),
        ("transitions", total.transitions),
        ("retrieval", total.retrieval),
        ("early deletion", total.early_delete),
        ("all", total.total),
    ] {
        sums.row(vec![name.to_owned(), amount(value)]);
    }
    text.push('\n');
    text.push_str(&sums.text());
    text
}

/// What rules save.
pub(super) fn savings(projection: &Projection, days: u32, currency: &str) -> String {
    let mut table = Table::new(&[&format!("NEXT {days} DAYS"), currency]);
    for (name, value) in [
        ("storage if nothing is done", projection.unchanged),
        ("storage with the rules", projection.followed),
        ("transitions", projection.transitions),
        ("early deletion", projection.early_delete),
        ("saved", projection.saved),
    ] {
        table.row(vec![name.to_owned(), amount(value)]);
    }
    let Projection { versions, removed_versions, removed_bytes, aborted_uploads, aborted_bytes, .. } = projection;
    let removed_bytes = crate::cli::table::size(*removed_bytes);
    let mut text =
        format!("{}Of {versions} versions {removed_versions} ({removed_bytes}) are removed.\n", table.text());
    if *aborted_uploads > 0 {
        let aborted_bytes = crate::cli::table::size(*aborted_bytes);
        text.push_str(&format!("Open uploads that are aborted: {aborted_uploads} ({aborted_bytes}).\n"));
    }
    text
}

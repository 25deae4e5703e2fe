//! `strata lifecycle preview`: what rules would do, page by page as the server finds it.

use std::io::Write;

use http::Method;

use crate::admin::{EventDocument, PreviewDocument, PreviewQuestion};
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::cost::{bucket_query, read_prices, savings};
use crate::cli::table::{printable, size};
use crate::cli::{CliError, PreviewArgs, read_file};
use crate::cost::Projection;

/// Runs the command. Events are printed as their pages come, so that memory does not grow with the bucket.
pub async fn preview(args: &PreviewArgs, out: &mut impl Write) -> Result<(), CliError> {
    let rules = read_file(&args.rules)?;
    let body = match &args.prices {
        Some(path) => question(rules, read_prices(path)?)?,
        None => rules,
    };
    let client = Client::new(Connection::find(&args.ask)?)?;
    let query = bucket_query(&args.bucket)?;
    let mut sum = Projection::default();
    let mut after = String::new();
    let mut events = 0_u64;
    loop {
        let target = format!("lifecycle-preview{query}&days={}{after}", args.days);
        let answer = client.ask(Question { method: Method::POST, target, body: &body }).await?;
        let page: PreviewDocument = client::read(&answer)?;
        sum.add(&page.projection);
        if args.ask.json && events == 0 && after.is_empty() {
            write!(out, "{{\"days\":{},\"events\":[", page.days)?;
        }
        for event in &page.events {
            match args.ask.json {
                true => {
                    let text = serde_json::to_string(event).map_err(std::io::Error::from)?;
                    write!(out, "{}\n{text}", if events == 0 { "" } else { "," })?;
                }
                false => writeln!(out, "{}", line(event))?,
            }
            events += 1;
        }
        if let Some(next) = page.next {
            after = format!("&after={next}");
            continue;
        }
        if args.ask.json {
            let projection = serde_json::to_string(&sum).map_err(std::io::Error::from)?;
            let currency = serde_json::to_string(&page.currency).map_err(std::io::Error::from)?;
            return Ok(writeln!(out, "\n],\"projection\":{projection},\"currency\":{currency}}}")?);
        }
        if events > 0 {
            writeln!(out)?;
        }
        return Ok(write!(out, "{}", savings(&sum, args.days, &page.currency))?);
    }
}

/// Rules and prices in one body.
fn question(rules: Vec<u8>, prices: String) -> Result<Vec<u8>, CliError> {
    let rules = String::from_utf8(rules).map_err(|_| CliError::Usage("the rules are not UTF-8".to_owned()))?;
    Ok(serde_json::to_vec(&PreviewQuestion { rules, prices }).map_err(std::io::Error::from)?)
}

/// One event as a line: what is known of its width comes first.
fn line(event: &EventDocument) -> String {
    let EventDocument { at, key, version_id, upload_id, action, to, bytes } = event;
    let what = match (to, bytes) {
        (Some(to), _) => format!("{action} to {to}"),
        (None, Some(bytes)) => format!("{} ({})", action.replace('_', " "), size(*bytes)),
        (None, None) => action.replace('_', " "),
    };
    let id = version_id.as_ref().or(upload_id.as_ref()).map_or("", String::as_str);
    printable(&format!("{at}  {what:<34}  {id:<32}  {key}"))
}

#[cfg(test)]
mod tests {
    use super::line;
    use crate::admin::EventDocument;

    #[test]
    fn lines() {
        fn check(action: &str, to: Option<&str>, key: &str, expected: &str) {
            let event = EventDocument {
                at: "2026-01-01T00:00:00.000Z".to_owned(),
                key: key.to_owned(),
                version_id: Some("null".to_owned()),
                upload_id: None,
                action: action.to_owned(),
                to: to.map(str::to_owned),
                bytes: None,
            };
            check_line(&event, expected);
        }
        fn check_line(event: &EventDocument, expected: &str) {
            let words: Vec<String> = line(event).split_whitespace().map(str::to_owned).collect();
            assert_eq!(words.join(" "), format!("2026-01-01T00:00:00.000Z {expected}"));
        }
        check("transition", Some("GLACIER"), "a/b", "transition to GLACIER null a/b");
        check("remove_marker", None, "a\u{7}", "remove marker null a\\u{7}");
        let event = EventDocument {
            at: "2026-01-01T00:00:00.000Z".to_owned(),
            key: "a".to_owned(),
            version_id: None,
            upload_id: Some("id".to_owned()),
            action: "abort_upload".to_owned(),
            to: None,
            bytes: Some(2048),
        };
        check_line(&event, "abort upload (2.0 KiB) id a");
    }
}

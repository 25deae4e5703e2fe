//! `strata key`: the keys that the store is encrypted with.

use std::io::Write;

use clap::Subcommand;
use http::Method;

use crate::admin::KeyDocument;
use crate::cli::client::{self, Client, Question};
use crate::cli::connection::Connection;
use crate::cli::{AskArgs, CliError, print_json};

/// What can be asked about keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Shows where the master key comes from, and how many data keys it wraps.
    Status(AskArgs),
    /// Replaces the master key that is kept in a file, and encrypts with a new data key from then on. Nothing that is
    /// stored is written anew.
    Rotate(AskArgs),
}

/// Runs a command.
pub async fn run(command: KeyCommand, out: &mut impl Write) -> Result<(), CliError> {
    let (ask, method, target) = match &command {
        KeyCommand::Status(ask) => (ask, Method::GET, "key"),
        KeyCommand::Rotate(ask) => (ask, Method::POST, "key/rotate"),
    };
    let client = Client::new(Connection::find(ask)?);
    let answer = client.ask(Question { method, target: target.to_owned(), body: &[] }).await?;
    match ask.json {
        true => print_json(&answer, out),
        false => Ok(out.write_all(text(&client::read::<KeyDocument>(&answer)?).as_bytes())?),
    }
}

fn text(keys: &KeyDocument) -> String {
    let KeyDocument { source, master_key_id, data_keys, rotating } = keys;
    let rotating = match rotating {
        true => "The master key before it still opens the store, until the server was started anew.\n",
        false => "",
    };
    format!("Master key  {master_key_id}, from {source}\nData keys   {data_keys}\n{rotating}")
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::admin::KeyDocument;

    #[test]
    fn keys_are_told_in_words() {
        let mut keys = KeyDocument {
            source: "/data/master-key".to_owned(),
            master_key_id: "0123456789abcdef".to_owned(),
            data_keys: 2,
            rotating: false,
        };
        let expected = "Master key  0123456789abcdef, from /data/master-key\nData keys   2\n";
        assert_eq!(text(&keys), expected);
        keys.rotating = true;
        assert!(text(&keys).starts_with(expected));
    }
}

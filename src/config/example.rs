//! The example configuration file, generated from the table of settings.

use std::fmt::Write as _;

use super::settings::SETTINGS;

const HEADING: &str = "\
# Settings of a Strata server. All of them are optional; the values shown are the defaults.
#
# Flags win over environment variables, which win over this file, which wins over the defaults.
# The environment variable of a setting is its name in upper case, with STRATA_ before it and _ for each dot:
# idle_seconds under [limits] is STRATA_LIMITS_IDLE_SECONDS. An empty variable counts as unset.
# Sizes are bytes, or a text such as \"512KiB\", \"64MB\" or \"5GiB\". Times are seconds, or \"30s\", \"5m\", \"1h\".
# A name that is not listed here is an error.
";

const LISTS: &str = "
# Accounts that are made at the start unless they are there, as often as wanted. An account is known again by its e-mail
# address; its name and keys are made to be those given here. Without keys, `strata account rotate-keys` makes some.
# [[accounts]]
# name = \"team\"
# email = \"team@example.com\"
# id = \"123456789012\"                      # 12 digits; random by default
# access_key = \"TEAMACCESSKEY\"
# secret_key_file = \"/run/secrets/team\"    # or secret_key_env = \"TEAM_SECRET_KEY\", or secret_key = \"...\"

# OpenID Connect providers that the roles of every account can trust, as often as wanted.
# [[oidc]]
# issuer = \"https://id.example.com/realms/main\"
# audiences = [\"strata\"]
# jwks_url = \"https://id.example.com/keys\"  # asked of the issuer by default
";

/// The text of `config.example.toml`.
pub fn example() -> String {
    let mut text = HEADING.to_owned();
    let mut current = "";
    for setting in SETTINGS {
        let (section, name) = setting.name.split_once('.').unwrap_or(("", setting.name));
        if section != current {
            write!(text, "\n[{section}]\n").expect("writing to a String cannot fail");
            current = section;
        }
        write!(text, "\n# {}\n#{name} = {}\n", setting.doc, setting.default).expect("writing to a String cannot fail");
    }
    text.push_str(LISTS);
    text
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, example};
    use crate::config::{Config, Sources};

    #[test]
    fn the_committed_file_is_the_generated_one() {
        let committed = include_str!("../../config.example.toml");
        assert!(committed == example(), "config.example.toml is stale: strata config > config.example.toml");
    }

    #[test]
    fn the_example_with_every_line_active_gives_the_defaults() {
        let active = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
            _ => line.to_owned(),
        };
        let text: Vec<String> = example().lines().map(active).collect();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, text.join("\n")).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        assert_eq!(sources.read().unwrap().0.len(), SETTINGS.len());
        assert_eq!(Config::load(&sources).unwrap(), Config::default());
    }
}

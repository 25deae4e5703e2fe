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

# Where events may be sent, as often as wanted. Buckets' notification configurations name these ARNs and no others, so their
# owners cannot have the server talk to anything else. A secret can also be left to a file or a variable: secret_key_file,
# secret_key_env. All kinds share the settings up to on_failure; those shown there are the defaults.
# [[events.targets]]
# arn = \"arn:aws:lambda:us-east-1:000000000000:function:thumbnails\"  # of lambda, sqs, sns or events; each once
# kind = \"lambda\"                          # or exec, sqs, sns, event_bridge, webhook, amqp, kafka, nats, redis
# max_age = \"24h\"                          # how long a message is tried to be delivered
# retries = 3                              # how often a message is sent again that was refused
# backlog_bytes = \"256MiB\"                 # what may wait on the disk
# format = \"s3\"                            # or cloudevents, eventbridge; event_bridge always has its own
# accounts = [\"123456789012\"]              # whose buckets may name it; everybody's by default
# on_failure = \"arn:aws:sqs:us-east-1:000000000000:failed\"  # another of these; none by default
#
# Of lambda, sqs, sns and event_bridge:
# endpoint = \"http://127.0.0.1:9001\"       # AWS's by default
# region = \"us-east-1\"                     # to sign for; that of the ARN by default
# access_key = \"AKIA...\"                   # without keys, calls are not signed
# secret_key_file = \"/run/secrets/aws\"
# ca_file = \"/etc/ssl/ours.pem\"            # authorities of the endpoint's certificate; the machine's by default
# timeout = \"30s\"                          # of one call, from 1ms to 15m
# connect_timeout = \"5s\"
# function = \"thumbnails\"                  # lambda: NAME or NAME:QUALIFIER; that of the ARN by default
# concurrency = 4                          # lambda, webhook, exec: calls at once, 1 to 64
# queue_url = \"https://sqs.us-east-1.amazonaws.com/000000000000/queue\"  # sqs: must be given
# topic_arn = \"arn:aws:sns:us-east-1:000000000000:topic\"  # sns: the target's ARN by default
# event_bus_name = \"default\"               # event_bridge
# source = \"strata.s3\"                     # event_bridge: instead of aws.s3, which AWS takes from nobody else
#
# Of webhook, besides ca_file, timeout (10s), connect_timeout and concurrency:
# url = \"https://hooks.example.com/strata\"
# token_env = \"HOOK_TOKEN\"                 # Authorization: as it is if it holds a space, else as a Bearer token
# secret_env = \"HOOK_SECRET\"               # signs: X-Strata-Signature: t=SECONDS,v1=HMAC-SHA256 of SECONDS.BODY in hex
#
# Of exec, a local program: gets {\"Records\":[...]} as its standard input, and nothing of the environment but PATH and HOME.
# It ends with 0 if it has taken the events, with 75 to get them again later, with anything else to refuse them.
# command = [\"/usr/local/bin/on-event\", \"--verbose\"]  # no shell looks at it
# env = { BUCKET_DIR = \"/srv\" }
# directory = \"/srv\"                       # the system's directory for temporary files by default
# timeout = \"60s\"                          # then it is killed, with all that it started in its process group
# memory = \"512MiB\"                        # the address space of each process
# batch = 1                                # events of one run, 1 to 10
#
# Of amqp, kafka, nats and redis, which are message brokers:
# username = \"strata\"                      # amqp: guest by default; the others: nobody by default
# password_file = \"/run/secrets/broker\"
# tls = true                               # false by default
# ca_file = \"/etc/ssl/ours.pem\"            # authorities of the broker's certificate; the machine's by default
# timeout = \"10s\"                          # of one call
#
# Of amqp, that is AMQP 0.9.1 as RabbitMQ speaks it: persistent messages that the broker confirms.
# address = \"localhost:5672\"
# virtual_host = \"/\"
# exchange = \"events\"                      # must exist; empty for the default one, whose routing keys are queues
# routing_key = \"{bucket}.{event}\"         # such as photos.ObjectCreated:Put; an event that no queue is bound for is refused
#
# Of kafka: records with the key bucket/key that all replicas in sync must have. A repetition has the same header id.
# addresses = [\"localhost:9092\"]           # some brokers of the cluster
# topic = \"events\"                         # must exist
# mechanism = \"SCRAM-SHA-512\"              # or SCRAM-SHA-256; PLAIN by default
#
# Of nats: messages that a JetStream stream stores, and stores once within its duplicate window.
# addresses = [\"localhost:4222\"]           # some servers of the cluster
# subject = \"strata.events\"                # a stream must take it
# token_file = \"/run/secrets/token\"        # instead of username and password
#
# Of redis: entries of a stream with the fields id and event.
# address = \"localhost:6379\"
# database = 0
# stream = \"events\"                        # made when the first event comes
# length_max = 1000000                     # about how many entries are kept; all by default
# replicas = 0                             # how many must have an entry before it counts as delivered

# Other stores that speak S3, which buckets can be replicated to and backups be kept in; as often as wanted. A destination bucket
# that is in this store is replicated to here; any other is looked for in these regions, one after the other.
# [[regions]]
# name = \"site-b\"                         # as messages call it
# endpoint = \"https://b.example.com:9000\"
# region = \"us-east-1\"                    # that requests are signed for; the name by default
# access_key = \"REPLICATIONKEY\"
# secret_key_file = \"/run/secrets/site-b\" # or secret_key_env = \"SITE_B_SECRET\", or secret_key = \"...\"
# ca_file = \"/etc/ssl/ours.pem\"           # authorities of the endpoint's certificate; the machine's by default
# buckets = [\"photos\", \"logs-*\"]         # that are looked for there; all by default
# style = \"path\"                          # how URLs name buckets: path or virtual
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

//! What a table of a target may hold, and what is said of one that cannot be used.

use std::path::Path;
use std::time::Duration;

use strata_storage::AccountId;

use super::{EventFormat, TargetKind, TargetSettings, take};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn read(text: &str) -> Result<Vec<TargetSettings>, String> {
    let mut table: toml::Table = text.parse().unwrap();
    let targets = take(Path::new("f"), &mut table).map_err(|error| error.to_string());
    assert!(targets.is_err() || table.is_empty(), "{table:?}");
    targets
}

fn one(rest: &str) -> Result<TargetSettings, String> {
    read(&format!("[[events.targets]]\narn = \"{ARN}\"\n{rest}")).map(|mut targets| targets.remove(0))
}

#[test]
fn defaults() {
    assert_eq!(read("").unwrap(), []);
    let target = one("kind = \"lambda\"").unwrap();
    assert_eq!((target.arn.as_str(), target.max_age), (ARN, Duration::from_hours(24)));
    assert_eq!((target.retries, target.backlog_bytes, target.format), (3, 256 << 20, EventFormat::S3));
    assert_eq!((target.accounts, target.on_failure), (None, None));
    let TargetKind::Lambda(aws, lambda) = target.kind else { panic!("another kind") };
    assert_eq!((aws.endpoint, aws.access_key, aws.timeout), (None, None, Duration::from_secs(30)));
    assert_eq!((lambda.function, lambda.concurrency.get()), (None, 4));
    assert_eq!(one("kind = \"event_bridge\"").unwrap().format, EventFormat::EventBridge);
}

#[test]
fn every_setting_is_read() {
    let text = format!(
        "[[events.targets]]\narn = \"{ARN}\"\nkind = \"exec\"\nmax_age = \"2h\"\nretries = 0\nbacklog_bytes = \"1GiB\"\n\
         format = \"cloudevents\"\naccounts = [\"123456789012\"]\non_failure = \"arn:aws:sqs:us-east-1:000000000000:q\"\n\
         command = [\"/bin/true\", \"a b\"]\nenv = {{ A = \"1\" }}\ndirectory = \"/srv\"\ntimeout = \"90s\"\n\
         memory = \"1GiB\"\nconcurrency = 2\nbatch = 10\n\
         [[events.targets]]\narn = \"arn:aws:sqs:us-east-1:000000000000:q\"\nkind = \"sqs\"\n\
         queue_url = \"http://localhost:9324/000000000000/q\"\naccess_key = \"AK\"\nsecret_key = \"hunter2hunter2\"\n\
         ca_file = \"/ca.pem\"\nregion = \"eu-west-1\"\nendpoint = \"https://sqs\"\nconnect_timeout = 2\ntimeout = 500\n"
    );
    let targets = read(&text).unwrap();
    let first = &targets[0];
    assert_eq!((first.max_age, first.retries), (Duration::from_hours(2), 0));
    assert_eq!((first.backlog_bytes, first.format), (1 << 30, EventFormat::CloudEvents));
    assert_eq!(first.accounts, AccountId::parse("123456789012").map(|account| vec![account]));
    assert_eq!(first.on_failure.as_ref(), Some(&targets[1].arn));
    let TargetKind::Exec(exec) = &first.kind else { panic!("another kind") };
    assert_eq!(exec.command, ["/bin/true", "a b"]);
    assert_eq!((exec.timeout, exec.memory), (Duration::from_secs(90), 1 << 30));
    assert_eq!((exec.concurrency.get(), exec.batch, exec.env["A"].expose()), (2, 10, "1"));
    let TargetKind::Sqs(aws, sqs) = &targets[1].kind else { panic!("another kind") };
    assert_eq!(sqs.queue_url, "http://localhost:9324/000000000000/q");
    assert_eq!((aws.timeout, aws.connect_timeout), (Duration::from_secs(500), Duration::from_secs(2)));
    assert!(!format!("{targets:?}").contains("hunter2"));
}

#[test]
fn secrets_come_from_a_file_or_a_variable() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "from the file\n").unwrap();
    let url = "kind = \"webhook\"\nurl = \"https://h/\"\n";
    let target = one(&format!("{url}secret_file = \"{}\"\ntoken_env = \"PATH\"", file.display())).unwrap();
    let TargetKind::Webhook(webhook) = target.kind else { panic!("another kind") };
    assert_eq!(webhook.secret.unwrap().expose(), "from the file");
    assert_eq!(webhook.token.unwrap().expose(), std::env::var("PATH").unwrap());

    for (rest, expected) in [
        ("secret = \"hunter2\"\nsecret_file = \"/x\"", "set only one of secret, secret_file, secret_env"),
        ("secret_file = \"/does/not/exist\"", "/does/not/exist cannot be read"),
        ("token_env = \"STRATA_TEST_NOT_SET\"", "the environment variable STRATA_TEST_NOT_SET is not set"),
        ("token_env = 7", "token_env must be a text"),
    ] {
        let message = one(&format!("{url}{rest}")).unwrap_err();
        assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    fn check(rest: &str, expected: &str) {
        let message = one(rest).unwrap_err();
        assert!(message.contains(expected) && message.contains("[[events.targets]]"), "{rest}: {message}");
        assert!(message.contains(ARN) && !message.contains("hunter2"), "{message}");
    }
    check("kind = \"fax\"", "there is no kind \"fax\"; it must be lambda, exec, sqs");
    check("", "missing field `kind`");
    check("kind = \"lambda\"\ntimeouts = 5", "unknown field `timeouts`");
    check("kind = \"lambda\"\nsecrets = \"hunter2\"", "unknown field `secrets`");
    check("kind = \"exec\"\ncommand = [\"x\"]\nendpoint = \"http://h\"", "unknown field `endpoint`");
    check("kind = \"sqs\"", "missing field `queue_url`");
    check("kind = \"lambda\"\nretries = 101", "from 0 to 100");
    check("kind = \"lambda\"\nmax_age = \"31d\"", "\"31d\" is not allowed: it must be a time");
    check("kind = \"lambda\"\nmax_age = \"721h\"", "a time from 1s");
    check("kind = \"lambda\"\nbacklog_bytes = 5", "a size from 1MiB to 1TiB");
    check("kind = \"lambda\"\ntimeout = \"1h\"", "it must be a time from 1ms");
    check("kind = \"lambda\"\nconcurrency = 0", "from 1 to 64");
    check("kind = \"lambda\"\naccounts = [\"7\"]", "the account \"7\" is not 12 digits");
    check("kind = \"event_bridge\"\nformat = \"s3\"", "leave format out");
    check("kind = \"lambda\"\nformat = \"xml\"", "unknown variant `xml`");
    check("kind = \"lambda\"\non_failure = \"q\"", "on_failure must be an ARN");
    check(
        "kind = \"lambda\"\non_failure = \"arn:aws:sqs:us-east-1:000000000000:q\"",
        "another target that is configured",
    );
    check(&format!("kind = \"lambda\"\non_failure = \"{ARN}\""), "on_failure must be another target");
    for text in [
        "[events]\ntargets = 5",
        "[[events.targets]]\nkind = \"lambda\"",
        "[[events.targets]]\narn = \"a\"\nkind = \"x\"",
    ] {
        let message = read(text).unwrap_err();
        assert!(message.contains("list of tables") || message.contains("arn"), "{message}");
    }
}

#[test]
fn targets_are_checked_together() {
    let table = |name: &str, rest: &str| {
        format!("[[events.targets]]\narn = \"arn:aws:sns:us-east-1:000000000000:{name}\"\nkind = \"sns\"\n{rest}\n")
    };
    let failing_to = |name: &str| format!("on_failure = \"arn:aws:sns:us-east-1:000000000000:{name}\"");
    assert_eq!(read(&(table("a", &failing_to("b")) + &table("b", ""))).unwrap().len(), 2);
    let twice = read(&(table("a", "") + &table("a", ""))).unwrap_err();
    assert!(twice.contains("there are two targets"), "{twice}");
    let round = read(&(table("a", &failing_to("b")) + &table("b", &failing_to("a")))).unwrap_err();
    assert!(round.contains("must be a target that has no on_failure itself"), "{round}");
}

#[test]
fn other_settings_of_events_are_left() {
    let mut table: toml::Table =
        "[events]\nother = 1\n[[events.targets]]\narn = \"arn:aws:sns:us-east-1:000000000000:t\"\n\
                                  kind = \"sns\"\n"
            .parse()
            .unwrap();
    assert_eq!(take(Path::new("f"), &mut table).unwrap().len(), 1);
    assert_eq!(table.to_string().trim(), "[events]\nother = 1");
}

#[test]
#[cfg(all(feature = "amqp", feature = "kafka", feature = "nats", feature = "redis"))]
fn brokers_have_their_settings() {
    for (rest, secret) in [
        ("kind = \"amqp\"\naddress = \"h:5672\"\nexchange = \"\"\nrouting_key = \"q\"\nusername = \"u\"", "password"),
        ("kind = \"kafka\"\naddresses = [\"h:9092\"]\ntopic = \"t\"\nmechanism = \"SCRAM-SHA-256\"", "password"),
        ("kind = \"nats\"\naddresses = [\"h:4222\"]\nsubject = \"s\"", "token"),
        ("kind = \"redis\"\naddress = \"h:6379\"\nstream = \"s\"\ntimeout = \"2s\"", "password"),
    ] {
        let target = one(&format!("{rest}\n{secret} = \"hunter2\"")).unwrap();
        assert!(!format!("{target:?}").contains("hunter2"));
        let message = one(&format!("{rest}\n{secret} = \"hunter2\"\nsecrets = 1")).unwrap_err();
        assert!(message.contains("unknown field `secrets`") && !message.contains("hunter2"), "{message}");
    }
}

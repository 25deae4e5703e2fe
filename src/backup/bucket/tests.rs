//! What is made of answers of a store that loses them, or lists what has no end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use strata_storage::{BucketName, Clock, Repository as _, SystemClock};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::BucketRepository;
use crate::config::{Config, UrlStyle};
use crate::replication::Regions;
use crate::replication::stand_in::{receive, settings};

/// A store that gives these answers, one after the other, and then tells what it was asked. One without a status is lost.
async fn store(answers: Vec<(Option<u16>, String)>) -> (BucketRepository, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (head, _) = receive(&mut stream).await;
            asked.push(head[0].clone());
            let Some(status) = status else { continue };
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.expect("a reader");
        }
        asked
    });
    let region = settings(&endpoint, UrlStyle::Path, "secret");
    let config = Config { regions: vec![region], ..Config::default() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let regions = Regions::open(&config, &clock).expect("no certificates are needed");
    let bucket = BucketName::parse("backups").expect("a name");
    let region = regions.of_bucket(&bucket).next().expect("there is one").clone();
    let pauses = &[Duration::ZERO; 2];
    (BucketRepository { pauses, ..BucketRepository::new(region, bucket, "x/".to_owned()) }, asked)
}

fn page(truncated: Option<bool>, key: &str, next: Option<&str>) -> (Option<u16>, String) {
    let truncated = truncated.map_or(String::new(), |it| format!("<IsTruncated>{it}</IsTruncated>"));
    let next = next.map_or(String::new(), |it| format!("<NextContinuationToken>{it}</NextContinuationToken>"));
    let file = format!("<Contents><Key>x/{key}</Key><Size>3</Size></Contents>");
    (Some(200), format!("<ListBucketResult><Name>backups</Name>{truncated}{next}{file}</ListBucketResult>"))
}

#[tokio::test]
async fn a_listing_has_to_say_how_it_goes_on() {
    async fn check(pages: Vec<(Option<u16>, String)>, expected: Option<&[&str]>) {
        let (repository, asked) = store(pages).await;
        let listed = repository.list("").await;
        match (listed, expected) {
            (Ok(files), Some(expected)) => {
                assert_eq!(files.iter().map(|file| &*file.name).collect::<Vec<_>>(), expected);
            }
            (listed, expected) => assert!(listed.is_err() && expected.is_none(), "{listed:?}"),
        }
        asked.await.expect("every answer was asked for");
    }
    check(vec![page(Some(false), "a", None)], Some(&["a"])).await;
    check(vec![page(Some(true), "a", Some("1")), page(Some(false), "b", None)], Some(&["a", "b"])).await;
    check(vec![page(None, "a", None)], None).await;
    check(vec![page(Some(true), "a", None)], None).await;
    check(vec![page(Some(true), "a", Some("1")), page(None, "b", None)], None).await;
    check(vec![page(Some(true), "a", Some("1")), page(Some(true), "b", Some("1"))], None).await;
    let round =
        vec![page(Some(true), "a", Some("1")), page(Some(true), "b", Some("2")), page(Some(true), "c", Some("1"))];
    check(round, None).await;
    check(vec![(Some(200), "<html></html>".to_owned())], None).await;
}

#[tokio::test]
async fn what_an_attempt_stored_whose_answer_was_lost_is_known_again() {
    async fn check(answers: &[(Option<u16>, &str)], expected: bool, requests: &[&str]) {
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let (repository, asked) = store(answers).await;
        assert_eq!(repository.put_new("lock", Bytes::from_static(b"mine")).await.expect("it is known"), expected);
        let methods: Vec<String> = asked.await.expect("every answer was asked for");
        let methods: Vec<&str> = methods.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(methods, requests);
    }
    check(&[(Some(200), "")], true, &["PUT"]).await;
    // Nobody but others can have stored it, whatever it is.
    check(&[(Some(412), "")], false, &["PUT"]).await;
    check(&[(Some(503), ""), (Some(412), ""), (Some(200), "mine")], true, &["PUT", "PUT", "GET"]).await;
    check(&[(Some(500), ""), (Some(412), ""), (Some(200), "theirs")], false, &["PUT", "PUT", "GET"]).await;
    check(&[(None, ""), (Some(412), ""), (Some(200), "mine")], true, &["PUT", "PUT", "GET"]).await;
    let gone = "<Error><Code>NoSuchKey</Code></Error>";
    check(&[(Some(503), ""), (Some(409), ""), (Some(404), gone)], false, &["PUT", "PUT", "GET"]).await;
}

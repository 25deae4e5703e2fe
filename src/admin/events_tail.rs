//! `GET events/tail`: what happens from now on, a JSON document a line, until the client leaves or the server stops.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde::{Deserialize, Serialize};
use strata_storage::{BucketName, Event};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::admin::{AdminRequest, HappenedDocument};
use crate::error::S3Error;
use crate::request::Context;
use crate::response::{Payload, Response};

/// An empty line is sent after so long without another, so that whoever is gone is noticed.
const PATIENCE: Duration = Duration::from_secs(10);

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TailDocument {
    /// Something happened.
    Happened(Box<HappenedDocument>),
    /// The client is too slow: so many events were left out here.
    Missed {
        /// How many.
        missed: u64,
    },
}

struct Tail {
    events: Receiver<Arc<Event>>,
    bucket: Option<BucketName>,
    ending: watch::Receiver<bool>,
}

/// Answers. A bucket that is named has to be there.
pub async fn get(ctx: &Context, request: &AdminRequest) -> Result<Response, S3Error> {
    let bucket = request.bucket()?;
    if let Some(name) = &bucket {
        ctx.store.bucket(name).await?;
    }
    let tail = Tail { events: ctx.store.events(), bucket, ending: ctx.events.ending.clone() };
    let frames = stream::unfold(tail, |mut tail| async move {
        let line = tail.next().await?;
        Some((Ok(Frame::data(line)), tail))
    });
    let mut response = Response::empty(StatusCode::OK);
    response.set(CONTENT_TYPE, "application/x-ndjson");
    response.body = Payload::Stream(StreamBody::new(frames).boxed_unsync());
    Ok(response)
}

impl Tail {
    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let silence = tokio::time::sleep(PATIENCE);
        tokio::pin!(silence);
        loop {
            let event = tokio::select! {
                _ = self.ending.wait_for(|ending| *ending) => return None,
                () = &mut silence => return Some(Bytes::from_static(b"\n")),
                event = self.events.recv() => event,
            };
            let document = match event {
                Ok(event) if self.bucket.as_ref().is_some_and(|bucket| bucket.as_str() != event.bucket) => continue,
                Ok(event) => TailDocument::Happened(Box::new(HappenedDocument::of(&event))),
                Err(RecvError::Lagged(missed)) => TailDocument::Missed { missed },
                Err(RecvError::Closed) => return None,
            };
            let mut line = serde_json::to_vec(&document).ok()?;
            line.push(b'\n');
            return Some(line.into());
        }
    }
}

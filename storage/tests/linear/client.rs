//! A client of a round: it draws what to do, does it, and notes what it saw.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rand::Rng as _;
use rand::rngs::StdRng;
use strata_storage::{
    CompleteUpload, CompletedPart, CopyStage, DeleteCondition, DeleteObject, Entity, Error, ListQuery, NewUpload,
    ObjectInfo, PutObject, Result, StorageClass, Tag, UploadId, VersionSelector, Versioning, WriteCondition,
};

use crate::history::{Answer, Call, Condition, Content, Event, Id, Refusal, Which};
use crate::known::Upload;
use crate::machine::{KEYS, bytes, key};
use crate::mix::Kind;
use crate::pages::list_pages;
use crate::rounds::Round;
use crate::target::Found;

/// Open uploads of a round.
const UPLOADS_MAX: usize = 4;

/// One client.
pub struct Client {
    pub round: Arc<Round>,
    pub number: usize,
    pub draws: StdRng,
}

/// Waits until the future was polled so often, and drops it then.
async fn within<T>(polls: Option<u32>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    std::future::poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if polls.is_some_and(|polls| polled >= polls) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn refused(error: &Error) -> Answer {
    Answer::Refused(match error {
        Error::Precondition => Refusal::Precondition,
        Error::Conflict => Refusal::Conflict,
        Error::NotFound(Entity::Key) => Refusal::NoKey,
        Error::NotFound(Entity::Version) => Refusal::NoVersion,
        Error::NotFound(Entity::Upload) => Refusal::NoUpload,
        Error::DeleteMarker { version_id, .. } => Refusal::Marker(Id::of(*version_id)),
        Error::InvalidPart { .. } => Refusal::InvalidPart,
        error => panic!("nothing is wrong with the disk: {error}"),
    })
}

fn answered<T>(result: Result<T>, answer: impl FnOnce(T) -> Answer) -> Answer {
    result.map_or_else(|error| refused(&error), answer)
}

fn write_condition(condition: Condition) -> WriteCondition {
    match condition {
        Condition::None | Condition::Present => WriteCondition::None,
        Condition::Absent => WriteCondition::IfAbsent,
        Condition::Match(content) => WriteCondition::IfMatch(Some(content.etag())),
    }
}

fn selector(which: Which) -> VersionSelector {
    match which {
        Which::Current => VersionSelector::Current,
        Which::Named(id) => VersionSelector::Id(id.version_id()),
    }
}

fn tags(number: u8) -> Vec<Tag> {
    (number > 0).then(|| Tag { key: "t".to_owned(), value: number.to_string() }).into_iter().collect()
}

fn tags_of(info: &ObjectInfo) -> u8 {
    info.tags.first().map_or(0, |tag| tag.value.parse().expect("tags are numbers here"))
}

impl Client {
    /// Does so many things, each drawn, or fewer if a history becomes long.
    pub async fn act(mut self, times: usize) {
        for _ in 0..times {
            if self.round.is_long() {
                return;
            }
            let key = self.draws.random_range(0..self.round.keys);
            match self.round.mix.draw(&mut self.draws) {
                Kind::Put => self.put(key).await,
                Kind::Delete => self.delete(key).await,
                Kind::DeleteVersion => self.delete_version(key).await,
                Kind::SetTags => self.set_tags(key).await,
                Kind::Get => self.get(key, Which::Current).await.map_or((), drop),
                Kind::GetNamed => self.get_named(key).await,
                Kind::List => self.list().await,
                Kind::ListVersions => self.list_versions().await,
                Kind::ListPages => list_pages(&self.round, &mut self.draws).await,
                Kind::CreateUpload => self.create_upload(key).await,
                Kind::PutPart => self.put_part().await,
                Kind::Complete => self.complete().await,
                Kind::Abort => self.abort().await,
                Kind::Copy => self.copy(key).await,
                Kind::SetVersioning => self.set_versioning().await,
            }
        }
    }

    /// Makes a call on a key and notes it; `None` if the future was dropped before its end.
    async fn call(&mut self, key: usize, call: Call, future: impl Future<Output = Answer>) -> Option<Answer> {
        let patience = self.draws.random_ratio(1, 24).then(|| self.draws.random_range(1..5));
        let begun = self.round.order.next();
        let answer = within(patience, future).await;
        let ended = answer.clone().map(|answer| (self.round.order.next(), answer));
        let event = Event { client: self.number, begun, call, ended };
        self.round.histories[key].lock().expect("nobody panics with it").push(event);
        self.round.known().hear(key, answer.as_ref());
        answer
    }

    /// Bytes that nobody has written yet, staged.
    async fn stage(&mut self) -> (strata_storage::Staged, Content) {
        let size = match self.draws.random_range(0..20) {
            0..12 => 40,
            12..17 => 5_000,
            17..19 => 70_000,
            _ => 300_000,
        };
        let number = self.round.known().next_content();
        let bytes = bytes(number, size);
        let staged = self.round.target.store.stage_bytes(bytes.clone()).await.expect("bytes are staged");
        let content = Content::of(staged.etag());
        self.round.known().contents.insert(content, Arc::new(bytes));
        (staged, content)
    }

    /// A condition for a write of the key, that may well hold.
    fn condition(&mut self, key: usize) -> Condition {
        match (self.draws.random_range(0..10), self.round.known().latest[key]) {
            (0..5, _) => Condition::None,
            (5..7, _) | (_, None) => Condition::Absent,
            (_, Some(content)) => Condition::Match(content),
        }
    }

    async fn put(&mut self, at: usize) {
        let (staged, content) = self.stage().await;
        self.put_staged(at, staged, content).await;
    }

    async fn put_staged(&mut self, at: usize, staged: strata_storage::Staged, content: Content) {
        let (condition, number) = (self.condition(at), self.draws.random_range(0..3));
        let mut request = PutObject::new(self.round.bucket.clone(), key(at), staged);
        (request.condition, request.tags) = (write_condition(condition), tags(number));
        request.class = match self.draws.random_range(0..4) {
            0 => StorageClass::StandardIa,
            1 => StorageClass::GlacierIr,
            _ => StorageClass::Standard,
        };
        let target = Arc::clone(&self.round.target);
        let put = async move {
            answered(target.put(request).await, |it| Answer::Written(it.version_id.map(Id::of), Content::of(it.etag)))
        };
        self.call(at, Call::Put { content, condition, tags: number }, put).await;
    }

    async fn copy(&mut self, from: usize) {
        let wanted = self.round.known().latest[from].filter(|_| self.draws.random_bool(0.3));
        let Some(source) = self.get(from, Which::Current).await else { return };
        let before = Content::of(source.info().etag);
        // What `x-amz-copy-source-if-match` asks for.
        if wanted.is_some_and(|wanted| wanted != before) {
            return;
        }
        let staged = self.round.target.store.stage_copy(&source, CopyStage::default()).await.expect("it is held");
        let content = Content::of(staged.etag());
        {
            let mut known = self.round.known();
            let bytes = Arc::clone(&known.contents[&before]);
            known.contents.insert(content, bytes);
        }
        let to = self.draws.random_range(0..self.round.keys);
        self.put_staged(to, staged, content).await;
    }

    async fn delete(&mut self, at: usize) {
        let latest = self.round.known().latest[at];
        let condition = match (self.draws.random_range(0..8), latest) {
            (0..4, _) => Condition::None,
            (4, _) | (_, None) => Condition::Present,
            (_, Some(content)) => Condition::Match(content),
        };
        self.delete_with(at, None, condition, Call::Delete { condition }).await;
    }

    async fn delete_version(&mut self, at: usize) {
        let Some(id) = self.named(at) else { return };
        self.delete_with(at, Some(id), Condition::None, Call::DeleteVersion(id)).await;
    }

    async fn delete_with(&mut self, at: usize, id: Option<Id>, condition: Condition, call: Call) {
        let request = DeleteObject {
            bucket: self.round.bucket.clone(),
            key: key(at),
            version: id.map(Id::version_id),
            condition: match condition {
                Condition::None | Condition::Absent => DeleteCondition::None,
                Condition::Present => DeleteCondition::IfPresent,
                Condition::Match(content) => DeleteCondition::IfMatch(Some(content.etag())),
            },
            governance: Default::default(),
        };
        let target = Arc::clone(&self.round.target);
        let delete = async move {
            answered(target.delete(request).await, |it| Answer::Deleted {
                marker: it.marker,
                id: it.version_id.map(Id::of),
            })
        };
        self.call(at, call, delete).await;
    }

    /// An id that the key has or had, or `null`.
    fn named(&mut self, at: usize) -> Option<Id> {
        let ids = self.round.known().ids[at].clone();
        if ids.is_empty() { None } else { Some(ids[self.draws.random_range(0..ids.len())]) }
    }

    async fn set_tags(&mut self, at: usize) {
        let number = self.draws.random_range(0..5);
        let named = self.named(at).filter(|_| self.draws.random_bool(0.5));
        let which = named.map_or(Which::Current, Which::Named);
        let round = Arc::clone(&self.round);
        let tag = async move {
            let tagged = round.target.store.set_tags(&round.bucket, &key(at), selector(which), tags(number)).await;
            answered(tagged, |it| Answer::Tagged(it.version_id.map(Id::of)))
        };
        self.call(at, Call::SetTags { which, tags: number }, tag).await;
    }

    async fn get_named(&mut self, at: usize) {
        if let Some(id) = self.named(at) {
            self.get(at, Which::Named(id)).await;
        }
    }

    /// Opens a version, which is when it is seen, and reads it to its end, whatever becomes of it meanwhile.
    async fn get(&mut self, at: usize, which: Which) -> Option<strata_storage::OpenObject> {
        let round = Arc::clone(&self.round);
        let mut open = None;
        let get = async {
            let opened = round.target.object(&round.bucket, &key(at), selector(which)).await;
            let found = match &opened {
                Ok(open) => Found::Object(Box::new(open.info().clone())),
                Err(Error::DeleteMarker { version_id, .. }) => Found::Marker(*version_id),
                Err(Error::NotFound(Entity::Key)) => Found::Nothing,
                Err(error) => return refused(error),
            };
            open = opened.ok();
            let told = if which == Which::Current { round.target.told(&round.bucket, &key(at), found) } else { found };
            match told {
                Found::Object(info) => Answer::Object {
                    id: Id::of(info.version_id),
                    content: Content::of(info.etag),
                    tags: tags_of(&info),
                },
                Found::Marker(id) => Answer::Refused(Refusal::Marker(Id::of(id))),
                Found::Nothing => Answer::Refused(Refusal::NoKey),
            }
        };
        self.call(at, Call::Get(which), get).await?;
        let open = open?;
        let found = open.read(0..open.info().size).collect().await.expect("what was opened can be read");
        let content = Content::of(open.info().etag);
        let expected = self.round.known().contents.get(&content).cloned().expect("somebody wrote it");
        assert!(found == expected[..], "{content:?} has other bytes");
        Some(open)
    }

    async fn list(&mut self) {
        let max = if self.draws.random_bool(0.5) { 1000 } else { 1 };
        let begun = self.round.order.next();
        let mut found: HashMap<String, Content> = HashMap::new();
        let mut query = ListQuery { max, ..ListQuery::default() };
        loop {
            let page = self.round.target.store.list(&self.round.bucket, query.clone()).await.expect("it is listed");
            for entry in page.entries {
                let before = found.insert(entry.key.as_str().to_owned(), Content::of(entry.etag));
                assert_eq!(before, None, "a key is listed twice");
            }
            match page.next {
                Some(next) => query.after = next,
                None => break,
            }
        }
        let ended = self.round.order.next();
        // A key is on one page, and a page is as of one moment: to each key the listing is a read.
        for (name, history) in KEYS.iter().zip(&self.round.histories) {
            let answer = Answer::Listed(found.get(*name).copied());
            let event = Event { client: self.number, begun, call: Call::List, ended: Some((ended, answer)) };
            history.lock().expect("nobody panics with it").push(event);
        }
    }

    pub async fn list_versions(&mut self) {
        let begun = self.round.order.next();
        let query = strata_storage::VersionsQuery { max: 1000, ..Default::default() };
        let page = self.round.target.store.list_versions(&self.round.bucket, query).await.expect("it is listed");
        let ended = self.round.order.next();
        for (at, name) in KEYS.iter().enumerate() {
            let entries = page.entries.iter().filter(|entry| entry.key.as_str() == *name);
            let latest: Vec<bool> = entries.clone().map(|entry| entry.latest).collect();
            assert!(latest.iter().enumerate().all(|(place, latest)| *latest == (place == 0)), "{latest:?}");
            let entries =
                entries.map(|it| (Id::of(it.version_id), it.object.as_ref().map(|object| Content::of(object.etag))));
            let answer = Answer::Versions(entries.collect());
            self.round.known().hear(at, Some(&answer));
            let event = Event { client: self.number, begun, call: Call::ListVersions, ended: Some((ended, answer)) };
            self.round.histories[at].lock().expect("nobody panics with it").push(event);
        }
    }

    async fn create_upload(&mut self, at: usize) {
        let number = {
            let mut known = self.round.known();
            if known.uploads.len() >= UPLOADS_MAX {
                return;
            }
            known.uploads_begun += 1;
            known.uploads_begun
        };
        let round = Arc::clone(&self.round);
        let create = async move {
            let begun = round.target.store.create_upload(&round.bucket, &key(at), NewUpload::default()).await;
            answered(begun, |id| Answer::Begun(id.0))
        };
        let Some(Answer::Begun(stamp)) = self.call(at, Call::CreateUpload(number), create).await else { return };
        let upload = Upload { number, key: at, id: UploadId(stamp), parts: Vec::new() };
        for number in 1..=self.draws.random_range(1..3) {
            self.put_part_of(&upload, number).await;
        }
    }

    fn any_upload(&mut self) -> Option<Upload> {
        let uploads = self.round.known().uploads.clone();
        if uploads.is_empty() { None } else { Some(uploads[self.draws.random_range(0..uploads.len())].clone()) }
    }

    async fn put_part(&mut self) {
        let number = self.draws.random_range(1..3);
        if let Some(upload) = self.any_upload() {
            self.put_part_of(&upload, number).await;
        }
    }

    async fn put_part_of(&mut self, upload: &Upload, number: u16) {
        let (staged, content) = self.stage().await;
        let (round, at, id) = (Arc::clone(&self.round), upload.key, upload.id);
        let put = async move {
            answered(round.target.store.put_part(&round.bucket, &key(at), id, number, staged, None).await, |_| {
                Answer::Done
            })
        };
        let call = Call::PutPart { upload: upload.number, number, content };
        if let Some(Answer::Done) = self.call(upload.key, call, put).await {
            self.round.known().part_is_there(upload, number, content);
        }
    }

    async fn complete(&mut self) {
        let Some(Upload { number, key: at, id, parts }) = self.any_upload().filter(|it| !it.parts.is_empty()) else {
            return;
        };
        let condition = self.condition(at);
        let part = |(number, content): &(u16, Content)| CompletedPart {
            number: *number,
            etag: content.etag().to_string(),
            checksum: None,
        };
        let request = CompleteUpload {
            bucket: self.round.bucket.clone(),
            key: key(at),
            id,
            parts: parts.iter().map(part).collect(),
            size: None,
            checksum: None,
            condition: write_condition(condition),
            replica: None,
        };
        self.round.known().join(&parts);
        let target = Arc::clone(&self.round.target);
        let complete = async move {
            answered(target.complete(request).await, |it| {
                Answer::Written(it.version_id.map(Id::of), Content::of(it.etag))
            })
        };
        let answer = self.call(at, Call::Complete { upload: number, parts, condition }, complete).await;
        // Some do it again.
        if matches!(answer, Some(Answer::Written(..))) && self.draws.random_bool(0.7) {
            self.round.known().uploads.retain(|upload| upload.number != number);
        }
    }

    async fn abort(&mut self) {
        let Some(Upload { number, key: at, id, .. }) = self.any_upload() else { return };
        let round = Arc::clone(&self.round);
        let abort = async move {
            answered(round.target.store.abort_upload(&round.bucket, &key(at), id).await, |()| Answer::Done)
        };
        if self.call(at, Call::Abort(number), abort).await.is_some() {
            self.round.known().uploads.retain(|upload| upload.number != number);
        }
    }

    async fn set_versioning(&mut self) {
        let state = if self.draws.random_bool(0.6) { Versioning::Enabled } else { Versioning::Suspended };
        self.round.set_versioning(self.number, state).await;
    }

    /// Looks at every key, when all others have ended.
    pub async fn look(mut self) {
        self.list_versions().await;
        for at in 0..KEYS.len() {
            self.get(at, Which::Current).await;
        }
    }
}

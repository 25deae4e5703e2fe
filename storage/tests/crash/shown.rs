//! What a store shows: everything about a bucket that can be asked for, as text that can be compared, and its bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use strata_storage::{Entity, Error, QueueName, Store, Task, UploadsQuery, VersionSelector, VersionsQuery, Work};

use crate::machine::{bucket, key};

/// Rows of text by what they are about: the bucket, or a key with its versions, uploads and tasks.
pub type Shown = BTreeMap<String, Vec<String>>;

/// The bytes that belong to an entity tag.
pub type Contents = HashMap<String, Arc<Vec<u8>>>;

/// Why a store is not what it should be.
pub type Fault = String;

/// Names a failed call.
pub fn failed(what: &str) -> impl Fn(Error) -> Fault + '_ {
    move |error| format!("{what}: {error}")
}

/// All that the store shows.
pub async fn shown(store: &Store) -> Result<Shown, Fault> {
    let mut shown = Shown::new();
    match store.bucket(&bucket()).await {
        Ok(found) => shown.insert("bucket".to_owned(), vec![format!("{found:?}")]),
        Err(Error::NotFound(Entity::Bucket)) => return Ok(shown),
        Err(error) => return Err(format!("bucket: {error}")),
    };
    let documents = store.documents("", None, 100).await.map_err(failed("documents"))?;
    if !documents.is_empty() {
        shown.insert("documents".to_owned(), documents.iter().map(|document| format!("{document:?}")).collect());
    }
    let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
    for entry in store.list_versions(&bucket(), query).await.map_err(failed("list versions"))?.entries {
        let row = shown.entry(entry.key.as_str().to_owned()).or_default();
        row.push(format!("{entry:?}"));
        match store.object(&bucket(), &entry.key, VersionSelector::Id(entry.version_id)).await {
            Ok(object) => row.push(format!("{:?}", object.info())),
            Err(Error::DeleteMarker { .. }) if entry.object.is_none() => {}
            Err(error) => return Err(format!("{:?}: {error}", entry.key)),
        }
    }
    let query = UploadsQuery { max: 1000, ..UploadsQuery::default() };
    for entry in store.list_uploads(&bucket(), query).await.map_err(failed("list uploads"))?.uploads {
        let parts = store.list_parts(&bucket(), &entry.key, entry.upload.id, 0, 1000).await;
        let parts = parts.map_err(failed("list parts"))?.parts;
        let row = shown.entry(entry.key.as_str().to_owned()).or_default();
        row.push(format!("{:?} {parts:?}", entry.upload));
    }
    for (queue, task) in tasks(store).await? {
        let about = match &task.work {
            Work::Event(event) => event.key.clone(),
            Work::Replicate(replicate) => replicate.key.clone(),
        };
        shown.entry(about).or_default().push(format!("{queue:?} {task:?}"));
    }
    Ok(shown)
}

/// All tasks that wait, with their queues.
pub async fn tasks(store: &Store) -> Result<Vec<(QueueName, Task)>, Fault> {
    let mut found = Vec::new();
    for queue in store.queues().await.map_err(failed("list queues"))? {
        let tasks = store.tasks(queue.name.id(), None, 1000).await.map_err(failed("read tasks"))?;
        let counted = usize::try_from(queue.backlog.waiting).expect("there are few");
        if counted != tasks.len() {
            return Err(format!("{:?} counts {counted} tasks and has {}", queue.name, tasks.len()));
        }
        found.extend(tasks.into_iter().map(|task| (queue.name.clone(), task)));
    }
    Ok(found)
}

/// Reads every version that can be read, and compares its bytes; has the counters counted anew.
pub async fn verify(store: &Store, contents: &Contents) -> Result<(), Fault> {
    if matches!(store.bucket(&bucket()).await, Err(Error::NotFound(Entity::Bucket))) {
        return Ok(());
    }
    let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
    for entry in store.list_versions(&bucket(), query).await.map_err(failed("list versions"))?.entries {
        let Some(listed) = &entry.object else { continue };
        let name = format!("{} {:?}", entry.key.as_str(), entry.version_id);
        let object = store.object(&bucket(), &entry.key, VersionSelector::Id(entry.version_id)).await;
        let object = object.map_err(failed(&name))?;
        if !object.info().readable {
            continue;
        }
        let bytes = object.read(0..listed.size).collect().await.map_err(failed(&name))?;
        let expected = contents.get(&listed.etag.to_string()).ok_or(format!("{name}: nobody wrote {}", listed.etag))?;
        if bytes != expected[..] {
            return Err(format!("{name} has other bytes"));
        }
    }
    match store.recount(&bucket()).await.map_err(failed("recount"))? {
        wrong if wrong.is_empty() => Ok(()),
        wrong => Err(format!("counters differ from a recount: {wrong:?}")),
    }
}

/// The bytes of a key's current version, if there is one.
pub async fn current(store: &Store, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let object = match store.object(&bucket(), &key(name), VersionSelector::Current).await {
        Err(Error::NotFound(_) | Error::DeleteMarker { .. }) => return Ok(None),
        object => object?,
    };
    Ok(Some(object.read(0..object.info().size).collect().await?.to_vec()))
}

/// Whether `found` is one of two states: as a whole, or, where the step between them may stop half-way, row by row.
pub fn is_between(found: &Shown, before: &Shown, after: &Shown, whole: bool) -> Result<(), Fault> {
    if found == before || found == after {
        return Ok(());
    }
    let rows: BTreeSet<&String> = found.keys().chain(before.keys()).chain(after.keys()).collect();
    for row in rows {
        let (is, was, becomes) = (found.get(row), before.get(row), after.get(row));
        if is != was && is != becomes {
            return Err(format!("{row} {}; and {}", difference(is, was), difference(is, becomes)));
        }
    }
    if whole { Err("a step is half done: some rows are from before it, some from after it".to_owned()) } else { Ok(()) }
}

/// What two rows do not have in common.
fn difference(is: Option<&Vec<String>>, expected: Option<&Vec<String>>) -> String {
    let (is, expected): (BTreeSet<&String>, BTreeSet<&String>) =
        (is.into_iter().flatten().collect(), expected.into_iter().flatten().collect());
    let only = |here: &BTreeSet<&String>, there| format!("{:?}", here.difference(there).collect::<Vec<_>>());
    format!("has {} instead of {}", only(&is, &expected), only(&expected, &is))
}

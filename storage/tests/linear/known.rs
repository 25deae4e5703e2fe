//! What the clients of a round have told each other: it decides what they do, not what is right.

use std::collections::HashMap;
use std::sync::Arc;

use strata_storage::UploadId;

use crate::history::{Answer, Content, Id, Parts, joined};
use crate::machine::KEYS;

/// Ids of a key that are remembered.
const IDS_MAX: usize = 6;

/// An upload that all clients of a round know.
#[derive(Debug, Clone)]
pub struct Upload {
    pub number: usize,
    pub key: usize,
    pub id: UploadId,
    /// The parts of which somebody saw that they are there.
    pub parts: Parts,
}

/// What is known to all.
#[derive(Default)]
pub struct Known {
    /// What each key held when it was last heard of.
    pub latest: [Option<Content>; KEYS.len()],
    /// Ids that each key has or had.
    pub ids: [Vec<Id>; KEYS.len()],
    pub uploads: Vec<Upload>,
    pub uploads_begun: usize,
    contents_begun: u64,
    /// All that was ever written.
    pub contents: HashMap<Content, Arc<Vec<u8>>>,
}

impl Known {
    /// A number for bytes that nobody has written yet.
    pub fn next_content(&mut self) -> u64 {
        self.contents_begun += 1;
        self.contents_begun
    }

    /// Hears of what was answered to a call on a key.
    pub fn hear(&mut self, key: usize, answer: Option<&Answer>) {
        match answer {
            Some(Answer::Written(id, content)) => {
                self.latest[key] = Some(*content);
                self.hear_id(key, id.unwrap_or(Id::Null));
            }
            Some(Answer::Object { id, content, .. }) => {
                self.latest[key] = Some(*content);
                self.hear_id(key, *id);
            }
            Some(Answer::Deleted { marker: true, id: Some(id) }) => self.hear_id(key, *id),
            Some(Answer::Versions(versions)) => versions.iter().for_each(|(id, _)| self.hear_id(key, *id)),
            _ => {}
        }
    }

    fn hear_id(&mut self, key: usize, id: Id) {
        let ids = &mut self.ids[key];
        if !ids.contains(&id) {
            ids.push(id);
        }
        if ids.len() > IDS_MAX {
            ids.remove(0);
        }
    }

    /// Hears that a part is there.
    pub fn part_is_there(&mut self, upload: &Upload, number: u16, content: Content) {
        if !self.uploads.iter().any(|other| other.number == upload.number) {
            self.uploads.push(upload.clone());
        }
        let known = self.uploads.iter_mut().filter(|other| other.number == upload.number);
        for Upload { parts, .. } in known {
            parts.retain(|(other, _)| *other != number);
            parts.push((number, content));
            parts.sort_unstable();
        }
    }

    /// Remembers what an object of these parts holds.
    pub fn join(&mut self, parts: &Parts) {
        let bytes = parts.iter().flat_map(|(_, part)| self.contents[part].iter().copied()).collect();
        self.contents.insert(joined(parts), Arc::new(bytes));
    }
}

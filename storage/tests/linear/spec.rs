//! One key as S3 has it, one call after the other: what a call may answer, and what is there afterwards.
//!
//! An answer that nobody saw leaves open which id a version got. It is found out by what later answers say of it, so a call
//! may lead to several states.

use std::collections::BTreeMap;

use strata_storage::{Stamp, Versioning};

use crate::history::{Answer, Call, Condition, Content, Id, Parts, Refusal, Which, joined};

/// A version or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    /// `None` until somebody tells it.
    id: Option<Id>,
    /// `None` for a marker.
    content: Option<Content>,
    tags: u8,
}

/// An open upload. Its version will take the place that it has among the versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Upload {
    number: usize,
    stamp: Stamp,
    /// Whether the key had an object when it began.
    existed: bool,
    parts: BTreeMap<u16, Content>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Item {
    Version(Version),
    Upload(Upload),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mode {
    Unversioned,
    Enabled,
    Suspended,
}

/// What an upload became, for those who complete it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Completed {
    parts: Parts,
    id: Option<Id>,
    content: Content,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    mode: Mode,
    /// Newest first.
    line: Vec<Item>,
    completed: BTreeMap<usize, Completed>,
}

impl State {
    /// A key of a new bucket.
    pub fn new() -> State {
        State { mode: Mode::Unversioned, line: Vec::new(), completed: BTreeMap::new() }
    }

    /// The states that the call may lead to with that answer; none if it cannot be the answer. Without an answer, those that
    /// any answer may lead to.
    pub fn step(&self, call: &Call, answer: Option<&Answer>) -> Vec<State> {
        match call {
            Call::SetVersioning(versioning) => self.set_versioning(*versioning),
            Call::Put { content, condition, tags } => self.put(*content, *condition, *tags, answer),
            Call::Delete { condition } => self.delete(*condition, answer),
            Call::DeleteVersion(id) => self.delete_version(*id, answer),
            Call::SetTags { which, tags } => self.of_version(*which, answer, |state, place, answer| {
                let id = state.version(place).id.filter(|_| state.mode != Mode::Unversioned);
                let learns = match answer {
                    None => true,
                    Some(Answer::Tagged(Some(told))) => state.mode != Mode::Unversioned && state.learn(place, *told),
                    Some(Answer::Tagged(None)) => id.is_none() && state.mode == Mode::Unversioned,
                    Some(_) => false,
                };
                state.version_mut(place).tags = *tags;
                learns
            }),
            Call::Get(which) => self.of_version(*which, answer, |state, place, answer| match answer {
                None => true,
                Some(Answer::Object { id, content, tags }) => {
                    let version = state.version(place);
                    version.content == Some(*content) && version.tags == *tags && state.learn(place, *id)
                }
                Some(_) => false,
            }),
            Call::List => {
                let visible = self.newest().and_then(|place| self.version(place).content);
                self.unless_other(answer, &Answer::Listed(visible))
            }
            Call::ListVersions => self.list_versions(answer),
            Call::CreateUpload(number) => self.create_upload(*number, answer),
            Call::PutPart { upload, number, content } => self.put_part(*upload, *number, *content, answer),
            Call::Complete { upload, parts, condition } => self.complete(*upload, parts, *condition, answer),
            Call::Abort(upload) => match self.upload(*upload) {
                Some(place) => {
                    let mut next = self.clone();
                    next.line.remove(place);
                    next.unless_other(answer, &Answer::Done)
                }
                None => self.refused(answer, Refusal::NoUpload),
            },
        }
    }

    /// This state, if that is the answer.
    fn unless_other(&self, answer: Option<&Answer>, right: &Answer) -> Vec<State> {
        if answer.is_none_or(|answer| answer == right) { vec![self.clone()] } else { Vec::new() }
    }

    fn refused(&self, answer: Option<&Answer>, refusal: Refusal) -> Vec<State> {
        self.unless_other(answer, &Answer::Refused(refusal))
    }

    fn versions(&self) -> impl Iterator<Item = (usize, &Version)> {
        self.line.iter().enumerate().filter_map(|(place, item)| match item {
            Item::Version(version) => Some((place, version)),
            Item::Upload(_) => None,
        })
    }

    fn newest(&self) -> Option<usize> {
        self.versions().next().map(|(place, _)| place)
    }

    fn visible(&self) -> Option<Content> {
        self.version(self.newest()?).content
    }

    fn version(&self, place: usize) -> &Version {
        match &self.line[place] {
            Item::Version(version) => version,
            Item::Upload(_) => panic!("there is a version at that place"),
        }
    }

    fn version_mut(&mut self, place: usize) -> &mut Version {
        match &mut self.line[place] {
            Item::Version(version) => version,
            Item::Upload(_) => panic!("there is a version at that place"),
        }
    }

    fn upload(&self, number: usize) -> Option<usize> {
        self.line.iter().position(|item| matches!(item, Item::Upload(upload) if upload.number == number))
    }

    /// Takes note of a version's id; `false` if it is another one.
    fn learn(&mut self, place: usize, id: Id) -> bool {
        match self.version(place).id {
            Some(known) => known == id,
            None if id == Id::Null || self.versions().any(|(_, version)| version.id == Some(id)) => false,
            None => {
                self.version_mut(place).id = Some(id);
                true
            }
        }
    }

    fn set_versioning(&self, versioning: Versioning) -> Vec<State> {
        let mode = match versioning {
            Versioning::Enabled => Mode::Enabled,
            Versioning::Suspended => Mode::Suspended,
            Versioning::Unversioned => Mode::Unversioned,
        };
        vec![State { mode, ..self.clone() }]
    }

    /// Puts a version at a place, which takes what it replaces away.
    fn install(&mut self, mut place: usize, version: Version) {
        if version.id == Some(Id::Null) {
            let replaced = self.versions().find(|(_, version)| version.id == Some(Id::Null)).map(|(place, _)| place);
            if let Some(replaced) = replaced {
                self.line.remove(replaced);
                place -= usize::from(replaced < place);
            }
        }
        self.line.insert(place, Item::Version(version));
    }

    /// The id of a new version: `Err` if it cannot be the one told.
    fn id_of_new(&self, told: Option<Option<Id>>) -> Result<Option<Id>, ()> {
        match (self.mode, told) {
            (Mode::Enabled, None) => Ok(None),
            (Mode::Enabled, Some(Some(id @ Id::Of(_)))) => {
                let is_new = self.versions().all(|(_, version)| version.id != Some(id));
                if is_new { Ok(Some(id)) } else { Err(()) }
            }
            (Mode::Unversioned | Mode::Suspended, None | Some(None)) => Ok(Some(Id::Null)),
            _ => Err(()),
        }
    }

    fn put(&self, content: Content, condition: Condition, tags: u8, answer: Option<&Answer>) -> Vec<State> {
        if let Some(refusal) = refusal_of_write(condition, self.visible()) {
            return self.refused(answer, refusal);
        }
        let told = match answer {
            None => None,
            Some(Answer::Written(id, written)) if *written == content => Some(*id),
            Some(_) => return Vec::new(),
        };
        let Ok(id) = self.id_of_new(told) else { return Vec::new() };
        let mut next = self.clone();
        next.install(0, Version { id, content: Some(content), tags });
        vec![next]
    }

    fn delete(&self, condition: Condition, answer: Option<&Answer>) -> Vec<State> {
        match (condition, self.visible()) {
            (Condition::Present, None) if self.newest().is_some() => {
                return self.refused(answer, Refusal::Precondition);
            }
            (Condition::Present | Condition::Match(_), None) => return self.refused(answer, Refusal::NoKey),
            (Condition::Match(wanted), Some(content)) if wanted != content => {
                return self.refused(answer, Refusal::Precondition);
            }
            _ => {}
        }
        let mut next = self.clone();
        if self.mode == Mode::Unversioned {
            if let Some(place) = self.newest() {
                next.line.remove(place);
            }
            return next.unless_other(answer, &Answer::Deleted { marker: false, id: None });
        }
        let told = match (answer, self.mode) {
            (None, _) => None,
            (Some(Answer::Deleted { marker: true, id: Some(Id::Null) }), Mode::Suspended) => Some(None),
            (Some(Answer::Deleted { marker: true, id }), Mode::Enabled) => Some(*id),
            (Some(_), _) => return Vec::new(),
        };
        let Ok(id) = self.id_of_new(told) else { return Vec::new() };
        next.install(0, Version { id, content: None, tags: 0 });
        vec![next]
    }

    /// The states in which the version of an id is at some place, or, as `None`, at none.
    fn found(&self, id: Id) -> Vec<(State, Option<usize>)> {
        if let Some((place, _)) = self.versions().find(|(_, version)| version.id == Some(id)) {
            return vec![(self.clone(), Some(place))];
        }
        let mut found = vec![(self.clone(), None)];
        for (place, _) in self.versions().filter(|(_, version)| version.id.is_none()) {
            let mut state = self.clone();
            if state.learn(place, id) {
                found.push((state, Some(place)));
            }
        }
        found
    }

    fn delete_version(&self, id: Id, answer: Option<&Answer>) -> Vec<State> {
        let mut states = Vec::new();
        for (mut state, place) in self.found(id) {
            let removed = place.map(|place| state.line.remove(place));
            let marker = matches!(removed, Some(Item::Version(Version { content: None, .. })));
            states.extend(state.unless_other(answer, &Answer::Deleted { marker, id: Some(id) }));
        }
        states
    }

    /// What can only be done with an object: `act` has it, and says whether that can be the answer.
    fn of_version(
        &self,
        which: Which,
        answer: Option<&Answer>,
        act: impl Fn(&mut State, usize, Option<&Answer>) -> bool,
    ) -> Vec<State> {
        let (found, missing) = match which {
            Which::Current => (vec![(self.clone(), self.newest())], Refusal::NoKey),
            Which::Named(id) => (self.found(id), Refusal::NoVersion),
        };
        let mut states = Vec::new();
        for (mut state, place) in found {
            match place {
                None => states.extend(state.refused(answer, missing)),
                Some(place) if state.version(place).content.is_some() => {
                    if act(&mut state, place, answer) {
                        states.push(state);
                    }
                }
                Some(place) => match answer {
                    None => states.push(state),
                    Some(Answer::Refused(Refusal::Marker(id))) if state.learn(place, *id) => states.push(state),
                    Some(_) => {}
                },
            }
        }
        states
    }

    fn list_versions(&self, answer: Option<&Answer>) -> Vec<State> {
        let Some(Answer::Versions(told)) = answer else { return Vec::new() };
        let places: Vec<usize> = self.versions().map(|(place, _)| place).collect();
        let mut next = self.clone();
        let mut is_told = |(place, (id, content)): (&usize, &(_, _))| {
            next.version(*place).content == *content && next.learn(*place, *id)
        };
        let all = places.len() == told.len() && places.iter().zip(told).all(&mut is_told);
        if all { vec![next] } else { Vec::new() }
    }

    fn create_upload(&self, number: usize, answer: Option<&Answer>) -> Vec<State> {
        let stamp = match answer {
            Some(Answer::Begun(stamp)) => *stamp,
            // Nobody knows its id, so nobody can do anything with it.
            None => return vec![self.clone()],
            Some(_) => return Vec::new(),
        };
        let mut next = self.clone();
        let upload = Upload { number, stamp, existed: self.visible().is_some(), parts: BTreeMap::new() };
        next.line.insert(0, Item::Upload(upload));
        vec![next]
    }

    fn put_part(&self, upload: usize, number: u16, content: Content, answer: Option<&Answer>) -> Vec<State> {
        let Some(place) = self.upload(upload) else { return self.refused(answer, Refusal::NoUpload) };
        let mut next = self.clone();
        if let Item::Upload(upload) = &mut next.line[place] {
            upload.parts.insert(number, content);
        }
        next.unless_other(answer, &Answer::Done)
    }

    fn complete(&self, number: usize, parts: &Parts, condition: Condition, answer: Option<&Answer>) -> Vec<State> {
        let Some(place) = self.upload(number) else {
            return match self.completed.get(&number).filter(|completed| completed.parts == *parts) {
                Some(Completed { id, content, .. }) => self.unless_other(answer, &Answer::Written(*id, *content)),
                None => self.refused(answer, Refusal::NoUpload),
            };
        };
        let Item::Upload(upload) = &self.line[place] else { panic!("there is an upload at that place") };
        if parts.iter().any(|(number, content)| upload.parts.get(number) != Some(content)) {
            return self.refused(answer, Refusal::InvalidPart);
        }
        // What changed since the upload began is a conflict even if the condition holds.
        let since = self.newest().is_some_and(|newest| newest < place);
        let refusal = match (condition, self.visible()) {
            (Condition::Absent, None) if upload.existed || since => Some(Refusal::Conflict),
            (Condition::Match(wanted), Some(content)) if wanted == content && since => Some(Refusal::Conflict),
            (condition, visible) => refusal_of_write(condition, visible),
        };
        if let Some(refusal) = refusal {
            return self.refused(answer, refusal);
        }
        let id = (self.mode == Mode::Enabled).then_some(Id::Of(upload.stamp));
        let content = joined(parts);
        let version = Version { id: Some(id.unwrap_or(Id::Null)), content: Some(content), tags: 0 };
        let mut next = self.clone();
        next.line.remove(place);
        next.install(place, version);
        next.completed.insert(number, Completed { parts: parts.clone(), id, content });
        next.unless_other(answer, &Answer::Written(id, content))
    }
}

fn refusal_of_write(condition: Condition, visible: Option<Content>) -> Option<Refusal> {
    match (condition, visible) {
        (Condition::Absent, Some(_)) => Some(Refusal::Precondition),
        (Condition::Match(_), None) => Some(Refusal::NoKey),
        (Condition::Match(wanted), Some(content)) if wanted != content => Some(Refusal::Precondition),
        _ => None,
    }
}

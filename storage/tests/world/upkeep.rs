//! What is done to the store and not to a bucket: copied, scrubbed, given another master key. Nobody notices.

use proptest::prelude::{Just, Strategy, prop_oneof};
use strata_storage::DocumentChange;

use crate::run::Run;

/// Something that is done to the store.
#[derive(Debug, Clone)]
pub enum Upkeep {
    /// Writes a checkpoint, which is opened, compared, and forgotten.
    Checkpoint,
    Scrub,
    Rotate,
    /// Writes a document, or removes it.
    Document {
        name: &'static str,
        value: Option<u8>,
    },
}

pub fn upkeep() -> impl Strategy<Value = Upkeep> {
    let names = prop_oneof![Just("x"), Just("x/y"), Just("z")];
    let values = prop_oneof![2 => (0..200_u8).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        1 => Just(Upkeep::Checkpoint),
        1 => Just(Upkeep::Scrub),
        1 => Just(Upkeep::Rotate),
        1 => (names, values).prop_map(|(name, value)| Upkeep::Document { name, value }),
    ]
}

impl Run {
    /// Does it.
    pub async fn keep_up(&mut self, upkeep: &Upkeep) {
        let is_whole = self.model.zones.away.is_none() && !self.model.zones.replaced;
        match upkeep {
            Upkeep::Checkpoint if is_whole => self.checkpoint().await,
            Upkeep::Scrub if is_whole => {
                let status = self.world.store.scrub().await.expect("it can be read");
                assert!(!status.running && status.damaged == 0 && status.lost == 0, "{status:?}");
            }
            Upkeep::Rotate => self.world.rotate_key().await,
            Upkeep::Document { name, value } => self.write_document(name, *value).await,
            Upkeep::Checkpoint | Upkeep::Scrub => {}
        }
    }

    async fn checkpoint(&mut self) {
        let copy = self.world.write_copy().await;
        let store = std::mem::replace(&mut self.world.store, copy);
        self.verify().await;
        let copy = std::mem::replace(&mut self.world.store, store);
        self.world.forget_copy(copy).await;
        self.model.count("checkpoint compared", 1);
    }

    async fn write_document(&mut self, name: &'static str, value: Option<u8>) {
        let content = value.map(|value| vec![value; 100]);
        let change = DocumentChange { name: name.to_owned(), content: content.clone() };
        self.world.store.write_documents(vec![change]).await.expect("documents are written");
        self.model.documents.remove(name);
        if let Some(content) = content {
            self.model.documents.insert(name, content);
        }
    }

    /// Compares the documents.
    pub async fn compare_documents(&self) {
        let found = self.world.store.documents("", None, 100).await.expect("documents are listed");
        let expected = self.model.documents.iter().map(|(name, document)| ((*name).to_owned(), document.clone()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

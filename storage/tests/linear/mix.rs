//! What the clients of a round do, and how often. Rounds differ in it, since what one kind of call does to another shows best
//! where there is little else.

use rand::Rng as _;
use rand::rngs::StdRng;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Put,
    Delete,
    DeleteVersion,
    SetTags,
    Get,
    GetNamed,
    List,
    ListVersions,
    ListPages,
    CreateUpload,
    PutPart,
    Complete,
    Abort,
    Copy,
    SetVersioning,
}

/// All kinds, each as often as it is usual.
const USUAL: [(Kind, u32); 15] = [
    (Kind::Put, 24),
    (Kind::Delete, 9),
    (Kind::DeleteVersion, 7),
    (Kind::SetTags, 7),
    (Kind::Get, 13),
    (Kind::GetNamed, 6),
    (Kind::List, 5),
    (Kind::ListVersions, 4),
    (Kind::ListPages, 3),
    (Kind::CreateUpload, 5),
    (Kind::PutPart, 2),
    (Kind::Complete, 5),
    (Kind::Abort, 2),
    (Kind::Copy, 5),
    (Kind::SetVersioning, 3),
];
/// By how much a kind is more or less frequent in a round than usual.
const FACTORS: [u32; 4] = [0, 1, 1, 4];

/// How often each kind is drawn.
pub struct Mix(Vec<(Kind, u32)>);

impl Mix {
    /// Draws a mix. Only a round that `switches` sets versioning while others are at work. What is `wanted` is frequent.
    pub fn drawn(draws: &mut StdRng, switches: bool, wanted: &[Kind]) -> Mix {
        let mut mix = USUAL.to_vec();
        for (kind, times) in &mut mix {
            *times *= match kind {
                kind if wanted.contains(kind) => 8,
                // Nothing happens without these.
                Kind::Put | Kind::Get => 1,
                Kind::SetVersioning => u32::from(switches),
                _ => FACTORS[draws.random_range(0..FACTORS.len())],
            };
        }
        Mix(mix)
    }

    /// Draws a kind.
    pub fn draw(&self, draws: &mut StdRng) -> Kind {
        let all = self.0.iter().map(|(_, times)| times).sum();
        let mut at = draws.random_range(0..all);
        for (kind, times) in &self.0 {
            match at.checked_sub(*times) {
                None => return *kind,
                Some(rest) => at = rest,
            }
        }
        Kind::Put
    }
}

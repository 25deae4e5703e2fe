//! What can happen in the world, and how a random history of it is drawn.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use strata_storage::{
    ConfigurationFilter, Lifecycle, Quota, RestoreSpeed, StorageClass, Tag, TieringConfiguration, Versioning,
};

use crate::conditional::{Conditional, conditionals};
use crate::drawn_rules::lifecycles;
use crate::limits::quotas;
use crate::locked::{Locking, lockings};
use crate::parts::{Taken, taken};
use crate::replicas::{Arrival, arrivals};
use crate::support::STAGES;
use crate::upkeep::{Upkeep, upkeep};

/// Few keys, so that histories meet; prefixes of each other, so that filters differ.
pub const KEYS: [&str; 3] = ["a", "a/b", "b"];

/// What an object holds. There are few, so that objects share their chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Content {
    /// Bytes that do not compress, of this many bytes and one of two kinds.
    Noise(usize, u64),
    /// Bytes that compress well, of this many bytes.
    Text(usize),
}

#[derive(Debug, Clone)]
pub enum Op {
    Put {
        key: usize,
        content: Content,
        class: StorageClass,
        tags: Vec<Tag>,
    },
    Delete {
        key: usize,
    },
    /// Deletes the version at this place of the key's list, newest first.
    DeleteVersion {
        key: usize,
        place: usize,
    },
    /// Copies the version at this place.
    Copy {
        from: usize,
        place: usize,
        to: usize,
        class: StorageClass,
    },
    /// Reads a version, or from a third of it to two thirds: an access, unlike the checks after each step. It is the one
    /// at this place among all of INTELLIGENT_TIERING; without any, the first version.
    Read {
        place: usize,
        part: bool,
    },
    SetTags {
        key: usize,
        place: usize,
        tags: Vec<Tag>,
    },
    SetAcl {
        key: usize,
        place: usize,
        acl: Option<u8>,
    },
    Conditional(Conditional),
    Take(Taken),
    Arrive(Arrival),
    Lock(Locking),
    SetQuota(Quota),
    KeepUp(Upkeep),
    SetVersioning(Versioning),
    SetLifecycle(Option<Lifecycle>),
    PutTiering(TieringConfiguration),
    DeleteTiering {
        id: &'static str,
    },
    /// Asks to restore the archived version at this place among all that there are; without any, the first version.
    Restore {
        place: usize,
        days: u32,
        speed: RestoreSpeed,
    },
    CreateUpload {
        key: usize,
        class: StorageClass,
    },
    PutPart {
        upload: usize,
        number: u16,
        content: Content,
    },
    Complete {
        upload: usize,
    },
    Abort {
        upload: usize,
    },
    /// So many midnights pass; the workers run at each at which something is due.
    Days(u32),
    /// So many hours pass, then the workers run.
    Hours(u32),
    Reopen,
    /// A backup is made, everything else is gone, and a store is made of the backup.
    BackUp,
    /// So many hours pass; then the process dies after this many stages of the workers, and starts again.
    Crash {
        hours: u32,
        stages: usize,
    },
    /// A zone goes; whether the engine looks at its zones before the next step.
    LoseZone {
        zone: usize,
        noticed: bool,
    },
    /// The zone that is away comes back, or an empty directory in its place.
    ReturnZone {
        empty: bool,
    },
}

/// Steps in a bucket with Object Lock.
pub fn ops_with_locks() -> impl Strategy<Value = Op> {
    prop_oneof![4 => ops(), 1 => lockings().prop_map(Op::Lock)]
}

/// Steps, and what happens to zones.
pub fn ops_with_zones() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => ops(),
        1 => (0..4_usize, any::<bool>()).prop_map(|(zone, noticed)| Op::LoseZone { zone, noticed }),
        1 => any::<bool>().prop_map(|empty| Op::ReturnZone { empty }),
    ]
}

fn contents() -> impl Strategy<Value = Content> + Clone {
    prop_oneof![
        1 => Just(Content::Noise(1_000, 0)),
        1 => Just(Content::Noise(5_000, 0)),
        1 => Just(Content::Noise(131_071, 0)),
        2 => Just(Content::Noise(131_072, 0)),
        2 => Just(Content::Noise(133_000, 1)),
        3 => Just(Content::Noise(300_000, 0)),
        1 => Just(Content::Text(5_000)),
        3 => Just(Content::Text(133_000)),
        3 => Just(Content::Text(300_000)),
    ]
}

fn classes() -> impl Strategy<Value = StorageClass> {
    prop_oneof![
        5 => Just(StorageClass::Standard),
        1 => Just(StorageClass::ReducedRedundancy),
        1 => Just(StorageClass::StandardIa),
        1 => Just(StorageClass::OnezoneIa),
        4 => Just(StorageClass::IntelligentTiering),
        1 => Just(StorageClass::GlacierIr),
        2 => Just(StorageClass::Glacier),
        1 => Just(StorageClass::DeepArchive),
    ]
}

pub fn tag(value: &str) -> Tag {
    Tag { key: "t".into(), value: value.into() }
}

fn tags() -> impl Strategy<Value = Vec<Tag>> {
    prop_oneof![
        3 => Just(Vec::new()),
        2 => Just(vec![tag("1")]),
        1 => Just(vec![tag("2"), Tag { key: "u".into(), value: String::new() }]),
    ]
}

fn tierings() -> impl Strategy<Value = TieringConfiguration> {
    let filters = prop_oneof![
        3 => Just(ConfigurationFilter::default()),
        1 => Just(ConfigurationFilter { prefix: Some("a".into()), tags: Vec::new() }),
        1 => Just(ConfigurationFilter { prefix: None, tags: vec![tag("1")] }),
    ];
    let days = prop_oneof![
        Just((Some(90), None)),
        Just((Some(100), Some(180))),
        Just((None, Some(200))),
        Just((Some(90), Some(181))),
    ];
    (prop_oneof![Just("x"), Just("y")], filters, any::<u8>(), days).prop_map(|(id, filter, enabled, days)| {
        let (archive_days, deep_archive_days) = days;
        TieringConfiguration { id: id.into(), filter, enabled: enabled >= 32, archive_days, deep_archive_days }
    })
}

fn days() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 1..4_u32, 2 => 5..32_u32, 3 => 29..36_u32, 3 => 60..100_u32, 1 => 1..200_u32]
}

/// One step of a history.
pub fn ops() -> impl Strategy<Value = Op> {
    let (keys, places) = (0..KEYS.len(), 0..4_usize);
    prop_oneof![
        8 => (keys.clone(), contents(), classes(), tags())
            .prop_map(|(key, content, class, tags)| Op::Put { key, content, class, tags }),
        2 => keys.clone().prop_map(|key| Op::Delete { key }),
        2 => (keys.clone(), places.clone()).prop_map(|(key, place)| Op::DeleteVersion { key, place }),
        4 => (keys.clone(), 0..2_usize, keys.clone(), classes())
            .prop_map(|(from, place, to, class)| Op::Copy { from, place, to, class }),
        4 => (places.clone(), any::<bool>()).prop_map(|(place, part)| Op::Read { place, part }),
        2 => (keys.clone(), places.clone(), tags()).prop_map(|(key, place, tags)| Op::SetTags { key, place, tags }),
        1 => (keys.clone(), places.clone(), prop_oneof![Just(None), (0..200_u8).prop_map(Some)])
            .prop_map(|(key, place, acl)| Op::SetAcl { key, place, acl }),
        5 => conditionals(contents()).prop_map(Op::Conditional),
        4 => taken().prop_map(Op::Take),
        3 => arrivals(contents()).prop_map(Op::Arrive),
        1 => lockings().prop_map(Op::Lock),
        1 => quotas().prop_map(Op::SetQuota),
        1 => upkeep().prop_map(Op::KeepUp),
        2 => prop_oneof![2 => Just(Versioning::Enabled), 1 => Just(Versioning::Suspended)].prop_map(Op::SetVersioning),
        4 => prop_oneof![6 => lifecycles().prop_map(Some), 1 => Just(None)].prop_map(Op::SetLifecycle),
        3 => tierings().prop_map(Op::PutTiering),
        1 => prop_oneof![Just("x"), Just("y")].prop_map(|id| Op::DeleteTiering { id }),
        6 => (0..3_usize, 1..5_u32, prop_oneof![
            Just(RestoreSpeed::Bulk), Just(RestoreSpeed::Standard), Just(RestoreSpeed::Expedited),
        ]).prop_map(|(place, days, speed)| Op::Restore { place, days, speed }),
        2 => (keys, classes()).prop_map(|(key, class)| Op::CreateUpload { key, class }),
        4 => (0..2_usize, 1..4_u16, contents())
            .prop_map(|(upload, number, content)| Op::PutPart { upload, number, content }),
        2 => (0..2_usize).prop_map(|upload| Op::Complete { upload }),
        1 => (0..2_usize).prop_map(|upload| Op::Abort { upload }),
        10 => days().prop_map(Op::Days),
        5 => (1..30_u32).prop_map(Op::Hours),
        1 => Just(Op::Reopen),
        1 => Just(Op::BackUp),
        2 => (0..30_u32, 0..=STAGES).prop_map(|(hours, stages)| Op::Crash { hours, stages }),
    ]
}

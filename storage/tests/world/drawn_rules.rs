//! Lifecycle configurations drawn at random, all of which S3 would take.
//!
//! At most one rule of a configuration acts on noncurrent versions: what is done to one of them changes the age and the
//! number of newer versions of others, so that the order in which several rules are carried out would show.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use strata_storage::{
    Expiration, Filter, FilterForm, Lifecycle, NoncurrentExpiration, NoncurrentTransition, Rule, Status, StorageClass,
    Timestamp, Transition, TransitionMinimum, When,
};

use crate::ops::tag;
use crate::support::{DAY, START};

const IA: StorageClass = StorageClass::StandardIa;
const ONEZONE: StorageClass = StorageClass::OnezoneIa;
const TIERING: StorageClass = StorageClass::IntelligentTiering;
const INSTANT: StorageClass = StorageClass::GlacierIr;
const GLACIER: StorageClass = StorageClass::Glacier;
const DEEP: StorageClass = StorageClass::DeepArchive;

fn filters() -> impl Strategy<Value = Filter> {
    let every = Filter { prefix: None, tags: Vec::new(), size_over: None, size_under: None, form: FilterForm::Empty };
    let one = Filter { form: FilterForm::Single, ..every.clone() };
    let all = Filter { form: FilterForm::And, ..every.clone() };
    prop_oneof![
        8 => Just(every),
        2 => Just(Filter { prefix: Some("a".into()), ..one.clone() }),
        1 => Just(Filter { prefix: Some("a/".into()), ..one.clone() }),
        2 => Just(Filter { tags: vec![tag("1")], ..one.clone() }),
        1 => Just(Filter { size_over: Some(4_000), ..one.clone() }),
        1 => Just(Filter { size_over: Some(131_072), ..one.clone() }),
        1 => Just(Filter { size_under: Some(131_072), ..one }),
        1 => Just(Filter { prefix: Some("a".into()), size_over: Some(900), size_under: Some(200_000), ..all.clone() }),
        1 => Just(Filter { prefix: Some("b".into()), tags: vec![tag("2")], ..all }),
    ]
}

/// Transitions by days, each so long after the one before as its class asks for; and a day on which objects can expire.
fn transitions() -> impl Strategy<Value = (Vec<(u32, StorageClass)>, u32)> {
    prop_oneof![
        3 => Just((vec![], 1)),
        2 => Just((vec![(30, IA)], 60)),
        2 => Just((vec![(30, ONEZONE)], 60)),
        2 => Just((vec![(0, TIERING)], 1)),
        1 => Just((vec![(3, TIERING)], 4)),
        1 => Just((vec![(0, INSTANT)], 90)),
        1 => Just((vec![(10, INSTANT)], 100)),
        2 => Just((vec![(0, GLACIER)], 90)),
        1 => Just((vec![(5, GLACIER)], 95)),
        1 => Just((vec![(7, DEEP)], 187)),
        1 => Just((vec![(30, IA), (60, GLACIER)], 150)),
        1 => Just((vec![(31, IA), (61, INSTANT), (151, DEEP)], 400)),
        1 => Just((vec![(30, ONEZONE), (60, DEEP)], 240)),
        1 => Just((vec![(2, TIERING), (40, GLACIER)], 130)),
        1 => Just((vec![(4, INSTANT), (94, DEEP)], 274)),
    ]
}

fn midnights() -> impl Strategy<Value = Timestamp> {
    (0..300_u64).prop_map(|days| Timestamp::from_nanos((START.as_nanos() / DAY + days) * DAY))
}

#[derive(Debug, Clone)]
struct Current {
    transitions: Vec<Transition>,
    expiration: Option<Expiration>,
}

fn current() -> impl Strategy<Value = Current> {
    let by_days = (transitions(), any::<u8>(), 0..30_u32).prop_map(|((moves, least), expires, more)| Current {
        transitions: moves.into_iter().map(|(days, class)| Transition { when: When::Days(days), class }).collect(),
        expiration: (expires >= 128).then_some(Expiration::When(When::Days(least + more))),
    });
    let date = |midnight, class| Transition { when: When::Date(midnight), class };
    prop_oneof![
        8 => by_days,
        1 => midnights().prop_map(|at| Current {
            transitions: Vec::new(), expiration: Some(Expiration::When(When::Date(at))),
        }),
        1 => (midnights(), prop_oneof![Just(IA), Just(GLACIER), Just(TIERING)]).prop_map(move |(at, class)| Current {
            transitions: vec![date(at, class)], expiration: None,
        }),
        2 => Just(Current { transitions: Vec::new(), expiration: Some(Expiration::DeleteMarker) }),
        1 => Just(Current { transitions: Vec::new(), expiration: Some(Expiration::KeepDeleteMarker) }),
    ]
}

#[derive(Debug, Clone)]
struct Noncurrent {
    transitions: Vec<NoncurrentTransition>,
    expiration: Option<NoncurrentExpiration>,
}

fn noncurrent() -> impl Strategy<Value = Noncurrent> {
    let moves = |days, class, newer| NoncurrentTransition { days, class, newer };
    let transitions = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![moves(0, GLACIER, None)]),
        1 => Just(vec![moves(1, INSTANT, None)]),
        1 => Just(vec![moves(3, TIERING, None)]),
        1 => Just(vec![moves(30, IA, Some(1))]),
        1 => Just(vec![moves(30, IA, None), moves(60, DEEP, Some(1))]),
        1 => Just(vec![moves(2, GLACIER, Some(2))]),
    ];
    let newer = prop_oneof![2 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(2))];
    (transitions, any::<bool>(), 1..12_u32, newer).prop_map(|(transitions, expires, more, newer)| {
        let last = transitions.iter().map(|transition| transition.days).max().unwrap_or(0);
        Noncurrent { transitions, expiration: expires.then_some(NoncurrentExpiration { days: last + more, newer }) }
    })
}

fn rules() -> impl Strategy<Value = Rule> {
    let abort = prop_oneof![2 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(7))];
    (filters(), any::<u8>(), current(), noncurrent(), abort).prop_map(
        |(filter, enabled, current, noncurrent, abort)| {
            let by_key = filter.tags.is_empty() && filter.size_over.is_none() && filter.size_under.is_none();
            let marker = matches!(current.expiration, Some(Expiration::DeleteMarker | Expiration::KeepDeleteMarker));
            Rule {
                id: String::new(),
                status: if enabled >= 32 { Status::Enabled } else { Status::Disabled },
                filter,
                transitions: current.transitions,
                expiration: current.expiration.filter(|_| by_key || !marker),
                noncurrent_transitions: noncurrent.transitions,
                noncurrent_expiration: noncurrent.expiration,
                abort_days: abort.filter(|_| by_key),
            }
        },
    )
}

/// One to three rules, of which one, the first that would, acts on noncurrent versions.
pub fn lifecycles() -> impl Strategy<Value = Lifecycle> {
    (vec(rules(), 1..4), any::<bool>()).prop_map(|(mut rules, varies)| {
        let acts = |rule: &Rule| rule.noncurrent_expiration.is_some() || !rule.noncurrent_transitions.is_empty();
        let first = rules.iter().position(acts);
        for (place, rule) in rules.iter_mut().enumerate() {
            rule.id = format!("rule {place}");
            if Some(place) != first {
                rule.noncurrent_transitions.clear();
                rule.noncurrent_expiration = None;
            }
        }
        let minimum =
            if varies { TransitionMinimum::VariesByStorageClass } else { TransitionMinimum::AllStorageClasses128K };
        Lifecycle { rules, minimum }
    })
}

/// Whether the rule does anything, without which S3 would refuse it.
pub fn acts(rule: &Rule) -> bool {
    !rule.transitions.is_empty()
        || rule.expiration.is_some()
        || !rule.noncurrent_transitions.is_empty()
        || rule.noncurrent_expiration.is_some()
        || rule.abort_days.is_some()
}

//! The tables of S3's lifecycle rules, row by row; and what holds for any rules.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

use super::{
    Action, Calendar, Expiration, Filter, FilterForm, Kind, Lifecycle, Next, NoncurrentExpiration,
    NoncurrentTransition, Position, Rule, Status, Subject, TRANSITION_BYTES_MIN, Transition, TransitionMinimum, When,
};
use crate::bucket::Versioning;
use crate::object::{StorageClass, Tag};
use crate::stamp::Timestamp;
use crate::tiering::Tier;

use StorageClass::{DeepArchive, Glacier, GlacierIr, IntelligentTiering, OnezoneIa, StandardIa};

const TARGETS: [StorageClass; 6] = [StandardIa, OnezoneIa, IntelligentTiering, GlacierIr, Glacier, DeepArchive];

fn day(number: u32) -> Timestamp {
    Timestamp::from_secs(u64::from(number) * 86_400)
}

/// A rule in force for everything, without actions.
fn rule() -> Rule {
    let filter = Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty };
    Rule {
        id: "rule".to_owned(),
        status: Status::Enabled,
        filter,
        transitions: vec![],
        expiration: None,
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    }
}

fn transition(days: u32, class: StorageClass) -> Rule {
    Rule { transitions: vec![Transition { when: When::Days(days), class }], ..rule() }
}

fn expiration(days: u32) -> Rule {
    Rule { expiration: Some(Expiration::When(When::Days(days))), ..rule() }
}

fn noncurrent_transition(days: u32, class: StorageClass, newer: Option<u32>) -> Rule {
    Rule { noncurrent_transitions: vec![NoncurrentTransition { days, class, newer }], ..rule() }
}

fn noncurrent_expiration(days: u32, newer: Option<u32>) -> Rule {
    Rule { noncurrent_expiration: Some(NoncurrentExpiration { days, newer }), ..rule() }
}

fn lifecycle(rules: &[Rule]) -> Lifecycle {
    Lifecycle { rules: rules.to_vec(), minimum: TransitionMinimum::default() }
}

/// A large current object, made on day 0.
fn object() -> Subject<'static> {
    Subject::current("key", 1 << 20, &[], day(0))
}

/// A large object that became noncurrent on day 10.
fn noncurrent(newer: u32) -> Subject<'static> {
    Subject { position: Position::Noncurrent { since: day(10), newer }, ..object() }
}

/// What comes next, before anything is overdue, as the day and the action.
fn next(rules: &[Rule], subject: &Subject<'_>, versioning: Versioning) -> Option<(Timestamp, Action)> {
    match lifecycle(rules).next(subject, versioning, &Calendar::REAL, day(0)) {
        Next::At(due) => Some((due.at, due.action)),
        Next::Never | Next::Parked => None,
    }
}

#[test]
fn transitions_follow_the_waterfall() {
    fn check(from: StorageClass, tier: Tier, allowed: &[StorageClass]) {
        for to in TARGETS {
            let subject = Subject { class: from, tier, ..object() };
            let found = next(&[transition(30, to)], &subject, Versioning::Unversioned);
            let expected = allowed.contains(&to).then_some((day(30), Action::Transition(to)));
            assert_eq!(found, expected, "{from:?} {tier:?} to {to:?}");
            let old = Subject { class: from, tier, ..noncurrent(0) };
            let found = next(&[noncurrent_transition(30, to, None)], &old, Versioning::Enabled);
            let expected = allowed.contains(&to).then_some((day(40), Action::Transition(to)));
            assert_eq!(found, expected, "noncurrent {from:?} {tier:?} to {to:?}");
        }
    }
    let any = Tier::Frequent;
    check(StorageClass::Standard, any, &TARGETS);
    check(StorageClass::ReducedRedundancy, any, &TARGETS);
    check(StandardIa, any, &[IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive]);
    check(OnezoneIa, any, &[Glacier, DeepArchive]);
    check(GlacierIr, any, &[Glacier, DeepArchive]);
    check(Glacier, any, &[DeepArchive]);
    check(DeepArchive, any, &[]);
    check(IntelligentTiering, Tier::Frequent, &[OnezoneIa, GlacierIr, Glacier, DeepArchive]);
    check(IntelligentTiering, Tier::Infrequent, &[OnezoneIa, GlacierIr, Glacier, DeepArchive]);
    check(IntelligentTiering, Tier::ArchiveInstant, &[GlacierIr, Glacier, DeepArchive]);
    check(IntelligentTiering, Tier::Archive, &[Glacier, DeepArchive]);
    check(IntelligentTiering, Tier::DeepArchive, &[DeepArchive]);
    // A tier is only looked at in its class.
    check(StandardIa, Tier::DeepArchive, &[IntelligentTiering, OnezoneIa, GlacierIr, Glacier, DeepArchive]);
}

#[test]
fn small_objects_stay() {
    fn check(minimum: TransitionMinimum, filter: Filter, size: u64, allowed: &[StorageClass]) {
        for to in TARGETS {
            let moves = Rule { filter: filter.clone(), ..transition(30, to) };
            let found = Lifecycle { rules: vec![moves], minimum }.next(
                &Subject { size, ..object() },
                Versioning::Unversioned,
                &Calendar::REAL,
                day(0),
            );
            assert_eq!(found != Next::Never, allowed.contains(&to), "{minimum:?} {size} {to:?}");
        }
    }
    use TransitionMinimum::{AllStorageClasses128K, VariesByStorageClass};
    let everything = || rule().filter;
    let least = TRANSITION_BYTES_MIN;
    check(AllStorageClasses128K, everything(), least - 1, &[]);
    check(AllStorageClasses128K, everything(), least, &TARGETS);
    check(VariesByStorageClass, everything(), least - 1, &[Glacier, DeepArchive]);
    check(VariesByStorageClass, everything(), least, &TARGETS);
    check(AllStorageClasses128K, Filter { size_over: Some(10), ..everything() }, 11, &TARGETS);
    check(AllStorageClasses128K, Filter { size_under: Some(10), ..everything() }, 9, &TARGETS);
    check(VariesByStorageClass, Filter { size_under: Some(10), ..everything() }, 9, &TARGETS);
    // Expirations do not ask for a size.
    let small = Subject { size: 0, ..object() };
    assert_eq!(next(&[expiration(1)], &small, Versioning::Unversioned), Some((day(1), Action::Expire)));
}

#[test]
fn filters() {
    fn check(filter: Filter, key: &str, size: u64, tags: &[(&str, &str)], expected: bool) {
        let tags: Vec<Tag> = tags.iter().map(|&(key, value)| tag(key, value)).collect();
        let subject = Subject::current(key, size, &tags, day(0));
        let expires = Rule { filter: filter.clone(), ..expiration(1) };
        let found = next(&[expires], &subject, Versioning::Unversioned).is_some();
        assert_eq!(found, expected, "{filter:?}: {key}, {size}, {tags:?}");
    }
    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }
    let empty = || rule().filter;
    let prefix = |text: &str| Filter { prefix: Some(text.to_owned()), ..empty() };
    check(empty(), "any", 0, &[], true);
    check(prefix(""), "any", 0, &[], true);
    check(prefix("a/"), "a/b", 0, &[], true);
    check(prefix("a/"), "a", 0, &[], false);
    check(prefix("a/"), "b/a/", 0, &[], false);
    let tagged = |tags: &[Tag]| Filter { tags: tags.to_vec(), ..empty() };
    check(tagged(&[tag("k", "v")]), "any", 0, &[("x", "y"), ("k", "v")], true);
    check(tagged(&[tag("k", "v")]), "any", 0, &[("k", "w")], false);
    check(tagged(&[tag("k", "v")]), "any", 0, &[("K", "v")], false);
    check(tagged(&[tag("k", "v")]), "any", 0, &[], false);
    check(tagged(&[tag("k", "")]), "any", 0, &[("k", "")], true);
    check(tagged(&[tag("k", "v"), tag("l", "w")]), "any", 0, &[("k", "v")], false);
    check(tagged(&[tag("k", "v"), tag("l", "w")]), "any", 0, &[("l", "w"), ("k", "v")], true);
    let over = |bytes| Filter { size_over: Some(bytes), ..empty() };
    check(over(10), "any", 10, &[], false);
    check(over(10), "any", 11, &[], true);
    let under = |bytes| Filter { size_under: Some(bytes), ..empty() };
    check(under(10), "any", 10, &[], false);
    check(under(10), "any", 9, &[], true);
    let all =
        || Filter { prefix: Some("a".to_owned()), size_over: Some(1), size_under: Some(9), ..tagged(&[tag("k", "v")]) };
    check(all(), "ab", 5, &[("k", "v")], true);
    check(all(), "b", 5, &[("k", "v")], false);
    check(all(), "ab", 1, &[("k", "v")], false);
    check(all(), "ab", 9, &[("k", "v")], false);
    check(all(), "ab", 5, &[], false);
}

#[test]
fn due_times() {
    fn check(created_secs: u64, rule: &Rule, expected: Timestamp) {
        let subject = Subject { created: Timestamp::from_secs(created_secs), ..object() };
        assert_eq!(
            next(std::slice::from_ref(rule), &subject, Versioning::Unversioned).map(|(at, _)| at),
            Some(expected)
        );
    }
    // 15 January 10:30 and 3 days make 19 January 00:00.
    check(15 * 86_400 + 37_800, &expiration(3), day(19));
    check(15 * 86_400 + 37_800, &transition(3, Glacier), day(19));
    check(15 * 86_400 + 37_800, &transition(0, Glacier), day(16));
    check(15 * 86_400, &expiration(3), day(18));
    let on = |date, class| Rule { transitions: vec![Transition { when: When::Date(date), class }], ..rule() };
    check(86_400, &Rule { expiration: Some(Expiration::When(When::Date(day(9)))), ..rule() }, day(9));
    check(86_400, &on(day(9), Glacier), day(9));
    // A date applies to what is made after it, too.
    check(20 * 86_400, &on(day(9), Glacier), day(9));
    // No object is moved to these within 30 days.
    check(86_400, &on(day(9), StandardIa), day(31));
    check(86_400, &on(day(9), OnezoneIa), day(31));
    check(86_400, &on(day(99), OnezoneIa), day(99));
}

#[test]
fn noncurrent_days_count_from_the_successor() {
    let since = Timestamp::from_nanos(day(10).as_nanos() + 1);
    let subject = Subject { position: Position::Noncurrent { since, newer: 0 }, ..object() };
    let rules = [noncurrent_expiration(5, None)];
    assert_eq!(next(&rules, &subject, Versioning::Enabled), Some((day(16), Action::Remove)));
    assert_eq!(next(&rules, &noncurrent(0), Versioning::Suspended), Some((day(15), Action::Remove)));
}

#[test]
fn conflicts() {
    fn check(rules: &[Rule], versioning: Versioning, expected: (u32, Action)) {
        let expected = Some((day(expected.0), expected.1));
        assert_eq!(next(rules, &object(), versioning), expected);
        // The order of the rules does not count.
        let reversed: Vec<Rule> = rules.iter().rev().cloned().collect();
        assert_eq!(next(&reversed, &object(), versioning), expected, "reversed");
        // Nor does it matter whether it is one rule that asks for everything.
        let mut whole = rule();
        for part in rules.iter().filter(|rule| rule.status == Status::Enabled) {
            whole.transitions.extend(part.transitions.clone());
            let earlier = match (whole.expiration, part.expiration) {
                (Some(Expiration::When(When::Days(a))), Some(Expiration::When(When::Days(b)))) => {
                    Some(Expiration::When(When::Days(a.min(b))))
                }
                (one, other) => one.or(other),
            };
            whole.expiration = earlier;
        }
        assert_eq!(next(&[whole], &object(), versioning), expected, "in one rule");
    }
    let plain = Versioning::Unversioned;
    let disabled = |rule: Rule| Rule { status: Status::Disabled, ..rule };
    check(&[expiration(5), expiration(3)], plain, (3, Action::Expire));
    check(&[transition(60, Glacier), transition(40, Glacier)], plain, (40, Action::Transition(Glacier)));
    for (stronger, weaker) in [
        (Glacier, StandardIa),
        (Glacier, OnezoneIa),
        (Glacier, GlacierIr),
        (DeepArchive, Glacier),
        (GlacierIr, OnezoneIa),
        (OnezoneIa, StandardIa),
        (IntelligentTiering, StandardIa),
        (IntelligentTiering, OnezoneIa),
        (IntelligentTiering, GlacierIr),
        (Glacier, IntelligentTiering),
        (DeepArchive, IntelligentTiering),
    ] {
        check(&[transition(30, stronger), transition(30, weaker)], plain, (30, Action::Transition(stronger)));
        check(&[transition(31, stronger), transition(30, weaker)], plain, (30, Action::Transition(weaker)));
    }
    check(&[expiration(30), transition(30, DeepArchive)], plain, (30, Action::Expire));
    for versioning in [Versioning::Enabled, Versioning::Suspended] {
        let expected = Action::Transition(StandardIa);
        check(&[expiration(30), transition(30, StandardIa)], versioning, (30, expected));
    }
    check(&[expiration(30), transition(31, DeepArchive)], Versioning::Enabled, (30, Action::Expire));
    check(&[disabled(expiration(1)), expiration(3)], plain, (3, Action::Expire));
    let rules = [noncurrent_transition(30, DeepArchive, None), noncurrent_expiration(30, None)];
    assert_eq!(next(&rules, &noncurrent(0), Versioning::Enabled), Some((day(40), Action::Remove)));
}

#[test]
fn who_won_a_day_stays_the_days_after() {
    fn check(rules: &[Rule], now: u32, expected: Option<(u32, StorageClass)>) {
        for reversed in [false, true] {
            let mut rules = rules.to_vec();
            if reversed {
                rules.reverse();
            }
            let subject = Subject { class: IntelligentTiering, ..object() };
            let found = lifecycle(&rules).next(&subject, Versioning::Unversioned, &Calendar::REAL, day(now));
            let expected = expected.map_or(Next::Never, |(at, class)| {
                let rule = rules.iter().position(|rule| rule.transitions[0].class == class).expect("a rule");
                Next::At(super::Due { at: day(at), action: Action::Transition(class), rule })
            });
            assert_eq!(found, expected, "{rules:?} on day {now}");
        }
    }
    for weaker in [GlacierIr, OnezoneIa] {
        let both = [transition(30, weaker), transition(30, IntelligentTiering)];
        check(&both, 0, None);
        check(&both, 31, None);
        check(&both, 400, None);
        let archived = [&both[..], &[transition(90, Glacier)]].concat();
        check(&archived, 31, Some((90, Glacier)));
        // One that comes later has its day.
        let later = [transition(40, weaker), transition(30, IntelligentTiering)];
        check(&later, 31, Some((40, weaker)));
        check(&later, 400, Some((40, weaker)));
        // One that comes before has it too, unless that day is over.
        let earlier = [transition(30, weaker), transition(40, IntelligentTiering)];
        check(&earlier, 5, Some((30, weaker)));
        check(&earlier, 41, None);
        check(&[transition(30, weaker)], 400, Some((30, weaker)));
        // Small ones are not moved to INTELLIGENT_TIERING.
        let small = Filter { size_over: Some(0), form: FilterForm::Single, ..rule().filter };
        let sized = Rule { filter: small, ..transition(30, weaker) };
        let subject = Subject { class: IntelligentTiering, size: 1000, ..object() };
        let rules = [sized, transition(30, IntelligentTiering)];
        let expected = Some((day(30), Action::Transition(weaker)));
        assert_eq!(next(&rules, &subject, Versioning::Unversioned), expected);
        // Of noncurrent versions alike.
        let subject = Subject { class: IntelligentTiering, ..noncurrent(0) };
        let old =
            |newer| [noncurrent_transition(30, weaker, None), noncurrent_transition(30, IntelligentTiering, newer)];
        assert_eq!(next(&old(None), &subject, Versioning::Enabled), None);
        let expected = Some((day(40), Action::Transition(weaker)));
        assert_eq!(next(&old(Some(1)), &subject, Versioning::Enabled), expected);
    }
}

#[test]
fn what_is_overdue_is_one_days_work() {
    fn check(now: u32, versioning: Versioning, expected: (u32, Action)) {
        let rules = [transition(30, StandardIa), transition(90, Glacier), expiration(365)];
        let found = lifecycle(&rules).next(&object(), versioning, &Calendar::REAL, day(now));
        let Next::At(due) = found else { panic!("nothing on day {now}") };
        assert_eq!((due.at, due.action), (day(expected.0), expected.1), "on day {now}");
    }
    check(0, Versioning::Enabled, (30, Action::Transition(StandardIa)));
    check(89, Versioning::Enabled, (30, Action::Transition(StandardIa)));
    check(90, Versioning::Enabled, (90, Action::Transition(Glacier)));
    check(400, Versioning::Enabled, (90, Action::Transition(Glacier)));
    check(364, Versioning::Unversioned, (90, Action::Transition(Glacier)));
    check(365, Versioning::Unversioned, (365, Action::Expire));
}

#[test]
fn after_a_transition_comes_the_next() {
    let rules = [transition(30, StandardIa), transition(90, Glacier), expiration(365)];
    let mut subject = object();
    let mut steps = Vec::new();
    while let Some((at, action)) = next(&rules, &subject, Versioning::Enabled) {
        steps.push((at, action));
        let Action::Transition(class) = action else { break };
        subject.class = class;
    }
    let expected = [(30, Action::Transition(StandardIa)), (90, Action::Transition(Glacier)), (365, Action::Expire)];
    assert_eq!(steps, expected.map(|(number, action)| (day(number), action)));
}

#[test]
fn the_rule_is_named() {
    let rules = [rule(), Rule { status: Status::Disabled, ..expiration(1) }, expiration(5), expiration(5)];
    let found = lifecycle(&rules).next(&object(), Versioning::Unversioned, &Calendar::REAL, day(0));
    assert!(matches!(found, Next::At(due) if due.rule == 2), "{found:?}");
}

#[test]
fn delete_markers() {
    fn check(rule: Rule, alone: bool, expected: Next) {
        let subject = Subject { kind: Kind::DeleteMarker, size: 0, position: Position::Current { alone }, ..object() };
        for versioning in [Versioning::Enabled, Versioning::Suspended] {
            let found = lifecycle(std::slice::from_ref(&rule)).next(&subject, versioning, &Calendar::REAL, day(0));
            assert_eq!(found, expected, "{rule:?}");
        }
    }
    let removal = |number| Next::At(super::Due { at: day(number), action: Action::RemoveMarker, rule: 0 });
    let expires = |expiration| Rule { expiration: Some(expiration), ..rule() };
    check(expiration(3), true, removal(3));
    check(expiration(3), false, Next::Parked);
    check(expires(Expiration::DeleteMarker), true, removal(0));
    check(expires(Expiration::DeleteMarker), false, Next::Parked);
    check(expires(Expiration::KeepDeleteMarker), true, Next::Never);
    check(expires(Expiration::When(When::Date(day(1)))), true, Next::Never);
    check(transition(30, Glacier), true, Next::Never);
    check(noncurrent_expiration(1, None), true, Next::Never);
    // A marker has neither tags nor a size.
    let sized = Filter { size_under: Some(10), form: FilterForm::Single, ..rule().filter };
    check(Rule { filter: sized, ..expiration(3) }, true, Next::Never);
    let tags = vec![Tag { key: "k".to_owned(), value: String::new() }];
    let tagged = Filter { tags, form: FilterForm::Single, ..rule().filter };
    check(Rule { filter: tagged, ..expiration(3) }, true, Next::Never);
    // A noncurrent marker is removed like any noncurrent version, and never moved.
    let old = Subject { kind: Kind::DeleteMarker, size: 0, ..noncurrent(0) };
    assert_eq!(next(&[noncurrent_expiration(1, None)], &old, Versioning::Enabled), Some((day(11), Action::Remove)));
    assert_eq!(next(&[noncurrent_transition(30, Glacier, None)], &old, Versioning::Enabled), None);
}

#[test]
fn current_and_noncurrent_are_apart() {
    let rules = [transition(30, Glacier), expiration(40)];
    assert_eq!(next(&rules, &noncurrent(0), Versioning::Enabled), None);
    let rules = [noncurrent_transition(30, Glacier, None), noncurrent_expiration(40, None)];
    assert_eq!(next(&rules, &object(), Versioning::Enabled), None);
    let markers = Rule { expiration: Some(Expiration::DeleteMarker), ..rule() };
    assert_eq!(next(&[markers], &object(), Versioning::Enabled), None);
}

#[test]
fn newer_versions_keep_their_number() {
    fn check(rule: Rule, newer: u32, expected: Option<Action>) {
        let found = lifecycle(&[rule]).next(&noncurrent(newer), Versioning::Enabled, &Calendar::REAL, day(99));
        match (found, expected) {
            (Next::At(due), Some(action)) => assert_eq!((due.at, due.action), (day(40), action), "{newer}"),
            (found, expected) => assert_eq!((found, expected), (Next::Parked, None), "{newer}"),
        }
    }
    for (newer, wanted) in [(0, 1), (4, 5), (99, 100)] {
        check(noncurrent_expiration(30, Some(wanted)), newer, None);
        check(noncurrent_expiration(30, Some(wanted)), newer + 1, Some(Action::Remove));
        check(noncurrent_transition(30, Glacier, Some(wanted)), newer, None);
        check(noncurrent_transition(30, Glacier, Some(wanted)), newer + 1, Some(Action::Transition(Glacier)));
    }
    // Parked only if nothing else is to come.
    let rules = [noncurrent_expiration(30, Some(5)), noncurrent_expiration(365, None)];
    assert_eq!(next(&rules, &noncurrent(0), Versioning::Enabled), Some((day(375), Action::Remove)));
}

fn named(id: &str, rule: Rule) -> Rule {
    Rule { id: id.to_owned(), ..rule }
}

#[test]
fn announced_expirations() {
    fn check(rules: &[Rule], expected: Option<(u32, &str)>) {
        let lifecycle = lifecycle(rules);
        let found = lifecycle.expiration(&object(), &Calendar::REAL);
        assert_eq!(found, expected.map(|(number, id)| (day(number), id)));
        let old = noncurrent(0);
        let marker = Subject { kind: Kind::DeleteMarker, ..object() };
        assert_eq!([old, marker].map(|subject| lifecycle.expiration(&subject, &Calendar::REAL)), [None, None]);
    }
    let other = Filter { prefix: Some("other".to_owned()), ..rule().filter };
    check(&[], None);
    check(&[named("a", expiration(5))], Some((5, "a")));
    check(&[named("a", expiration(5)), named("b", expiration(4))], Some((4, "b")));
    check(&[named("a", expiration(5)), named("b", expiration(5))], Some((5, "a")));
    let dated = Rule { expiration: Some(Expiration::When(When::Date(day(2)))), ..rule() };
    check(&[named("a", expiration(5)), named("b", dated)], Some((2, "b")));
    check(&[Rule { status: Status::Disabled, ..expiration(5) }], None);
    check(&[Rule { filter: other, ..expiration(5) }], None);
    check(&[Rule { expiration: Some(Expiration::DeleteMarker), ..rule() }], None);
    check(&[noncurrent_expiration(5, None), transition(5, Glacier)], None);
}

#[test]
fn announced_aborts() {
    fn check(rules: &[Rule], key: &str, expected: Option<(u32, &str)>) {
        let initiated = Timestamp::from_secs(86_400 + 1);
        let lifecycle = lifecycle(rules);
        let found = lifecycle.abort(key, initiated, &Calendar::REAL);
        assert_eq!(found, expected.map(|(number, id)| (day(number), id)), "{key}");
    }
    let abort = |id: &str, days, prefix: &str| {
        let filter = Filter { prefix: Some(prefix.to_owned()), ..rule().filter };
        named(id, Rule { abort_days: Some(days), filter, ..rule() })
    };
    check(&[], "key", None);
    check(&[abort("a", 7, "")], "key", Some((9, "a")));
    check(&[abort("a", 7, "k"), abort("b", 3, "key")], "key", Some((5, "b")));
    check(&[abort("a", 3, "k"), abort("b", 3, "key")], "key", Some((5, "a")));
    check(&[abort("a", 7, "k")], "other", None);
    check(&[Rule { status: Status::Disabled, ..abort("a", 7, "") }], "key", None);
    check(&[expiration(5)], "key", None);
}

#[test]
fn what_a_configuration_asks_for() {
    fn check(rules: &[Rule], newer: u32, [noncurrent, markers, uploads]: [bool; 3]) {
        let lifecycle = lifecycle(rules);
        let found = [lifecycle.acts_on_noncurrent(), lifecycle.acts_on_markers(), lifecycle.aborts_uploads()];
        assert_eq!((lifecycle.most_newer(), found), (newer, [noncurrent, markers, uploads]), "{rules:?}");
    }
    check(&[], 0, [false; 3]);
    check(&[transition(30, Glacier)], 0, [false; 3]);
    check(&[expiration(1)], 0, [false, true, false]);
    check(&[Rule { expiration: Some(Expiration::DeleteMarker), ..rule() }], 0, [false, true, false]);
    check(&[Rule { abort_days: Some(1), ..rule() }], 0, [false, false, true]);
    let both = [noncurrent_expiration(1, Some(3)), noncurrent_transition(1, Glacier, Some(7))];
    check(&both, 7, [true, false, false]);
    check(&both.map(|rule| Rule { status: Status::Disabled, ..rule }), 0, [false; 3]);
}

#[test]
fn keys_of_no_concern() {
    let prefix = |text: &str| Filter { prefix: Some(text.to_owned()), ..rule().filter };
    let rules = [Rule { filter: prefix("a/"), ..expiration(1) }, Rule { status: Status::Disabled, ..expiration(1) }];
    let lifecycle = lifecycle(&rules);
    assert!(lifecycle.concerns("a/b"));
    assert!(!lifecycle.concerns("b"));
}

#[test]
fn configurations_are_kept() {
    let filter = Filter {
        prefix: Some("p".to_owned()),
        tags: vec![Tag { key: "k".to_owned(), value: "v".to_owned() }],
        size_over: Some(1),
        size_under: None,
        form: FilterForm::And,
    };
    let whole = Rule {
        filter,
        transitions: vec![Transition { when: When::Date(day(1)), class: Glacier }],
        noncurrent_transitions: vec![NoncurrentTransition { days: 1, class: Glacier, newer: Some(2) }],
        noncurrent_expiration: Some(NoncurrentExpiration { days: 3, newer: None }),
        abort_days: Some(4),
        ..expiration(5)
    };
    let kept = Lifecycle { rules: vec![whole, rule()], minimum: TransitionMinimum::VariesByStorageClass };
    let bytes = postcard::to_stdvec(&kept).expect("postcard encodes it");
    assert_eq!(postcard::from_bytes::<Lifecycle>(&bytes).expect("it was just encoded"), kept);
}

/// Rules with few different days and classes, so that they meet often.
fn any_rule() -> impl Strategy<Value = Rule> {
    let when =
        || prop_oneof![(0..100_u32).prop_map(When::Days), (0..100_u32).prop_map(|number| When::Date(day(number)))];
    let moves = (when(), select(TARGETS.to_vec())).prop_map(|(when, class)| Transition { when, class });
    let old = (0..100_u32, select(TARGETS.to_vec()), option::of(1..4_u32))
        .prop_map(|(days, class, newer)| NoncurrentTransition { days, class, newer });
    let end = (1..100_u32, option::of(1..4_u32)).prop_map(|(days, newer)| NoncurrentExpiration { days, newer });
    let expiration = prop_oneof![when().prop_map(Expiration::When), Just(Expiration::DeleteMarker)];
    let parts = (vec(moves, 0..3), option::of(expiration), vec(old, 0..3), option::of(end));
    parts.prop_map(|(transitions, expiration, noncurrent_transitions, noncurrent_expiration)| Rule {
        transitions,
        expiration,
        noncurrent_transitions,
        noncurrent_expiration,
        ..rule()
    })
}

fn any_subject() -> impl Strategy<Value = Subject<'static>> {
    let current = any::<bool>().prop_map(|alone| Position::Current { alone });
    let old = (0..100_u32, 0..5_u32).prop_map(|(number, newer)| Position::Noncurrent { since: day(number), newer });
    let kind = prop_oneof![4 => Just(Kind::Object), 1 => Just(Kind::DeleteMarker)];
    (prop_oneof![current, old], kind, 0..100_u32, select(StorageClass::ALL.to_vec()))
        .prop_map(|(position, kind, number, class)| Subject { position, kind, created: day(number), class, ..object() })
}

proptest! {
    /// What a timer was set for is what is found when it goes off, so a worker may decide once or twice.
    #[test]
    fn a_decision_stays_until_it_is_due(rules in vec(any_rule(), 0..5), subject in any_subject(), share in 0..=100_u64) {
        let lifecycle = lifecycle(&rules);
        let decide = |now| lifecycle.next(&subject, Versioning::Enabled, &Calendar::REAL, now);
        let first = decide(day(0));
        if let Next::At(due) = first {
            prop_assert_eq!(decide(Timestamp::from_nanos(due.at.as_nanos() / 100 * share)), first);
            prop_assert_eq!(decide(due.at), first);
        }
    }

    /// Acting on every decision ends, whatever the rules: each transition leads down.
    #[test]
    fn every_version_comes_to_rest(rules in vec(any_rule(), 0..5), subject in any_subject(), now in 0..300_u32) {
        let (lifecycle, mut subject) = (lifecycle(&rules), subject);
        let mut moves = 0;
        while let Next::At(due) = lifecycle.next(&subject, Versioning::Enabled, &Calendar::REAL, day(now)) {
            let Action::Transition(class) = due.action else { break };
            prop_assert!(TARGETS.contains(&class) && class != subject.class);
            subject.class = class;
            moves += 1;
            prop_assert!(moves < StorageClass::ALL.len());
        }
    }
}

//! Histories written by hand, of which it is known whether an order explains them.

use strata_storage::{Stamp, Timestamp, Versioning};

use crate::history::{Answer, Call, Condition, Content, Event, Id, Refusal, Which, joined};
use crate::search::{Verdict, search};
use crate::spec::State;

use Refusal::{Conflict, NoKey, NoUpload, NoVersion, Precondition};

/// Content of a number.
fn content(number: u8) -> Content {
    Content([number; 16], 0)
}

fn stamp(number: u64) -> Stamp {
    Stamp { time: Timestamp::from_nanos(number), random: 0 }
}

/// The id of a number.
fn id(number: u64) -> Id {
    Id::Of(stamp(number))
}

/// A call that began and ended then.
fn at(begun: u64, ended: u64, call: Call, answer: Answer) -> Event {
    Event { client: 0, begun, call, ended: Some((ended, answer)) }
}

/// A call of which nobody saw the end.
fn unseen(begun: u64, call: Call) -> Event {
    Event { client: 0, begun, call, ended: None }
}

fn put_if(condition: Condition, number: u8) -> Call {
    Call::Put { content: content(number), condition, tags: 0 }
}

fn put(number: u8) -> Call {
    put_if(Condition::None, number)
}

/// What a put in a bucket that is not versioned answers.
fn written(number: u8) -> Answer {
    Answer::Written(None, content(number))
}

const GET: Call = Call::Get(Which::Current);

fn holds(number: u8) -> Answer {
    Answer::Object { id: Id::Null, content: content(number), tags: 0 }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}

fn deleted() -> Answer {
    Answer::Deleted { marker: false, id: None }
}

fn enabled() -> Event {
    at(0, 1, Call::SetVersioning(Versioning::Enabled), Answer::Done)
}

#[track_caller]
fn check(explained: bool, events: &[Event]) {
    match (explained, search(State::new(), events.to_vec())) {
        (true, Verdict::Linearizable) | (false, Verdict::Not(_)) => {}
        (_, verdict) => panic!("{verdict:?}"),
    }
}

#[test]
fn one_after_the_other() {
    let delete = Call::Delete { condition: Condition::None };
    let events = [
        at(0, 1, put(1), written(1)),
        at(2, 3, GET, holds(1)),
        at(4, 5, delete, deleted()),
        at(6, 7, GET, refused(NoKey)),
    ];
    check(true, &events);
    check(false, &[events[0].clone(), events[1].clone(), events[2].clone(), at(6, 7, GET, holds(1))]);
    check(false, &[at(0, 1, put(1), written(1)), at(2, 3, GET, refused(NoKey))]);
    check(false, &[at(0, 1, GET, holds(1)), at(2, 3, put(1), written(1))]);
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    for seen in [1, 2] {
        check(true, &[at(0, 1, put(1), written(1)), at(2, 9, put(2), written(2)), at(3, 4, GET, holds(seen))]);
    }
}

#[test]
fn a_stale_read_after_a_later_one() {
    let writes = [at(0, 1, put(1), written(1)), at(2, 9, put(2), written(2))];
    let read = |first, second| [at(3, 4, GET, holds(first)), at(5, 6, GET, holds(second))];
    check(true, &[writes.clone(), read(1, 2)].concat());
    check(false, &[writes.clone(), read(2, 1)].concat());
    // Reads that overlap are in no order.
    check(true, &[&writes[..], &[at(3, 6, GET, holds(2)), at(4, 5, GET, holds(1))]].concat());
}

#[test]
fn two_orders_for_two_readers() {
    let writes = [at(0, 9, put(1), written(1)), at(0, 9, put(2), written(2))];
    let reads =
        |first, second, begun| [at(begun, begun + 1, GET, holds(first)), at(begun + 3, begun + 4, GET, holds(second))];
    check(true, &[writes.clone(), reads(1, 2, 1), reads(1, 2, 1)].concat());
    check(false, &[writes.clone(), reads(1, 2, 1), reads(2, 1, 1)].concat());
}

#[test]
fn of_two_that_create_one_wins() {
    let create = |number| put_if(Condition::Absent, number);
    check(true, &[at(0, 5, create(1), written(1)), at(1, 6, create(2), refused(Precondition))]);
    check(false, &[at(0, 5, create(1), written(1)), at(1, 6, create(2), written(2))]);
    check(false, &[at(0, 5, create(1), refused(Precondition)), at(1, 6, create(2), refused(Precondition))]);
    // Unless a delete came between.
    let delete = Call::Delete { condition: Condition::None };
    check(true, &[at(0, 5, create(1), written(1)), at(1, 6, create(2), written(2)), at(2, 7, delete, deleted())]);
}

#[test]
fn an_update_is_not_lost() {
    let replace = |number| put_if(Condition::Match(content(1)), number);
    let first = at(0, 1, put(1), written(1));
    check(true, &[first.clone(), at(2, 8, replace(2), written(2)), at(3, 9, replace(3), refused(Precondition))]);
    check(false, &[first.clone(), at(2, 8, replace(2), written(2)), at(3, 9, replace(3), written(3))]);
    let delete = Call::Delete { condition: Condition::Match(content(1)) };
    check(false, &[first.clone(), at(2, 8, replace(2), written(2)), at(3, 9, delete.clone(), deleted())]);
    check(true, &[first.clone(), at(2, 8, replace(2), refused(NoKey)), at(3, 9, delete.clone(), deleted())]);
    // It may be that the first content came back.
    check(
        true,
        &[
            first,
            at(2, 8, replace(2), written(2)),
            at(3, 9, put(1), written(1)),
            at(4, 10, replace(3), written(3)),
            at(11, 12, GET, holds(3)),
        ],
    );
}

#[test]
fn what_nobody_saw_the_end_of_may_come_late_and_once() {
    let begun = unseen(2, put(2));
    let first = at(0, 1, put(1), written(1));
    let reads = |seen: &[u8]| -> Vec<Event> {
        let read = |(at_, seen): (u64, &u8)| at(at_, at_ + 1, GET, holds(*seen));
        (3..).step_by(2).zip(seen).map(read).collect()
    };
    let events = |seen: &[u8]| [vec![first.clone(), begun.clone()], reads(seen)].concat();
    check(true, &events(&[1, 1, 1]));
    check(true, &events(&[2, 2, 2]));
    check(true, &events(&[1, 1, 2]));
    check(false, &events(&[1, 2, 1]));
    // Not before it began.
    check(false, &[at(0, 1, GET, holds(2)), unseen(2, put(2))]);
    // The same of what was absent, and of what a delete takes away.
    let absent = |at_: u64| at(at_, at_ + 1, GET, refused(NoKey));
    check(true, &[begun.clone(), absent(3), at(5, 6, GET, holds(2))]);
    check(false, &[begun.clone(), at(3, 4, GET, holds(2)), absent(5)]);
    let delete = unseen(2, Call::Delete { condition: Condition::None });
    check(true, &[first.clone(), delete.clone(), at(3, 4, GET, holds(1)), absent(5)]);
    check(false, &[first.clone(), delete, absent(3), at(5, 6, GET, holds(1))]);
    // A condition still counts.
    let begun = unseen(2, put_if(Condition::Absent, 2));
    check(false, &[first, begun, at(3, 4, GET, holds(2))]);
}

#[test]
fn an_id_that_nobody_was_told_is_found_out() {
    let object = |number, of| Answer::Object { id: id(number), content: content(of), tags: 0 };
    let begun = unseen(2, put(1));
    check(true, &[enabled(), begun.clone(), at(3, 4, GET, object(7, 1)), at(5, 6, GET, object(7, 1))]);
    check(false, &[enabled(), begun.clone(), at(3, 4, GET, object(7, 1)), at(5, 6, GET, object(8, 1))]);
    let delete =
        |number, marker| at(8, 9, Call::DeleteVersion(id(number)), Answer::Deleted { marker, id: Some(id(number)) });
    let seen = at(3, 4, GET, object(7, 1));
    check(true, &[enabled(), begun.clone(), seen.clone(), delete(7, false), at(10, 11, GET, refused(NoKey))]);
    check(true, &[enabled(), begun.clone(), seen.clone(), delete(8, false), at(10, 11, GET, object(7, 1))]);
    check(false, &[enabled(), begun.clone(), seen, delete(8, false), at(10, 11, GET, refused(NoKey))]);
    // A marker that nobody knew of is removed, and tells so.
    let marker = unseen(5, Call::Delete { condition: Condition::None });
    let put = at(2, 3, put(1), Answer::Written(Some(id(4)), content(1)));
    check(true, &[enabled(), put.clone(), marker.clone(), delete(6, true), at(10, 11, GET, object(4, 1))]);
    check(false, &[enabled(), put, marker, delete(4, true)]);
}

#[test]
fn versions_come_and_go() {
    let version = |number: u8| Answer::Written(Some(id(number.into())), content(number));
    let list = |at_: u64, numbers: &[u8]| {
        let versions = numbers.iter().map(|&number| (id(number.into()), Some(content(number)))).collect();
        at(at_, at_ + 1, Call::ListVersions, Answer::Versions(versions))
    };
    let both = [enabled(), at(2, 7, put(1), version(1)), at(3, 8, put(2), version(2))];
    check(true, &[&both[..], &[list(10, &[2, 1])]].concat());
    check(true, &[&both[..], &[list(10, &[1, 2])]].concat());
    check(false, &[&both[..], &[list(10, &[2, 1]), list(12, &[1, 2])]].concat());
    check(false, &[&both[..], &[list(10, &[2])]].concat());
    check(false, &[&both[..], &[list(4, &[2]), list(10, &[2, 1])]].concat());
    let named = |number| Call::Get(Which::Named(id(number)));
    check(true, &[&both[..], &[at(4, 5, named(1), refused(NoVersion)), list(10, &[1, 2])]].concat());
    check(false, &[&both[..], &[at(10, 11, named(1), refused(NoVersion))]].concat());
    // An id belongs to one version.
    check(
        false,
        &[enabled(), at(2, 3, put(1), version(1)), at(4, 5, put(2), Answer::Written(Some(id(1)), content(2)))],
    );
}

#[test]
fn tags_are_those_of_their_version() {
    let tag = |which, tags| Call::SetTags { which, tags };
    let version = |number: u8| Answer::Written(Some(id(number.into())), content(number));
    let object = |number: u8, tags| Answer::Object { id: id(number.into()), content: content(number), tags };
    let put_1 = at(2, 3, put(1), version(1));
    let tag_1 = at(8, 9, tag(Which::Named(id(1)), 5), Answer::Tagged(Some(id(1))));
    check(true, &[enabled(), put_1.clone(), at(4, 10, GET, object(1, 5)), tag_1.clone()]);
    check(false, &[enabled(), put_1.clone(), tag_1.clone(), at(10, 11, GET, object(1, 0))]);
    // The first version had no tags as long as it was the current one.
    let put_2 = at(5, 6, put(2), version(2));
    check(false, &[enabled(), put_1, at(4, 10, GET, object(1, 5)), put_2, tag_1]);
}

#[test]
fn uploads_are_completed_once_and_take_their_place() {
    let create = at(2, 3, Call::CreateUpload(1), Answer::Begun(stamp(3)));
    let part = at(4, 5, Call::PutPart { upload: 1, number: 1, content: content(9) }, Answer::Done);
    let begun = [enabled(), create, part];
    let parts = vec![(1, content(9))];
    let complete = |condition| Call::Complete { upload: 1, parts: parts.clone(), condition };
    let completed = Answer::Written(Some(id(3)), joined(&parts));
    let whole = joined(&parts);
    let done = at(10, 11, complete(Condition::None), completed.clone());
    let object = |id, content| Answer::Object { id, content, tags: 0 };
    check(true, &[&begun[..], &[done.clone(), at(12, 13, GET, object(id(3), whole))]].concat());
    // Completing it again tells the same, aborting it comes too late.
    let again = at(14, 15, complete(Condition::None), completed.clone());
    check(true, &[&begun[..], &[done.clone(), again.clone()]].concat());
    let abort = |answer| at(12, 13, Call::Abort(1), answer);
    check(true, &[&begun[..], &[done.clone(), abort(refused(NoUpload))]].concat());
    check(false, &[&begun[..], &[done.clone(), abort(Answer::Done)]].concat());
    check(false, &[&begun[..], &[abort(Answer::Done), again]].concat());
    // What was written since it began stays the newest.
    let put = at(6, 7, put(1), Answer::Written(Some(id(6)), content(1)));
    let covered = |which| [&begun[..], &[put.clone(), done.clone(), at(12, 13, GET, which)]].concat();
    check(true, &covered(object(id(6), content(1))));
    check(false, &covered(object(id(3), whole)));
    // And is a conflict.
    let same = Condition::Match(content(1));
    check(true, &[&begun[..], &[put.clone(), at(8, 9, complete(same), refused(Conflict))]].concat());
    check(false, &[&begun[..], &[put, at(8, 9, complete(same), completed.clone())]].concat());
    // Of two that create, one wins.
    let create = at(9, 12, put_if(Condition::Absent, 1), Answer::Written(Some(id(6)), content(1)));
    let complete = |answer| at(10, 13, complete(Condition::Absent), answer);
    check(true, &[&begun[..], &[create.clone(), complete(refused(Precondition))]].concat());
    check(false, &[&begun[..], &[create, complete(completed)]].concat());
}

#[test]
fn a_suspended_bucket_replaces_its_null_version_only() {
    let suspended = at(4, 5, Call::SetVersioning(Versioning::Suspended), Answer::Done);
    let first = at(2, 3, put(1), Answer::Written(Some(id(1)), content(1)));
    let list = |versions: &[(Id, Option<Content>)]| at(20, 21, Call::ListVersions, Answer::Versions(versions.to_vec()));
    let delete = |begun| {
        at(
            begun,
            begun + 3,
            Call::Delete { condition: Condition::None },
            Answer::Deleted { marker: true, id: Some(Id::Null) },
        )
    };
    let before = [enabled(), first, suspended];
    let kept = (id(1), Some(content(1)));
    let writes = [at(6, 9, put(2), written(2)), delete(7)];
    check(true, &[&before[..], &writes, &[list(&[(Id::Null, None), kept])]].concat());
    check(true, &[&before[..], &writes, &[list(&[(Id::Null, Some(content(2))), kept])]].concat());
    check(false, &[&before[..], &writes, &[list(&[kept])]].concat());
    check(false, &[&before[..], &writes, &[list(&[(Id::Null, None), (Id::Null, Some(content(2))), kept])]].concat());
}

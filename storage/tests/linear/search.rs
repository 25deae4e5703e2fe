//! The search for an order of all calls on a key that explains every answer, after Wing and Gong, with Lowe's memory.
//!
//! Next in the order may be any call that began before all of those that are left had ended. Which calls were taken and
//! what they led to is kept, so no such place is searched from twice. A call without an answer may be taken or left.
//!
//! A read that may come next is taken at once, and so is what was refused: whatever order there is, there is one with that
//! call here. Not so a call that merely changes nothing here, as deleting what is absent: it may be needed later.

use std::collections::HashSet;

use crate::history::{Event, written};
use crate::spec::State;

/// The most calls of one history: a place in the search is a set of them, as bits.
pub const CALLS_MAX: usize = 128;
/// The most places that are looked at, which bounds time and memory.
const PLACES_MAX: usize = 1 << 18;

/// What a search comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none; says how far one could get.
    Not(String),
    /// None was found in time.
    Undecided,
}

/// Looks for an order, from `state` on. `events` may be in any order.
pub fn search(state: State, mut events: Vec<Event>) -> Verdict {
    // Reads that nobody saw the end of say nothing.
    events.retain(|event| event.ended.is_some() || !event.changes_nothing());
    assert!(events.len() <= CALLS_MAX, "a history of {} calls is too long", events.len());
    events.sort_by_key(|event| event.begun);
    let events: Vec<Entry> =
        events.iter().map(|event| Entry { event: event.clone(), end: end(event, &events) }).collect();
    let must = events.iter().enumerate().filter(|(_, entry)| entry.end.is_some());
    let answered = must.fold(0, |set, (place, _)| set | 1_u128 << place);
    let mut seen = HashSet::from([(0_u128, state.clone())]);
    let mut left = vec![(0_u128, state)];
    let mut farthest = left[0].clone();
    while let Some((taken, state)) = left.pop() {
        if taken & answered == answered {
            return Verdict::Linearizable;
        }
        if (taken & answered).count_ones() > (farthest.0 & answered).count_ones() {
            farthest = (taken, state.clone());
        }
        for (place, state) in following(&events, taken, &state) {
            let place = (taken | 1 << place, state);
            if seen.insert(place.clone()) {
                left.push(place);
            }
        }
        if seen.len() > PLACES_MAX {
            return Verdict::Undecided;
        }
    }
    Verdict::Not(explained(&events, farthest.0, &farthest.1))
}

/// A call of a history that is searched.
struct Entry {
    event: Event,
    /// Before which it must be in the order; `None` if it need not be.
    end: Option<u64>,
}

/// By when a call has happened. If nobody saw its end, but what it alone wrote, that is when they were told so.
fn end(event: &Event, events: &[Event]) -> Option<u64> {
    if let Some((end, _)) = event.ended {
        return Some(end);
    }
    let content = event.call.written()?;
    let is_alone = events.iter().filter(|other| other.call.written() == Some(content)).count() == 1;
    let told = events.iter().filter_map(|other| other.ended.as_ref()).filter(|(_, answer)| answer.shows(content));
    told.map(|(end, _)| *end).min().filter(|_| is_alone)
}

/// What may come next: a call, and a state that it leads to. Those that ended first are tried first, so they are last here.
fn following(events: &[Entry], taken: u128, state: &State) -> Vec<(usize, State)> {
    let mut next = candidates(events, taken);
    next.sort_by_key(|&place| std::cmp::Reverse(events[place].end.unwrap_or(u64::MAX)));
    let mut found = Vec::new();
    for place in next {
        let Entry { event, end } = &events[place];
        let states = state.step(&event.call, event.ended.as_ref().map(|(_, answer)| answer));
        match &states[..] {
            [same] if same == state && event.changes_nothing() => return vec![(place, same.clone())],
            // To take what changes nothing, and need not be taken, is to leave it.
            [same] if same == state && end.is_none() => {}
            _ => found.extend(states.into_iter().map(|state| (place, state))),
        }
    }
    found
}

/// The calls that may come next: they began before the first of all that are left had ended.
fn candidates(events: &[Entry], taken: u128) -> Vec<usize> {
    let is_left = |place: &usize| taken & 1 << *place == 0;
    let first_end = (0..events.len()).filter(is_left).filter_map(|place| events[place].end).min().unwrap_or(u64::MAX);
    (0..events.len()).filter(is_left).filter(|&place| events[place].event.begun < first_end).collect()
}

fn explained(events: &[Entry], taken: u128, state: &State) -> String {
    let next: Vec<Event> = candidates(events, taken).into_iter().map(|place| events[place].event.clone()).collect();
    let all: Vec<Event> = events.iter().map(|entry| entry.event.clone()).collect();
    format!("{}then {state:?}\ncannot have been answered with any of\n{}", written(&all), written(&next))
}

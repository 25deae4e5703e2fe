//! Actions: the closed table of those that this store can be asked for, and sets of them as patterns name them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::action_table::{ACTIONS, Level};
use super::bits::Bits;
use super::pattern;
use super::variable::{self, Substitution, Syntax, Wildcards};

/// The services whose actions the table holds.
const SERVICES: [&str; 4] = ["s3", "iam", "sts", "kms"];

/// A set of known actions.
pub type ActionSet = Bits<8>;

// Every action has its bit.
const _: () = assert!(ACTIONS.len() <= 512);

static BY_NAME: LazyLock<HashMap<String, Action>> =
    LazyLock::new(|| Action::all().map(|action| (action.name().to_ascii_lowercase(), action)).collect());

/// An action that can be allowed or denied, such as `s3:GetObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Action(u16);

impl Action {
    /// The action called `name`, in AWS's spelling. For constants: an unknown name stops the compiler.
    pub const fn known(name: &str) -> Action {
        let mut index = 0;
        while index < ACTIONS.len() {
            if is_same(ACTIONS[index].0, name) {
                return Action(index as u16);
            }
            index += 1;
        }
        panic!("no such action");
    }

    /// The action called `name`, whatever the case; None if the table does not know it.
    pub fn named(name: &str) -> Option<Action> {
        BY_NAME.get(&name.to_ascii_lowercase()).copied()
    }

    /// The name in AWS's spelling, with its service: `s3:GetObject`.
    pub fn name(self) -> &'static str {
        ACTIONS[self.index()].0
    }

    /// What the action is applied to.
    pub(super) fn level(self) -> Level {
        ACTIONS[self.index()].1
    }

    /// Its place in an `ActionSet`.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Every action of the table.
    pub(super) fn all() -> impl Iterator<Item = Action> {
        (0..ACTIONS.len()).map(|index| Action(u16::try_from(index).expect("the table has at most 512 rows")))
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The known actions that `text` names: `*`, or `service:name` in which the name may hold wildcards. The set is empty if
/// the service is another one. None if `text` has neither form.
pub fn actions_of(text: &str) -> Option<ActionSet> {
    let mut set = ActionSet::EMPTY;
    if text == "*" || text == "*:*" {
        Action::all().for_each(|action| set.insert(action.index()));
        return Some(set);
    }
    let (service, name) = text.split_once(':')?;
    let is_service = !service.is_empty() && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?".contains(&byte));
    if !is_service || !is_name {
        return None;
    }
    if !SERVICES.iter().any(|known| known.eq_ignore_ascii_case(service)) {
        return Some(set);
    }
    let wanted = text.to_ascii_lowercase();
    if !wanted.contains(['*', '?']) {
        set.extend(&BY_NAME.get(&wanted).map_or(ActionSet::EMPTY, |action| only(*action)));
        return Some(set);
    }
    let syntax = Syntax { wildcards: Wildcards::Special, variables: Substitution::Ordinary };
    let pieces = pattern::fixed(&variable::parts(&wanted, syntax)?)?;
    for (name, action) in BY_NAME.iter() {
        if pattern::matches(&pieces, name) {
            set.insert(action.index());
        }
    }
    Some(set)
}

/// The known actions of one level.
pub fn actions_at(level: Level) -> ActionSet {
    let mut set = ActionSet::EMPTY;
    Action::all().filter(|action| action.level() == level).for_each(|action| set.insert(action.index()));
    set
}

fn only(action: Action) -> ActionSet {
    let mut set = ActionSet::EMPTY;
    set.insert(action.index());
    set
}

//! What `updates.json` of a live API answers: the items and profiles that changed within the last minute.

use std::collections::BTreeSet;

use super::{
    generate::{Generator, first_id},
    life::{Moment, Stage},
    lists::{Updates, changed_profiles},
    threads::SlotKind,
    timeline::MICROS_PER_SECOND,
};

/// Lists and updates of a live API are written anew at whole multiples of this.
pub(super) const TICK: i64 = 10 * MICROS_PER_SECOND;
/// How far back updates reach.
pub(super) const REACH: i64 = 60 * MICROS_PER_SECOND;

/// The changes of the minute before `moment`.
pub(super) fn updates_at(items: &Generator, moment: Moment) -> Updates {
    let earlier = Moment {
        now: moment.now - REACH,
        ..moment
    };
    let (before, after) = (items.at(Some(earlier)), items.at(Some(moment)));
    let mut changed = BTreeSet::new();
    for id in before.max_item() + 1..=after.max_item() {
        add_new_item(&after, id, &mut changed);
    }
    for id in moment.ids_with_a_step_since(earlier.now) {
        if stage(&before, earlier, id) != stage(&after, moment, id) {
            changed.insert(id);
        }
    }
    Updates {
        items: changed.into_iter().rev().collect(),
        profiles: changed_profiles(&before, &after),
    }
}

fn stage(items: &Generator, moment: Moment, id: i64) -> Option<Stage> {
    let (number, at) = items.place(id)?;
    let slot = *items.block(number).slots().get(usize::from(at))?;
    Some(moment.stage(id, slot))
}

/// Adds a new item if it can be seen, and the items that it changes: it is a kid or a part of one, and a descendant of another.
fn add_new_item(items: &Generator, id: i64, changed: &mut BTreeSet<i64>) {
    let Some((number, mut at)) = items.place(id) else {
        return;
    };
    let block = items.block(number);
    let to_id = |slot: u16| first_id(number) + i64::from(slot);
    let slot = block.slots()[usize::from(at)];
    if slot.kind != SlotKind::Null && items.slot_now(id, slot).is_some() {
        changed.insert(id);
    }
    let mut parent = slot.parent;
    if parent != at {
        changed.insert(to_id(parent));
    }
    while parent != at {
        at = parent;
        parent = block.slots()[usize::from(at)].parent;
    }
    if to_id(at) != id {
        changed.insert(to_id(at));
    }
}

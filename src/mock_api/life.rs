//! What happens to an item after it appears: votes, edits, deletion, and texts and items that come late.
//!
//! An item changes only at the steps of its life, which are the same ages for every item, up to half a minute later. So a
//! moment's state is a pure function of the item's age, and the items that change within a minute are found without a list of
//! them. After the last step, at 13 days, an item is as the API that stands still serves it, and stays so. Kids come when they
//! appear.

use super::{
    rng::{Purpose, Rng},
    threads::{BlockSlot, SlotKind},
    timeline::{MICROS_PER_SECOND, Timeline},
};

/// The ages at which an item may change, in seconds. Those up to two hours are the first seven.
const STEP_SECONDS: [i64; 14] = [
    20,
    60,
    180,
    600,
    1_800,
    3_600,
    6_600,
    4 * 3_600,
    8 * 3_600,
    16 * 3_600,
    23 * 3_600,
    3 * 86_400,
    7 * 86_400,
    13 * 86_400,
];
/// The number of steps within two hours, in which authors edit and delete.
const AUTHOR_STEPS: u32 = 7;
/// How much later than `STEP_SECONDS` an item's steps are at most.
const JITTER_SECONDS: u32 = 30;
/// The percentage of its points that an item has after each number of steps. Most votes come within a day.
const VOTES: [u32; STEP_SECONDS.len() + 1] =
    [0, 1, 3, 7, 14, 26, 38, 52, 66, 80, 91, 98, 99, 100, 100];

/// A moment of a live API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) timeline: Timeline,
    pub(super) now: i64,
}

impl Moment {
    /// What has happened to the item `id`, whose final slot is `slot`.
    pub(super) fn stage(&self, id: i64, slot: BlockSlot) -> Stage {
        let life = Life::draw(self.timeline.seed, id, slot);
        let age = self.now - self.timeline.birth(id);
        life.stage(steps_until(age - life.delay))
    }

    /// Ids among which are all that have a step after `earlier` and not after this moment.
    pub(super) fn ids_with_a_step_since(&self, earlier: i64) -> impl Iterator<Item = i64> {
        let Moment { timeline, now } = *self;
        STEP_SECONDS.into_iter().flat_map(move |seconds| {
            let age = seconds * MICROS_PER_SECOND;
            let jitter = i64::from(JITTER_SECONDS) * MICROS_PER_SECOND;
            timeline.born(earlier - age - jitter, now - age)
        })
    }
}

/// How many steps an item of this age has behind it.
fn steps_until(age: i64) -> usize {
    STEP_SECONDS.partition_point(|seconds| seconds * MICROS_PER_SECOND <= age)
}

/// What will happen to an item. A number of steps says when.
struct Life {
    /// How much later than the common ages its steps are.
    delay: i64,
    visible_from: usize,
    text_from: usize,
    edited_from: usize,
    retitled_from: usize,
    deleted_from: usize,
    dead_from: usize,
    flagged: bool,
    slot: BlockSlot,
}

/// What has happened to an item. Two equal stages of an item show the same, but for kids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// Before that, the API answers `null`.
    pub(super) visible: bool,
    /// The slot as it is by now.
    pub(super) slot: BlockSlot,
    /// The percentage of its points that the item has.
    pub(super) votes: u32,
    /// The text is still `[delayed]`.
    pub(super) delayed: bool,
    /// The text was not edited yet.
    pub(super) first_text: bool,
    /// A moderator has not changed the title and the address yet.
    pub(super) first_title: bool,
    /// The text is `[flagged]`.
    pub(super) flagged: bool,
}

impl Life {
    fn draw(seed: u64, id: i64, slot: BlockSlot) -> Self {
        let rng = &mut Rng::new(seed, Purpose::Life, id as u64);
        let delay = i64::from(rng.below(JITTER_SECONDS)) * MICROS_PER_SECOND;
        let visible_from = match rng.below(1_000) {
            0..10 => 2,
            10..50 => 1,
            _ => 0,
        };
        // One comment in a thousand is `[delayed]` in an API that stands still. Here its text comes too.
        let mut some_step = |per_10_000, from: u32, to: u32| {
            let happens = rng.chance_in_10_000(per_10_000);
            let step = from + rng.below(to - from + 1);
            if happens { step as usize } else { 0 }
        };
        let last = STEP_SECONDS.len() as u32;
        Life {
            delay,
            visible_from,
            text_from: some_step(200, 2, 4),
            edited_from: some_step(800, 1, AUTHOR_STEPS),
            retitled_from: some_step(1_000, 1, last),
            deleted_from: some_step(10_000, 1, AUTHOR_STEPS),
            dead_from: some_step(6_000, 1, last),
            flagged: rng.chance_in_10_000(3_000),
            slot,
        }
    }

    fn stage(&self, steps: usize) -> Stage {
        let is_comment = self.slot.kind == SlotKind::Comment;
        let has_title = matches!(self.slot.kind, SlotKind::Story | SlotKind::Poll);
        let slot = BlockSlot {
            deleted: self.slot.deleted && steps >= self.deleted_from,
            dead: self.slot.dead && steps >= self.dead_from,
            ..self.slot
        };
        Stage {
            visible: steps >= self.visible_from,
            slot,
            votes: if is_comment { 100 } else { VOTES[steps] },
            delayed: is_comment && steps < self.text_from,
            first_text: steps < self.edited_from,
            first_title: has_title && steps < self.retitled_from,
            flagged: is_comment && slot.dead && self.flagged,
        }
    }
}

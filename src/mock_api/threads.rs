//! The shape of a block of 1,000 consecutive items: the kind of each item, and its parent.
//!
//! A thread never leaves its block, so parents and kids agree without a store: a request for one id makes the shape of the
//! whole block again, in about ten microseconds. Texts are not made here, but only for the id that was requested.

use super::rng::{Purpose, Rng};

/// Ids in a block. Block 0 holds ids 1 to 1,000.
pub(super) const BLOCK: u32 = 1_000;

/// The kind of item in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotKind {
    /// There is no item. The API answers `null`.
    Null,
    Story,
    Job,
    Poll,
    PollOpt,
    Comment,
}

/// One id of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockSlot {
    pub(super) kind: SlotKind,
    pub(super) deleted: bool,
    pub(super) dead: bool,
    /// A slot of the same block: what a comment answers, or the poll of an option. For other kinds the slot itself.
    pub(super) parent: u16,
}

impl BlockSlot {
    /// Whether lists and profiles may name it: it exists, and is neither deleted nor dead.
    pub(super) fn is_live(self) -> bool {
        self.kind != SlotKind::Null && !self.deleted && !self.dead
    }
}

/// The threads of one block. It takes about 15 KB.
pub(super) struct Block {
    slots: Vec<BlockSlot>,
    /// Every comment once, grouped by parent. Each group is in display order.
    kids: Vec<u16>,
    /// Where in `kids` the group of slot `i` ends. It begins where the group of slot `i - 1` ends.
    kids_end: Vec<u16>,
    /// How many comments are below each slot, at any depth.
    descendants: Vec<u16>,
}

impl Block {
    /// The first `len` slots of block `number`.
    ///
    /// Slots are drawn in the order of their ids and refer only to earlier ids. So a block that `max_item` cuts short is the
    /// beginning of the full block, and its kids and counts include only items that exist.
    pub(super) fn new(seed: u64, number: u64, len: u32) -> Self {
        let slots = draw_slots(seed, number, len.min(BLOCK) as u16);
        let (kids, kids_end) = group_kids(&slots);
        let mut descendants = vec![0u16; slots.len()];
        for (i, slot) in slots.iter().enumerate().rev() {
            if slot.kind == SlotKind::Comment {
                descendants[usize::from(slot.parent)] += descendants[i] + 1;
            }
        }
        Block {
            slots,
            kids,
            kids_end,
            descendants,
        }
    }

    /// All slots in the order of their ids.
    pub(super) fn slots(&self) -> &[BlockSlot] {
        &self.slots
    }

    /// The direct comments of `slot`, in display order.
    pub(super) fn kids(&self, slot: u16) -> &[u16] {
        let at = usize::from(slot);
        let from = at.checked_sub(1).map_or(0, |before| self.kids_end[before]);
        &self.kids[usize::from(from)..usize::from(self.kids_end[at])]
    }

    /// The options of the poll at `slot`, in display order. They follow the poll.
    pub(super) fn parts(&self, slot: u16) -> impl Iterator<Item = u16> {
        let is_part = move |&i: &u16| {
            let option = self.slots[usize::from(i)];
            option.kind == SlotKind::PollOpt && option.parent == slot
        };
        (slot + 1..self.slots.len() as u16).take_while(is_part)
    }

    /// All comments below `slot`, at any depth.
    pub(super) fn descendants(&self, slot: u16) -> u16 {
        self.descendants[usize::from(slot)]
    }
}

/// The shares are those of 13,000 real items. Only polls are more frequent: each block has one, so that a short list has every
/// type.
fn draw_slots(seed: u64, number: u64, len: u16) -> Vec<BlockSlot> {
    let mut rng = Rng::new(seed, Purpose::Threads, number);
    let poll = 1 + rng.below(900) as u16;
    let options = poll + 1..=poll + 2 + rng.below(5) as u16;
    // One story of the block attracts this percentage of the comments, so that there are long lists of kids.
    let popular_percent = match rng.below(40) {
        0 => 70,
        1..=9 => 30,
        _ => 3,
    };
    let popular = rng.below(20) as usize;

    let mut slots = Vec::with_capacity(usize::from(len));
    let mut roots = Vec::new();
    let mut comments = Vec::new();
    for i in 0..len {
        let mut kind = match rng.below(10_000) {
            0..50 => SlotKind::Null,
            50..100 => SlotKind::Job,
            100..1_450 => SlotKind::Story,
            _ => SlotKind::Comment,
        };
        let mut deleted = rng.chance_in_10_000(440);
        let mut dead = rng.chance_in_10_000(440);
        let must_be_story = kind == SlotKind::Comment && roots.is_empty();
        if must_be_story {
            kind = SlotKind::Story;
        }
        let is_of_poll = i == poll || options.contains(&i);
        if is_of_poll {
            kind = if i == poll {
                SlotKind::Poll
            } else {
                SlotKind::PollOpt
            };
        }
        if must_be_story || is_of_poll {
            deleted = false;
            dead = false;
        }
        let parent = match kind {
            SlotKind::Comment => draw_parent(&mut rng, &roots, &comments, popular, popular_percent),
            SlotKind::PollOpt => poll,
            _ => i,
        };
        match kind {
            SlotKind::Story | SlotKind::Poll if !deleted && !dead => roots.push(i),
            // A deleted item shows no kids, so it gets none. A dead comment may have kids.
            SlotKind::Comment if !deleted => comments.push(i),
            _ => {}
        }
        let null = kind == SlotKind::Null;
        slots.push(BlockSlot {
            kind,
            deleted: deleted && !null,
            dead: dead && !null,
            parent,
        });
    }
    slots
}

/// What a new comment answers: the block's popular story, or else a story or comment, more often a recent one.
fn draw_parent(
    rng: &mut Rng,
    roots: &[u16],
    comments: &[u16],
    popular: usize,
    popular_percent: u32,
) -> u16 {
    let draw = rng.below(100);
    if let Some(&story) = roots.get(popular).filter(|_| draw < popular_percent) {
        return story;
    }
    let from = if draw % 5 < 2 || comments.is_empty() {
        roots
    } else {
        comments
    };
    let back = rng.skewed_below(from.len() as u32) as usize;
    from[from.len() - 1 - back]
}

/// All comments grouped by parent, and the end of each slot's group. It is a counting sort, and then a small sort of each
/// group.
fn group_kids(slots: &[BlockSlot]) -> (Vec<u16>, Vec<u16>) {
    let comments = || {
        (0u16..)
            .zip(slots)
            .filter(|(_, slot)| slot.kind == SlotKind::Comment)
    };
    let mut next = vec![0u16; slots.len() + 1];
    for (_, slot) in comments() {
        next[usize::from(slot.parent) + 1] += 1;
    }
    for i in 1..next.len() {
        next[i] += next[i - 1];
    }
    // `next` holds the position for the next kid of each group. After the last kid it is the end of the group.
    let mut kids = vec![0u16; usize::from(next[slots.len()])];
    for (i, slot) in comments() {
        let position = &mut next[usize::from(slot.parent)];
        kids[usize::from(*position)] = i;
        *position += 1;
    }
    next.truncate(slots.len());
    let mut from = 0;
    for &end in &next {
        kids[from..usize::from(end)].sort_unstable_by_key(|&i| display_rank(i));
        from = usize::from(end);
    }
    (kids, next)
}

/// The display order differs from the order of the ids: a comment comes up to 250 places later than by its age.
fn display_rank(slot: u16) -> (u32, u16) {
    let delay = u32::from(slot).wrapping_mul(2_654_435_761) % 251;
    (u32::from(slot) + delay, slot)
}

//! The shape of 1,000 consecutive items: what each is, and who hangs below whom.
//!
//! Threads never leave their block, so parents and kids agree without a store: whoever asks for one id makes the whole
//! block's shape again, in some ten microseconds. What the items *say* is not made here, but only for the id that is asked for.

use super::rng::{Rng, Stream};

/// Ids in a block. Block 0 holds ids 1 to 1,000.
pub(super) const BLOCK: u32 = 1_000;

/// What a slot of a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No item: the API answers `null`.
    Null,
    Story,
    Job,
    Poll,
    PollOpt,
    Comment,
}

/// One id of a block. `parent` is a slot of the same block: of a comment what it answers, of an option its poll, else itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) deleted: bool,
    pub(super) dead: bool,
    pub(super) parent: u16,
}

impl Slot {
    /// Neither absent nor deleted nor dead: lists and profiles may name it.
    pub(super) fn is_live(self) -> bool {
        self.kind != Kind::Null && !self.deleted && !self.dead
    }
}

/// The threads of one block, about 15 KB.
pub(super) struct Block {
    slots: Vec<Slot>,
    /// Every comment once, grouped by parent, each group in display order.
    kids: Vec<u16>,
    /// Where in `kids` the group of slot `i` ends; it begins where that of `i - 1` ends.
    kids_end: Vec<u16>,
    descendants: Vec<u16>,
}

impl Block {
    /// The first `len` slots of block `number`.
    ///
    /// Slots are drawn in the order of ids and look only backwards, so a block that `max_item` cuts short is the beginning
    /// of the whole one, and kids and counts speak only of items that exist.
    pub(super) fn new(seed: u64, number: u64, len: u32) -> Self {
        let slots = draw_slots(seed, number, len.min(BLOCK) as u16);
        let (kids, kids_end) = group_kids(&slots);
        let mut descendants = vec![0u16; slots.len()];
        for (i, slot) in slots.iter().enumerate().rev() {
            if slot.kind == Kind::Comment {
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
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The comments right below `slot`, in display order.
    pub(super) fn kids(&self, slot: u16) -> &[u16] {
        let at = usize::from(slot);
        let from = at.checked_sub(1).map_or(0, |before| self.kids_end[before]);
        &self.kids[usize::from(from)..usize::from(self.kids_end[at])]
    }

    /// The options of the poll at `slot`: they follow it, in display order.
    pub(super) fn parts(&self, slot: u16) -> impl Iterator<Item = u16> {
        let is_part = move |&i: &u16| {
            let option = self.slots[usize::from(i)];
            option.kind == Kind::PollOpt && option.parent == slot
        };
        (slot + 1..self.slots.len() as u16).take_while(is_part)
    }

    /// All comments below `slot`, at any depth.
    pub(super) fn descendants(&self, slot: u16) -> u16 {
        self.descendants[usize::from(slot)]
    }
}

/// Shares are those of 13,000 real items (see FACTS.md), but for polls: one in each block, so that every type is met soon.
fn draw_slots(seed: u64, number: u64, len: u16) -> Vec<Slot> {
    let mut rng = Rng::new(seed, Stream::Threads, number);
    let poll = 1 + rng.below(900) as u16;
    let options = poll + 1..=poll + 2 + rng.below(5) as u16;
    // One story draws this share of all comments (in percent), so that long lists of kids occur.
    let pull = match rng.below(40) {
        0 => 70,
        1..=9 => 30,
        _ => 3,
    };
    let popular = rng.below(20) as usize;

    let mut slots = Vec::with_capacity(usize::from(len));
    let (mut roots, mut comments) = (Vec::new(), Vec::new());
    for i in 0..len {
        let mut kind = match rng.below(10_000) {
            0..50 => Kind::Null,
            50..100 => Kind::Job,
            100..1_450 => Kind::Story,
            _ => Kind::Comment,
        };
        let (mut deleted, mut dead) = (rng.chance(440), rng.chance(440));
        if kind == Kind::Comment && roots.is_empty() {
            (kind, deleted, dead) = (Kind::Story, false, false);
        }
        if i == poll || options.contains(&i) {
            kind = if i == poll { Kind::Poll } else { Kind::PollOpt };
            (deleted, dead) = (false, false);
        }
        let parent = match kind {
            Kind::Comment => draw_parent(&mut rng, &roots, &comments, popular, pull),
            Kind::PollOpt => poll,
            _ => i,
        };
        match kind {
            Kind::Story | Kind::Poll if !deleted && !dead => roots.push(i),
            // A deleted item shows no kids, so it has none; a dead comment may have some.
            Kind::Comment if !deleted => comments.push(i),
            _ => {}
        }
        let null = kind == Kind::Null;
        slots.push(Slot {
            kind,
            deleted: deleted && !null,
            dead: dead && !null,
            parent,
        });
    }
    slots
}

/// What a new comment answers: the block's popular story, or a story or comment, more likely a recent one.
fn draw_parent(rng: &mut Rng, roots: &[u16], comments: &[u16], popular: usize, pull: u32) -> u16 {
    let draw = rng.below(100);
    if let Some(&story) = roots.get(popular).filter(|_| draw < pull) {
        return story;
    }
    let from = if draw % 5 < 2 || comments.is_empty() {
        roots
    } else {
        comments
    };
    let back = rng.low(from.len() as u32) as usize;
    from[from.len() - 1 - back]
}

/// All comments grouped by parent, and where each slot's group ends: a counting sort, then a small sort of each group.
fn group_kids(slots: &[Slot]) -> (Vec<u16>, Vec<u16>) {
    let comments = || {
        (0u16..)
            .zip(slots)
            .filter(|(_, slot)| slot.kind == Kind::Comment)
    };
    let mut next = vec![0u16; slots.len() + 1];
    for (_, slot) in comments() {
        next[usize::from(slot.parent) + 1] += 1;
    }
    for i in 1..next.len() {
        next[i] += next[i - 1];
    }
    // Where a group begins moves on with each kid until it is where the group ends.
    let mut kids = vec![0u16; usize::from(next[slots.len()])];
    for (i, slot) in comments() {
        let place = &mut next[usize::from(slot.parent)];
        kids[usize::from(*place)] = i;
        *place += 1;
    }
    next.truncate(slots.len());
    let mut from = 0;
    for &end in &next {
        kids[from..usize::from(end)].sort_unstable_by_key(|&i| display_rank(i));
        from = usize::from(end);
    }
    (kids, next)
}

/// Display order is not that of ids: a comment comes up to 250 places later than its age would have it.
fn display_rank(slot: u16) -> (u32, u16) {
    let late = u32::from(slot).wrapping_mul(2_654_435_761) % 251;
    (u32::from(slot) + late, slot)
}

//! Lists, updates and profiles. They are made from the newest blocks only, so they cost the same at 1,000 items and at 50
//! million.

use std::cmp::Reverse;

use serde::Serialize;

use super::{
    generate::{Generator, ItemSummary, StoryKind, first_id},
    rng::{Purpose, Rng},
    threads::{BlockSlot, SlotKind},
    timeline::FIRST_TIME,
    words,
};
use crate::hn::List;

/// How many blocks the lists are made from. They have 500 stories, and about as many jobs, Ask HNs and Show HNs as the real
/// lists.
const LIST_BLOCKS: i64 = 30;
/// How many blocks a profile is made from.
const PROFILE_BLOCKS: i64 = 2;
/// How many of the newest ids `updates.json` is made from.
const UPDATE_IDS: i64 = 200;

/// The six lists, each in its rank order. They name only live items.
pub(super) struct Lists {
    pub(super) top: Vec<i64>,
    pub(super) new: Vec<i64>,
    pub(super) best: Vec<i64>,
    pub(super) ask: Vec<i64>,
    pub(super) show: Vec<i64>,
    pub(super) job: Vec<i64>,
}

/// An item that a list may name.
struct Candidate {
    id: i64,
    kind: SlotKind,
    summary: ItemSummary,
}

impl Lists {
    pub(super) fn new(items: &Generator) -> Self {
        let newest: Vec<Candidate> = recent(items, LIST_BLOCKS)
            .filter(|c| matches!(c.kind, SlotKind::Story | SlotKind::Poll | SlotKind::Job))
            .collect();
        let mut ranked: Vec<&Candidate> = newest.iter().collect();
        ranked.sort_by_key(|c| (Reverse(front_page_score(items.max_item(), c)), c.id));
        let mut scored: Vec<&Candidate> =
            newest.iter().filter(|c| c.kind != SlotKind::Job).collect();
        scored.sort_by_key(|c| (Reverse(c.summary.score), c.id));

        let take = |from: &[&Candidate], n, wanted: fn(&Candidate) -> bool| {
            let ids = from.iter().filter(|c| wanted(c)).map(|c| c.id);
            ids.take(n).collect::<Vec<i64>>()
        };
        let newest_first: Vec<&Candidate> = newest.iter().collect();
        Lists {
            top: take(&ranked, 500, |_| true),
            new: take(&newest_first, 500, |c| c.kind != SlotKind::Job),
            best: take(&scored, 200, |_| true),
            ask: take(&ranked, 200, |c| is_story(c, StoryKind::Ask)),
            show: take(&ranked, 200, |c| is_story(c, StoryKind::Show)),
            job: take(&newest_first, 200, |c| c.kind == SlotKind::Job),
        }
    }

    pub(super) fn of(&self, list: List) -> &[i64] {
        match list {
            List::Top => &self.top,
            List::New => &self.new,
            List::Best => &self.best,
            List::Ask => &self.ask,
            List::Show => &self.show,
            List::Job => &self.job,
        }
    }
}

fn is_story(c: &Candidate, kind: StoryKind) -> bool {
    c.kind == SlotKind::Story && c.summary.story_kind == kind
}

/// The points divided by the square of the age, as on front pages. A job has no points, and ranks as if it had sixty.
fn front_page_score(max_item: i64, c: &Candidate) -> i64 {
    let points = if c.kind == SlotKind::Job {
        60
    } else {
        i64::from(c.summary.score)
    };
    points * 1_000_000_000_000 / (max_item - c.id + 1_500).pow(2)
}

/// The live items of the newest `blocks` blocks, newest first.
fn recent(items: &Generator, blocks: i64) -> impl Iterator<Item = Candidate> {
    let last = items.last_block();
    let numbers = ((last - blocks + 1).max(0)..=last).rev();
    numbers.flat_map(move |number| {
        let block = items.block(number);
        let candidate = |(at, slot): (i64, &BlockSlot)| {
            let id = first_id(number) + at;
            let is_live = items.slot_now(id, *slot).is_some_and(BlockSlot::is_live);
            is_live.then(|| Candidate {
                id,
                kind: slot.kind,
                summary: items.summary(id, *slot),
            })
        };
        let mut found: Vec<Candidate> = (0..).zip(block.slots()).filter_map(candidate).collect();
        found.reverse();
        found
    })
}

/// What `updates.json` answers.
#[derive(Serialize)]
pub(super) struct Updates {
    pub(super) items: Vec<i64>,
    pub(super) profiles: Vec<String>,
}

impl Updates {
    /// Some of the newest items, and their authors.
    pub(super) fn new(items: &Generator) -> Self {
        let oldest = items.max_item() - UPDATE_IDS;
        let changed: Vec<Candidate> = recent(items, PROFILE_BLOCKS)
            .take_while(|c| c.id > oldest)
            .step_by(5)
            .collect();
        let mut profiles: Vec<String> = changed
            .iter()
            .map(|c| words::name(c.summary.author))
            .collect();
        profiles.sort_unstable();
        profiles.dedup();
        let items = changed.iter().map(|c| c.id).collect();
        Updates { items, profiles }
    }
}

/// What `user/NAME.json` answers. `submitted` has only the newest items of the user, newest first.
#[derive(PartialEq, Serialize)]
pub(super) struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    created: i64,
    id: String,
    karma: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    submitted: Vec<i64>,
}

impl User {
    /// The user of this name, or `None` if the pool has no such name.
    pub(super) fn new(items: &Generator, name: &str) -> Option<Self> {
        let index = words::name_index(name)?;
        let rng = &mut Rng::new(items.seed(), Purpose::Profile, u64::from(index));
        let wrote = recent(items, PROFILE_BLOCKS).filter(|c| c.summary.author == index);
        let mut user = User {
            created: FIRST_TIME - i64::from(rng.below(30 * 86_400)),
            karma: 1 + rng.skewed_below(50_000),
            about: rng.chance_in_10_000(5_000).then(|| words::text(rng)),
            id: name.to_owned(),
            submitted: wrote.map(|c| c.id).collect(),
        };
        let changes = profile_changes(items, index);
        user.karma += changes;
        if changes >= CHANGES_OF_A_TEXT {
            let version = u64::from(changes / CHANGES_OF_A_TEXT) << 32 | u64::from(index);
            let rng = &mut Rng::new(items.seed(), Purpose::ProfileText, version);
            user.about = rng.chance_in_10_000(8_000).then(|| words::text(rng));
        }
        Some(user)
    }
}

/// At every eighth change of a profile its text changes too.
const CHANGES_OF_A_TEXT: u32 = 8;

/// How often a profile of a live API has changed. It changes after a number of new items that differs between users.
fn profile_changes(items: &Generator, user: u32) -> u32 {
    let added = items.moment().map_or(0, |m| m.timeline.added(m.now));
    let rng = &mut Rng::new(items.seed(), Purpose::ProfileChanges, u64::from(user));
    u32::try_from(added / i64::from(200 + rng.below(20_000))).unwrap_or(u32::MAX / 2)
}

/// What decides every profile at one moment.
#[derive(PartialEq)]
struct ProfileState {
    changes: u32,
    submitted: Vec<i64>,
}

/// The names of the users whose profiles differ between two moments of a live API.
pub(super) fn changed_profiles(before: &Generator, after: &Generator) -> Vec<String> {
    let states = |items: &Generator| {
        let mut states: Vec<ProfileState> = (0..words::NAMES)
            .map(|user| ProfileState {
                changes: profile_changes(items, user),
                submitted: Vec::new(),
            })
            .collect();
        for c in recent(items, PROFILE_BLOCKS) {
            states[c.summary.author as usize].submitted.push(c.id);
        }
        states
    };
    (0..)
        .zip(states(before).iter().zip(&states(after)))
        .filter(|(_, (before, after))| before != after)
        .map(|(user, _)| words::name(user))
        .collect()
}

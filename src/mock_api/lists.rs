//! Lists, updates and profiles: drawn from the newest blocks only, so they cost the same at 1,000 items and at 50 million.

use super::generate::{Brief, FIRST_TIME, Flavour, Generator, first_id};
use super::rng::{Rng, Stream};
use super::threads::Kind;
use super::words;
use serde::Serialize;

/// Blocks that lists look at: enough for 500 stories, and for about as many jobs, Asks and Shows as the real lists hold.
const LIST_BLOCKS: i64 = 30;
/// Blocks that a profile looks at for what its user wrote.
const PROFILE_BLOCKS: i64 = 2;
/// Ids that `updates.json` looks at.
const UPDATE_IDS: i64 = 200;

/// The six lists, each in rank order. Every id is that of a live item.
pub(super) struct Lists {
    pub(super) top: Vec<i64>,
    pub(super) new: Vec<i64>,
    pub(super) best: Vec<i64>,
    pub(super) ask: Vec<i64>,
    pub(super) show: Vec<i64>,
    pub(super) job: Vec<i64>,
}

struct Candidate {
    id: i64,
    kind: Kind,
    brief: Brief,
}

impl Lists {
    pub(super) fn new(items: &Generator) -> Self {
        let newest: Vec<Candidate> = recent(items, LIST_BLOCKS)
            .filter(|c| matches!(c.kind, Kind::Story | Kind::Poll | Kind::Job))
            .collect();
        let mut ranked: Vec<&Candidate> = newest.iter().collect();
        ranked.sort_by_key(|c| (std::cmp::Reverse(heat(items.max_item(), c)), c.id));
        let mut scored: Vec<&Candidate> = newest.iter().filter(|c| c.kind != Kind::Job).collect();
        scored.sort_by_key(|c| (std::cmp::Reverse(c.brief.score), c.id));

        let take = |from: &[&Candidate], n, wanted: fn(&Candidate) -> bool| {
            let ids = from.iter().filter(|c| wanted(c)).map(|c| c.id);
            ids.take(n).collect::<Vec<i64>>()
        };
        let in_time: Vec<&Candidate> = newest.iter().collect();
        Lists {
            top: take(&ranked, 500, |_| true),
            new: take(&in_time, 500, |c| c.kind != Kind::Job),
            best: take(&scored, 200, |_| true),
            ask: take(&ranked, 200, |c| is(c, Flavour::Ask)),
            show: take(&ranked, 200, |c| is(c, Flavour::Show)),
            job: take(&in_time, 200, |c| c.kind == Kind::Job),
        }
    }
}

fn is(c: &Candidate, flavour: Flavour) -> bool {
    c.kind == Kind::Story && c.brief.flavour == flavour
}

/// Points over the square of age, as front pages do it. A job has no points and is put where sixty would bring it.
fn heat(max_item: i64, c: &Candidate) -> i64 {
    let points = if c.kind == Kind::Job {
        60
    } else {
        i64::from(c.brief.score)
    };
    points * 1_000_000_000_000 / (max_item - c.id + 1_500).pow(2)
}

/// The live items of the newest `blocks` blocks, newest first.
fn recent(items: &Generator, blocks: i64) -> impl Iterator<Item = Candidate> {
    let last = items.last_block();
    let numbers = ((last - blocks + 1).max(0)..=last).rev();
    numbers.flat_map(move |number| {
        let block = items.block(number);
        let candidate = |(at, slot): (i64, &super::threads::Slot)| {
            let id = first_id(number) + at;
            slot.is_live().then(|| Candidate {
                id,
                kind: slot.kind,
                brief: items.brief(id, *slot),
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
    items: Vec<i64>,
    profiles: Vec<String>,
}

impl Updates {
    /// Some of the newest items, and those who wrote them.
    pub(super) fn new(items: &Generator) -> Self {
        let oldest = items.max_item() - UPDATE_IDS;
        let changed: Vec<Candidate> = recent(items, PROFILE_BLOCKS)
            .take_while(|c| c.id > oldest)
            .step_by(5)
            .collect();
        let mut profiles: Vec<String> = changed
            .iter()
            .map(|c| words::name(c.brief.author))
            .collect();
        profiles.sort_unstable();
        profiles.dedup();
        let items = changed.iter().map(|c| c.id).collect();
        Updates { items, profiles }
    }
}

/// What `user/NAME.json` answers. `submitted` holds only the newest of what the user wrote, newest first.
#[derive(Serialize)]
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
    /// The user of that name, if the pool has it.
    pub(super) fn new(items: &Generator, name: &str) -> Option<Self> {
        let index = words::name_index(name)?;
        let rng = &mut Rng::new(items.seed(), Stream::Profile, u64::from(index));
        let wrote = recent(items, PROFILE_BLOCKS).filter(|c| c.brief.author == index);
        Some(User {
            created: FIRST_TIME - i64::from(rng.below(30 * 86_400)),
            karma: 1 + rng.low(50_000),
            about: rng.chance(5_000).then(|| words::text(rng)),
            id: name.to_owned(),
            submitted: wrote.map(|c| c.id).collect(),
        })
    }
}

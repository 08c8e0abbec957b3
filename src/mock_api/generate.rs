//! Items: a pure function of (seed, id), cut off at the largest id.

use super::rng::{Rng, Stream};
use super::threads::{BLOCK, Block, Kind, Slot};
use super::words;
use bytes::Bytes;
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;

/// Shapes of blocks kept at hand, about 1 MB. A block lives in the place its number gives it, so blocks in a row, from the
/// newest down or through several at once, never push each other out.
const CACHED: usize = 64;

/// A block's number and its shape.
type Cached = (i64, Rc<Block>);

/// The time of the first item, Monday 9 October 2006, in Unix seconds, and the seconds from one id to the next: 46.4 million
/// items bring that to January 2026, as on the real site.
pub(super) const FIRST_TIME: i64 = 1_160_418_111;
const SECONDS_PER_ITEM: u32 = 13;

/// An item as the API serves it. Fields stand in alphabetical order, as Firebase sends them; those that are `None` are left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dead: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) descendants: Option<u16>,
    pub(super) id: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kids: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) poll: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    pub(super) time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<String>,
}

/// What kind of story it is: its title and its list say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Plain,
    Ask,
    Show,
}

/// What can be told of an item without writing its texts: enough for lists and profiles.
pub(super) struct Brief {
    /// Index into the pool of names.
    pub(super) author: u32,
    pub(super) score: u32,
    pub(super) flavour: Flavour,
}

/// Makes items on demand. Holds a bounded cache of block shapes and nothing else.
pub(super) struct Generator {
    seed: u64,
    max_item: i64,
    cache: RefCell<Vec<Option<Cached>>>,
}

impl Generator {
    pub(super) fn new(seed: u64, max_item: i64) -> Self {
        let cache = RefCell::new(vec![None; CACHED]);
        Generator {
            seed,
            max_item,
            cache,
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn max_item(&self) -> i64 {
        self.max_item
    }

    /// How many shapes of blocks it holds.
    #[cfg(test)]
    pub(super) fn cached(&self) -> usize {
        self.cache.borrow().iter().flatten().count()
    }

    /// The number of the newest block; -1 when there are no items.
    pub(super) fn last_block(&self) -> i64 {
        (self.max_item - 1).div_euclid(i64::from(BLOCK))
    }

    /// The threads of block `number`, which must be one of those up to `last_block`.
    pub(super) fn block(&self, number: i64) -> Rc<Block> {
        let mut cache = self.cache.borrow_mut();
        let place = &mut cache[number as usize % CACHED];
        if let Some((cached, block)) = place
            && *cached == number
        {
            return block.clone();
        }
        let len = (self.max_item - first_id(number) + 1).clamp(0, i64::from(BLOCK));
        let block = Rc::new(Block::new(self.seed, number as u64, len as u32));
        *place = Some((number, block.clone()));
        block
    }

    /// The body that `item/ID.json` answers: an item, or `null`.
    pub(super) fn body(&self, id: i64) -> Bytes {
        let json = self
            .item(id)
            .and_then(|item| serde_json::to_vec(&item).ok());
        json.map_or(Bytes::from_static(b"null"), Bytes::from)
    }

    /// The item, unless there is none: an id out of range, or one of those that never came to be.
    pub(super) fn item(&self, id: i64) -> Option<Item> {
        if !(1..=self.max_item).contains(&id) {
            return None;
        }
        let number = (id - 1) / i64::from(BLOCK);
        let at = ((id - 1) % i64::from(BLOCK)) as u16;
        let block = self.block(number);
        let slot = *block.slots().get(usize::from(at))?;
        let to_id = |slot: u16| first_id(number) + i64::from(slot);
        let mut item = Item {
            id,
            time: time(self.seed, id),
            kind: type_name(slot.kind)?,
            kids: block.kids(at).iter().copied().map(to_id).collect(),
            parts: block.parts(at).map(to_id).collect(),
            parent: (slot.kind == Kind::Comment).then(|| to_id(slot.parent)),
            poll: (slot.kind == Kind::PollOpt).then(|| to_id(slot.parent)),
            deleted: slot.deleted.then_some(true),
            dead: slot.dead.then_some(true),
            ..Item::default()
        };
        if !slot.deleted {
            if matches!(slot.kind, Kind::Story | Kind::Poll) && !slot.dead {
                item.descendants = Some(block.descendants(at));
            }
            write_content(self.seed, slot, &mut item);
        }
        Some(item)
    }

    /// Author, score and flavour of the item `id`, if there is one that shows them.
    pub(super) fn brief(&self, id: i64, slot: Slot) -> Brief {
        brief(&mut Rng::new(self.seed, Stream::Content, id as u64), slot)
    }
}

/// The lowest id of a block.
pub(super) fn first_id(block: i64) -> i64 {
    block * i64::from(BLOCK) + 1
}

/// Unix seconds, later for every larger id.
fn time(seed: u64, id: i64) -> i64 {
    let jitter = Rng::new(seed, Stream::Clock, id as u64).below(SECONDS_PER_ITEM);
    FIRST_TIME + (id - 1) * i64::from(SECONDS_PER_ITEM) + i64::from(jitter)
}

fn type_name(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Null => None,
        Kind::Story => Some("story"),
        Kind::Job => Some("job"),
        Kind::Poll => Some("poll"),
        Kind::PollOpt => Some("pollopt"),
        Kind::Comment => Some("comment"),
    }
}

/// The first draws of an item's content. Who wants only these need not make the rest.
fn brief(rng: &mut Rng, slot: Slot) -> Brief {
    let author = rng.low(words::NAMES);
    let bound = score_bound(rng);
    let mut score = 1 + rng.low(bound);
    if slot.dead || slot.kind == Kind::Job {
        score = 1;
    }
    let flavour = match rng.below(100) {
        0..5 => Flavour::Ask,
        5..12 => Flavour::Show,
        _ => Flavour::Plain,
    };
    Brief {
        author,
        score,
        flavour,
    }
}

/// Most stories stay small, some reach hundreds of points, few thousands.
fn score_bound(rng: &mut Rng) -> u32 {
    match rng.below(100) {
        0 => 4_000,
        1..15 => 600,
        _ => 12,
    }
}

/// Author and texts. The exceptions are those seen in real data: empty strings, text beside an address, jobs without one, dead
/// stories that lost everything.
fn write_content(seed: u64, slot: Slot, item: &mut Item) {
    let rng = &mut Rng::new(seed, Stream::Content, item.id as u64);
    let Brief {
        author,
        score,
        flavour,
    } = brief(rng, slot);
    item.by = Some(words::name(author));
    item.score = (slot.kind != Kind::Comment).then_some(score);
    match slot.kind {
        Kind::Comment => {
            item.text = Some(match rng.below(1_000) {
                0 => String::new(),
                1 => "[delayed]".into(),
                _ => words::text(rng),
            });
        }
        Kind::PollOpt => item.text = Some(words::title(rng)),
        Kind::Poll => {
            item.title = Some(format!("Poll: {}?", words::title(rng)));
            item.text = Some(words::text(rng));
        }
        Kind::Job if !slot.dead => {
            item.title = Some(words::job_title(rng));
            if rng.chance(4_000) {
                item.text = Some(words::text(rng));
            } else {
                item.url = Some(words::url(rng));
            }
        }
        Kind::Story if !slot.dead => write_story(rng, flavour, item),
        Kind::Null | Kind::Job | Kind::Story => {}
    }
}

fn write_story(rng: &mut Rng, flavour: Flavour, item: &mut Item) {
    let title = words::title(rng);
    let (title, with_url, with_text) = match flavour {
        Flavour::Ask => (format!("Ask HN: {title}?"), 0, 10_000),
        Flavour::Show => (format!("Show HN: {title}"), 9_500, 3_000),
        Flavour::Plain => (title, 10_000, 400),
    };
    item.title = Some(title);
    if rng.chance(with_url) {
        item.url = Some(words::url(rng));
    } else if rng.chance(1_000) {
        item.url = Some(String::new());
    }
    if rng.chance(with_text) {
        item.text = Some(words::text(rng));
    } else if rng.chance(200) {
        item.text = Some(String::new());
    }
}

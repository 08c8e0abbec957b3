//! Items. An item is a pure function of the seed and its id, except that threads end at the largest id.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use serde::Serialize;

use super::{
    rng::{Purpose, Rng},
    threads::{BLOCK, Block, BlockSlot, SlotKind},
    words,
};

/// How many shapes of blocks the cache holds. They take about 1 MB. A block's number decides its place in the cache, so
/// up to 64 consecutive blocks do not replace each other.
const CACHED_BLOCKS: usize = 64;

#[derive(Clone)]
struct CachedBlock {
    number: i64,
    block: Rc<Block>,
}

/// The time of the first item: Monday 9 October 2006, in Unix seconds.
pub(super) const FIRST_TIME: i64 = 1_160_418_111;
/// The time from one id to the next. With it item 46.4 million is of January 2026, as on the real site.
const SECONDS_PER_ITEM: u32 = 13;

/// An item as the API serves it. The fields are in alphabetical order, as Firebase sends them. Empty ones are left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct MockItem {
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

/// The kind of a story. It decides the title and the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoryKind {
    Plain,
    Ask,
    Show,
}

/// What is known of an item before its texts are made. Lists and profiles need no more.
pub(super) struct ItemSummary {
    /// An index into the pool of names.
    pub(super) author: u32,
    pub(super) score: u32,
    pub(super) story_kind: StoryKind,
}

/// Makes items on demand. It holds nothing but a bounded cache of block shapes.
pub(super) struct Generator {
    seed: u64,
    max_item: i64,
    cache: RefCell<Vec<Option<CachedBlock>>>,
}

impl Generator {
    pub(super) fn new(seed: u64, max_item: i64) -> Self {
        let cache = RefCell::new(vec![None; CACHED_BLOCKS]);
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

    /// How many block shapes it holds.
    #[cfg(test)]
    pub(super) fn cached_blocks(&self) -> usize {
        self.cache.borrow().iter().flatten().count()
    }

    /// The number of the newest block, or -1 if there are no items.
    pub(super) fn last_block(&self) -> i64 {
        (self.max_item - 1).div_euclid(i64::from(BLOCK))
    }

    /// The threads of block `number`, which must not be larger than `last_block`.
    pub(super) fn block(&self, number: i64) -> Rc<Block> {
        let mut cache = self.cache.borrow_mut();
        let place = &mut cache[number as usize % CACHED_BLOCKS];
        if let Some(cached) = place
            && cached.number == number
        {
            return cached.block.clone();
        }
        let len = (self.max_item - first_id(number) + 1).clamp(0, i64::from(BLOCK));
        let block = Rc::new(Block::new(self.seed, number as u64, len as u32));
        *place = Some(CachedBlock {
            number,
            block: block.clone(),
        });
        block
    }

    /// The body that `item/ID.json` answers: an item, or `null`.
    pub(super) fn body(&self, id: i64) -> Bytes {
        let json = self
            .item(id)
            .and_then(|item| serde_json::to_vec(&item).ok());
        json.map_or(Bytes::from_static(b"null"), Bytes::from)
    }

    /// The item, or `None` if the id is out of range or is one of the few without an item.
    pub(super) fn item(&self, id: i64) -> Option<MockItem> {
        if !(1..=self.max_item).contains(&id) {
            return None;
        }
        let number = (id - 1) / i64::from(BLOCK);
        let at = ((id - 1) % i64::from(BLOCK)) as u16;
        let block = self.block(number);
        let slot = *block.slots().get(usize::from(at))?;
        let to_id = |slot: u16| first_id(number) + i64::from(slot);
        let mut item = MockItem {
            id,
            time: time(self.seed, id),
            kind: type_name(slot.kind)?,
            kids: block.kids(at).iter().copied().map(to_id).collect(),
            parts: block.parts(at).map(to_id).collect(),
            parent: (slot.kind == SlotKind::Comment).then(|| to_id(slot.parent)),
            poll: (slot.kind == SlotKind::PollOpt).then(|| to_id(slot.parent)),
            deleted: slot.deleted.then_some(true),
            dead: slot.dead.then_some(true),
            ..MockItem::default()
        };
        if !slot.deleted {
            if matches!(slot.kind, SlotKind::Story | SlotKind::Poll) && !slot.dead {
                item.descendants = Some(block.descendants(at));
            }
            write_content(self.seed, slot, &mut item);
        }
        Some(item)
    }

    /// The author, score and story kind of the item `id`.
    pub(super) fn summary(&self, id: i64, slot: BlockSlot) -> ItemSummary {
        draw_summary(&mut Rng::new(self.seed, Purpose::Content, id as u64), slot)
    }
}

/// The lowest id of a block.
pub(super) fn first_id(block: i64) -> i64 {
    block * i64::from(BLOCK) + 1
}

/// The time of an item, in Unix seconds. A larger id has a later time.
fn time(seed: u64, id: i64) -> i64 {
    let jitter = Rng::new(seed, Purpose::Clock, id as u64).below(SECONDS_PER_ITEM);
    FIRST_TIME + (id - 1) * i64::from(SECONDS_PER_ITEM) + i64::from(jitter)
}

fn type_name(kind: SlotKind) -> Option<&'static str> {
    match kind {
        SlotKind::Null => None,
        SlotKind::Story => Some("story"),
        SlotKind::Job => Some("job"),
        SlotKind::Poll => Some("poll"),
        SlotKind::PollOpt => Some("pollopt"),
        SlotKind::Comment => Some("comment"),
    }
}

/// The first draws of an item's content. Lists need only these, and not the rest.
fn draw_summary(rng: &mut Rng, slot: BlockSlot) -> ItemSummary {
    let author = rng.skewed_below(words::NAMES);
    let bound = score_bound(rng);
    let mut score = 1 + rng.skewed_below(bound);
    if slot.dead || slot.kind == SlotKind::Job {
        score = 1;
    }
    let story_kind = match rng.below(100) {
        0..5 => StoryKind::Ask,
        5..12 => StoryKind::Show,
        _ => StoryKind::Plain,
    };
    ItemSummary {
        author,
        score,
        story_kind,
    }
}

/// Most stories have few points, some have hundreds, and a few have thousands.
fn score_bound(rng: &mut Rng) -> u32 {
    match rng.below(100) {
        0 => 4_000,
        1..15 => 600,
        _ => 12,
    }
}

/// Writes the author and the texts. The exceptions are those of real data: empty strings, a text beside an address, jobs
/// without an address, and dead stories without content.
fn write_content(seed: u64, slot: BlockSlot, item: &mut MockItem) {
    let rng = &mut Rng::new(seed, Purpose::Content, item.id as u64);
    let ItemSummary {
        author,
        score,
        story_kind,
    } = draw_summary(rng, slot);
    item.by = Some(words::name(author));
    item.score = (slot.kind != SlotKind::Comment).then_some(score);
    match slot.kind {
        SlotKind::Comment => {
            item.text = Some(match rng.below(1_000) {
                0 => String::new(),
                1 => "[delayed]".into(),
                _ => words::text(rng),
            });
        }
        SlotKind::PollOpt => item.text = Some(words::title(rng)),
        SlotKind::Poll => {
            item.title = Some(format!("Poll: {}?", words::title(rng)));
            item.text = Some(words::text(rng));
        }
        SlotKind::Job if !slot.dead => {
            item.title = Some(words::job_title(rng));
            if rng.chance_in_10_000(4_000) {
                item.text = Some(words::text(rng));
            } else {
                item.url = Some(words::url(rng));
            }
        }
        SlotKind::Story if !slot.dead => write_story(rng, story_kind, item),
        SlotKind::Null | SlotKind::Job | SlotKind::Story => {}
    }
}

fn write_story(rng: &mut Rng, story_kind: StoryKind, item: &mut MockItem) {
    let title = words::title(rng);
    let (title, with_url, with_text) = match story_kind {
        StoryKind::Ask => (format!("Ask HN: {title}?"), 0, 10_000),
        StoryKind::Show => (format!("Show HN: {title}"), 9_500, 3_000),
        StoryKind::Plain => (title, 10_000, 400),
    };
    item.title = Some(title);
    if rng.chance_in_10_000(with_url) {
        item.url = Some(words::url(rng));
    } else if rng.chance_in_10_000(1_000) {
        item.url = Some(String::new());
    }
    if rng.chance_in_10_000(with_text) {
        item.text = Some(words::text(rng));
    } else if rng.chance_in_10_000(200) {
        item.text = Some(String::new());
    }
}

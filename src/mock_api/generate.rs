//! Items. An item is a pure function of the seed and its id, except that threads end at the largest id. In a live API it is a
//! function of the moment too.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use serde::Serialize;

use super::{
    life::{Moment, Stage},
    rng::{Purpose, Rng},
    threads::{BLOCK, Block, BlockSlot, SlotKind},
    timeline::{self, MICROS_PER_SECOND},
    words,
};

/// How many shapes of blocks the cache holds. They take about 1 MB. A block's number decides its place in the cache, so
/// up to 64 consecutive blocks do not replace each other.
const CACHED_BLOCKS: usize = 64;

#[derive(Clone)]
struct CachedBlock {
    number: i64,
    len: u32,
    block: Rc<Block>,
}

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
    /// The moment at which a live API is seen. An API that stands still has none.
    moment: Option<Moment>,
    /// Shared by the generators of all moments.
    cache: Rc<RefCell<Vec<Option<CachedBlock>>>>,
}

impl Generator {
    pub(super) fn new(seed: u64, max_item: i64) -> Self {
        Generator {
            seed,
            max_item,
            moment: None,
            cache: Rc::new(RefCell::new(vec![None; CACHED_BLOCKS])),
        }
    }

    /// The items as they are at a moment of a live API of the same seed. Without one, these items.
    pub(super) fn at(&self, moment: Option<Moment>) -> Self {
        Generator {
            seed: self.seed,
            max_item: moment.map_or(self.max_item, |m| m.timeline.max_item(m.now)),
            moment,
            cache: self.cache.clone(),
        }
    }

    pub(super) fn moment(&self) -> Option<Moment> {
        self.moment
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
        let len = (self.max_item - first_id(number) + 1).clamp(0, i64::from(BLOCK)) as u32;
        let mut cache = self.cache.borrow_mut();
        let place = &mut cache[number as usize % CACHED_BLOCKS];
        if let Some(cached) = place
            && (cached.number, cached.len) == (number, len)
        {
            return cached.block.clone();
        }
        let block = Rc::new(Block::new(self.seed, number as u64, len));
        *place = Some(CachedBlock {
            number,
            len,
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
        let (number, at) = self.place(id)?;
        let block = self.block(number);
        let final_slot = *block.slots().get(usize::from(at))?;
        let stage = self.moment.map(|moment| moment.stage(id, final_slot));
        if stage.is_some_and(|stage| !stage.visible) {
            return None;
        }
        let slot = stage.map_or(final_slot, |stage| stage.slot);
        let to_id = |slot: u16| first_id(number) + i64::from(slot);
        let mut item = MockItem {
            id,
            time: self.time(id),
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
            if let Some(stage) = stage {
                show_as_of(stage, self.seed, &mut item);
            }
        }
        Some(item)
    }

    /// The block of an id, and its slot there. `None` if there is no such id yet.
    pub(super) fn place(&self, id: i64) -> Option<(i64, u16)> {
        let place = (
            (id - 1) / i64::from(BLOCK),
            ((id - 1) % i64::from(BLOCK)) as u16,
        );
        (1..=self.max_item).contains(&id).then_some(place)
    }

    /// The time of an item, in Unix seconds.
    fn time(&self, id: i64) -> i64 {
        match self.moment {
            Some(moment) => moment.timeline.birth(id).div_euclid(MICROS_PER_SECOND),
            None => timeline::still_time(self.seed, id),
        }
    }

    /// The slot as it is at this moment. It is `None` as long as the API answers `null`.
    pub(super) fn slot_now(&self, id: i64, final_slot: BlockSlot) -> Option<BlockSlot> {
        let Some(moment) = self.moment else {
            return Some(final_slot);
        };
        let stage = moment.stage(id, final_slot);
        stage.visible.then_some(stage.slot)
    }

    /// The author, score and story kind of the item `id`, whose final slot is `final_slot`.
    pub(super) fn summary(&self, id: i64, final_slot: BlockSlot) -> ItemSummary {
        let stage = self.moment.map(|moment| moment.stage(id, final_slot));
        let slot = stage.map_or(final_slot, |stage| stage.slot);
        let rng = &mut Rng::new(self.seed, Purpose::Content, id as u64);
        let mut summary = draw_summary(rng, slot);
        if let Some(stage) = stage {
            summary.score = score_after(stage.votes, summary.score);
        }
        summary
    }
}

/// The lowest id of a block.
pub(super) fn first_id(block: i64) -> i64 {
    block * i64::from(BLOCK) + 1
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

/// The points of an item that has this percentage of its votes. One point is the author's own.
fn score_after(votes: u32, final_score: u32) -> u32 {
    1 + final_score.saturating_sub(1) * votes / 100
}

/// Turns an item's final content into what it is at a stage of its life.
fn show_as_of(stage: Stage, seed: u64, item: &mut MockItem) {
    item.score = item.score.map(|score| score_after(stage.votes, score));
    let rng = &mut Rng::new(seed, Purpose::FirstText, item.id as u64);
    if let Some(text) = &mut item.text {
        let was_edited = text.as_str() == "[delayed]" || stage.first_text;
        if stage.flagged {
            *text = "[flagged]".into();
        } else if stage.delayed {
            *text = "[delayed]".into();
        } else if was_edited && !text.is_empty() {
            *text = words::text(rng);
        }
    }
    if stage.first_title {
        if let Some(title) = &mut item.title {
            title.push_str(", and Why It Matters");
        }
        if let Some(url) = item.url.as_mut().filter(|url| !url.is_empty()) {
            let end = url.find('#').unwrap_or(url.len());
            let mark = if url.contains('?') { '&' } else { '?' };
            url.insert_str(end, &format!("{mark}utm_source=hn"));
        }
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

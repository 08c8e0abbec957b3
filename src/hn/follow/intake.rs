//! Takes in what was announced, and decides in which order it is read.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    announcement::Updates,
    id_queue::{Added, IdQueue},
    reread::Reread,
    watermark::Watermark,
};
use crate::{
    hn::{clock::on_machine, coverage::Range},
    ingest::IdOutcome,
};

/// The levels of the queue of items: new ids first.
pub(crate) const NEW: usize = 0;
/// Items that `updates` names.
pub(crate) const NAMED: usize = 1;
/// Items that are due to be read again.
pub(crate) const DUE: usize = 2;
/// New ids that are read last, because very many were announced at once.
pub(crate) const BACKLOG: usize = 3;
const LEVELS: usize = 4;

/// At most this many ids wait at a level. Further ones are dropped if they would be read later anyway, or stay in the backlog.
const WAITING_MAX: usize = 20_000;
/// If more ids are announced at once, only this many of them, the largest, count as new. Those below are backlog.
const NEW_AT_ONCE: i64 = 500;
/// The backlog is moved to the queue in pieces of this size.
const BACKLOG_PIECE: usize = 200;
/// A largest id that is larger by more than this may be an error of the API, so it is to be confirmed. It is about two hours' ids.
const JUMP_MAX: i64 = 1_000;
/// A new id that the API has nothing for is asked for again after these times. After that it is a hole.
const NULL_WAITS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// The time of the announcement is remembered for at most this many new ids.
const ANNOUNCED_MAX: usize = 50_000;

/// `updates` names the same change for about a minute.
const NAMED_AGAIN: Duration = Duration::from_secs(60);
/// Hacker News has no longer names.
const NAME_MAX: usize = 100;

/// After a gap in the streams, items are read again that are younger than the gap and this time, in seconds: authors edit and delete
/// for two hours.
const GAP_MARGIN: i64 = 2 * 3600;
/// A gap that began longer ago is left to the ladder, in seconds.
const GAP_MAX: i64 = 3 * 86_400;
/// This many gaps within this time are dealt with at once, each by itself. More are taken together: a stream that breaks all the time
/// should not cause requests without end.
const GAPS_AT_ONCE: usize = 5;
const GAPS_TIME: Duration = Duration::from_secs(300);

/// What was announced and is not read yet.
pub(crate) struct Intake {
    pub(crate) items: IdQueue<i64>,
    pub(crate) profiles: IdQueue<String>,
    named_items: Reread<i64>,
    named_profiles: Reread<String>,
    watermark: Watermark,
    backlog: VecDeque<Range>,
    /// The first id that is read by the run that fills the gap to what was stored before.
    first_unfilled: Option<i64>,
    /// When the new ids that are not stored yet were announced.
    announced_at: HashMap<i64, Instant>,
    /// New ids that the API had nothing for, how often it was asked, and when it is asked again.
    nulls: HashMap<i64, (usize, Instant)>,
    /// Since when changes may have been missed that were not read again yet, in Unix seconds.
    missed_since: Option<i64>,
    /// When the last gaps were dealt with.
    last_gaps: VecDeque<Instant>,
    /// Names that were dropped because too many were waiting.
    dropped: u64,
}

/// The items to read again after a gap in the streams: those that are younger, and were read before its end. Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AfterGap {
    pub(crate) created_since: i64,
    pub(crate) read_before: i64,
}

/// What a value of `maxitem` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaxItem {
    /// Nothing new.
    Known,
    New,
    /// It is so much larger that it is to be confirmed.
    Unconfirmed,
}

impl Intake {
    /// All ids up to `known` are settled, are not to be read, or are being read by a run of their own from `first_unfilled` on.
    pub(crate) fn new(known: i64, first_unfilled: Option<i64>) -> Self {
        let mut intake = Self {
            items: IdQueue::new(LEVELS, WAITING_MAX),
            profiles: IdQueue::new(1, WAITING_MAX),
            named_items: Reread::new(on_machine(NAMED_AGAIN)),
            named_profiles: Reread::new(on_machine(NAMED_AGAIN)),
            watermark: Watermark::new(known),
            backlog: VecDeque::new(),
            first_unfilled,
            announced_at: HashMap::new(),
            nulls: HashMap::new(),
            missed_since: None,
            last_gaps: VecDeque::new(),
            dropped: 0,
        };
        intake.mark_backlog();
        intake
    }

    /// The API's largest id.
    pub(crate) fn max_item(&mut self, id: i64, now: Instant) -> MaxItem {
        let known = self.watermark.announced();
        if id <= known {
            return MaxItem::Known;
        }
        if id.saturating_sub(known) > JUMP_MAX {
            return MaxItem::Unconfirmed;
        }
        self.confirmed_max_item(id, now);
        MaxItem::New
    }

    /// The API's largest id, which is known to be right.
    pub(crate) fn confirmed_max_item(&mut self, id: i64, now: Instant) {
        let known = self.watermark.announced();
        self.watermark.announce(id);
        let first_new = (known + 1).max(id - NEW_AT_ONCE + 1);
        if first_new > known + 1 {
            self.backlog.push_back(Range {
                lo: known + 1,
                hi: first_new - 1,
            });
        }
        for new in first_new..=id {
            if self.items.add(NEW, new) == Added::Refused {
                self.backlog.push_back(Range { lo: new, hi: id });
                break;
            }
            self.watermark.read(new);
            if self.announced_at.len() < ANNOUNCED_MAX {
                self.announced_at.insert(new, now);
            }
        }
        self.mark_backlog();
    }

    /// The largest id that was announced.
    pub(crate) fn announced(&self) -> i64 {
        self.watermark.announced()
    }

    /// All new ids up to this one are settled.
    pub(crate) fn settled_up_to(&self) -> i64 {
        self.watermark.settled()
    }

    /// Items and profiles have changed. Returns the largest id among them that is not announced yet, rather one that needs no confirmation.
    pub(crate) fn updates(&mut self, updates: Updates, now: Instant) -> Option<i64> {
        let known = self.watermark.announced();
        let larger = updates.items.iter().copied().filter(|id| *id > known);
        let near = larger.clone().filter(|id| id - known <= JUMP_MAX).max();
        let largest = near.or(larger.max());
        for id in updates.items.into_iter().filter(|id| *id <= known) {
            if self.named_items.is_named(&id, now) && self.items.add(NAMED, id) == Added::Refused {
                self.dropped += 1;
            }
        }
        for name in updates.profiles.into_iter().filter(|name| is_name(name)) {
            if self.named_profiles.is_named(&name, now)
                && self.profiles.add(0, name) == Added::Refused
            {
                self.dropped += 1;
            }
        }
        largest
    }

    /// Changes since this time, in Unix seconds, may have been missed.
    pub(crate) fn missed(&mut self, since: i64) {
        let earliest = self.missed_since.map_or(since, |known| known.min(since));
        self.missed_since = Some(earliest);
    }

    /// What to read again because of a gap in the streams, if it is time for it. What was named lately is read again as well.
    pub(crate) fn begin_after_gap(&mut self, now: Instant, time: i64) -> Option<AfterGap> {
        let since = self.missed_since?;
        let is_recent =
            |last: &Instant| now.saturating_duration_since(*last) < on_machine(GAPS_TIME);
        self.last_gaps.retain(is_recent);
        if self.last_gaps.len() >= GAPS_AT_ONCE {
            return None;
        }
        self.missed_since = None;
        self.last_gaps.push_back(now);
        for id in self.named_items.named_lately() {
            self.items.add(NAMED, *id);
        }
        for name in self.named_profiles.named_lately() {
            self.profiles.add(0, name.clone());
        }
        Some(AfterGap {
            created_since: since.max(time - GAP_MAX) - GAP_MARGIN,
            read_before: time,
        })
    }

    /// An id was read. Returns when it was announced, if it is a new one that is stored now.
    pub(crate) fn is_read(
        &mut self,
        id: i64,
        outcome: &IdOutcome,
        now: Instant,
    ) -> Option<Instant> {
        self.items.finish(&id);
        if *outcome == IdOutcome::NotAttempted {
            return None;
        }
        self.watermark.settle(id);
        match outcome {
            IdOutcome::Stored => {
                self.nulls.remove(&id);
                self.announced_at.remove(&id)
            }
            IdOutcome::Absent if self.announced_at.contains_key(&id) => {
                let (asked, _) = self.nulls.get(&id).copied().unwrap_or((0, now));
                match NULL_WAITS.get(asked) {
                    Some(wait) => {
                        self.nulls.insert(id, (asked + 1, now + on_machine(*wait)));
                    }
                    None => {
                        self.nulls.remove(&id);
                    }
                }
                None
            }
            _ => None,
        }
    }

    pub(crate) fn profile_is_read(&self, name: &String) {
        self.profiles.finish(name);
    }

    /// The run that fills the gap to what was stored before has ended.
    pub(crate) fn gap_is_filled(&mut self) {
        self.first_unfilled = None;
        self.mark_backlog();
    }

    /// Queues what has become ready. To be called every second. Returns how many names were dropped since the last call.
    pub(crate) fn advance(&mut self, now: Instant) -> u64 {
        for (id, (_, at)) in &self.nulls {
            if *at <= now {
                self.items.add_unless_being_read(NEW, *id);
            }
        }
        for id in self.named_items.due(now) {
            self.items.add(NAMED, id);
        }
        for name in self.named_profiles.due(now) {
            self.profiles.add(0, name);
        }
        while self.items.waiting_at(BACKLOG) < BACKLOG_PIECE
            && let Some(range) = self.backlog.front_mut()
        {
            let id = range.lo;
            range.lo += 1;
            if range.lo > range.hi {
                self.backlog.pop_front();
            }
            self.items.add(BACKLOG, id);
            self.watermark.read(id);
        }
        self.mark_backlog();
        std::mem::take(&mut self.dropped)
    }

    /// How many ids of the backlog are not in the queue.
    pub(crate) fn backlog(&self) -> u64 {
        self.backlog.iter().map(|range| range.count()).sum()
    }

    fn mark_backlog(&mut self) {
        let backlog = self.backlog.iter().map(|range| range.lo);
        let first = backlog.chain(self.first_unfilled).min();
        self.watermark.set_backlog(first);
    }
}

/// Whether a text may be the name of a user. It becomes a part of a URL.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn waiting(intake: &Intake) -> Vec<i64> {
        let mut ids = Box::pin(intake.items.stream(NEW..=BACKLOG));
        std::iter::from_fn(|| ids.next().now_or_never().flatten()).collect()
    }

    fn named(items: &[i64]) -> Updates {
        Updates {
            items: items.to_vec(),
            profiles: Vec::new(),
        }
    }

    #[test]
    fn a_larger_id_that_is_named_is_told() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        assert_eq!(intake.updates(named(&[7, 99, 100]), now), None);
        assert_eq!(intake.updates(named(&[7, 103, 101]), now), Some(103));
        assert_eq!(intake.updates(named(&[i64::MAX, 103]), now), Some(103));
        assert_eq!(intake.updates(named(&[i64::MAX]), now), Some(i64::MAX));
        assert_eq!(waiting(&intake), [7, 99, 100]);
    }

    #[test]
    fn new_ids_go_first_then_named_ones_and_then_the_backlog() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        intake.updates(named(&[7, 8]), now);
        assert_eq!(intake.max_item(1000, now), MaxItem::New);
        intake.advance(now);
        let ids = waiting(&intake);
        let expected: Vec<i64> = (501..=1000).chain([7, 8]).chain(101..=300).collect();
        assert_eq!(ids, expected);
        assert_eq!(intake.backlog(), 200);
    }

    #[test]
    fn the_mark_passes_an_id_when_it_and_all_before_it_are_settled() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        intake.max_item(700, now);
        assert_eq!(intake.settled_up_to(), 100);
        intake.advance(now);
        for id in waiting(&intake) {
            let announced = intake.is_read(id, &IdOutcome::Stored, now);
            assert_eq!(announced.is_some(), id > 200, "{id}");
        }
        assert_eq!(intake.settled_up_to(), 700);
    }

    #[test]
    fn an_id_that_was_not_attempted_holds_the_mark() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        intake.max_item(102, now);
        intake.is_read(101, &IdOutcome::NotAttempted, now);
        intake.is_read(102, &IdOutcome::Stored, now);
        assert_eq!(intake.settled_up_to(), 100);
    }

    #[test]
    fn a_new_id_that_is_null_is_asked_for_again_soon_and_is_fresh_only_when_it_is_stored() {
        let start = Instant::now();
        let mut intake = Intake::new(100, None);
        intake.max_item(101, start);
        let mut asked = Vec::new();
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            intake.advance(now);
            for id in waiting(&intake) {
                asked.push(second);
                assert_eq!(intake.is_read(id, &IdOutcome::Absent, now), None);
            }
        }
        assert_eq!(asked, [0, 1, 4, 14, 44]);
        assert_eq!(intake.settled_up_to(), 101);
        assert_eq!(intake.is_read(101, &IdOutcome::Stored, start), Some(start));
    }

    #[test]
    fn the_gap_to_what_was_stored_before_holds_the_mark_until_it_is_filled() {
        let mut intake = Intake::new(100, Some(51));
        assert_eq!(intake.settled_up_to(), 50);
        intake.gap_is_filled();
        assert_eq!(intake.settled_up_to(), 100);
    }

    #[test]
    fn a_largest_id_that_goes_back_changes_nothing_and_one_that_jumps_is_to_be_confirmed() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        assert_eq!(intake.max_item(99, now), MaxItem::Known);
        assert_eq!(intake.max_item(100, now), MaxItem::Known);
        assert_eq!(intake.max_item(i64::MAX, now), MaxItem::Unconfirmed);
        assert_eq!(intake.max_item(20_000, now), MaxItem::Unconfirmed);
        assert_eq!(intake.announced(), 100);
        intake.confirmed_max_item(20_000, now);
        assert_eq!(intake.announced(), 20_000);
    }

    #[test]
    fn a_flood_of_old_ids_is_bounded_and_new_ids_pass_it() {
        let now = Instant::now();
        let mut intake = Intake::new(1_000_000, None);
        let flood: Vec<i64> = (1..=100_000).collect();
        intake.updates(named(&flood), now);
        intake.updates(named(&flood), now);
        assert_eq!(intake.items.waiting(), WAITING_MAX);
        assert_eq!(intake.advance(now), 100_000 - WAITING_MAX as u64);
        intake.max_item(1_000_001, now);
        assert_eq!(waiting(&intake)[..2], [1_000_001, 1]);
    }

    #[test]
    fn a_profile_is_read_only_if_its_name_can_be_one() {
        let mut intake = Intake::new(1, None);
        let profiles = ["pg", "", "a/b", "a b", "..", "caf\u{e9}", "x-y_1"];
        let updates = Updates {
            items: Vec::new(),
            profiles: profiles.map(str::to_owned).to_vec(),
        };
        intake.updates(updates, Instant::now());
        assert_eq!(intake.profiles.waiting(), 2);
    }

    #[test]
    fn after_a_gap_what_is_young_and_what_was_named_lately_is_read_again() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        intake.updates(named(&[7]), now);
        assert_eq!(waiting(&intake), [7]);
        intake.is_read(7, &IdOutcome::Stored, now);
        assert_eq!(intake.begin_after_gap(now, 1_000_000), None);
        intake.missed(999_000);
        let after = intake.begin_after_gap(now, 1_000_000);
        let expected = AfterGap {
            created_since: 999_000 - GAP_MARGIN,
            read_before: 1_000_000,
        };
        assert_eq!(after, Some(expected));
        assert_eq!(waiting(&intake), [7]);
    }

    #[test]
    fn gaps_beyond_five_in_five_minutes_are_taken_together() {
        let now = Instant::now();
        let mut intake = Intake::new(100, None);
        let mut begin = |since: i64, now| {
            intake.missed(since);
            let after = intake.begin_after_gap(now, 1_000_000);
            after.map(|after| after.created_since + GAP_MARGIN)
        };
        for since in 999_001..=999_005 {
            assert_eq!(begin(since, now), Some(since));
        }
        assert_eq!(begin(999_006, now), None);
        assert_eq!(begin(999_007, now), None);
        assert_eq!(begin(999_008, now + GAPS_TIME), Some(999_006));
    }
}

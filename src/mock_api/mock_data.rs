//! The records of the mock API, as its clock goes on.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{
    changes::{REACH, TICK},
    clock::{Clock, micros},
    documents::Documents,
};
use crate::hn_api::{Document, Follow, HnData, Record, Unavailable};

/// How often a clock that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many updates are caught up with at most after the clock was moved.
const UPDATES_AT_ONCE: i64 = 2_000;

/// The records at the moment that the clock shows.
#[derive(Clone)]
pub(super) struct MockData {
    pub(super) documents: Rc<Documents>,
    /// An API that stands still has none.
    pub(super) clock: Option<Clock>,
}

impl MockData {
    /// What the clock shows, in microseconds.
    fn now(&self) -> i64 {
        let clock = self.clock.as_ref();
        clock.map_or(0, |clock| micros(clock.now()))
    }

    fn read_at(&self, record: &Record, moment: i64) -> Document {
        Document::new(self.documents.record(record, moment))
    }
}

impl HnData for MockData {
    type Follow = FollowClock;

    async fn read(&self, record: &Record) -> Result<Document, Unavailable> {
        Ok(self.read_at(record, self.now()))
    }

    fn follow(&self, record: &Record) -> FollowClock {
        FollowClock {
            clock_moves: self.clock.as_ref().map(Clock::moves),
            moments: VecDeque::from([self.now()]),
            seen: self.now(),
            record: record.clone(),
            data: self.clone(),
        }
    }
}

/// Follows a record as the clock goes on or is moved.
pub(super) struct FollowClock {
    data: MockData,
    record: Record,
    clock_moves: Option<watch::Receiver<Duration>>,
    /// The moment up to which everything was looked at.
    seen: i64,
    /// Moments that are still to be looked at.
    moments: VecDeque<i64>,
}

impl Follow for FollowClock {
    async fn next(&mut self) -> Result<Document, Unavailable> {
        if self.moments.is_empty() {
            self.wait().await;
            self.note_moments();
        }
        let moment = self.moments.pop_front().unwrap_or(self.seen);
        Ok(self.data.read_at(&self.record, moment))
    }
}

impl FollowClock {
    /// Waits until the clock may show another time.
    async fn wait(&mut self) {
        let is_running = self.data.clock.as_ref().is_some_and(Clock::is_running);
        let Some(moves) = &mut self.clock_moves else {
            return std::future::pending().await;
        };
        // The clock is never dropped before its followers, so an error cannot come.
        if is_running {
            let _ = timeout(LOOK_EVERY, moves.changed()).await;
        } else {
            let _ = moves.changed().await;
        }
    }

    fn note_moments(&mut self) {
        let now = self.data.now();
        if self.record == Record::Updates {
            // They name the changes of a minute only. So a clock that goes fast or is moved far must not leave any out.
            let passed = now - self.seen;
            let step = if passed > 10 * REACH { REACH } else { TICK };
            let steps_left = (1..=(passed / step).min(UPDATES_AT_ONCE)).rev();
            self.moments
                .extend(steps_left.map(|left| now - left * step));
        }
        self.moments.push_back(now);
        self.seen = now;
    }
}

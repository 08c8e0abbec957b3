//! Asks the database which items are due to be read again, and queues them.

use std::time::Duration;

use actix_rt::task::JoinHandle;
use diesel::QueryResult;
use tokio::time::Instant;

use crate::{
    cli::{database, exit::CommandError, follow_metrics},
    hn::{
        clock::{now, on_machine},
        follow::{
            id_queue::IdQueue,
            intake::{AfterGap, DUE, Intake},
        },
        refresh::{self, Ladder},
    },
    store::any::{AnyConnection, AnyPool},
};

/// The database is asked for more when fewer than this many ids wait.
const WAITING_LEAST: usize = 100;
/// How many ids one query gives at most.
const PAGE: usize = 500;

/// How often holes among the newest ids are looked for, and items on lists that are due. Each is due at most once a minute.
const HOLES_INTERVAL: Duration = Duration::from_secs(10);
const LISTED_INTERVAL: Duration = Duration::from_secs(20);
/// How often the items that are due are counted, for people and metrics.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// An item on a list is read again after this many seconds.
const LISTED_AGE: i64 = 3600;

pub(super) struct Refreshes {
    pool: AnyPool,
    ladder: Ladder,
    holes_at: Instant,
    listed_at: Instant,
    counted_at: Instant,
    due_count: u64,
    after_gap: Option<QueuedAfterGap>,
    /// What the database is being asked.
    asking: Option<JoinHandle<Result<(Question, Answer), CommandError>>>,
}

/// What is read again after a gap in the streams. It is queued in pages.
#[derive(Clone, Copy)]
struct QueuedAfterGap {
    gap: AfterGap,
    /// The last id that was queued.
    last: i64,
}

/// What the database is asked for.
#[derive(Clone)]
struct Question {
    ladder: Ladder,
    now: i64,
    due: bool,
    count: bool,
    listed: bool,
    /// The largest id, if holes are asked for.
    holes_below: Option<i64>,
    after_gap: Option<QueuedAfterGap>,
}

#[derive(Default)]
struct Answer {
    due: Vec<i64>,
    count: Option<u64>,
    listed: Vec<i64>,
    holes: Vec<i64>,
    young: Vec<i64>,
}

impl Question {
    fn ask(&self, conn: &mut AnyConnection) -> QueryResult<Answer> {
        let mut answer = Answer::default();
        if let Some(newest) = self.holes_below {
            answer.holes = refresh::holes(conn, newest, self.now, PAGE)?;
        }
        if self.due {
            answer.due = refresh::due(conn, &self.ladder, self.now, PAGE)?;
        }
        if self.count {
            let count = refresh::count_due(conn, &self.ladder, self.now)?;
            answer.count = Some(count);
        }
        if self.listed {
            answer.listed = refresh::due_on_lists(conn, self.now - LISTED_AGE, PAGE)?;
        }
        if let Some(QueuedAfterGap { gap, last }) = self.after_gap {
            answer.young = refresh::young(conn, gap.created_since, gap.read_before, last, PAGE)?;
        }
        Ok(answer)
    }
}

impl Refreshes {
    pub(super) fn new(pool: AnyPool, ladder: Ladder) -> Self {
        let now = Instant::now();
        Self {
            pool,
            ladder,
            holes_at: now,
            listed_at: now,
            counted_at: now,
            due_count: 0,
            after_gap: None,
            asking: None,
        }
    }

    /// How many items were due when they were counted.
    pub(super) fn due_count(&self) -> u64 {
        self.due_count
    }

    /// Queues what is due now. To be called every second. It does not wait for the database: an answer that takes longer comes with a
    /// later call.
    pub(super) async fn advance(&mut self, intake: &mut Intake) -> Result<(), CommandError> {
        if self
            .asking
            .as_ref()
            .is_some_and(|asking| !asking.is_finished())
        {
            return Ok(());
        }
        let answered = match self.asking.take() {
            Some(asking) => asking.await.map_err(CommandError::new)?.map(Some),
            None => Ok(None),
        };
        if let Ok(Some((question, answer))) = &answered {
            self.take_in(question, answer, intake);
        }
        if self.after_gap.is_none() {
            let gap = intake.begin_after_gap(Instant::now(), now());
            self.after_gap = gap.map(|gap| QueuedAfterGap { gap, last: 0 });
        }
        intake.items.forget_finished();
        let (question, pool) = (self.question(intake), self.pool.clone());
        self.asking = Some(actix_rt::spawn(async move {
            let asked = question.clone();
            let failed = "the database does not tell what is due";
            let answer = database::query_or(failed, &pool, move |conn| asked.ask(conn));
            Ok((question, answer.await?))
        }));
        answered.map(drop)
    }

    fn take_in(&mut self, asked_for: &Question, answer: &Answer, intake: &Intake) {
        let items = &intake.items;
        queue(items, &answer.holes);
        queue(items, &answer.young);
        queue(items, &answer.due);
        queue(items, &answer.listed);
        if let Some(queued) = &mut self.after_gap {
            match answer.young.last() {
                Some(id) => queued.last = *id,
                None if asked_for.after_gap.is_some() => self.after_gap = None,
                None => {}
            }
        }
        if let Some(count) = answer.count {
            self.due_count = count;
            follow_metrics::set_refreshes_due(usize::try_from(count).unwrap_or(usize::MAX));
        }
    }

    fn question(&mut self, intake: &Intake) -> Question {
        let at = Instant::now();
        let has_room = intake.items.waiting_at(DUE) < WAITING_LEAST;
        Question {
            ladder: self.ladder.clone(),
            now: now(),
            due: has_room,
            count: is_time(&mut self.counted_at, at, COUNT_INTERVAL),
            listed: has_room && is_time(&mut self.listed_at, at, LISTED_INTERVAL),
            holes_below: is_time(&mut self.holes_at, at, HOLES_INTERVAL)
                .then(|| intake.announced()),
            after_gap: self.after_gap.filter(|_| has_room),
        }
    }
}

/// Whether it is time for something that is done every `interval`; if so, the next time is set.
fn is_time(next: &mut Instant, now: Instant, interval: Duration) -> bool {
    let is_time = *next <= now;
    if is_time {
        *next = now + on_machine(interval);
    }
    is_time
}

/// An id that is being read, or was read while the database was asked, is not due any more.
fn queue(items: &IdQueue<i64>, ids: &[i64]) {
    for id in ids {
        items.add_unless_read(DUE, *id);
    }
}

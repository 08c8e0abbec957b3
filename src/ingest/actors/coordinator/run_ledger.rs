//! The run under way, as the coordinator keeps account of it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use actix::SpawnHandle;
use log::{info, warn};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::DropGuard;

use crate::ingest::{
    actors::coordinator::id_stream::{Feed, Pulled},
    handle::stop::Control,
    messages::{Begin, Committed, RunId, Start},
    outcome::report::{FAILURES_LISTED, FailedId, Report},
    stats::recorder::Progress,
};

/// Every id of the run is in one place at a time: to come, at a fetcher, in Storage (`unsettled`), or counted.
pub(crate) struct Current<I> {
    pub(crate) run: RunId,
    pub(crate) control: Arc<Control>,
    report: oneshot::Sender<Report<I>>,
    began: Instant,
    ids: Ids<I>,
    /// Ids that the list promised by its length and that were not read yet.
    foretold: u64,
    /// Ids that were read and are at no fetcher: one that was waited for, or those behind what a fetcher died of.
    ready: VecDeque<I>,
    /// Ids that failed in an outage: they come last, when the API is back.
    excused: VecDeque<I>,
    /// Ids that Storage has and that are not committed.
    unsettled: usize,
    /// Whether Storage was told that nothing more comes.
    flushed: bool,
    interrupted: bool,
    lost: Option<String>,
    outage: Option<Duration>,
    list_failed: Option<String>,
    failures: Vec<FailedId<I>>,
    _ended: DropGuard,
}

/// Where the rest of a run's ids is.
enum Ids<I> {
    Here(Feed<I>),
    /// The next id is waited for; the feed comes back with it.
    Awaited(Option<SpawnHandle>),
    End,
}

/// What the coordinator can do next for a run.
pub(crate) enum Next<I> {
    Give(I),
    /// There is no id yet: wait for this.
    Await(Feed<I>),
    Nothing,
}

impl<I: Send + 'static> Current<I> {
    pub(crate) fn new(Begin { start, report }: Begin<I>, lost: Option<String>) -> Self {
        let Start {
            run,
            feed,
            control,
            ended,
        } = start;
        let foretold = feed.known_rest();
        control.counters.requested.add(foretold);
        Self {
            run,
            interrupted: control.is_stopping(),
            control,
            report,
            began: Instant::now(),
            ids: Ids::Here(feed),
            foretold,
            ready: VecDeque::new(),
            excused: VecDeque::new(),
            unsettled: 0,
            flushed: false,
            lost,
            outage: None,
            list_failed: None,
            failures: Vec::new(),
            _ended: ended,
        }
    }

    pub(crate) fn next(&mut self) -> Next<I> {
        if self.is_stopping() {
            return Next::Nothing;
        }
        if let Some(id) = self.ready.pop_front() {
            return Next::Give(id);
        }
        let feed = match &mut self.ids {
            Ids::Here(feed) => feed,
            Ids::Awaited(_) => return Next::Nothing,
            Ids::End => return self.excused.pop_front().map_or(Next::Nothing, Next::Give),
        };
        match feed.pull() {
            Pulled::Id(id) => {
                self.count_read();
                Next::Give(id)
            }
            Pulled::End => {
                self.ids = Ids::End;
                self.next()
            }
            Pulled::Panicked(why) => {
                self.lose_list(why);
                self.next()
            }
            Pulled::NotYet => match std::mem::replace(&mut self.ids, Ids::Awaited(None)) {
                Ids::Here(feed) => Next::Await(feed),
                _ => Next::Nothing,
            },
        }
    }

    pub(crate) fn awaits(&mut self, waiting: SpawnHandle) {
        self.ids = Ids::Awaited(Some(waiting));
    }

    /// The feed is back, with an id or at its end.
    pub(crate) fn arrived(&mut self, feed: Feed<I>, pulled: Pulled<I>) {
        match pulled {
            Pulled::Id(id) => {
                self.count_read();
                self.ready.push_back(id);
                self.ids = Ids::Here(feed);
            }
            Pulled::Panicked(why) => self.lose_list(why),
            Pulled::End | Pulled::NotYet => self.ids = Ids::End,
        }
    }

    /// What the list still held is not attempted.
    fn lose_list(&mut self, why: String) {
        warn!("the list of ids panicked: {why}");
        self.list_failed = Some(why);
        self.ids = Ids::End;
    }

    fn count_read(&mut self) {
        match self.foretold {
            0 => self.control.counters.requested.add(1),
            _ => self.foretold -= 1,
        }
    }

    /// Ids whose fetcher died before it came to them.
    pub(crate) fn again(&mut self, ids: VecDeque<I>) {
        self.ready.extend(ids);
    }

    /// Whether there are, for all that is known, ids that were never handed out.
    pub(crate) fn has_unread_ids(&self) -> bool {
        match &self.ids {
            Ids::Here(feed) => self.foretold > 0 || !feed.knows_its_length(),
            Ids::Awaited(_) => true,
            Ids::End => false,
        }
    }

    /// Keeps an id that failed in an outage for later.
    pub(crate) fn excuse(&mut self, id: I) {
        self.excused.push_back(id);
    }

    /// The API has been out for too long.
    pub(crate) fn give_up(&mut self, after: Duration) {
        self.outage.get_or_insert(after);
        self.control.abort();
    }

    /// Nothing is handed out any more; gives the wait for an id, which is no use now.
    pub(crate) fn interrupt(&mut self) -> Option<SpawnHandle> {
        self.interrupted = true;
        self.control.stop();
        match std::mem::replace(&mut self.ids, Ids::End) {
            Ids::Awaited(waiting) => waiting,
            Ids::Here(_) | Ids::End => None,
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Nothing more can be committed, be it handed to Storage or not.
    pub(crate) fn lose_storage(&mut self, why: String) {
        self.control.abort();
        self.lost.get_or_insert(why);
        self.control
            .counters
            .not_attempted
            .add(self.unsettled as u64);
        self.unsettled = 0;
    }

    pub(crate) fn has_lost_storage(&self) -> bool {
        self.lost.is_some()
    }

    /// Rows that Storage has and that are not committed.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    pub(crate) fn handed_over(&mut self) {
        self.unsettled += 1;
        self.flushed = false;
    }

    /// What is committed leaves Storage's account.
    pub(crate) fn count(&mut self, committed: Committed<I>)
    where
        I: std::fmt::Display,
    {
        let Committed {
            stored,
            absent,
            failed,
            refused,
            ..
        } = committed;
        let counters = &self.control.counters;
        counters.settled(stored, absent, failed.len());
        counters.not_attempted.add(refused as u64);
        self.unsettled -= stored + absent + failed.len() + refused;
        for (id, failure) in failed {
            info!("{id}: failed: {failure}");
            if self.failures.len() < FAILURES_LISTED {
                self.failures.push(FailedId::new(id, failure));
            }
        }
    }

    /// Whether no id is handed out any more, however many there are.
    fn is_stopping(&self) -> bool {
        self.interrupted || self.lost.is_some() || self.outage.is_some()
    }

    /// Whether ids are still to be handed out.
    pub(crate) fn has_ids_to_come(&self) -> bool {
        let kept = !self.ready.is_empty() || !self.excused.is_empty();
        !self.is_stopping() && (kept || !matches!(self.ids, Ids::End))
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// Whether Storage is still to be told that nothing more comes; it is told once.
    pub(crate) fn wants_flush(&mut self) -> bool {
        !std::mem::replace(&mut self.flushed, true)
    }

    pub(crate) fn finish(self) -> Progress {
        let unread = self.foretold + (self.ready.len() + self.excused.len()) as u64;
        self.control.counters.not_attempted.add(unread);
        let report = Report {
            totals: self.control.counters.snapshot(),
            elapsed: self.began.elapsed(),
            interrupted: self.interrupted,
            storage_lost: self.lost,
            outage: self.outage,
            list_failed: self.list_failed,
            failures: self.failures,
        };
        let totals = report.totals.clone();
        if let Some(meters) = self.control.counters.meters() {
            meters.run_ended(&totals);
        }
        // Nobody has to wait for the report.
        let _ = self.report.send(report);
        totals
    }
}

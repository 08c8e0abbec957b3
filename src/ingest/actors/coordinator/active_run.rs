//! A run under way: its ledger, its outage, its room in the backlog, and its waits. All that happens to one run alone is here.

use std::time::SystemTime;

use actix::{Recipient, SpawnHandle};
use tokio::time::Instant;

use super::{outage_watch::OutageWatch, run_ledger::RunLedger, unread_ids::Next};
use crate::ingest::{
    backlog::{Backlog, RowPermit},
    limits::{breaker::BreakerState, signal::Blame},
    messages::{NumberedRow, Save, ToStorage},
    outcome::{
        answer::{Answer, AnsweredId, NotAnswered},
        panics::catch,
        report::GaveUp,
    },
    priority::Priority,
    source::Id,
};

/// See the [module](self).
pub(super) struct ActiveRun<I: Id> {
    pub(super) ledger: RunLedger<I>,
    /// The outage of the API under way, if there is one.
    pub(super) outage: OutageWatch,
    /// Has room for the run's answers that are not committed. Each run has its own, so that none waits for another's rows.
    pub(super) backlog: Backlog,
    /// How many fetchers work on ids of the run.
    pub(super) busy: usize,
    /// Waits for changes of the run's circuit breaker.
    pub(super) breaker_watch: Option<SpawnHandle>,
    /// Waits until the host has read what became of ids.
    pub(super) reader_wait: Option<SpawnHandle>,
    /// Drops the requests in flight at the end of the drain.
    pub(super) abort_timer: Option<SpawnHandle>,
}

/// What the coordinator does next to hand out an id of a run.
pub(super) enum Turn<I: Id> {
    /// Takes this next step.
    Next(Next<I>),
    /// Waits until this time, because no probe may be made before.
    ProbeAt(Instant),
}

impl<I: Id> ActiveRun<I> {
    pub(super) fn new(ledger: RunLedger<I>, backlog: Backlog) -> Self {
        Self {
            ledger,
            outage: OutageWatch::default(),
            backlog,
            busy: 0,
            breaker_watch: None,
            reader_wait: None,
            abort_timer: None,
        }
    }

    pub(super) fn priority(&self) -> Priority {
        self.ledger.control.priority
    }

    /// Whether ids are kept back although there may be some.
    pub(super) fn is_held_back(&self) -> bool {
        self.reader_wait.is_some() || self.ledger.kept.is_refused_too_often()
    }

    /// The next id for an idle fetcher.
    pub(super) fn next(&mut self) -> Turn<I> {
        if self.is_held_back() {
            return Turn::Next(Next::Nothing);
        }
        if !self.is_probing() {
            return Turn::Next(self.ledger.next());
        }
        // The next probe is handed out when the last one has come back.
        if self.busy > 0 {
            return Turn::Next(Next::Nothing);
        }
        let now = Instant::now();
        if let Some(at) = self.outage.next_probe.filter(|at| *at > now) {
            return Turn::ProbeAt(at);
        }
        let next = self.ledger.next();
        if let Next::Give(..) = next {
            self.outage.schedule_next_probe(now);
        }
        Turn::Next(next)
    }

    /// An id ended with a panic. Its failure waits in the ledger until the backlog has room for it.
    pub(super) fn save_panicked(&mut self, id: I, message: String, attempts: u32) {
        let copy = catch(|| id.clone()).ok();
        let failure = AnsweredId {
            id,
            answer: Answer::panicked(message, attempts),
            attempts,
            received_at: SystemTime::now(),
            permit: RowPermit::default(),
        };
        let row = self.ledger.number(failure, copy);
        self.ledger.kept.final_failures.push_back(row);
    }

    /// Passes an answer to Storage, or keeps it because the API may be at fault.
    pub(super) fn route(
        &mut self,
        result: Result<AnsweredId<I>, NotAnswered>,
        copy: I,
        breaker: BreakerState,
        storage: &Recipient<ToStorage<I>>,
    ) {
        let row = match result {
            Ok(answered) => self.ledger.number(answered, Some(copy)),
            Err(NotAnswered::GaveWay(so_far)) => return self.ledger.set_aside(copy, so_far),
            Err(NotAnswered::Stopped) => return self.ledger.count_unanswered(copy),
            Err(NotAnswered::AskedToWait(asked)) => {
                self.ledger.count_unanswered(copy);
                let wait = asked.rest;
                return self.ledger.give_up(GaveUp::ApiAsksToWait { wait });
            }
        };
        match row.answered.answer {
            Answer::Failed(_, Blame::Outage) => self.keep_unanswered(row, breaker),
            Answer::Failed(_, Blame::Refusal) => self.ledger.keep_refused(row),
            _ => self.hand_over(row, storage),
        }
    }

    /// Passes an answer to Storage.
    fn hand_over(&mut self, row: NumberedRow<I>, storage: &Recipient<ToStorage<I>>) {
        if self.ledger.has_lost_storage() {
            self.ledger.count_not_attempted(1);
        } else {
            self.ledger.count_handed_over();
            storage.do_send(ToStorage::Save(Save {
                run: self.ledger.run,
                control: self.ledger.control.clone(),
                row,
            }));
        }
    }

    /// Passes failures that are to be committed to Storage while the backlog has room for them.
    pub(super) fn hand_over_final(&mut self, storage: &Recipient<ToStorage<I>>) {
        while !self.ledger.kept.final_failures.is_empty()
            && let Some(permit) = self.backlog.try_acquire_row()
            && let Some(mut failure) = self.ledger.kept.final_failures.pop_front()
        {
            failure.answered.permit = permit;
            self.hand_over(failure, storage);
        }
    }

    /// Lets Storage write the run's waiting rows without lingering.
    pub(super) fn flush(&mut self, storage: &Recipient<ToStorage<I>>) {
        if self.ledger.needs_flush() {
            storage.do_send(ToStorage::Flush(self.ledger.run));
        }
    }

    /// Whether every id is settled or never will be. Sends `Flush` to Storage when no more rows are coming.
    pub(super) fn is_done(&mut self, storage: &Recipient<ToStorage<I>>) -> bool {
        if self.busy > 0 || self.ledger.has_ids() {
            return false;
        }
        self.flush(storage);
        self.ledger.in_storage == 0 && !self.ledger.kept.has_failures()
    }

    /// Stops all tasks that wait for something in this run. The caller cancels them.
    pub(super) fn take_tasks(&mut self) -> impl Iterator<Item = SpawnHandle> + use<I> {
        let tasks = [
            self.ledger.unread.stop(),
            self.breaker_watch.take(),
            self.reader_wait.take(),
            self.abort_timer.take(),
            self.outage.timer.take(),
            self.outage.probe_timer.take(),
        ];
        tasks.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;
    use tokio::{sync::oneshot, time::sleep};

    use super::*;
    use crate::ingest::{
        limits::signal::Signal,
        messages::{Start, StartRun},
    };

    #[tokio::test(start_paused = true)]
    async fn a_list_without_an_id_does_not_use_up_the_turn_of_a_probe() {
        let start = Start::stream(stream::pending::<i64>());
        let control = start.control.clone();
        let (report, _reported) = oneshot::channel();
        let ledger = RunLedger::new(StartRun { start, report }, 100);
        let mut run = ActiveRun::new(ledger, Backlog::new(1));
        for _ in 0..20 {
            control.record_signal(Signal::Unreachable, None);
            sleep(Duration::from_secs(1)).await;
        }
        run.outage.failing_before = Some(Duration::ZERO);
        let Turn::Next(Next::Await(ids)) = run.next() else {
            panic!("the list has no id yet");
        };
        run.ledger.list_is_back(ids, Some(Ok(7)));
        let next = run.next();
        assert!(matches!(next, Turn::Next(Next::Give(7, _))));
        run.ledger.kept.deferred.push_back(8);
        assert!(matches!(run.next(), Turn::ProbeAt(_)));
    }
}

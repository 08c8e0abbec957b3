//! Follows the API for as long as it is this process's turn.

use std::{cell::Cell, fmt, rc::Rc, sync::Arc, time::Duration};

use log::warn;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    args::{COMMAND, FollowArgs},
    beginning::{self, Beginning},
    fetch_runs::{FetchRuns, PATIENCE, RunEvent},
    largest,
    listener::{Heard, Listeners},
    lists::Lists,
    monitor::Monitor,
    news,
    refreshes::Refreshes,
    status_display::StatusDisplay,
};
use crate::{
    cli::{
        exit::{CommandError, ExitStatus},
        follow_metrics,
        held_leases::{HeldLeases, Hold},
        id_stream_error::IdStreamError,
        presence::{KeptPresence, Presence},
        service_manager::ServiceManager,
        session::Session,
        shared_ids::Claimer,
        signals::Drain,
        terminal::print_message,
    },
    hn::{
        HnSink,
        clock::on_machine,
        coverage::Frontier,
        follow::{
            counting_sink::{CountingSink, Counts, ReadAgain},
            intake::{Intake, MaxItem},
        },
        leases::{FOLLOWER, Search},
        plan::Refetch,
    },
    ingest::{IdOutcome, IdResult},
};

/// How often everything that depends on time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// In a test whose clock runs fast, ticks are at least this far apart.
const TICK_LEAST: Duration = Duration::from_millis(50);

/// An error that lasts is logged this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Follower<'a, 's> {
    session: &'a Session<'s>,
    manager: &'a ServiceManager,
    row: i64,
    drain: Drain,
    leases: HeldLeases,
    frontier: Frontier,
    intake: Intake,
    /// Why the gap to what was stored before cannot be filled.
    gap_error: IdStreamError,
    runs: FetchRuns,
    refreshes: Refreshes,
    lists: Lists,
    monitor: Monitor,
    display: StatusDisplay,
    listeners: Listeners,
    /// A largest id that is to be confirmed.
    unconfirmed: Option<i64>,
    /// Counts the items that are read again.
    refreshed: Arc<Counts>,
    /// What of these counts is in the metrics.
    published: ReadAgain,
    /// Up to which id all are settled. The presence records it.
    settled_up_to: Rc<Cell<i64>>,
    presence: KeptPresence,
    /// When an error may be logged again.
    next_report: Instant,
    next_watchdog: Instant,
}

/// How a turn ended.
pub(super) enum Ended {
    /// The command is over.
    Finished(ExitStatus),
    /// Another process has taken over.
    Replaced,
}

impl<'a, 's> Follower<'a, 's> {
    /// Begins the run in this row of the table `runs`. `max_item` is the API's largest id, if the API tells it at the moment.
    pub(super) async fn begin(
        session: &'a Session<'s>,
        args: &FollowArgs,
        manager: &'a ServiceManager,
        row: i64,
        max_item: Option<i64>,
    ) -> Result<Self, CommandError> {
        let ladder = session.options.refresh.clone();
        // This may take long, so a signal ends the process.
        let found = beginning::prepare(session, row, &ladder).await?;
        let beginning = Beginning::record(session, row, found, args.from, max_item).await?;
        let drain = Drain::begin();
        let known = beginning.known;
        let search = Search::new(known, Refetch::default(), false);
        let claimer = Claimer::new(session, COMMAND, row, search).busy_wait_max(PATIENCE);
        let leases = claimer.leases.clone();
        leases.add(FOLLOWER);
        let gap_error = IdStreamError::default();
        let gap = beginning.gap(session, claimer, gap_error.clone()).await?;
        session.print_note(&beginning.describe());
        let intake = Intake::new(known.hi, gap.as_ref().map(|_| known.lo));
        let settled_up_to = Rc::new(Cell::new(intake.settled_up_to()));
        let mut presence = Presence::new(session, COMMAND, row, Some(leases.clone()))
            .with_settled_up_to(settled_up_to.clone());
        presence.look().await;
        let frontier = Frontier::below(known.hi);
        let mut sink = HnSink::with_moving_frontier(frontier.clone());
        if args.keeps_scores {
            sink = sink.keep_scores(ladder.clone());
        }
        let sink = CountingSink::new(sink.over());
        let refreshed = sink.counts();
        let runs = FetchRuns::start(session, sink, &intake.items, &intake.profiles, gap).await?;
        let monitor = Monitor::new(session.health.clone());
        session.health.expect_news();
        let listeners = Listeners::start(session, &monitor, beginning.left_at);
        manager.ready();
        Ok(Self {
            session,
            manager,
            row,
            drain,
            leases,
            frontier,
            intake,
            gap_error,
            presence: presence.keep(runs.totals()),
            runs,
            refreshes: Refreshes::new(session.pool.clone(), ladder),
            lists: Lists::new(session.pool.clone()),
            monitor,
            display: StatusDisplay::new(session.options.progress),
            listeners,
            unconfirmed: None,
            refreshed,
            published: ReadAgain::default(),
            settled_up_to,
            next_report: Instant::now(),
            next_watchdog: Instant::now(),
        })
    }

    /// Goes on until a signal comes, the runs cannot go on, or another process takes over.
    pub(super) async fn follow(mut self) -> Result<Ended, CommandError> {
        let mut ticks = interval(on_machine(TICK).max(TICK_LEAST));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_replaced = false;
        loop {
            tokio::select! {
                _ = self.drain.first_signal() => break,
                event = self.runs.next() => {
                    if !self.note(event).await {
                        break;
                    }
                }
                Some(heard) = self.listeners.next() => self.take_in(heard),
                _ = ticks.tick() => {
                    is_replaced = self.leases.hold_of(FOLLOWER) == Hold::Lost;
                    if is_replaced {
                        break;
                    }
                    self.tick().await;
                }
            }
        }
        self.end(is_replaced).await
    }

    fn take_in(&mut self, heard: Heard) {
        let now = Instant::now();
        match heard {
            Heard::MaxItem(id) => self.take_in_largest(id, now),
            Heard::Updates(updates) => {
                // `updates` may be ahead of `maxitem`, or the stream of `maxitem` may be silent.
                if let Some(larger) = self.intake.updates(updates, now) {
                    self.take_in_largest(larger, now);
                }
            }
            Heard::List(list, ids) => self.lists.change(list, ids),
            Heard::Missed { since } => self.intake.missed(since),
        }
    }

    fn take_in_largest(&mut self, id: i64, now: Instant) {
        match self.intake.max_item(id, now) {
            MaxItem::New => self.frontier.raise(id),
            MaxItem::Known => {}
            MaxItem::Unconfirmed => self.unconfirmed = Some(id),
        }
    }

    /// Returns whether the runs go on.
    async fn note(&mut self, event: RunEvent) -> bool {
        match event {
            RunEvent::New(batch) => {
                let stored = batch
                    .iter()
                    .filter(|read| read.outcome == IdOutcome::Stored);
                let stored: Vec<i64> = stored.map(|read| read.id).collect();
                for read in &batch {
                    if let Some(announced_at) = note_read(&mut self.intake, read) {
                        follow_metrics::note_fresh(announced_at.elapsed());
                    }
                }
                if !stored.is_empty() && news::are_shown(self.session.options.progress) {
                    actix_rt::spawn(news::print(self.session.pool.clone(), stored));
                }
            }
            RunEvent::Others(batch) => {
                for read in &batch {
                    note_read(&mut self.intake, read);
                }
            }
            RunEvent::Profiles(batch) => {
                for read in &batch {
                    self.intake.profile_is_read(&read.id);
                }
            }
            RunEvent::Gap => {}
            RunEvent::GapFilled => {
                if !self.runs.end_gap().await {
                    return false;
                }
                match self.gap_error.message() {
                    None => self.intake.gap_is_filled(),
                    Some(message) => {
                        print_message(format_args!(
                            "the gap to what was stored before is not filled: {message}; start follow again, or run backfill"
                        ));
                        return false;
                    }
                }
            }
            RunEvent::Over => return false,
        }
        true
    }

    /// A largest id that jumped counts once the API has an item there.
    async fn confirm_jump(&mut self) {
        let Some(id) = self.unconfirmed.take() else {
            return;
        };
        if largest::is_confirmed(&self.session.client, &self.session.source, id).await {
            self.intake.confirmed_max_item(id, Instant::now());
            self.frontier.raise(id);
        } else {
            let known = self.intake.announced();
            self.report(format_args!(
                "the API says that its largest id is {id}, far beyond {known}, and has no item there; that is ignored"
            ));
        }
    }

    async fn tick(&mut self) {
        self.confirm_jump().await;
        let dropped = self.intake.advance(Instant::now());
        if dropped > 0 {
            self.report(format_args!(
                "{dropped} of the changes that the API has just announced are left to the refreshes: too many are waiting"
            ));
        }
        if let Err(CommandError(message)) = self.refreshes.advance(&mut self.intake).await {
            self.report(format_args!("{message}"));
        }
        if let Err(CommandError(message)) = self.lists.advance().await {
            self.report(format_args!("{message}"));
        }
        self.settled_up_to.set(self.intake.settled_up_to());
        follow_metrics::set_queue(self.intake.items.waiting());
        self.publish_refreshed();
        self.monitor.publish();
        self.display.update(
            &self.intake,
            &self.runs,
            self.refreshes.due_count(),
            &self.monitor,
            self.session.client.throttle().cool_down_rest(),
            self.manager,
        );
        if let Some(every) = self.manager.watchdog_interval()
            && Instant::now() >= self.next_watchdog
        {
            self.manager.watchdog();
            self.next_watchdog = Instant::now() + every.mul_f64(0.9);
        }
    }

    fn publish_refreshed(&mut self) {
        let (now, before) = (self.refreshed.get(), self.published);
        follow_metrics::note_refreshed(now.items - before.items, now.changed - before.changed);
        self.published = now;
    }

    /// Logs an error that may last, at most once a minute.
    fn report(&mut self, what: fmt::Arguments<'_>) {
        if Instant::now() >= self.next_report {
            self.next_report = Instant::now() + REPORT_INTERVAL;
            warn!("{what}");
        }
    }

    /// Ends the runs in order.
    async fn end(mut self, is_replaced: bool) -> Result<Ended, CommandError> {
        self.manager.stopping();
        self.listeners.stop();
        drop(self.display);
        let intake = &mut self.intake;
        let ended = self.runs.end(|read| _ = note_read(intake, read)).await;
        self.settled_up_to.set(self.intake.settled_up_to());
        if let Err(error) = self.lists.finish().await {
            warn!("{error}");
        }
        let mark = self.settled_up_to.get();
        drop(self.presence);
        let finished = self
            .session
            .finish(self.row, COMMAND, Some(mark), ended, self.drain)
            .await;
        if is_replaced {
            return Ok(Ended::Replaced);
        }
        Ok(Ended::Finished(finished.print(self.session)))
    }
}

/// Returns when the item was announced, if it is a new one and stored now.
fn note_read(intake: &mut Intake, read: &IdResult<i64>) -> Option<Instant> {
    intake.is_read(read.id, &read.outcome, Instant::now())
}

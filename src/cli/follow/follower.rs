//! Follows the API for as long as it is this process's turn.

use std::{
    cell::Cell,
    fmt::{self, Display},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_rt::task::JoinHandle;
use log::warn;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    args::{COMMAND, FollowArgs},
    feed::Feed,
    fetch_runs::{FetchRuns, Ids, RunEvent},
    largest,
    listener::{Heard, Listener},
    lists::Lists,
    monitor::Monitor,
    news,
    refreshes::Refreshes,
    status_display::StatusDisplay,
};
use crate::{
    cli::{
        database,
        exit::{CommandError, ExitStatus},
        follow_metrics,
        held_leases::{HeldLeases, Hold},
        id_stream_error::IdStreamError,
        presence::{KeptPresence, Presence},
        service_manager::ServiceManager,
        session::Session,
        shared_ids::{Claimer, shared_ids},
        signals::Drain,
        terminal::print_message,
    },
    hn::{
        HnSink,
        clock::on_machine,
        coverage::{Frontier, Range},
        follow::{
            announcement::ListDocument,
            counting_sink::{CountingSink, Counts},
            intake::{Intake, MaxItem, Read},
            starting_point::StartingPoint,
        },
        indexes::Building,
        leases::{FOLLOWER, Search},
        plan::{Refetch, RemainingIds},
        refresh::{self, Ladder},
        runs,
    },
    ingest::{IdOutcome, IdResult},
    store::locks::while_locked,
};

/// How often everything that depends on time is looked at…
const TICK: Duration = Duration::from_secs(1);
/// …in a test whose clock runs fast, too.
const TICK_LEAST: Duration = Duration::from_millis(50);

/// How long the API has for confirming a jump of its largest id. It is asked again when it says so again.
const CONFIRMATION: Duration = Duration::from_secs(10);

/// How often to look whether another process has ended building an index.
const OTHER_BUILD_WAIT: Duration = Duration::from_secs(1);

/// What was heard and is not taken in yet.
const HEARD_MAX: usize = 64;

/// A trouble that lasts is logged this often.
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
    heard: mpsc::Receiver<Heard>,
    listeners: Vec<JoinHandle<()>>,
    /// A largest id that is to be confirmed.
    unconfirmed: Option<i64>,
    /// What was read again…
    refreshed: Arc<Counts>,
    /// …and what of that is in the metrics.
    published: (u64, u64),
    /// For the presence, which records it.
    settled_up_to: Rc<Cell<i64>>,
    presence: KeptPresence,
    /// When a trouble may be logged again.
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
    /// Begins the run in this row of the table `runs`. `max_item` is the API's largest id.
    pub(super) async fn begin(
        session: &'a Session<'s>,
        args: &FollowArgs,
        manager: &'a ServiceManager,
        row: i64,
        max_item: i64,
    ) -> Result<Self, CommandError> {
        let ladder = session.options.refresh.clone();
        // This may take long, so a signal ends the process.
        let found = prepare(session, row, ladder.clone()).await?;
        let drain = Drain::begin();
        largest::check(session, max_item, found.first).await?;
        let newest = max_item.saturating_add(1);
        let first = args.from.or(found.first).unwrap_or(newest);
        if first > newest {
            warn!(
                "the API's largest id is {max_item}, and the database holds ids up to {}; nothing is new until the API passes that",
                first - 1
            );
        }
        // Before anything is read: this process may be killed at any moment.
        record_start(session, row, first - 1).await?;
        let known = max_item.max(first - 1);
        let range = Range {
            lo: first,
            hi: known,
        };
        let search = Search::new(range, Refetch::default(), false);
        let leases = HeldLeases::new(search.clone());
        leases.add(FOLLOWER);
        let gap_error = IdStreamError::default();
        let claimer = Claimer {
            pool: session.pool.clone(),
            process: session.process.clone(),
            command: COMMAND,
            row,
            search,
            leases: leases.clone(),
        };
        let gap = gap_ids(session, claimer, range, gap_error.clone()).await?;
        session.print_note(&beginning(first, max_item, found.first.is_none()));
        let first_unfilled = gap.as_ref().map(|_| first);
        let intake = Intake::new(known, first_unfilled);
        let frontier = Frontier::below(max_item);
        let sink = HnSink::with_moving_frontier(frontier.clone());
        let sink = if args.keeps_scores {
            sink.keep_scores(ladder.clone())
        } else {
            sink
        };
        let settled_up_to = Rc::new(Cell::new(intake.settled_up_to()));
        let mut presence = Presence::new(session, COMMAND, row, Some(leases.clone()))
            .with_settled_up_to(settled_up_to.clone());
        presence.look().await;
        let sink = CountingSink::new(sink.over());
        let refreshed = sink.counts();
        let runs = FetchRuns::start(session, sink, &intake.items, &intake.profiles, gap).await?;
        let monitor = Monitor::new(session.health.clone());
        session.health.expect_news();
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let listeners = Feed::all().map(|feed| {
            let listener = Listener {
                feed,
                client: session.client.clone(),
                source: session.source.clone(),
                heard: sender.clone(),
                monitor: monitor.clone(),
                last_heard: found.left_at,
                list: ListDocument::default(),
            };
            actix_rt::spawn(listener.listen())
        });
        let listeners = listeners.collect();
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
            heard,
            listeners,
            unconfirmed: None,
            refreshed,
            published: (0, 0),
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
                Some(heard) = self.heard.recv() => self.take_in(heard),
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
        let now = std::time::Instant::now();
        match heard {
            Heard::MaxItem(id) => match self.intake.max_item(id, now) {
                MaxItem::New => self.frontier.raise(id),
                MaxItem::Known => {}
                MaxItem::Unconfirmed => self.unconfirmed = Some(id),
            },
            Heard::Updates(updates) => self.intake.updates(updates, now),
            Heard::List(list, ids) => self.lists.change(list, ids),
            Heard::Missed { since } => self.intake.missed(since),
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
        let confirming = largest::is_confirmed(&self.session.client, &self.session.source, id);
        if timeout(CONFIRMATION, confirming).await == Ok(true) {
            self.intake
                .confirmed_max_item(id, std::time::Instant::now());
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
        let dropped = self.intake.advance(std::time::Instant::now());
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
        let (read, changed) = self.refreshed.get();
        let (read_before, changed_before) = self.published;
        follow_metrics::note_refreshed(read - read_before, changed - changed_before);
        self.published = (read, changed);
    }

    /// Logs a trouble that may last, at most once a minute.
    fn report(&mut self, what: fmt::Arguments<'_>) {
        if Instant::now() >= self.next_report {
            self.next_report = Instant::now() + REPORT_INTERVAL;
            warn!("{what}");
        }
    }

    /// Ends the runs in order.
    async fn end(mut self, is_replaced: bool) -> Result<Ended, CommandError> {
        self.manager.stopping();
        self.listeners.iter().for_each(JoinHandle::abort);
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
fn note_read(intake: &mut Intake, read: &IdResult<i64>) -> Option<std::time::Instant> {
    let what = match read.outcome {
        IdOutcome::Stored => Read::Stored,
        IdOutcome::Absent => Read::Absent,
        IdOutcome::Failed(_) => Read::Failed,
        IdOutcome::NotAttempted => Read::NotAttempted,
    };
    intake.is_read(read.id, what, std::time::Instant::now())
}

/// Makes sure that there is an index of the items that are due, and reads where to begin.
async fn prepare(session: &Session<'_>, row: i64, ladder: Ladder) -> Result<StartingPoint, CommandError> {
    let failed = |error: &dyn Display| {
        CommandError(format!(
            "the database cannot be prepared for following: {error}"
        ))
    };
    loop {
        let sought = ladder.clone();
        let has_index = database::with_connection(&session.pool, move |conn| {
            while_locked(|| refresh::has_index(conn, &sought)).map_err(|error| failed(&error))
        });
        if has_index.await? {
            break;
        }
        session.print_note("building the index of what is to be read again");
        let (pool, ladder) = (session.pool.clone(), ladder.clone());
        // However long it takes.
        let building = database::blocking(move || {
            database::while_connecting(&pool, |conn| {
                while_locked(|| refresh::build_index(conn, &ladder)).map_err(|error| failed(&error))
            })
        });
        if building.await? == Building::Done {
            break;
        }
        session.print_note("another process is building an index");
        actix_rt::time::sleep(OTHER_BUILD_WAIT).await;
    }
    database::with_connection(&session.pool, move |conn| {
        while_locked(|| StartingPoint::read(conn, COMMAND, row)).map_err(|error| failed(&error))
    })
    .await
}

/// Records behind which id this run begins.
async fn record_start(session: &Session<'_>, row: i64, settled: i64) -> Result<(), CommandError> {
    database::with_connection(&session.pool, move |conn| {
        while_locked(|| runs::set_settled_up_to(conn, row, settled))
            .map_err(|error| CommandError(format!("the database cannot be written: {error}")))
    })
    .await
}

/// The ids in the range that are not settled, to be claimed. `None` if there are none.
async fn gap_ids(
    session: &Session<'_>,
    claimer: Claimer,
    range: Range,
    error: IdStreamError,
) -> Result<Option<Ids>, CommandError> {
    if range.lo > range.hi {
        return Ok(None);
    }
    let left = database::with_connection(&session.pool, move |conn| {
        while_locked(|| RemainingIds::plan(conn, range, Refetch::default())).map_err(|error| {
            CommandError(format!(
                "the database does not tell which ids are left: {error}"
            ))
        })
    })
    .await?
    .len();
    Ok((left > 0).then(|| Box::pin(shared_ids(claimer, left, error)) as Ids))
}

/// Where following begins, for people.
fn beginning(first: i64, max_item: i64, is_empty: bool) -> String {
    if is_empty {
        format!("following from item {first} on; backfill fetches what is older")
    } else {
        let left = (max_item - first + 1).max(0);
        format!("following from item {first} on, {left} below the API's largest")
    }
}

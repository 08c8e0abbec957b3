//! The runs that fetch what was announced: new items first, then other items, then the gap to what was stored before, and profiles.

use std::{pin::Pin, time::Duration};

use futures_util::Stream;
use tokio::time::Instant;

use crate::{
    cli::{exit::CommandError, run::CLOSE_WAIT, session::Session},
    hn::{
        UserSink, UserSource,
        follow::{
            counting_sink::CountingSink,
            id_queue::IdQueue,
            intake::{BACKLOG, NAMED, NEW},
        },
    },
    ingest::{
        Config, FAILURES_LISTED, Id, IdResult, Outcomes, Pipeline, PipelineStopped, Priority,
        Progress, Report, Run, RunWatch, Start,
    },
    store::any::AnyConnection,
};

/// How long an API that is out, and a database that is locked, are waited for: a month, which is the longest outage patience of the
/// engine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30 * 86_400);

/// Ids that a run fetches.
pub(super) type Ids = Pin<Box<dyn Stream<Item = i64> + Send>>;

pub(super) struct FetchRuns {
    items: Pipeline<i64>,
    profiles: Pipeline<String>,
    new: FetchRun<i64>,
    others: FetchRun<i64>,
    /// `None` once the gap is filled, or if there is none.
    gap: Option<FetchRun<i64>>,
    users: FetchRun<String>,
    /// The reports of the runs that have ended.
    ended: Vec<Report<i64>>,
    watches: Vec<RunWatch>,
    began: Instant,
}

/// A run, and the outcomes of its ids.
struct FetchRun<I> {
    run: Run<I>,
    outcomes: Outcomes<I>,
}

/// What has happened in one of the runs.
pub(super) enum RunEvent {
    /// New items were fetched.
    New(Vec<IdResult<i64>>),
    /// Other items were fetched.
    Others(Vec<IdResult<i64>>),
    /// Items of the gap were fetched.
    Gap,
    GapFilled,
    Profiles(Vec<IdResult<String>>),
    /// A run has ended by itself: it could not go on.
    Over,
}

impl FetchRuns {
    pub(super) async fn start(
        session: &Session<'_>,
        sink: CountingSink<AnyConnection>,
        items: &IdQueue<i64>,
        profiles: &IdQueue<String>,
        gap: Option<Ids>,
    ) -> Result<Self, CommandError> {
        let workers = session.config.workers;
        let item_config = Config {
            // One of them is for profiles.
            workers: workers.saturating_sub(1).max(1),
            ..session.config.clone()
        };
        let profile_config = Config {
            workers: 1,
            // An API that refuses profiles may still give items.
            max_refusals: 0,
            ..session.config.clone()
        };
        let item_pipeline = session
            .builder(session.source.clone(), sink)
            .config(item_config)
            .busy_wait_max(PATIENCE)
            .start()
            .await
            .map_err(CommandError::new)?;
        let source = UserSource::new(session.source.clone());
        let profile_pipeline = session
            .builder(source, UserSink::new().over())
            .config(profile_config)
            .busy_wait_max(PATIENCE)
            .name("profiles")
            .start()
            .await
            .map_err(CommandError::new)?;
        let new = Start::stream(items.stream(NEW..=NEW)).priority(Priority::High);
        let others = Start::stream(items.stream(NAMED..=BACKLOG)).priority(Priority::Normal);
        let gap = gap.map(|ids| Start::stream(ids).priority(Priority::Low));
        let users = Start::stream(profiles.stream(0..=0)).priority(Priority::Low);
        let new = FetchRun::start(&item_pipeline, new);
        let others = FetchRun::start(&item_pipeline, others);
        let gap = gap.map(|gap| FetchRun::start(&item_pipeline, gap));
        let users = FetchRun::start(&profile_pipeline, users);
        let mut watches = vec![new.run.watch(), others.run.watch(), users.run.watch()];
        watches.extend(gap.as_ref().map(|gap| gap.run.watch()));
        Ok(Self {
            items: item_pipeline,
            profiles: profile_pipeline,
            new,
            others,
            gap,
            users,
            ended: Vec::new(),
            watches,
            began: Instant::now(),
        })
    }

    /// Reads the counters of all runs together.
    pub(super) fn totals(&self) -> impl Fn() -> Progress + use<> {
        let watches = self.watches.clone();
        move || RunWatch::progress_of_all(&watches)
    }

    /// How many ids of the gap are not settled yet.
    pub(super) fn left_in_gap(&self) -> u64 {
        let progress = self.gap.as_ref().map(|gap| gap.run.progress());
        progress.map_or(0, |progress| progress.requested - progress.settled())
    }

    /// Waits until something happens. If the future is dropped, nothing is lost.
    pub(super) async fn next(&mut self) -> RunEvent {
        tokio::select! {
            biased;
            batch = self.new.outcomes.next_batch() => batch.map_or(RunEvent::Over, RunEvent::New),
            batch = self.others.outcomes.next_batch() => batch.map_or(RunEvent::Over, RunEvent::Others),
            batch = self.users.outcomes.next_batch() => batch.map_or(RunEvent::Over, RunEvent::Profiles),
            batch = next_of_gap(&mut self.gap) => match batch {
                Some(_) => RunEvent::Gap,
                None => RunEvent::GapFilled,
            },
        }
    }

    /// Takes the report of the run of the gap, which has ended. Returns whether that run has settled all of its ids.
    pub(super) async fn end_gap(&mut self) -> bool {
        let Some(gap) = self.gap.take() else {
            return true;
        };
        match gap.run.await {
            Ok(report) => {
                let is_filled = report.gave_up.is_none() && report.totals.not_attempted == 0;
                self.ended.push(report);
                is_filled
            }
            Err(PipelineStopped) => false,
        }
    }

    /// Cancels all runs, and waits until they have ended. The outcomes that items have until then go to `read`.
    pub(super) async fn end(
        self,
        mut read: impl FnMut(&IdResult<i64>),
    ) -> Result<Report<i64>, PipelineStopped> {
        self.watches.iter().for_each(RunWatch::cancel);
        let (new, others) = (self.new.drain(), self.others.drain());
        let users = self.users.drain();
        let gap = async {
            match self.gap {
                Some(gap) => Some(gap.drain().await),
                None => None,
            }
        };
        let (new, others, users, gap) = tokio::join!(new, others, users, gap);
        let mut reports = self.ended;
        for ended in [Some(new), Some(others), gap].into_iter().flatten() {
            let (report, outcomes) = ended;
            outcomes.iter().for_each(&mut read);
            reports.push(report?);
        }
        let users = users.0?;
        let _ = tokio::join!(
            self.items.shutdown(CLOSE_WAIT),
            self.profiles.shutdown(CLOSE_WAIT)
        );
        let mut failures = Vec::new();
        for report in &mut reports {
            failures.append(&mut report.failures);
        }
        failures.truncate(FAILURES_LISTED);
        let gave_up = reports.iter_mut().find_map(|report| report.gave_up.take());
        let gave_up = gave_up.or(users.gave_up);
        Ok(Report {
            totals: RunWatch::progress_of_all(&self.watches),
            elapsed: self.began.elapsed(),
            interrupted: gave_up.is_none(),
            gave_up,
            list_failed: None,
            failures,
        })
    }
}

impl<I: Id> FetchRun<I> {
    fn start(pipeline: &Pipeline<I>, start: Start<I>) -> Self {
        let (start, outcomes) = start.with_outcomes();
        Self {
            run: pipeline.start(start),
            outcomes,
        }
    }

    /// Waits for the end of the run, and collects the outcomes that its ids have until then.
    async fn drain(mut self) -> (Result<Report<I>, PipelineStopped>, Vec<IdResult<I>>) {
        let mut ended = Vec::new();
        while let Some(batch) = self.outcomes.next_batch().await {
            ended.extend(batch);
        }
        (self.run.await, ended)
    }
}

async fn next_of_gap(gap: &mut Option<FetchRun<i64>>) -> Option<Vec<IdResult<i64>>> {
    match gap {
        Some(gap) => gap.outcomes.next_batch().await,
        None => std::future::pending().await,
    }
}

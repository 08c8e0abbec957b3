//! One run of a command: it is recorded in the table `runs`, driven to its end, and reported.

use std::{fmt::Display, time::Duration};

use futures_util::Stream;
use log::{debug, warn};
use serde::Serialize;

use super::{
    database::{self, NOT_WRITTEN, advice::next_step_after},
    exit::{CommandError, ExitStatus},
    held_leases::HeldLeases,
    presence::Presence,
    progress::ProgressDisplay,
    run_report::RunReport,
    session::{Session, time_after},
    signals::{self, Drain},
    terminal::print_message,
};
use crate::{
    hn::{
        HnSink, leases, runs,
        top_items::{self, TopItem},
    },
    ingest::{Failure, FailureKind, GaveUp, Id, PipelineStopped, Report, Run, Sink, Source},
    store::{StoreConnection, any::AnyConnection, locks::while_locked_and},
};

/// How long the storage may take to close its connections after a run. Usually it takes no time.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// What the progress of a backfill says when it has no more ids of its own.
const WAITS_FOR_OTHERS: &str = "waiting for ids that other processes hold";

/// If the run has waited for the database in vain, the report waits only this long for it.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// A run that is over.
pub(super) struct FinishedRun<I> {
    command: &'static str,
    /// The id of its row in the table `runs`.
    row: i64,
    /// `None` if the pipeline broke.
    report: Option<Report<I>>,
    /// A signal does not end the process before the report is made.
    drain: Drain,
}

impl Session<'_> {
    /// Ingests the items with these ids, and records this as a run of `command`.
    pub(super) async fn run(
        &mut self,
        command: &'static str,
        sink: HnSink<AnyConnection>,
        ids: impl Stream<Item = i64> + Send + 'static,
    ) -> Result<FinishedRun<i64>, CommandError> {
        self.run_from(command, self.source.clone(), sink, ids).await
    }

    /// Ingests the records with these ids from `source`.
    pub(super) async fn run_from<S, K>(
        &mut self,
        command: &'static str,
        source: S,
        sink: K,
        ids: impl Stream<Item = S::Id> + Send + 'static,
    ) -> Result<FinishedRun<S::Id>, CommandError>
    where
        S: Source,
        K: Sink<Id = S::Id, Record = S::Record, Connection = AnyConnection>,
    {
        let row = self.record_start(command, None).await?;
        self.run_recorded(row, command, source, sink, ids, None)
            .await
    }

    /// Ingests the records with these ids as the run that is recorded in `row`. `leases` are those that the ids are claimed by.
    pub(super) async fn run_recorded<S, K>(
        &mut self,
        row: i64,
        command: &'static str,
        source: S,
        sink: K,
        ids: impl Stream<Item = S::Id> + Send + 'static,
        leases: Option<HeldLeases>,
    ) -> Result<FinishedRun<S::Id>, CommandError>
    where
        S: Source,
        K: Sink<Id = S::Id, Record = S::Record, Connection = AnyConnection>,
    {
        let mut presence = Presence::new(self, command, row, leases.clone());
        presence.look().await;
        let pipeline = self.builder(source, sink).start().await;
        let pipeline = pipeline.map_err(CommandError::new)?;
        let mut drain = Drain::begin();
        let run = pipeline.run_stream(ids);
        let watch = run.watch();
        let presence = presence.keep(move || watch.progress());
        let ended = self.drive(run, &mut drain, leases).await;
        drop(presence);
        // Otherwise the process could end while the database is being closed, and leave its log behind.
        let _ = pipeline.shutdown(CLOSE_WAIT).await;
        Ok(self.finish(row, command, None, ended, drain).await)
    }

    /// Records how a run ended, and says why if it could not go on. Its pipeline is shut down. Of a run that follows the API, all ids
    /// up to `settled_up_to` are settled.
    pub(super) async fn finish<I>(
        &self,
        row: i64,
        command: &'static str,
        settled_up_to: Option<i64>,
        ended: Result<Report<I>, PipelineStopped>,
        drain: Drain,
    ) -> FinishedRun<I> {
        let mut report = match ended {
            Ok(report) => report,
            Err(error) => {
                print_message(error);
                return FinishedRun {
                    command,
                    row,
                    report: None,
                    drain,
                };
            }
        };
        // The file may have been deleted after the last commit, and that commit with it.
        if let Err(why) = AnyConnection::check(&self.database) {
            report.gave_up.get_or_insert(GaveUp::StorageLost(why));
        }
        self.record_end(row, settled_up_to, &report).await;
        if let Some(why) = &report.gave_up {
            print_message(format_args!(
                "{why}; {}",
                next_step(why, self.proxy().as_deref())
            ));
        }
        FinishedRun {
            command,
            row,
            report: Some(report),
            drain,
        }
    }

    /// Records that a run begins. Returns its row in the table `runs`.
    ///
    /// `last_id` is the largest id that a backfill goes to.
    pub(super) async fn record_start(
        &self,
        command: &'static str,
        last_id: Option<i64>,
    ) -> Result<i64, CommandError> {
        let (process, rate) = (self.process.clone(), self.config.rate);
        database::query_or(NOT_WRITTEN, &self.pool, move |conn| {
            runs::begin(conn, command, &process, rate, last_id)
        })
        .await
    }

    /// Shows progress until the run is over. A signal cancels the run.
    async fn drive<I: Id>(
        &self,
        mut run: Run<I>,
        drain: &mut Drain,
        leases: Option<HeldLeases>,
    ) -> Result<Report<I>, PipelineStopped> {
        let note = move || {
            let waits = leases.as_ref().is_some_and(HeldLeases::waits_for_others);
            waits.then_some(WAITS_FOR_OTHERS)
        };
        let _display = ProgressDisplay::of_run(self.options.progress, run.watch(), note);
        tokio::select! {
            report = &mut run => return report,
            _ = drain.first_signal() => run.cancel(),
        }
        run.await
    }

    /// Records the run's totals. The report is printed even if this fails.
    pub(super) async fn record_end<I>(
        &self,
        row: i64,
        settled_up_to: Option<i64>,
        report: &Report<I>,
    ) {
        let totals = report.totals.clone();
        let may_wait = may_wait_after(report);
        let recorded = database::with_connection_while(may_wait, &self.pool, move |conn| {
            while_locked_and(may_wait, || {
                conn.write_transaction(|conn| {
                    leases::surrender(conn, row)?;
                    runs::finish(conn, row, &totals, settled_up_to)
                })
            })
            .map_err(|error: diesel::result::Error| CommandError::new(error))?;
            // A checkpoint makes what the report calls stored survive a power cut. If it fails, the next run makes one.
            if let Err(error) = conn.checkpoint() {
                debug!("no checkpoint after the run: {error}");
            }
            Ok(())
        });
        if let Err(error) = recorded.await {
            warn!("the totals of this run are not in the table runs: {error}");
        }
    }

    /// The best of these items that the run stored.
    async fn top_items(&self, row: i64, ids: &[i64], report: &Report<i64>) -> Vec<TopItem> {
        let ids = ids.to_vec();
        let may_wait = may_wait_after(report);
        let read = database::with_connection_while(may_wait, &self.pool, move |conn| {
            while_locked_and(may_wait, || top_items::read(conn, row, &ids))
                .map_err(CommandError::new)
        });
        read.await.unwrap_or_else(|error| {
            warn!("the report lacks its top items, which cannot be read: {error}");
            Vec::new()
        })
    }
}

impl<I: Serialize + Display> FinishedRun<I> {
    /// Prints the report.
    pub(super) fn print(self, session: &Session<'_>) -> ExitStatus {
        self.print_report(session, None)
    }

    fn print_report(self, session: &Session<'_>, top: Option<Vec<TopItem>>) -> ExitStatus {
        let report = self.report.as_ref();
        let status = report.map_or(ExitStatus::CouldNotGoOn, |report| {
            exit_status(report, signals::noted())
        });
        // The reader of the report may keep the process waiting, so from here on a signal ends it.
        drop(self.drain);
        if let Some(run) = report {
            let report = RunReport {
                command: self.command,
                run,
                top,
                is_demo: session.options.demo,
            };
            report.print(session.options.format);
        }
        status
    }
}

impl FinishedRun<i64> {
    /// Prints the report, with the best items of the list that was fetched.
    pub(super) async fn print_with_top(self, session: &Session<'_>, list: &[i64]) -> ExitStatus {
        let top = match &self.report {
            Some(report) => session.top_items(self.row, list, report).await,
            None => Vec::new(),
        };
        self.print_report(session, Some(top))
    }
}

/// How long the database is waited for after a run. If it was waited for in vain already, it has only a moment.
fn may_wait_after<I>(report: &Report<I>) -> impl Fn(Duration) -> bool + Copy + Send + 'static {
    let was_in_vain = matches!(
        report.gave_up,
        Some(GaveUp::StorageLost(_) | GaveUp::StorageBusy(_))
    );
    move |waited| (!was_in_vain || waited < LAST_WAIT) && database::may_wait(waited)
}

/// The exit status of a run that has ended so. `signal` is the first one that came.
pub(super) fn exit_status<I>(report: &Report<I>, signal: Option<u8>) -> ExitStatus {
    if let Some(signal) = signal
        && let Some(GaveUp::StorageBusy(_)) = &report.gave_up
    {
        // The database would have been waited for.
        return ExitStatus::Interrupted { signal };
    }
    if report.gave_up.is_some() {
        ExitStatus::CouldNotGoOn
    } else if let Some(signal) = signal {
        ExitStatus::Interrupted { signal }
    } else if report.is_complete() {
        ExitStatus::Complete
    } else {
        ExitStatus::Incomplete
    }
}

const MEND_AND_RUN_AGAIN: &str =
    "what the report calls stored is safe, so mend this and run the rest again";

/// What the user can do about a run that could not go on.
///
/// `proxy` is the proxy that requests go through.
fn next_step(why: &GaveUp, proxy: Option<&str>) -> String {
    match why {
        GaveUp::ApiOut { .. } => {
            let proxy = proxy.map_or_else(String::new, |proxy| format!(" (or {proxy})"));
            format!(
                "what the report calls stored is safe, so run the rest again when the API{proxy} is back"
            )
        }
        GaveUp::ApiRefuses { last_failure, .. } => after_refusals(last_failure, proxy),
        GaveUp::ApiAsksToWait { wait, .. } => {
            let back = time_after(*wait);
            format!(
                "what the report calls stored is safe, so run the rest again from {back} on, or let a run wait with a longer --outage-patience"
            )
        }
        GaveUp::StorageBusy(_) => {
            "what is not known to be committed counts as not attempted, so run the rest again"
                .to_owned()
        }
        GaveUp::StorageLost(why) => match next_step_after(why) {
            Some(step) => format!("{step}; {MEND_AND_RUN_AGAIN}"),
            None => MEND_AND_RUN_AGAIN.to_owned(),
        },
    }
}

/// What the user can do about an API, or a proxy before it, that refuses every id.
fn after_refusals(last_failure: &Failure, proxy: Option<&str>) -> String {
    let settle = match proxy {
        // No request reached the API.
        Some(proxy) if last_failure.kind == FailureKind::Connect => {
            return format!(
                "these ids are left to the next run. Check {proxy}, its user name and password, and run the rest again"
            );
        }
        Some(proxy) => format!(
            "Open the API's address in a browser that uses the same proxy: if the API or {proxy} refuses this machine"
        ),
        None if last_failure.kind == FailureKind::Connect => {
            return "these ids are left to the next run. Mend this, and run the rest again"
                .to_owned();
        }
        None => "Open the API's address in a browser: if it refuses this machine".to_owned(),
    };
    format!(
        "these ids are left to the next run. {settle} or shows a page to log in, settle that first, and run the rest again with a \
        lower --rate. If the ids are at fault, --max-refusals 0 goes on past them"
    )
}

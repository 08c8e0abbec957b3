//! One run of a command: it is recorded in the table `runs`, driven to its end, and reported.

use std::{fmt::Display, time::Duration};

use diesel::{SqliteConnection, connection::SimpleConnection};
use futures_util::Stream;
use log::{debug, warn};
use serde::Serialize;

use super::{
    database,
    exit::{CommandError, ExitStatus},
    progress::ProgressDisplay,
    run_report::RunReport,
    session::Session,
    signals,
    terminal::print_message,
};
use crate::{
    hn::{HnSink, runs, top_items},
    ingest::{Builder, Id, PipelineStopped, Report, Run, Sink, Source},
    store::sqlite::while_locked,
};

/// A run that is over.
pub(super) struct FinishedRun<I> {
    command: &'static str,
    /// The id of its row in the table `runs`.
    row: i64,
    /// `None` if the pipeline broke.
    report: Option<Report<I>>,
    status: ExitStatus,
}

/// How a run ended, and the signal that interrupted it, if any.
struct RunEnd<I> {
    report: Result<Report<I>, PipelineStopped>,
    signal: Option<u8>,
}

impl Session<'_> {
    /// Ingests the items with these ids, and records this as a run of `command`.
    pub(super) async fn run(
        &mut self,
        command: &'static str,
        sink: HnSink,
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
        K: Sink<Id = S::Id, Record = S::Record, Connection = SqliteConnection>,
    {
        let row = self.record_start(command)?;
        let pipeline = Builder::new(source, sink)
            .config(self.config.clone())
            .client(self.client.clone())
            .pool(self.pool.clone())
            .start()
            .await
            .map_err(CommandError::new)?;
        let RunEnd { report, signal } = self.drive(pipeline.run_stream(ids)).await;
        let mut report = match report {
            Ok(report) => report,
            Err(error) => {
                print_message(error);
                return Ok(FinishedRun {
                    command,
                    row,
                    report: None,
                    status: ExitStatus::CouldNotGoOn,
                });
            }
        };
        if report.storage_lost.is_none() {
            // The file may have been deleted after the last commit, and that commit with it.
            let file = self.database_file.as_ref();
            report.storage_lost = file.and_then(|file| file.check().err());
        }
        self.record_end(row, &report);
        print_why_it_could_not_go_on(&report);
        Ok(FinishedRun {
            command,
            row,
            status: exit_status(&report, signal),
            report: Some(report),
        })
    }

    fn record_start(&self, command: &str) -> Result<i64, CommandError> {
        let mut conn = database::connection(&self.pool)?;
        while_locked(|| runs::begin(&mut conn, command))
            .map_err(|error| CommandError(format!("the database cannot be written: {error}")))
    }

    /// Shows progress until the run is over. The first signal cancels the run, a second one ends the process.
    async fn drive<I: Id>(&mut self, mut run: Run<I>) -> RunEnd<I> {
        let _display = ProgressDisplay::of_run(self.options.progress, run.watch());
        let mut signal = None;
        loop {
            tokio::select! {
                report = &mut run => return RunEnd { report, signal },
                number = self.signals.next() => {
                    if signal.is_some() {
                        signals::end_process(number);
                    }
                    signal = Some(number);
                    run.cancel();
                }
            }
        }
    }

    /// Records the run's totals. The report is printed even if this fails.
    fn record_end<I>(&self, row: i64, report: &Report<I>) {
        let recorded = database::connection(&self.pool).and_then(|mut conn| {
            while_locked(|| runs::finish(&mut conn, row, &report.totals))
                .map_err(CommandError::new)?;
            Ok(conn)
        });
        match recorded {
            // A checkpoint makes what the report calls stored survive a power cut. If it fails, the next run makes one.
            Ok(mut conn) => {
                if let Err(error) = conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)") {
                    debug!("no checkpoint after the run: {error}");
                }
            }
            Err(error) => warn!("the totals of this run are not in the table runs: {error}"),
        }
    }

    /// The best of these items that the run stored.
    fn top_items(&self, row: i64, ids: &[i64]) -> Vec<top_items::TopItem> {
        database::connection(&self.pool)
            .and_then(|mut conn| top_items::read(&mut conn, row, ids).map_err(CommandError::new))
            .unwrap_or_else(|error| {
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

    fn print_report(
        self,
        session: &Session<'_>,
        top: Option<Vec<top_items::TopItem>>,
    ) -> ExitStatus {
        if let Some(report) = &self.report {
            let report = RunReport {
                command: self.command,
                run: report,
                top,
            };
            report.print(session.options.format);
        }
        self.status
    }
}

impl FinishedRun<i64> {
    /// Prints the report, with the best items of the list that was fetched.
    pub(super) fn print_with_top(self, session: &Session<'_>, list: &[i64]) -> ExitStatus {
        let top = self
            .report
            .as_ref()
            .map(|_| session.top_items(self.row, list));
        self.print_report(session, top)
    }
}

fn exit_status<I>(report: &Report<I>, signal: Option<u8>) -> ExitStatus {
    if report.storage_lost.is_some() || report.outage.is_some() {
        ExitStatus::CouldNotGoOn
    } else if let Some(signal) = signal {
        ExitStatus::Interrupted { signal }
    } else if report.is_complete() {
        ExitStatus::Complete
    } else {
        ExitStatus::Incomplete
    }
}

fn print_why_it_could_not_go_on<I>(report: &Report<I>) {
    if let Some(outage) = report.outage {
        let outage = humantime::format_duration(Duration::from_secs(outage.as_secs()));
        print_message(format_args!(
            "the API has been out for {outage}; what the report calls stored is safe, so run the rest again when the API is back"
        ));
    }
    if let Some(why) = &report.storage_lost {
        print_message(format_args!(
            "nothing more can be stored: {why}; what the report calls stored is safe, so mend this and run the rest again"
        ));
    }
}

//! One run of a command: it is recorded in the table `runs`, driven to its end, and reported.

use std::time::SystemTime;

use diesel::connection::SimpleConnection;
use futures_util::Stream;
use log::{debug, warn};

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
    ingest::{Builder, GaveUp, PipelineStopped, Report, Run},
    store::sqlite::while_locked,
};

/// A run that is over.
pub(super) struct FinishedRun {
    command: &'static str,
    /// The id of its row in the table `runs`.
    row: i64,
    /// `None` if the pipeline broke.
    report: Option<Report<i64>>,
    status: ExitStatus,
}

/// How a run ended, and the signal that interrupted it, if any.
struct RunEnd {
    report: Result<Report<i64>, PipelineStopped>,
    signal: Option<u8>,
}

impl Session<'_> {
    /// Ingests `ids`, and records this as a run of `command`.
    pub(super) async fn run(
        &mut self,
        command: &'static str,
        sink: HnSink,
        ids: impl Stream<Item = i64> + Send + 'static,
    ) -> Result<FinishedRun, CommandError> {
        let row = self.record_start(command)?;
        let pipeline = Builder::new(self.source.clone(), sink)
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
        // The file may have been deleted after the last commit, and that commit with it.
        if let Some(file) = &self.database_file
            && let Err(why) = file.check()
        {
            report.gave_up.get_or_insert(GaveUp::StorageLost(why));
        }
        self.record_end(row, &report);
        if let Some(why) = &report.gave_up {
            print_message(format_args!("{why}; {}", next_step(why)));
        }
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
    async fn drive(&mut self, mut run: Run<i64>) -> RunEnd {
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
    fn record_end(&self, row: i64, report: &Report<i64>) {
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

impl FinishedRun {
    /// Prints the report.
    pub(super) fn print(self, session: &Session<'_>) -> ExitStatus {
        self.print_report(session, None)
    }

    /// Prints the report, with the best items of the list that was fetched.
    pub(super) fn print_with_top(self, session: &Session<'_>, list: &[i64]) -> ExitStatus {
        self.print_report(session, Some(list))
    }

    fn print_report(self, session: &Session<'_>, list: Option<&[i64]>) -> ExitStatus {
        if let Some(report) = &self.report {
            let report = RunReport {
                command: self.command,
                run: report,
                top: list.map(|ids| session.top_items(self.row, ids)),
            };
            report.print(session.options.format);
        }
        self.status
    }
}

fn exit_status(report: &Report<i64>, signal: Option<u8>) -> ExitStatus {
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

/// What the user can do about a run that could not go on.
fn next_step(why: &GaveUp) -> String {
    match why {
        GaveUp::ApiOut { .. } => "what the report calls stored is safe, so run the rest again when the API is back".to_owned(),
        GaveUp::ApiRefuses { .. } => "these ids are left to the next run. Open the API's address in a browser: if it refuses this machine \
            or shows a page to log in, settle that first, and run the rest again with a lower --rate. If the ids are at fault, \
            --max-refusals 0 goes on past them"
            .to_owned(),
        GaveUp::ApiAsksToWait { wait, .. } => {
            let back = humantime::format_rfc3339_seconds(SystemTime::now() + *wait);
            format!(
                "what the report calls stored is safe, so run the rest again from {back} on, or let a run wait with a longer --outage-patience"
            )
        }
        _ => "what the report calls stored is safe, so mend this and run the rest again".to_owned(),
    }
}

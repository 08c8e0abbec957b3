//! The report of a run, as text for people or as JSON for programs.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::Serialize;

use super::{
    milliseconds::LatencyMilliseconds,
    options::ReportFormat,
    printable::{columns, cut, padded, plain_text, printable},
    terminal::{counted, print_report, stdout_terminal_width},
};
use crate::{
    hn::top_items::TopItem,
    ingest::{FailedId, Latency, Report},
};

/// The command whose failures are in no table, so that they cannot be retried.
pub(super) const USERS: &str = "users";

/// How many failures the text report shows.
const FAILURES_SHOWN: usize = 10;

/// How many columns the table of items needs beside its titles.
const BESIDE_TITLE: usize = 6 + 2 + 2 + 10;
/// A title keeps at least this many columns.
const MIN_TITLE: usize = 10;

pub(super) struct RunReport<'a, I> {
    pub(super) command: &'a str,
    pub(super) run: &'a Report<I>,
    /// The best items of the run. Only the commands that fetch a list have them.
    pub(super) top: Option<Vec<TopItem>>,
    /// Whether the ids are those of the API of `--demo`.
    pub(super) is_demo: bool,
}

/// A failure as text reports show it.
pub(super) fn failure_line(failure: &FailedId<impl Display>) -> String {
    format!(
        "failed: {}: {}, after {}: {}",
        failure.id,
        failure.kind,
        counted(failure.attempts.into(), "attempt"),
        printable(&failure.message)
    )
}

impl<I: Serialize + Display> RunReport<'_, I> {
    pub(super) fn print(&self, format: ReportFormat) {
        print_report(format, &RunReportJson::new(self), |out| {
            self.write_text(out)
        });
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_totals(out)?;
        self.write_attempts(out)?;
        self.write_failures(out)?;
        self.write_top(out)
    }

    fn write_totals(&self, out: &mut dyn Write) -> io::Result<()> {
        let totals = &self.run.totals;
        if self.run.interrupted {
            write!(out, "interrupted: ")?;
        }
        write!(
            out,
            "{} stored, {} absent, {} failed",
            totals.stored, totals.absent, totals.failed
        )?;
        if totals.not_attempted > 0 {
            write!(out, ", {} not attempted", totals.not_attempted)?;
        }
        writeln!(
            out,
            ", of {} in {:.2} s ({:.1} items/s)",
            totals.requested,
            self.run.elapsed.as_secs_f64(),
            self.run.items_per_second(),
        )
    }

    fn write_attempts(&self, out: &mut dyn Write) -> io::Result<()> {
        let totals = &self.run.totals;
        if totals.attempts == 0 {
            return Ok(());
        }
        let Latency { p50, p90, p99, max } = totals.latency;
        writeln!(
            out,
            "{} over {}, {} bytes; latency p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, max {max:.1?}",
            counted(totals.attempts, "attempt"),
            counted(totals.connections, "connection"),
            totals.bytes,
        )
    }

    fn write_failures(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.run.failures.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        for failure in self.run.failures.iter().take(FAILURES_SHOWN) {
            writeln!(out, "{}", failure_line(failure))?;
        }
        let more = self.run.totals.failed.saturating_sub(FAILURES_SHOWN as u64);
        if self.command == USERS {
            if more > 0 {
                writeln!(out, "and {more} more; --format json lists up to a hundred")?;
            }
            return Ok(());
        }
        let demo = if self.is_demo { " --demo" } else { "" };
        let retry = format!("`hn-ingest retry{demo}` fetches again what failed");
        if more > 0 {
            writeln!(out, "and {more} more; see the table `failures`; {retry}")
        } else {
            writeln!(out, "{retry}")
        }
    }

    fn write_top(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(items) = self.top.as_ref().filter(|items| !items.is_empty()) else {
            return Ok(());
        };
        // A row that is wider than the terminal would break the columns.
        let widest = stdout_terminal_width().map_or(usize::MAX, |columns| {
            columns.saturating_sub(BESIDE_TITLE).max(MIN_TITLE)
        });
        let titles = items.iter().map(|item| {
            let html = item.title.as_deref().unwrap_or_default();
            cut(plain_text(html), widest)
        });
        let titles: Vec<_> = titles.collect();
        let widths = titles.iter().map(|title| columns(title));
        let width = widths.max().unwrap_or(0).max("title".len());
        writeln!(out, "\n{:>6}  {:<width$}  {:>10}", "score", "title", "id")?;
        for (item, title) in items.iter().zip(titles) {
            let score = item.score.map(|score| score.to_string());
            let score = score.unwrap_or_default();
            let title = padded(&title, width);
            writeln!(out, "{score:>6}  {title}  {:>10}", item.id)?;
        }
        Ok(())
    }
}

/// The report as JSON. The keys are part of the program's contract.
#[derive(Serialize)]
struct RunReportJson<'a, I> {
    command: &'a str,
    requested: u64,
    stored: u64,
    absent: u64,
    failed: u64,
    not_attempted: u64,
    attempts: u64,
    retries: u64,
    bytes: u64,
    connections: u64,
    latency_ms: LatencyMilliseconds,
    elapsed_ms: u64,
    items_per_second: f64,
    interrupted: bool,
    failures: &'a [FailedId<I>],
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<&'a [TopItem]>,
}

impl<'a, I> RunReportJson<'a, I> {
    fn new(report: &'a RunReport<'_, I>) -> Self {
        let run = report.run;
        let totals = &run.totals;
        Self {
            command: report.command,
            requested: totals.requested,
            stored: totals.stored,
            absent: totals.absent,
            failed: totals.failed,
            not_attempted: totals.not_attempted,
            attempts: totals.attempts,
            retries: totals.retries,
            bytes: totals.bytes,
            connections: totals.connections,
            latency_ms: totals.latency.into(),
            elapsed_ms: u64::try_from(run.elapsed.as_millis()).unwrap_or(u64::MAX),
            items_per_second: run.items_per_second(),
            interrupted: run.interrupted,
            failures: &run.failures,
            top: report.top.as_deref(),
        }
    }
}

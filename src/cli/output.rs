//! The report, as text for people or as JSON for programs.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    time::Duration,
};

use log::warn;
use serde::Serialize;

use super::options::Format;
use crate::{
    hn::{coverage::Range, top_items::TopItem},
    ingest::{FailedId, Latency, Report},
};

/// Failures that the text report shows.
const SHOWN: usize = 10;

/// What is said of a run.
pub(super) struct Told<'a> {
    pub(super) command: &'a str,
    pub(super) report: &'a Report<i64>,
    /// Lists only.
    pub(super) top: Option<Vec<TopItem>>,
}

/// Writes to stdout. A closed one ends the output and nothing else.
pub(super) fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            warn!("cannot write to standard output: {error}");
        }
        _ => {}
    }
}

/// Writes a line to stderr. Unlike `eprintln!` it does not panic when that is closed.
pub(super) fn to_stderr(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says on stderr what is wrong.
pub(super) fn complain(why: impl Display) {
    to_stderr(format_args!("hn-ingest: {why}"));
}

pub(super) fn show(told: &Told<'_>, format: Format) {
    to_stdout(|out| match format {
        Format::Text => text(told, out),
        Format::Json => {
            serde_json::to_writer(&mut *out, &Json::new(told))?;
            writeln!(out)
        }
    });
}

fn text(Told { report, top, .. }: &Told<'_>, out: &mut dyn Write) -> io::Result<()> {
    let totals = &report.totals;
    let end = if report.interrupted {
        "interrupted: "
    } else {
        ""
    };
    let rest = match totals.not_attempted {
        0 => String::new(),
        rest => format!(", {rest} not attempted"),
    };
    writeln!(
        out,
        "{end}{} saved, {} absent, {} failed{rest}, of {} in {:.2} s ({:.1} items/s)",
        totals.stored,
        totals.absent,
        totals.failed,
        totals.requested,
        report.elapsed.as_secs_f64(),
        report.items_per_second(),
    )?;
    if totals.attempts > 0 {
        let Latency { p50, p90, p99, max } = totals.latency;
        writeln!(
            out,
            "{} attempts over {} connections, {} bytes; latency p50 {p50:.1?}, p90 {p90:.1?}, p99 {p99:.1?}, max {max:.1?}",
            totals.attempts, totals.connections, totals.bytes,
        )?;
    }
    if !report.failures.is_empty() {
        writeln!(out)?;
        for FailedId {
            id,
            kind,
            message,
            attempts,
        } in report.failures.iter().take(SHOWN)
        {
            let plural = if *attempts == 1 { "" } else { "s" };
            writeln!(
                out,
                "failed: {id}: {kind}, after {attempts} attempt{plural}: {}",
                plain(message)
            )?;
        }
        if totals.failed > SHOWN as u64 {
            writeln!(
                out,
                "and {} more; see the table `failures`",
                totals.failed - SHOWN as u64
            )?;
        }
    }
    if let Some(top) = top.as_ref().filter(|top| !top.is_empty()) {
        let width = top
            .iter()
            .map(|item| plain_title(item).chars().count())
            .max()
            .unwrap_or(0)
            .max(5);
        writeln!(out, "\n{:>6}  {:<width$}  {:>10}", "score", "title", "id")?;
        for item in top {
            let score = item
                .score
                .map(|score| score.to_string())
                .unwrap_or_default();
            writeln!(
                out,
                "{score:>6}  {:<width$}  {:>10}",
                plain_title(item),
                item.id
            )?;
        }
    }
    Ok(())
}

fn plain_title(item: &TopItem) -> String {
    plain(item.title.as_deref().unwrap_or(""))
}

/// Text of others must not steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// One id, or the first and the last of several.
pub(super) fn ids(Range { lo, hi }: Range) -> String {
    match lo == hi {
        true => lo.to_string(),
        false => format!("{lo}-{hi}"),
    }
}

#[derive(Serialize)]
struct Json<'a> {
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
    latency_ms: LatencyMs,
    elapsed_ms: u64,
    items_per_second: f64,
    interrupted: bool,
    failures: &'a [FailedId<i64>],
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<&'a [TopItem]>,
}

/// How long attempts took, in milliseconds.
#[derive(Serialize)]
pub(super) struct LatencyMs {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// In milliseconds, to the microsecond.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

impl LatencyMs {
    pub(super) fn new(latency: Latency) -> Self {
        Self {
            p50: ms(latency.p50),
            p90: ms(latency.p90),
            p99: ms(latency.p99),
            max: ms(latency.max),
        }
    }
}

impl<'a> Json<'a> {
    fn new(
        Told {
            command,
            report,
            top,
        }: &'a Told<'_>,
    ) -> Self {
        let totals = &report.totals;
        Self {
            command,
            requested: totals.requested,
            stored: totals.stored,
            absent: totals.absent,
            failed: totals.failed,
            not_attempted: totals.not_attempted,
            attempts: totals.attempts,
            retries: totals.retries,
            bytes: totals.bytes,
            connections: totals.connections,
            latency_ms: LatencyMs::new(totals.latency),
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            items_per_second: report.items_per_second(),
            interrupted: report.interrupted,
            failures: &report.failures,
            top: top.as_deref(),
        }
    }
}

//! The report of a sweep, as text for people or as JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    curve::{self, CurvePoint},
    step::Step,
    sweep::Sweep,
    tested_api::TestedApi,
    wording,
};
use crate::{
    cli::{
        exit::ExitStatus,
        milliseconds::{LatencyMilliseconds, milliseconds},
        options::ReportFormat,
        terminal::{print_report, stdout_width},
    },
    ingest::Latency,
    mock_api,
};

/// The width of a terminal that does not tell its width.
const USUAL_WIDTH: usize = 80;

/// Writes the head of the table of steps.
pub(super) fn write_head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>7}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}",
        "workers", "items/s", "p50", "p90", "p99", "failed"
    )
}

/// Writes a row of the table of steps.
pub(super) fn write_row(step: &Step, out: &mut dyn Write) -> io::Result<()> {
    let Latency { p50, p90, p99, .. } = step.totals.latency;
    writeln!(
        out,
        "{:>7}  {:>8}  {p50:>8.1?}  {p90:>8.1?}  {p99:>8.1?}  {:>8}",
        step.workers,
        wording::rate(step.items_per_second),
        step.failed_attempts()
    )?;
    // A reader at the other end of a pipe sees each row as it comes.
    out.flush()
}

/// Prints the report at the end of a sweep. The text continues the table of steps.
pub(super) fn print(sweep: &Sweep, format: ReportFormat) -> ExitStatus {
    print_report(format, &SweepReport::new(sweep), |out| {
        write_text(sweep, out)
    })
}

fn write_text(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let points = sweep.steps.iter().map(|step| CurvePoint {
        workers: step.workers,
        rate: step.items_per_second,
    });
    let points: Vec<_> = points.collect();
    let curve = curve::draw(
        &points,
        sweep.visible_knee(),
        stdout_width().unwrap_or(USUAL_WIDTH),
    );
    if !curve.is_empty() {
        writeln!(out, "\n{}", curve.join("\n"))?;
    }
    writeln!(out)?;
    for sentence in sweep.sentences() {
        writeln!(out, "{sentence}")?;
    }
    for variable in sweep.environment() {
        writeln!(out, "export {}={}", variable.name, variable.value)?;
    }
    Ok(())
}

/// The report as JSON. The keys are part of the program's contract.
#[derive(Serialize)]
struct SweepReport<'a> {
    command: &'static str,
    /// The base URL of a live API, or `mock`.
    api: &'a str,
    /// The latency of the embedded API.
    latency_ms: Option<MeasuredLatencyRange>,
    rate: u32,
    steps: Vec<StepReport>,
    /// Workers at the knee. `None` if the steps do not show one.
    knee: Option<usize>,
    stopped: Option<String>,
    environment: serde_json::Map<String, serde_json::Value>,
}

/// In milliseconds.
#[derive(Serialize)]
struct MeasuredLatencyRange {
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct StepReport {
    workers: usize,
    items_per_second: f64,
    latency_ms: LatencyMilliseconds,
    attempts: u64,
    attempts_failed: u64,
    retries: u64,
    stored: u64,
    absent: u64,
    failed: u64,
}

impl<'a> SweepReport<'a> {
    fn new(sweep: &'a Sweep) -> Self {
        let (api, latency_ms) = match &sweep.api {
            TestedApi::Live { url } => (url.as_str(), None),
            TestedApi::Embedded { latency } => ("mock", Some((*latency).into())),
        };
        let environment = sweep.environment().into_iter();
        Self {
            command: "tune",
            api,
            latency_ms,
            rate: sweep.rate_limit,
            steps: sweep.steps.iter().map(StepReport::new).collect(),
            knee: sweep.knee().map(|knee| knee.workers),
            stopped: sweep.stop_reason.as_ref().map(ToString::to_string),
            environment: environment
                .map(|variable| (variable.name.to_owned(), variable.value.into()))
                .collect(),
        }
    }
}

impl From<mock_api::LatencyRange> for MeasuredLatencyRange {
    fn from(latency: mock_api::LatencyRange) -> Self {
        Self {
            min: milliseconds(latency.min),
            max: milliseconds(latency.max),
        }
    }
}

impl StepReport {
    fn new(step: &Step) -> Self {
        let totals = &step.totals;
        Self {
            workers: step.workers,
            items_per_second: step.items_per_second,
            latency_ms: totals.latency.into(),
            attempts: totals.attempts,
            attempts_failed: step.failed_attempts(),
            retries: totals.retries,
            stored: totals.stored,
            absent: totals.absent,
            failed: totals.failed,
        }
    }
}

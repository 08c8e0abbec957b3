//! What is said of a sweep: a row a step, the curve, the knee and why, and the lines for the environment.

use std::{
    env,
    io::{self, Write},
};

use serde::Serialize;

use super::{
    TuneArgs,
    bench::{Step, live_url},
    curve,
    knee::{self, TOLERANCE},
    stopped::Stopped,
};
use crate::{
    cli::{
        options::{Format, Options},
        output::{LatencyMs, ms, to_stdout},
    },
    ingest::{Latency, config::WORKERS_MAX},
    mock_api,
};

/// Of a rate, so much counts as all of it: the first requests of a step come late.
const HELD: f64 = 0.9;

pub(super) struct Told {
    /// `None`: the embedded one.
    live: Option<String>,
    latency: mock_api::Latency,
    rate: u32,
    pub(super) steps: Vec<Step>,
    pub(super) stopped: Option<Stopped>,
}

pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    let [workers, rate, p50, p90, p99, failed] =
        ["workers", "items/s", "p50", "p90", "p99", "failed"];
    writeln!(
        out,
        "{workers:>7}  {rate:>8}  {p50:>8}  {p90:>8}  {p99:>8}  {failed:>8}"
    )
}

pub(super) fn row(step: &Step, out: &mut dyn Write) -> io::Result<()> {
    let Latency { p50, p90, p99, .. } = step.latency();
    writeln!(
        out,
        "{:>7}  {:>8}  {p50:>8.1?}  {p90:>8.1?}  {p99:>8.1?}  {:>8}",
        step.workers,
        curve::rate(step.items_per_second),
        step.failed()
    )?;
    // Whoever reads it through a pipe sees it grow, too.
    out.flush()
}

impl Told {
    pub(super) fn new(options: &Options, args: &TuneArgs) -> Self {
        Self {
            live: args.live.then(|| live_url(options).to_owned()),
            latency: args.latency,
            rate: options.config.rate,
            steps: Vec::new(),
            stopped: None,
        }
    }

    pub(super) fn rates(&self) -> Vec<f64> {
        let sound = self.sound().iter();
        sound.map(|step| step.items_per_second).collect()
    }

    /// The steps without the one that went too far.
    fn sound(&self) -> &[Step] {
        let too_far = self.stopped.as_ref().is_some_and(Stopped::is_limit);
        &self.steps[..self.steps.len() - usize::from(too_far)]
    }

    pub(super) fn knee(&self) -> Option<&Step> {
        knee::knee(&self.rates()).map(|at| &self.steps[at])
    }

    pub(super) fn tell(&self, format: Format) {
        to_stdout(|out| match format {
            Format::Text => self.text(out),
            Format::Json => {
                serde_json::to_writer(&mut *out, &Json::new(self))?;
                writeln!(out)
            }
        });
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let points: Vec<_> = self
            .steps
            .iter()
            .map(|step| (step.workers, step.items_per_second))
            .collect();
        let knee = knee::knee(&self.rates()).filter(|_| self.is_bent());
        let curve = curve::draw(&points, knee, width());
        if !curve.is_empty() {
            writeln!(out, "\n{}", curve.join("\n"))?;
        }
        writeln!(out)?;
        for sentence in self.sentences() {
            writeln!(out, "{sentence}")?;
        }
        for (variable, value) in self.environment() {
            writeln!(out, "export {variable}={value}")?;
        }
        Ok(())
    }

    fn sentences(&self) -> Vec<String> {
        let stopped = self
            .stopped
            .as_ref()
            .filter(|stopped| !matches!(stopped, Stopped::Flat));
        let stopped = stopped.map(|why| capitalised(&format!("{why}.")));
        let caveat = self.live.is_none().then(|| {
            "Measured on this machine alone, which was the API too. What another API bears,\nask that one: --live --rate N.".to_owned()
        });
        match self.knee() {
            Some(knee) => stopped
                .into_iter()
                .chain([self.why(knee)])
                .chain(caveat)
                .collect(),
            None => stopped
                .into_iter()
                .chain(["There is no knee to name.".to_owned()])
                .collect(),
        }
    }

    /// Whether there were more workers than at the knee.
    fn is_bent(&self) -> bool {
        let last = self.sound().last().map(|step| step.workers);
        last > self.knee().map(|knee| knee.workers)
    }

    /// Why this many and not more.
    fn why(&self, knee: &Step) -> String {
        let (workers, rate) = (
            curve::workers(knee.workers),
            curve::rate(knee.items_per_second),
        );
        let rates = self.rates();
        if self.rate > 0 && knee::best(&rates) >= HELD * f64::from(self.rate) {
            let limit = self.rate;
            return format!(
                "{}: {rate} items/s, held by --rate {limit}; more of them bring nothing.",
                capitalised(&workers)
            );
        }
        if self.is_bent() {
            let share = TOLERANCE * 100.0;
            return format!(
                "The knee: {workers}, {rate} items/s. More workers bring less than {share:.0} %."
            );
        }
        let [.., before, last] = rates.as_slice() else {
            return format!(
                "{}: {rate} items/s. One step shows no knee.",
                capitalised(&workers)
            );
        };
        let more = (last / before.max(f64::MIN_POSITIVE) - 1.0) * 100.0;
        let hint = match self.stopped {
            None if knee.workers < WORKERS_MAX => {
                "\nMore may bring more: see --max-workers and --steps."
            }
            None => "\nThat is as many as there may be.",
            Some(_) => "",
        };
        format!(
            "No knee up to {workers}, {rate} items/s: the last step brought {more:.0} % more.{hint}"
        )
    }

    /// Variables and their values.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let Some(knee) = self.knee() else {
            return Vec::new();
        };
        let rate = match self.stopped {
            // It did not bear what it was given leave for; so much it bore.
            Some(Stopped::PushedBack { .. }) => {
                (knee.items_per_second as u32).clamp(1, self.rate.max(1))
            }
            _ => self.rate,
        };
        let rate = self
            .live
            .is_some()
            .then(|| ("INGEST_RATE", rate.to_string()));
        let workers = ("INGEST_WORKERS", knee.workers.to_string());
        rate.into_iter().chain([workers]).collect()
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// How wide the terminal is; what is no terminal gets what any has.
fn width() -> usize {
    const USUAL: usize = 80;
    let said = env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let terminal = || {
        rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
    };
    said.or_else(terminal)
        .filter(|columns| *columns > 0)
        .unwrap_or(USUAL)
}

#[derive(Serialize)]
struct Json<'a> {
    command: &'static str,
    /// Its base URL, or `mock`.
    api: &'a str,
    /// Of the mock API.
    latency_ms: Option<Between>,
    rate: u32,
    steps: Vec<JsonStep>,
    knee: Option<usize>,
    stopped: Option<String>,
    environment: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct Between {
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct JsonStep {
    workers: usize,
    items_per_second: f64,
    latency_ms: LatencyMs,
    attempts: u64,
    attempts_failed: u64,
    retries: u64,
    stored: u64,
    absent: u64,
    failed: u64,
}

impl<'a> Json<'a> {
    fn new(told: &'a Told) -> Self {
        let latency = Between {
            min: ms(told.latency.min),
            max: ms(told.latency.max),
        };
        Self {
            command: "tune",
            api: told.live.as_deref().unwrap_or("mock"),
            latency_ms: told.live.is_none().then_some(latency),
            rate: told.rate,
            steps: told.steps.iter().map(JsonStep::new).collect(),
            knee: told.knee().map(|knee| knee.workers),
            stopped: told.stopped.as_ref().map(ToString::to_string),
            environment: told
                .environment()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
        }
    }
}

impl JsonStep {
    fn new(step: &Step) -> Self {
        let totals = &step.totals;
        Self {
            workers: step.workers,
            items_per_second: step.items_per_second,
            latency_ms: LatencyMs::new(totals.latency),
            attempts: totals.attempts,
            attempts_failed: step.failed(),
            retries: totals.retries,
            stored: totals.stored,
            absent: totals.absent,
            failed: totals.failed,
        }
    }
}

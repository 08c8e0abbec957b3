//! Progress of long work on stderr: a bar on a terminal, plain lines elsewhere.

use std::{
    fmt::Display,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    options::ProgressMode,
    terminal::{print_message, print_stderr_line},
};
use crate::ingest::{Progress, RunWatch};

const BAR_INTERVAL: Duration = Duration::from_millis(200);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// With `--progress always` there are more lines, and the first comes at once.
const LINE_INTERVAL_ALWAYS: Duration = Duration::from_secs(1);

/// Prints a note about work that takes long, unless progress is switched off.
pub(super) fn print_note(mode: ProgressMode, note: impl Display) {
    if mode != ProgressMode::Never {
        print_message(note);
    }
}

/// What the display shows at one moment.
pub(super) struct ProgressView {
    /// How much of `length` is done. Only a bar shows it.
    pub(super) position: u64,
    pub(super) length: u64,
    pub(super) line: String,
}

/// Shows progress until it is dropped.
pub(super) struct ProgressDisplay {
    /// Draws at each interval. `None` if progress is switched off.
    task: Option<actix_rt::task::JoinHandle<()>>,
    /// `None` if plain lines are printed instead.
    bar: Option<ProgressBar>,
}

impl ProgressDisplay {
    /// Shows the progress of a run.
    pub(super) fn of_run(mode: ProgressMode, watch: RunWatch) -> Self {
        let mut throughput = Throughput::new();
        Self::start(mode, move || {
            let progress = watch.progress();
            ProgressView {
                position: progress.settled(),
                length: progress.requested,
                line: throughput.line(&progress),
            }
        })
    }

    /// Shows what `view` returns, which is called at each interval.
    pub(super) fn start(mode: ProgressMode, view: impl FnMut() -> ProgressView + 'static) -> Self {
        if mode == ProgressMode::Never {
            return Self {
                task: None,
                bar: None,
            };
        }
        let bar = io::stderr().is_terminal().then(new_bar);
        let interval = match mode {
            _ if bar.is_some() => BAR_INTERVAL,
            ProgressMode::Always => LINE_INTERVAL_ALWAYS,
            _ => LINE_INTERVAL,
        };
        let draws_at_once = mode == ProgressMode::Always;
        let task = actix_rt::spawn(draw_forever(view, bar.clone(), interval, draws_at_once));
        Self {
            task: Some(task),
            bar,
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

async fn draw_forever(
    mut view: impl FnMut() -> ProgressView,
    bar: Option<ProgressBar>,
    interval: Duration,
    draws_at_once: bool,
) {
    let mut ticks = actix_rt::time::interval(interval);
    if !draws_at_once {
        // The first tick comes at once.
        ticks.tick().await;
    }
    loop {
        ticks.tick().await;
        let view = view();
        match &bar {
            Some(bar) => {
                bar.set_length(view.length);
                bar.set_position(view.position);
                bar.set_message(view.line);
            }
            None => print_stderr_line(view.line),
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{bar:30} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// How fast ids are settled: since the line before, and since the start.
struct Throughput {
    started: Instant,
    /// When the line before was made.
    last_time: Instant,
    /// How many ids were settled then.
    last_settled: u64,
}

impl Throughput {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last_time: now,
            last_settled: 0,
        }
    }

    fn line(&mut self, progress: &Progress) -> String {
        let settled = progress.settled();
        let now = per_second(settled - self.last_settled, self.last_time.elapsed());
        let overall = per_second(settled, self.started.elapsed());
        self.last_time = Instant::now();
        self.last_settled = settled;
        let remaining = progress.requested - settled;
        let time_left = if overall > 0.0 && remaining > 0 {
            let seconds = (remaining as f64 / overall).min(1e9);
            let duration = Duration::from_secs(seconds as u64);
            format!(", {} left", humantime::format_duration(duration))
        } else {
            String::new()
        };
        format!(
            "{settled} of {} done, {now:.0}/s now, {overall:.0}/s overall{time_left}, {} failed, {} in flight, {} being retried",
            progress.requested, progress.failed, progress.in_flight, progress.being_retried
        )
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

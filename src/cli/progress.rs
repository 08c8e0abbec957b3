//! How long work shows itself on stderr: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    options::ProgressChoice,
    output::{complain, to_stderr},
};
use crate::ingest::{Progress, RunWatch};

const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Who asks for lines gets one at once, and one a second.
const LINE_EVERY_ALWAYS: Duration = Duration::from_secs(1);

/// A word about long work, where progress is wanted.
pub(super) fn say(choice: ProgressChoice, what: impl std::fmt::Display) {
    if choice != ProgressChoice::Never {
        complain(what);
    }
}

/// What is shown at one moment.
pub(super) struct Shown {
    pub(super) position: u64,
    pub(super) length: u64,
    pub(super) line: String,
}

/// Shows how far something is until it is dropped.
pub(super) struct Display {
    task: Option<actix_rt::task::JoinHandle<()>>,
    bar: Option<ProgressBar>,
}

impl Display {
    /// Of a run.
    pub(super) fn start(choice: ProgressChoice, watch: RunWatch) -> Self {
        let mut pace = Pace::new();
        Self::of(choice, move || {
            let progress = watch.progress();
            Shown {
                position: progress.settled(),
                length: progress.requested,
                line: pace.line(&progress),
            }
        })
    }

    /// Of whatever `look` sees.
    pub(super) fn of(choice: ProgressChoice, mut look: impl FnMut() -> Shown + 'static) -> Self {
        let terminal = io::stderr().is_terminal();
        let (bar, every) = match choice {
            ProgressChoice::Never => {
                return Self {
                    task: None,
                    bar: None,
                };
            }
            _ if terminal => (Some(new_bar()), BAR_EVERY),
            ProgressChoice::Auto => (None, LINE_EVERY),
            ProgressChoice::Always => (None, LINE_EVERY_ALWAYS),
        };
        let shown = bar.clone();
        let task = actix_rt::spawn(async move {
            let mut tick = actix_rt::time::interval(every);
            if choice == ProgressChoice::Auto {
                tick.tick().await;
            }
            loop {
                tick.tick().await;
                let Shown {
                    position,
                    length,
                    line,
                } = look();
                match &shown {
                    Some(bar) => {
                        bar.set_length(length);
                        bar.set_position(position);
                        bar.set_message(line);
                    }
                    None => to_stderr(line),
                }
            }
        });
        Self {
            task: Some(task),
            bar,
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{bar:30} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The rates, from one look to the next.
struct Pace {
    began: Instant,
    last: Instant,
    last_settled: u64,
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            last: now,
            last_settled: 0,
        }
    }

    fn line(&mut self, progress: &Progress) -> String {
        let settled = progress.settled();
        let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64().max(0.001);
        let now = rate(settled - self.last_settled, self.last.elapsed());
        let overall = rate(settled, self.began.elapsed());
        (self.last, self.last_settled) = (Instant::now(), settled);
        let rest = progress.requested - settled;
        let left = if overall > 0.0 && rest > 0 {
            let seconds = (rest as f64 / overall).min(1e9);
            format!(
                ", {} left",
                humantime::format_duration(Duration::from_secs(seconds as u64))
            )
        } else {
            String::new()
        };
        format!(
            "{settled} of {} done, {now:.0}/s now, {overall:.0}/s overall{left}, {} failed, {} in flight, {} being retried",
            progress.requested, progress.failed, progress.in_flight, progress.being_retried
        )
    }
}

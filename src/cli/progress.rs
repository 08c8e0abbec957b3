//! Progress of long work on stderr: a bar on a terminal, plain lines elsewhere.

use std::{
    future::Future,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use super::{
    options::ProgressMode,
    status_line,
    terminal::{print_message, print_stderr_line, stderr_width},
};
use crate::{
    ingest::{Progress, RunWatch},
    serve::wording::grouped,
    store::message::in_words,
};

const BAR_INTERVAL: Duration = Duration::from_millis(200);
/// For a log that is read later.
const LINE_INTERVAL: Duration = Duration::from_secs(60);
/// On a terminal that cannot draw a bar.
const LINE_INTERVAL_ON_TERMINAL: Duration = Duration::from_secs(5);
/// With `--progress always` there are more lines.
const LINE_INTERVAL_ALWAYS: Duration = Duration::from_secs(1);

/// The bar takes at least this many columns, with its brackets and the blank behind it.
const BAR_LEAST: usize = 13;
/// The bar takes at most this many columns.
const BAR_MOST: usize = 33;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Display {
    Nothing,
    Bar,
    Lines {
        interval: Duration,
        /// Whether the first line comes at once, and not only after an interval.
        at_once: bool,
    },
}

impl Display {
    fn new(mode: ProgressMode, is_terminal: bool, can_draw: bool) -> Self {
        match mode {
            ProgressMode::Never => Self::Nothing,
            _ if can_draw => Self::Bar,
            ProgressMode::Always => Self::Lines {
                interval: LINE_INTERVAL_ALWAYS,
                at_once: true,
            },
            ProgressMode::Auto if is_terminal => Self::Lines {
                interval: LINE_INTERVAL_ON_TERMINAL,
                at_once: true,
            },
            // A short run says nothing, so that cron sends no mail about it.
            ProgressMode::Auto => Self::Lines {
                interval: LINE_INTERVAL,
                at_once: false,
            },
        }
    }

    fn shows_at_once(self) -> bool {
        matches!(self, Self::Lines { at_once: true, .. })
    }

    fn of(mode: ProgressMode) -> Self {
        Self::new(mode, io::stderr().is_terminal(), status_line::can_draw())
    }
}

/// Prints a note about work that takes long, unless progress is switched off or goes to a log.
pub(super) fn print_note(mode: ProgressMode, note: &str) {
    let display = Display::of(mode);
    if display == Display::Bar || display.shows_at_once() {
        print_message(note);
    }
}

/// What the display shows at one moment.
pub(super) struct ProgressView {
    /// How much of `length` is done. Only a bar shows it.
    pub(super) position: u64,
    /// `None` if there is no end, and so no bar.
    pub(super) length: Option<u64>,
    /// What there is to say, the most important first. A bar leaves out the last ones where the terminal is too narrow.
    pub(super) parts: Vec<String>,
}

/// Shows progress until it is dropped.
pub(super) struct ProgressDisplay {
    /// Draws at each interval. `None` if progress is switched off.
    task: Option<actix_rt::task::JoinHandle<()>>,
}

impl ProgressDisplay {
    /// Shows the progress of a run. `note` is what to say beside the counts, if there is anything.
    pub(super) fn of_run(
        mode: ProgressMode,
        watch: RunWatch,
        note: impl Fn() -> Option<&'static str> + 'static,
    ) -> Self {
        let mut throughput = Throughput::new();
        let view = move || {
            let progress = watch.progress();
            let mut parts = throughput.parts(&progress);
            if let Some(note) = note() {
                parts.insert(1, note.to_owned());
            }
            ProgressView {
                position: progress.settled(),
                length: Some(progress.requested),
                parts,
            }
        };
        // The run does not know yet how many ids it has, so the first line is left to the task.
        let display = Display::of(mode);
        Self::spawn(display, show(view, display, display.shows_at_once()))
    }

    /// Shows what `view` returns, which is called at each interval.
    pub(super) fn start(
        mode: ProgressMode,
        mut view: impl FnMut() -> ProgressView + 'static,
    ) -> Self {
        let display = Display::of(mode);
        if display.shows_at_once() {
            print_stderr_line(view().parts.join(", "));
        }
        Self::spawn(display, show(view, display, false))
    }

    /// As [`start`](Self::start). `view` gets the time since the start, in words.
    pub(super) fn start_timed(
        mode: ProgressMode,
        mut view: impl FnMut(String) -> ProgressView + 'static,
    ) -> Self {
        let started = Instant::now();
        Self::start(mode, move || {
            let seconds = Duration::from_secs(started.elapsed().as_secs());
            view(in_words(seconds))
        })
    }

    fn spawn(display: Display, showing: impl Future<Output = ()> + 'static) -> Self {
        let task = (display != Display::Nothing).then(|| actix_rt::spawn(showing));
        Self { task }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
            status_line::erase();
        }
    }
}

async fn show(mut view: impl FnMut() -> ProgressView, display: Display, at_once: bool) {
    let interval = match display {
        Display::Lines { interval, .. } => interval,
        Display::Bar | Display::Nothing => BAR_INTERVAL,
    };
    let mut ticks = actix_rt::time::interval(interval);
    if !at_once {
        // The first tick comes at once.
        ticks.tick().await;
    }
    loop {
        ticks.tick().await;
        let view = view();
        match display {
            // The width is asked for each time, because a window may be resized.
            Display::Bar => status_line::draw(&bar_line(&view, stderr_width())),
            _ => print_stderr_line(view.parts.join(", ")),
        }
    }
}

/// A bar and as many parts of the text as fit a terminal of this width. One column stays free: in the last one, some terminals go
/// on to the next line.
fn bar_line(view: &ProgressView, width: usize) -> String {
    let width = width.saturating_sub(1);
    let mut text = String::new();
    for part in &view.parts {
        let separator = if text.is_empty() { "" } else { ", " };
        if !text.is_empty() && text.len() + separator.len() + part.len() + BAR_LEAST > width {
            break;
        }
        text.extend([separator, part]);
    }
    let left = width.saturating_sub(text.len());
    let bar = match view.length {
        Some(length) if left >= BAR_LEAST => bar(view.position, length, left.min(BAR_MOST)),
        _ => String::new(),
    };
    (bar + &text).chars().take(width).collect()
}

/// Takes `columns`, with its brackets and a blank behind it.
fn bar(position: u64, length: u64, columns: usize) -> String {
    let inside = columns.saturating_sub(3);
    let share = position as f64 / length.max(1) as f64;
    let filled = (share.min(1.0) * inside as f64) as usize;
    let head = if filled < inside { ">" } else { "" };
    let bar = "=".repeat(filled) + head;
    format!("[{bar:inside$}] ")
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

    fn parts(&mut self, progress: &Progress) -> Vec<String> {
        let settled = progress.settled();
        let now = per_second(settled - self.last_settled, self.last_time.elapsed());
        let overall = per_second(settled, self.started.elapsed());
        self.last_time = Instant::now();
        self.last_settled = settled;
        let remaining = progress.requested - settled;
        let time_left = (overall > 0.0 && remaining > 0).then(|| {
            let seconds = (remaining as f64 / overall).min(1e9);
            let duration = Duration::from_secs(seconds as u64);
            format!("{} left", in_words(duration))
        });
        let done = format!(
            "{} of {} done",
            grouped(settled),
            grouped(progress.requested)
        );
        [done, format!("{}/s now", grouped(now.round() as u64))]
            .into_iter()
            .chain(time_left)
            .chain([
                format!("{} failed", grouped(progress.failed)),
                format!("{}/s overall", grouped(overall.round() as u64)),
                format!("{} in flight", grouped(progress.in_flight)),
                format!("{} being retried", grouped(progress.being_retried)),
            ])
            .collect()
    }
}

fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> ProgressView {
        let parts = [
            "1,234,567 of 50,000,000 done",
            "12,345/s now",
            "1h 5m 50s left",
            "1,234 failed",
            "11,111/s overall",
        ];
        ProgressView {
            position: 1_234_567,
            length: Some(50_000_000),
            parts: parts.map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn a_bar_is_narrower_than_the_terminal_and_keeps_the_most_important() {
        for width in 0..250 {
            let line = bar_line(&view(), width);
            assert!(line.len() < width.max(1), "{width}: {line}");
            if width > 28 {
                assert!(
                    line.contains("1,234,567 of 50,000,000 done"),
                    "{width}: {line}"
                );
            }
        }
        assert_eq!(
            bar_line(&view(), 60),
            "[>             ] 1,234,567 of 50,000,000 done, 12,345/s now"
        );
        assert!(bar_line(&view(), 200).ends_with("11,111/s overall"));
    }

    #[test]
    fn a_bar_is_full_at_the_end_and_never_longer() {
        for (position, length, expected) in [
            (0, 0, "[>         ] "),
            (0, 4, "[>         ] "),
            (2, 4, "[=====>    ] "),
            (4, 4, "[==========] "),
            (9, 4, "[==========] "),
        ] {
            assert_eq!(
                bar(position, length, 13),
                expected,
                "{position} of {length}"
            );
        }
    }

    #[test]
    fn only_a_terminal_that_can_draw_gets_a_bar_and_a_log_gets_a_line_per_minute() {
        use ProgressMode::{Always, Auto, Never};
        let lines = |seconds, at_once| Display::Lines {
            interval: Duration::from_secs(seconds),
            at_once,
        };
        for (mode, is_terminal, can_draw, expected) in [
            (Auto, true, true, Display::Bar),
            (Always, true, true, Display::Bar),
            (Auto, false, false, lines(60, false)),
            (Always, false, false, lines(1, true)),
            (Always, true, false, lines(1, true)),
            (Auto, true, false, lines(5, true)),
            (Never, true, true, Display::Nothing),
            (Never, false, false, Display::Nothing),
        ] {
            let display = Display::new(mode, is_terminal, can_draw);
            assert_eq!(display, expected, "{mode:?} {is_terminal} {can_draw}");
        }
    }
}

//! The retry budget: limits retries to a share of all attempts while most attempts fail. Pure.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::ingest::{limits::signal::Signal, priority::Priority};

/// How many of the last attempts are looked at.
const WINDOW: usize = 100;

/// While most attempts fail, retries start at this part of the recent rate of attempts. The retry budgets of Finagle and Linkerd
/// use a fifth, too.
const RETRY_SHARE: f64 = 0.2;

/// Retries per second that may always start, so that a recovery is seen soon.
const RETRIES_PER_SECOND_MIN: f64 = 10.0;

/// Remembers the last attempts, and spaces retries while most of these failed.
#[derive(Debug, Default)]
pub(crate) struct RetryBudget {
    /// At most [`WINDOW`] attempts, oldest first.
    attempts: VecDeque<EndedAttempt>,
    /// How many of them failed.
    failed: usize,
    /// For each priority, the first time that no retry of it has reserved. `None` if none was ever spaced. Each priority has a
    /// budget of its own, so that no retry waits for those of a lower one.
    next_retry: [Option<Instant>; Priority::ALL.len()],
}

/// When an attempt ended, and whether it failed.
#[derive(Debug)]
struct EndedAttempt {
    at: Instant,
    has_failed: bool,
}

/// A time that is reserved for one retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) at: Instant,
    /// The time until the next retry may start.
    pub(crate) spacing: Duration,
}

impl RetryBudget {
    /// Takes the end of an attempt into account.
    pub(crate) fn record(&mut self, signal: Signal, now: Instant) {
        let has_failed = signal.is_failure() || matches!(signal, Signal::TooManyRequests { .. });
        self.attempts.push_back(EndedAttempt {
            at: now,
            has_failed,
        });
        self.failed += usize::from(has_failed);
        if self.attempts.len() > WINDOW
            && let Some(oldest) = self.attempts.pop_front()
        {
            self.failed -= usize::from(oldest.has_failed);
        }
    }

    /// Reserves the time at which a retry may start; `None` if retries are not spaced now.
    pub(crate) fn reserve(&mut self, priority: Priority, now: Instant) -> Option<Reserved> {
        let spacing = self.spacing(now)?;
        let next_retry = &mut self.next_retry[priority.index()];
        let at = next_retry.map_or(now, |next| next.max(now));
        *next_retry = Some(at + spacing);
        Some(Reserved { at, spacing })
    }

    /// Gives back a reserved time that was not used.
    pub(crate) fn give_back(&mut self, priority: Priority, spacing: Duration) {
        let next_retry = &mut self.next_retry[priority.index()];
        *next_retry = next_retry.and_then(|next| next.checked_sub(spacing));
    }

    /// The time between two retries; `None` unless more than half of the last [`WINDOW`] attempts failed.
    pub(crate) fn spacing(&self, now: Instant) -> Option<Duration> {
        if self.attempts.len() < WINDOW || self.failed * 2 <= WINDOW {
            return None;
        }
        let oldest = self.attempts.front()?;
        let recent_rate = WINDOW as f64 / (now - oldest.at).as_secs_f64().max(0.001);
        let rate = (recent_rate * RETRY_SHARE).max(RETRIES_PER_SECOND_MIN);
        Some(Duration::from_secs_f64(1.0 / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(reserved: Option<Reserved>) -> Option<Instant> {
        reserved.map(|reserved| reserved.at)
    }

    fn recorded(
        signals: impl IntoIterator<Item = Signal>,
        every: Duration,
    ) -> (RetryBudget, Instant) {
        let mut budget = RetryBudget::default();
        let mut now = Instant::now();
        for signal in signals {
            now += every;
            budget.record(signal, now);
        }
        (budget, now)
    }

    #[test]
    fn retries_are_spaced_only_while_over_half_of_a_hundred_attempts_failed() {
        let is_spaced = |failed: usize, served: usize| {
            let failed = std::iter::repeat_n(Signal::Unreachable, failed);
            let signals = failed.chain(std::iter::repeat_n(Signal::Served, served));
            let (budget, now) = recorded(signals, Duration::from_millis(1));
            budget.spacing(now).is_some()
        };
        assert!(!is_spaced(99, 0), "too few to tell");
        assert!(!is_spaced(50, 50));
        assert!(is_spaced(51, 49));
        assert!(!is_spaced(100, 50), "the API has recovered");
    }

    #[test]
    fn spaced_retries_take_a_fifth_of_the_recent_rate_and_ten_per_second_at_least() {
        for (every, expected) in [(1, 5.0), (10, 50.0), (100, 100.0)] {
            let failed = std::iter::repeat_n(Signal::Unreachable, 101);
            let (budget, now) = recorded(failed, Duration::from_millis(every));
            let spacing = budget.spacing(now).expect("it fails").as_secs_f64() * 1000.0;
            assert!(
                (spacing / expected - 1.0).abs() < 0.02,
                "{every} ms: {spacing} ms"
            );
        }
    }

    #[test]
    fn reserved_times_are_one_spacing_apart_and_unused_ones_are_not_saved_up() {
        let failed = std::iter::repeat_n(Signal::Unreachable, 101);
        let (mut budget, now) = recorded(failed, Duration::from_millis(100));
        let spacing = budget.spacing(now).expect("it fails");
        let normal = Priority::Normal;
        assert_eq!(at(budget.reserve(normal, now)), Some(now));
        assert_eq!(at(budget.reserve(normal, now)), Some(now + spacing));
        assert_eq!(at(budget.reserve(normal, now)), Some(now + 2 * spacing));
        assert_eq!(at(budget.reserve(Priority::High, now)), Some(now));
        let later = now + Duration::from_secs(60);
        assert_eq!(at(budget.reserve(normal, later)), Some(later));
    }
}

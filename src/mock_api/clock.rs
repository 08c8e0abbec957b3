//! The clock of a live API. It need not show the time of the machine.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

/// The time in a live API: it runs with the machine's time, faster, slower, or only when a test moves it.
///
/// Clones show the same time. It never goes back.
#[derive(Clone, Debug)]
pub struct Clock(Arc<State>);

#[derive(Debug)]
struct State {
    start: SystemTime,
    /// When it showed `start`, in the machine's time.
    began: Instant,
    began_at: SystemTime,
    speed: f64,
    /// By how much it was moved by hand.
    moved: watch::Sender<Duration>,
}

impl Clock {
    /// The fastest speed: a day per second.
    pub const FASTEST: f64 = 86_400.0;

    /// A clock that shows `start` now and then runs `speed` times as fast as the machine's. A speed that is negative or not a
    /// number counts as 0, and one above [`Clock::FASTEST`] as that.
    #[must_use]
    pub fn running(start: SystemTime, speed: f64) -> Self {
        let speed = if speed.is_nan() { 0.0 } else { speed };
        Clock(Arc::new(State {
            start,
            began: Instant::now(),
            began_at: SystemTime::now(),
            speed: speed.clamp(0.0, Self::FASTEST),
            moved: watch::Sender::new(Duration::ZERO),
        }))
    }

    /// The value of the variable `INGEST_TEST_CLOCK` with which another process has the same clock, unless it is moved.
    #[cfg(feature = "cli")]
    pub(crate) fn for_other_process(&self) -> String {
        let seconds = |time: SystemTime| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_secs_f64()
        };
        let State {
            start,
            began_at,
            speed,
            ..
        } = &*self.0;
        format!("{:.3}/{:.3}*{speed}", seconds(*start), seconds(*began_at))
    }

    /// A clock that shows `start` until it is moved.
    #[must_use]
    pub fn manual(start: SystemTime) -> Self {
        Self::running(start, 0.0)
    }

    /// The time that it shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let ran = self.0.began.elapsed().as_secs_f64() * self.0.speed;
        let ran = Duration::try_from_secs_f64(ran).unwrap_or_default();
        let now = self.0.start.checked_add(ran);
        now.and_then(|now| now.checked_add(*self.0.moved.borrow()))
            .unwrap_or(self.0.start)
    }

    /// The time that it showed at first. At that moment the newest item is `max_item`.
    #[must_use]
    pub fn start(&self) -> SystemTime {
        self.0.start
    }

    /// Moves it forward, which event streams see at once.
    pub fn advance(&self, by: Duration) {
        self.0
            .moved
            .send_modify(|moved| *moved = moved.saturating_add(by));
    }

    /// Tells when it is moved by hand.
    pub(super) fn moves(&self) -> watch::Receiver<Duration> {
        self.0.moved.subscribe()
    }

    /// How many times as fast as the machine's time it runs.
    #[cfg(feature = "cli")]
    pub(crate) fn speed(&self) -> f64 {
        self.0.speed
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.speed > 0.0
    }
}

impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A time in microseconds since 1970.
pub(super) fn micros(time: SystemTime) -> i64 {
    let since = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX / 4);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => since(after).min(i64::MAX / 4),
        Err(before) => -since(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_moved_and_its_clones_move_with_it() {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let clock = Clock::manual(start);
        let clone = clock.clone();
        assert_eq!(clone.now(), start);
        clock.advance(Duration::from_millis(1_500));
        clock.advance(Duration::from_secs(60));
        assert_eq!(clone.now(), start + Duration::from_millis(61_500));
        assert_eq!(micros(clone.now()), 1_800_000_061_500_000);
    }

    #[test]
    fn a_running_clock_is_as_fast_as_it_was_set() {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (began, clock) = (Instant::now(), Clock::running(start, 86_400.0));
        std::thread::sleep(Duration::from_millis(5));
        let shown = clock.now().duration_since(start).unwrap_or_default();
        assert!(shown >= Duration::from_millis(5 * 86_400), "{shown:?}");
        assert!(shown <= began.elapsed() * 86_400, "{shown:?}");
    }
}

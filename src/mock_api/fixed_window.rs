//! The rate limit: a number of requests per second.

use std::time::{Duration, Instant};

/// Counts the requests of each second.
///
/// The window is fixed and not sliding, so that `Retry-After: 1` is true: after a second a new window has begun.
#[derive(Debug)]
pub(super) struct FixedWindow {
    began: Instant,
    admitted: u32,
}

impl FixedWindow {
    pub(super) fn new(now: Instant) -> Self {
        FixedWindow {
            began: now,
            admitted: 0,
        }
    }

    /// Whether one more request may pass.
    pub(super) fn admit(&mut self, limit: u32, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            *self = FixedWindow::new(now);
        }
        let may_pass = self.admitted < limit;
        self.admitted += u32::from(may_pass);
        may_pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_admits_the_limit() {
        let start = Instant::now();
        let mut window = FixedWindow::new(start);
        let mut admitted = |ms| {
            (0..5)
                .filter(|_| window.admit(3, start + Duration::from_millis(ms)))
                .count()
        };
        assert_eq!(
            [admitted(0), admitted(999), admitted(1_000), admitted(1_001)],
            [3, 0, 3, 0]
        );
        assert!(!FixedWindow::new(start).admit(0, start));
    }
}

//! The rate of a step, from looks at its counter. Pure.

use std::time::Duration;

/// Fits a line to the looks: its slope is the rate. What is committed comes in batches, and answers come in waves, so a rate
/// from the first look to the last would depend on where in between these two fall.
///
/// What happens before `from` is the ramp, when connections are opened and batches fill.
pub(super) struct Meter {
    from: Duration,
    /// What was settled at the first look; from there on is counted, so that a stall is nought and no rounding error.
    before: Option<u64>,
    looks: f64,
    sum_at: f64,
    sum_settled: f64,
    sum_at_squared: f64,
    sum_product: f64,
}

impl Meter {
    pub(super) fn after(from: Duration) -> Self {
        Self {
            from,
            before: None,
            looks: 0.0,
            sum_at: 0.0,
            sum_settled: 0.0,
            sum_at_squared: 0.0,
            sum_product: 0.0,
        }
    }

    /// `settled` ids at the time `at` of the step.
    pub(super) fn look(&mut self, at: Duration, settled: u64) {
        if at < self.from {
            return;
        }
        let before = *self.before.get_or_insert(settled);
        let (at, settled) = (at.as_secs_f64(), settled.saturating_sub(before) as f64);
        self.looks += 1.0;
        self.sum_at += at;
        self.sum_settled += settled;
        self.sum_at_squared += at * at;
        self.sum_product += at * settled;
    }

    /// Settled ids a second.
    pub(super) fn rate(&self) -> f64 {
        let spread = self.looks * self.sum_at_squared - self.sum_at * self.sum_at;
        let rise = self.looks * self.sum_product - self.sum_at * self.sum_settled;
        // Looks at one moment have no slope.
        match spread > 1e-9 {
            true => (rise / spread).max(0.0),
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of a step of 3 s, looked at every 20 ms, of which the first 0.6 s are the ramp.
    fn rate(settled_at: impl Fn(u64) -> u64) -> f64 {
        let mut meter = Meter::after(Duration::from_millis(600));
        for ms in (0..=3000).step_by(20) {
            meter.look(Duration::from_millis(ms), settled_at(ms));
        }
        meter.rate()
    }

    #[track_caller]
    fn is_about(rate: f64, right: f64) {
        assert!((rate / right - 1.0).abs() < 0.02, "{rate}, not {right}");
    }

    #[test]
    fn the_rate_is_that_after_the_ramp() {
        is_about(rate(|ms| ms / 10), 100.0);
        is_about(rate(|ms| ms.saturating_sub(500) / 10), 100.0);
    }

    #[test]
    fn neither_batches_nor_waves_nor_where_a_look_falls_show_in_it() {
        for (batch, every) in [(1, 102), (2, 204), (500, 50), (64, 100), (30, 300)] {
            for shift in [0, 7, 13] {
                let right = batch as f64 * 1000.0 / every as f64;
                is_about(rate(|ms| (ms + shift) / every * batch), right);
            }
        }
    }

    #[test]
    fn nothing_and_a_stall_are_nought() {
        assert_eq!(rate(|_| 0), 0.0);
        assert_eq!(rate(|ms| ms.min(500)), 0.0);
        assert_eq!(Meter::after(Duration::ZERO).rate(), 0.0);
    }
}

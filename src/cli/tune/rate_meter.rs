//! The rate of a step, from samples of its counter. Pure.

use std::time::Duration;

/// Fits a line to the samples. Its slope is the rate.
///
/// A line is better than the difference of the first and the last sample: rows are committed in batches and answers come in
/// waves, so the difference depends on where between two batches these samples fall.
pub(super) struct RateMeter {
    /// Samples before this time are ignored, because connections are opened and batches fill until then.
    ramp: Duration,
    /// How many ids were settled at the first sample. Only what comes after it is counted, so that the rate of a stall is
    /// exactly 0.
    settled_before: Option<u64>,
    /// The number of samples, and sums over them.
    samples: f64,
    sum_time: f64,
    sum_settled: f64,
    sum_time_squared: f64,
    sum_product: f64,
}

impl RateMeter {
    pub(super) fn new(ramp: Duration) -> Self {
        Self {
            ramp,
            settled_before: None,
            samples: 0.0,
            sum_time: 0.0,
            sum_settled: 0.0,
            sum_time_squared: 0.0,
            sum_product: 0.0,
        }
    }

    /// Adds how many ids were settled at this time of the step.
    pub(super) fn add_sample(&mut self, time: Duration, settled: u64) {
        if time < self.ramp {
            return;
        }
        let before = *self.settled_before.get_or_insert(settled);
        let settled = settled.saturating_sub(before) as f64;
        let time = time.as_secs_f64();
        self.samples += 1.0;
        self.sum_time += time;
        self.sum_settled += settled;
        self.sum_time_squared += time * time;
        self.sum_product += time * settled;
    }

    /// How many ids were settled per second.
    pub(super) fn rate(&self) -> f64 {
        let spread = self.samples * self.sum_time_squared - self.sum_time * self.sum_time;
        let rise = self.samples * self.sum_product - self.sum_time * self.sum_settled;
        // Samples of one moment have no slope.
        if spread > 1e-9 {
            (rise / spread).max(0.0)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate of a step of 3 s with a sample every 20 ms and a ramp of 0.6 s.
    fn rate(settled_at: impl Fn(u64) -> u64) -> f64 {
        let mut meter = RateMeter::new(Duration::from_millis(600));
        for ms in (0..=3000).step_by(20) {
            meter.add_sample(Duration::from_millis(ms), settled_at(ms));
        }
        meter.rate()
    }

    #[track_caller]
    fn is_about(rate: f64, expected: f64) {
        assert!(
            (rate / expected - 1.0).abs() < 0.02,
            "{rate}, not {expected}"
        );
    }

    #[test]
    fn the_rate_is_that_after_the_ramp() {
        is_about(rate(|ms| ms / 10), 100.0);
        is_about(rate(|ms| ms.saturating_sub(500) / 10), 100.0);
    }

    #[test]
    fn the_rate_does_not_depend_on_batches_waves_or_where_a_sample_falls() {
        for (batch, every) in [(1, 102), (2, 204), (500, 50), (64, 100), (30, 300)] {
            for shift in [0, 7, 13] {
                let expected = batch as f64 * 1000.0 / every as f64;
                is_about(rate(|ms| (ms + shift) / every * batch), expected);
            }
        }
    }

    #[test]
    fn the_rate_of_nothing_and_of_a_stall_is_0() {
        assert_eq!(rate(|_| 0), 0.0);
        assert_eq!(rate(|ms| ms.min(500)), 0.0);
        assert_eq!(RateMeter::new(Duration::ZERO).rate(), 0.0);
    }
}

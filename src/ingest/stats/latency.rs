//! The latency recorder: a histogram of how long attempts took.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::ingest::outcome::progress::Latency;

/// The longest time that is recorded, in microseconds: an hour, which is the longest timeout.
const LONGEST: u64 = 3_600_000_000;

/// Significant digits. With two, a histogram takes about 16 KiB.
const DIGITS: u8 = 2;

/// How long the attempts of a run took. The histogram is made at the first attempt.
#[derive(Default)]
pub(crate) struct LatencyRecorder(OnceLock<Option<Mutex<Histogram<u32>>>>);

impl LatencyRecorder {
    pub(crate) fn record(&self, time: Duration) {
        if let Some(mut histogram) = self.histogram() {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            histogram.saturating_record(micros);
        }
    }

    /// Adds what another one has recorded.
    #[cfg(feature = "cli")]
    pub(crate) fn add(&self, other: &Self) {
        if other.0.get().is_none() {
            return;
        }
        if let (Some(mut histogram), Some(other)) = (self.histogram(), other.histogram()) {
            // Both have the same bounds.
            let _ = histogram.add(&*other);
        }
    }

    fn histogram(&self) -> Option<MutexGuard<'_, Histogram<u32>>> {
        // This returns `None` only if the bounds are invalid, which they are not.
        let new = || {
            Histogram::new_with_bounds(1, LONGEST, DIGITS)
                .ok()
                .map(Mutex::new)
        };
        let histogram = self.0.get_or_init(new).as_ref()?;
        Some(histogram.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn summary(&self) -> Latency {
        let Some(Some(histogram)) = self.0.get() else {
            return Latency::default();
        };
        let histogram = histogram.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Latency {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: Duration::from_micros(histogram.max()),
        }
    }
}

impl fmt::Debug for LatencyRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_digits_and_zero_without_attempts() {
        let latencies = LatencyRecorder::default();
        assert_eq!(latencies.summary(), Latency::default());
        for millis in 1..=1000 {
            latencies.record(Duration::from_millis(millis));
        }
        let Latency { p50, p90, p99, max } = latencies.summary();
        for (measured, right) in [(p50, 500), (p90, 900), (p99, 990), (max, 1000)] {
            let off = measured.as_secs_f64() * 1000.0 / f64::from(right) - 1.0;
            assert!(off.abs() < 0.01, "{measured:?} should be {right} ms");
        }
    }

    #[test]
    fn what_two_have_recorded_can_be_added() {
        let [both, other] = [LatencyRecorder::default(), LatencyRecorder::default()];
        both.add(&other);
        assert_eq!(both.summary(), Latency::default());
        both.record(Duration::from_millis(10));
        other.record(Duration::from_millis(500));
        both.add(&other);
        let Latency { p50, max, .. } = both.summary();
        assert_eq!((p50.as_millis(), max.as_millis() / 10), (10, 50));
    }

    #[test]
    fn an_attempt_of_over_an_hour_is_recorded_as_an_hour() {
        let latencies = LatencyRecorder::default();
        latencies.record(Duration::from_secs(86_400));
        assert!(latencies.summary().max >= Duration::from_secs(3500));
    }
}

//! How long attempts took.

use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

/// From a microsecond to an hour, which is the longest timeout, to two digits: about 16 KiB.
const LONGEST: u64 = 3_600_000_000;
const DIGITS: u8 = 2;

/// The latencies of a run's attempts. A run that waits for its turn has none, and needs no histogram yet.
#[derive(Default)]
pub(crate) struct Latencies(OnceLock<Option<Mutex<Histogram<u32>>>>);

impl Latencies {
    pub(crate) fn record(&self, time: Duration) {
        // These bounds are valid, so there is always a histogram.
        let new = || {
            Histogram::new_with_bounds(1, LONGEST, DIGITS)
                .ok()
                .map(Mutex::new)
        };
        if let Some(histogram) = self.0.get_or_init(new) {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            histogram
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .saturating_record(micros);
        }
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

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary().fmt(f)
    }
}

/// How long attempts took, to two digits; all zero when there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine tenths of them took no longer.
    pub p90: Duration,
    /// All but one in a hundred took no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_digits_and_nothing_is_all_zero() {
        let latencies = Latencies::default();
        assert_eq!(latencies.summary(), Latency::default());
        for millis in 1..=1000 {
            latencies.record(Duration::from_millis(millis));
        }
        let Latency { p50, p90, p99, max } = latencies.summary();
        for (told, right) in [(p50, 500), (p90, 900), (p99, 990), (max, 1000)] {
            let off = told.as_secs_f64() * 1000.0 / f64::from(right) - 1.0;
            assert!(off.abs() < 0.01, "{told:?} should be {right} ms");
        }
    }

    #[test]
    fn what_takes_longer_than_an_hour_is_kept_as_an_hour() {
        let latencies = Latencies::default();
        latencies.record(Duration::from_secs(86_400));
        assert!(latencies.summary().max >= Duration::from_secs(3500));
    }
}

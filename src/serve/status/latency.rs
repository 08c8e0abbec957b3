//! How long attempts took, from the metrics of this process.

use std::collections::BTreeMap;

/// The metric, in the text format of Prometheus.
const BUCKET: &str = "ingest_attempt_seconds_bucket{";

/// Attempts that took longer than the bucket before, up to this time.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::serve) struct LatencyBucket {
    /// In seconds; infinite for the last.
    pub(in crate::serve) up_to: f64,
    pub(in crate::serve) count: u64,
}

/// The buckets of all pipelines together. None if there are no such metrics.
pub(in crate::serve) fn latency_buckets(metrics: &str) -> Vec<LatencyBucket> {
    // Ordered by the bits, which is the order of numbers that are not negative.
    let mut upto: BTreeMap<u64, u64> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with(BUCKET)) {
        let bound = line
            .split("le=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let bound: Option<f64> = bound.and_then(|bound| bound.parse().ok());
        let count = line
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse::<u64>().ok());
        let (Some(bound), Some(count)) = (bound, count) else {
            continue;
        };
        if bound >= 0.0 {
            *upto.entry(bound.to_bits()).or_default() += count;
        }
    }
    let mut before = 0;
    let buckets = upto.into_iter().map(|(bound, count): (u64, u64)| {
        let bucket = LatencyBucket {
            up_to: f64::from_bits(bound),
            count: count.saturating_sub(before),
        };
        before = count;
        bucket
    });
    buckets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_of_all_pipelines_are_added_up_and_others_left_out() {
        let metrics = "# TYPE ingest_attempt_seconds histogram\n\
            ingest_attempt_seconds_bucket{pipeline=\"a\",le=\"0.01\"} 2\n\
            ingest_attempt_seconds_bucket{pipeline=\"a\",le=\"+Inf\"} 5\n\
            ingest_attempt_seconds_bucket{pipeline=\"b\",le=\"0.01\"} 1\n\
            ingest_attempt_seconds_bucket{pipeline=\"b\",le=\"+Inf\"} 1\n\
            ingest_attempt_seconds_bucket{le=\"x\"} 1\n\
            ingest_wait_seconds_bucket{le=\"0.01\"} 9\n";
        let buckets = latency_buckets(metrics);
        let pairs: Vec<_> = buckets.iter().map(|b| (b.up_to, b.count)).collect();
        assert_eq!(pairs, [(0.01, 3), (f64::INFINITY, 3)]);
        assert_eq!(latency_buckets(""), []);
    }
}

//! How large a share can be, judged by a sample: the exact upper bound of Clopper and Pearson. Pure.
//!
//! It ignores that there are finitely many ids, so the bound is a little too large where the sample is a large part of them.

/// The probability that the bound holds.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// The upper bound of the share of stale ids, if `stale` of `checked` random ids are stale. If the share were that large, no more than
/// `stale` would be found with a probability of 5 %.
pub(crate) fn upper_bound(stale: u64, checked: u64) -> f64 {
    if stale >= checked {
        return 1.0;
    }
    let (mut low, mut high) = (stale as f64 / checked as f64, 1.0);
    let log_ways = log_ways(stale, checked);
    let wanted = (1.0 - CONFIDENCE).ln();
    loop {
        let middle = (low + high) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if log_at_most(stale, checked, middle, log_ways) > wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// How many ids must be checked, and none be stale, to show that a share is at most `share`. `None` if no sample shows that.
pub(crate) fn checks_needed(share: f64) -> Option<u64> {
    if share >= 1.0 {
        return Some(0);
    }
    let count = ((1.0 - CONFIDENCE).ln() / (-share).ln_1p()).ceil();
    (share > 0.0 && count < 1e18).then_some(count as u64)
}

/// The logarithm of the probability that at most `k` of `n` are hit, where each is hit with probability `p`, which is above `k / n`.
///
/// `log_ways` is the logarithm of the number of ways to choose `k` of `n`.
fn log_at_most(k: u64, n: u64, p: f64, log_ways: f64) -> f64 {
    let log_exactly = log_ways + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p();
    // The terms for k, k-1, … as shares of the first one. They become smaller and smaller, because p is above k / n.
    let (mut sum, mut term) = (1.0, 1.0);
    for hits in (1..=k).rev() {
        term *= hits as f64 * (1.0 - p) / ((n - hits + 1) as f64 * p);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    log_exactly + f64::ln(sum)
}

fn log_ways(k: u64, n: u64) -> f64 {
    log_factorial(n) - log_factorial(k) - log_factorial(n - k)
}

fn log_factorial(n: u64) -> f64 {
    if n < 64 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    // Stirling's series. The first term that is left out is below 1e-12.
    let n = n as f64;
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + 1.0 / (12.0 * n)
        - 1.0 / (360.0 * n.powi(3))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// One-sided 95 % limits as tables of them give them, to three digits. (They are also the upper ends of two-sided 90 % intervals.)
    #[test]
    fn bounds_are_those_of_published_tables() {
        for (checked, bounds) in [
            (1, &[0.950, 1.000][..]),
            (5, &[0.451, 0.657, 0.811, 0.924, 0.990, 1.000]),
            (
                10,
                &[
                    0.259, 0.394, 0.507, 0.607, 0.696, 0.778, 0.850, 0.913, 0.963, 0.995, 1.000,
                ],
            ),
            (20, &[0.139, 0.216, 0.283, 0.344, 0.401, 0.456]),
        ] {
            for (stale, published) in (0..).zip(bounds) {
                let bound = upper_bound(stale, checked);
                assert!(
                    (bound - published).abs() < 6e-4,
                    "{stale} of {checked}: {bound}"
                );
            }
        }
    }

    #[test]
    fn without_a_stale_id_the_bound_has_a_closed_form() {
        for checked in [1, 2, 59, 299, 1000, 46_400_000] {
            let closed = 1.0 - 0.05_f64.powf(1.0 / checked as f64);
            let bound = upper_bound(0, checked);
            assert!((bound / closed - 1.0).abs() < 1e-6, "{checked}: {bound}");
        }
        assert_eq!(upper_bound(0, 0), 1.0);
        assert_eq!(upper_bound(7, 7), 1.0);
    }

    /// The promise itself, computed without chance: over all samples that there can be, the bound is too small in at most 5 %.
    #[test]
    fn the_bound_covers_the_true_share_in_at_least_95_of_100_samples() {
        for n in [1, 3, 10, 50, 300, 1000] {
            let bounds: Vec<_> = (0..=n).map(|k| upper_bound(k, n)).collect();
            assert!(bounds.is_sorted(), "{n}");
            for p in [0.0005_f64, 0.004, 0.01, 0.05, 0.2, 0.5, 0.9, 0.999] {
                let probability = |k: u64| {
                    (log_ways(k, n) + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp()
                };
                let covers = |k: &u64| bounds[*k as usize] >= p;
                let covered: f64 = (0..=n).filter(covers).map(probability).sum();
                assert!(covered > CONFIDENCE - 1e-6, "{p} of {n}: {covered}");
            }
        }
    }

    #[test]
    fn large_samples_have_bounds_near_their_shares() {
        for (stale, checked) in [
            (1_000, 1_000_000),
            (460_000, 46_400_000),
            (46_399_999, 46_400_000),
        ] {
            let share = stale as f64 / checked as f64;
            let bound = upper_bound(stale, checked);
            let deviation = 1.645 * (share * (1.0 - share) / checked as f64).sqrt();
            assert!(bound > share && bound < share + 3.0 * deviation, "{bound}");
        }
    }

    #[test]
    fn as_many_checks_are_needed_as_make_the_bound_small_enough_and_no_fewer() {
        assert_eq!(checks_needed(0.01), Some(299));
        assert_eq!(checks_needed(0.05), Some(59));
        for share in [0.3, 0.05, 0.01, 0.004, 0.0001] {
            let needed = checks_needed(share).unwrap();
            assert!(upper_bound(0, needed) <= share, "{share}: {needed}");
            assert!(upper_bound(0, needed - 1) > share, "{share}: {needed}");
        }
        assert_eq!(checks_needed(0.0), None);
        assert_eq!(checks_needed(1.0), Some(0));
    }
}

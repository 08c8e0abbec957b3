//! The knee of a curve: where more workers stop being worth it. Pure. Rates are in the order of their worker counts.

/// Rates that differ by at most this share count as the same. A smaller gain may be noise, and does not justify twice the
/// connections.
pub(super) const TOLERANCE: f64 = 0.05;

/// The position of the first rate that counts as the same as the best.
pub(super) fn knee(rates: &[f64]) -> Option<usize> {
    let best = best(rates);
    let is_as_good = |rate: &f64| best > 0.0 && *rate >= best * (1.0 - TOLERANCE);
    rates.iter().position(is_as_good)
}

/// Whether the last two rates are no better than those before them.
pub(super) fn has_flattened(rates: &[f64]) -> bool {
    let Some((before, last)) = rates.split_last_chunk::<2>() else {
        return false;
    };
    let before = best(before);
    before > 0.0 && best(last) <= before * (1.0 + TOLERANCE)
}

/// The best rate; 0 if there is none.
pub(super) fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_the_first_step_as_good_as_the_best() {
        for (rates, position) in [
            (&[][..], None),
            (&[0.0, 0.0], None),
            (&[7.0], Some(0)),
            // Still rising.
            (&[10.0, 20.0, 40.0], Some(2)),
            // A plateau, and one with noise.
            (&[10.0, 20.0, 40.0, 40.0, 40.0], Some(2)),
            (&[10.0, 20.0, 39.0, 38.5, 40.0, 39.5], Some(2)),
            // A slow climb is still a climb.
            (&[100.0, 190.0, 300.0, 330.0, 360.0], Some(4)),
            // It gets worse after a peak.
            (&[10.0, 20.0, 38.0, 30.0, 12.0], Some(2)),
            (&[50.0, 40.0, 30.0], Some(0)),
            // A step that stalled.
            (&[10.0, 0.0, 40.0, 41.0], Some(2)),
        ] {
            assert_eq!(knee(rates), position, "{rates:?}");
        }
    }

    #[test]
    fn a_curve_has_flattened_after_two_steps_without_a_gain_and_not_before() {
        for (rates, flat) in [
            (&[][..], false),
            (&[10.0], false),
            (&[10.0, 10.0], false),
            (&[10.0, 10.0, 10.0], true),
            (&[10.0, 20.0, 20.0], false),
            (&[10.0, 20.0, 20.5, 20.9], true),
            (&[10.0, 20.0, 12.0, 8.0], true),
            // Two small gains that together are enough.
            (&[10.0, 20.0, 20.8, 21.6], false),
            // One slow step may be noise.
            (&[10.0, 20.0, 19.0, 40.0], false),
            (&[0.0, 0.0, 0.0], false),
        ] {
            assert_eq!(has_flattened(rates), flat, "{rates:?}");
        }
    }
}

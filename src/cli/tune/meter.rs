//! The rate of a step, from looks at its counter. Pure.

use std::time::Duration;

/// Measures from one commit to another, not from one look to another: what is committed comes in batches, and a look falls
/// somewhere between two of them. What happens before `from` is the ramp: connections are opened, batches fill.
pub(super) struct Meter {
    from: Duration,
    seen: u64,
    first: Option<(Duration, u64)>,
    last: Option<(Duration, u64)>,
}

impl Meter {
    pub(super) fn after(from: Duration) -> Self {
        Self {
            from,
            seen: 0,
            first: None,
            last: None,
        }
    }

    /// `settled` ids at the time `at` of the step.
    pub(super) fn look(&mut self, at: Duration, settled: u64) {
        let has_changed = settled != self.seen;
        self.seen = settled;
        if !has_changed {
            return;
        }
        if at >= self.from {
            self.first.get_or_insert((at, settled));
        }
        self.last = Some((at, settled));
    }

    /// Settled ids a second. Where too few commits lie after the ramp, it is counted in.
    pub(super) fn rate(&self) -> f64 {
        let Some((end, settled)) = self.last else {
            return 0.0;
        };
        let (began, before) = match self.first {
            Some(first) if first.0 < end => first,
            _ => (Duration::ZERO, 0),
        };
        let seconds = (end - began).as_secs_f64();
        match seconds > 0.0 {
            true => (settled - before) as f64 / seconds,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(from: u64, looks: &[(u64, u64)]) -> f64 {
        let ms = Duration::from_millis;
        let mut meter = Meter::after(ms(from));
        looks
            .iter()
            .for_each(|&(at, settled)| meter.look(ms(at), settled));
        meter.rate()
    }

    #[test]
    fn the_ramp_is_left_out() {
        let looks = [(100, 1), (500, 2), (1000, 10), (1500, 60), (2000, 110)];
        assert_eq!(rate(800, &looks), 100.0);
    }

    #[test]
    fn looks_between_two_commits_change_nothing() {
        let commits = [(1000, 100), (2000, 200)];
        let more = [(990, 0), (1000, 100), (1010, 100), (2000, 200), (2900, 200)];
        assert_eq!((rate(900, &commits), rate(900, &more)), (100.0, 100.0));
    }

    #[test]
    fn with_one_commit_after_the_ramp_it_is_counted_in_and_with_none_at_all_the_rate_is_nought() {
        assert_eq!(rate(600, &[(500, 1), (1000, 2)]), 2.0);
        assert_eq!(rate(600, &[(500, 1)]), 2.0);
        assert_eq!(rate(600, &[(500, 0), (1000, 0)]), 0.0);
    }
}

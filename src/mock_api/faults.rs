//! Faults on demand: what goes wrong, and how often.
//!
//! Faults are drawn for each request, not for each id, so a retry helps.

use super::{latency_range::LatencyRange, rates::check_rates};

/// What goes wrong, and how often. By default nothing goes wrong.
///
/// A rate is a share of the requests, from 0.0 to 1.0. A request has at most one fault, so that each rate is exact. So the sum
/// of all rates is at most 1.0 too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// How long every answer takes, even one with a fault.
    pub latency: LatencyRange,
    /// The share that is answered with 503.
    pub fail_rate: f64,
    /// The share that is never answered. The connection stays open.
    pub hang_rate: f64,
    /// The share whose connection is closed without a response.
    pub reset_rate: f64,
    /// The share that gets the full `Content-Length` and half the body before the connection is closed.
    pub truncate_rate: f64,
    /// How many requests per second are answered. The others get 429 with `Retry-After: 1`, without the latency. `Some(0)`
    /// refuses every request.
    pub rate_limit: Option<u32>,
}

/// The fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InjectedFault {
    Hang,
    Reset,
    Fail,
    Truncate,
}

impl Faults {
    /// Checks that the settings make sense.
    ///
    /// # Errors
    ///
    /// The message names the rate that is not within 0.0 to 1.0, or gives the sum of the rates, or the two bounds of the
    /// latency.
    pub fn check(&self) -> Result<(), String> {
        let rates = [
            ("fail rate", self.fail_rate),
            ("hang rate", self.hang_rate),
            ("reset rate", self.reset_rate),
            ("truncate rate", self.truncate_rate),
        ];
        check_rates(&rates, "fault", "request")?;
        if self.latency.min > self.latency.max {
            return Err(format!(
                "the shortest latency, {:?}, is longer than the longest, {:?}",
                self.latency.min, self.latency.max
            ));
        }
        Ok(())
    }

    /// The fault that a random draw selects. Draws must be spread evenly over 0.0 to 1.0.
    pub(super) fn fault_for(&self, mut draw: f64) -> Option<InjectedFault> {
        let shares = [
            (InjectedFault::Hang, self.hang_rate),
            (InjectedFault::Reset, self.reset_rate),
            (InjectedFault::Fail, self.fail_rate),
            (InjectedFault::Truncate, self.truncate_rate),
        ];
        for (fault, rate) in shares {
            if draw < rate {
                return Some(fault);
            }
            draw -= rate;
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rates_outside_of_zero_to_one_and_sums_over_one_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = Faults {
                hang_rate: bad,
                ..Faults::default()
            }
            .check()
            .unwrap_err();
            assert!(
                error.contains("hang rate") && error.contains("0.0 to 1.0"),
                "{error}"
            );
        }
        let half = Faults {
            fail_rate: 0.5,
            reset_rate: 0.5,
            ..Faults::default()
        };
        assert_eq!(half.check(), Ok(()));
        assert!(
            Faults {
                hang_rate: 0.1,
                ..half
            }
            .check()
            .unwrap_err()
            .contains("add up to 1.1")
        );
    }

    #[test]
    fn each_fault_has_exactly_its_share() {
        let faults = Faults {
            fail_rate: 0.25,
            hang_rate: 0.125,
            reset_rate: 0.25,
            truncate_rate: 0.125,
            ..Faults::default()
        };
        let drawn: Vec<_> = (0..8)
            .map(|i| faults.fault_for(f64::from(i) / 8.0))
            .collect();
        use InjectedFault::{Fail, Hang, Reset, Truncate};
        assert_eq!(
            drawn,
            [
                Some(Hang),
                Some(Reset),
                Some(Reset),
                Some(Fail),
                Some(Fail),
                Some(Truncate),
                None,
                None
            ]
        );
        assert!((0..8).all(|i| Faults::default().fault_for(f64::from(i) / 8.0).is_none()));
    }
}

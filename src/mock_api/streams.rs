//! Settings of the event streams of a live API: what goes wrong with them, and how often.

use std::time::Duration;

use super::rates::check_rates;

/// How event streams behave. By default they are served, and nothing goes wrong.
///
/// A rate is a share of the changes, from 0.0 to 1.0. A change has at most one fault. What concerns connections is in the
/// machine's time, however fast the clock of the API is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Streams {
    /// Whether there are streams. Without them a request for one gets plain JSON.
    pub offered: bool,
    /// The time from one `keep-alive` event to the next.
    pub keep_alive: Duration,
    /// The share of the changes at which the connection is cut, in the middle of an event.
    pub cut_rate: f64,
    /// The share of the changes that are not sent.
    pub loss_rate: f64,
    /// The share of the changes at which the stream ends with a `cancel` or an `auth_revoked` event.
    pub cancel_rate: f64,
    /// When a stream falls silent, counted from its start. Its connection stays open.
    pub stall_after: Option<Duration>,
}

impl Default for Streams {
    fn default() -> Self {
        Streams {
            offered: true,
            keep_alive: Duration::from_secs(30),
            cut_rate: 0.0,
            loss_rate: 0.0,
            cancel_rate: 0.0,
            stall_after: None,
        }
    }
}

/// How an event stream ends before its client ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// With the event `cancel`, as if the client may no longer read this.
    Cancel,
    /// With the event `auth_revoked`, as if the client's credentials had expired.
    AuthRevoked,
    /// The connection breaks in the middle of an event.
    Cut,
    /// Nothing is sent any more, not even `keep-alive`. The connection stays open.
    Stall,
}

/// What goes wrong with one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeFault {
    Lost,
    Ended(StreamEnd),
}

impl Streams {
    pub(super) fn check(&self) -> Result<(), String> {
        let rates = [
            ("stream cut rate", self.cut_rate),
            ("stream loss rate", self.loss_rate),
            ("stream cancel rate", self.cancel_rate),
        ];
        check_rates(&rates, "stream", "change")?;
        if self.keep_alive.is_zero() {
            return Err("the time between keep-alive events is 0: it must be longer".to_owned());
        }
        Ok(())
    }

    /// The fault that a random draw selects. Draws must be spread evenly over 0.0 to 1.0.
    pub(super) fn fault_for(&self, mut draw: f64) -> Option<ChangeFault> {
        let half = self.cancel_rate / 2.0;
        let shares = [
            (ChangeFault::Ended(StreamEnd::Cut), self.cut_rate),
            (ChangeFault::Lost, self.loss_rate),
            (ChangeFault::Ended(StreamEnd::Cancel), half),
            (ChangeFault::Ended(StreamEnd::AuthRevoked), half),
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

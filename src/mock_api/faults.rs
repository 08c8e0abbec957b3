//! Faults on demand: an API that is slow, busy, broken or mute, as often as asked.
//!
//! They are drawn for each request, not for each id, so trying again helps.

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long answers take: evenly drawn between two bounds, both included.
///
/// Parsed from `80ms..200ms`, or from `80ms` for ever the same. Units are humantime's (`ms`, `s`, …).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The shortest wait.
    pub min: Duration,
    /// The longest wait; no shorter than `min`.
    pub max: Duration,
}

impl Latency {
    pub(super) fn draw(self) -> Duration {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let (min, max) = (micros(self.min), micros(self.max));
        Duration::from_micros(fastrand::u64(min..=max.max(min)))
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let one = |part: &str| {
            humantime::parse_duration(part.trim()).map_err(|e| {
                format!("\"{part}\" is no duration ({e}): write 80ms, or 80ms..200ms for a range")
            })
        };
        let (min, max) = (one(min)?, one(max)?);
        if min > max {
            return Err(format!(
                "\"{text}\" ends before it begins: write the shorter wait first, as in 80ms..200ms"
            ));
        }
        Ok(Latency { min, max })
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.min))?;
        if self.max > self.min {
            write!(f, "..{}", humantime::format_duration(self.max))?;
        }
        Ok(())
    }
}

/// What goes wrong, and how often. The default is nothing.
///
/// A rate is a share of requests, 0.0 to 1.0. At most one fault strikes a request, so that each rate is met exactly; hence the
/// sum of all rates is at most 1.0 too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// How long every answer takes, faults included.
    pub latency: Latency,
    /// Answered 503.
    pub fail_rate: f64,
    /// Never answered; the connection stays open.
    pub hang_rate: f64,
    /// The connection is closed without any response.
    pub reset_rate: f64,
    /// The full `Content-Length`, half the body, then the connection is closed.
    pub truncate_rate: f64,
    /// Requests that pass in a second; those past it get 429 with `Retry-After: 1`, without the latency. `Some(0)` lets none
    /// through.
    pub rate_limit: Option<u32>,
}

/// What is done to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Hang,
    Reset,
    Fail,
    Truncate,
}

impl Faults {
    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// A message that names the rate which is outside of 0.0 to 1.0, or says that their sum is.
    pub fn check(&self) -> Result<(), String> {
        let rates = [
            ("fail rate", self.fail_rate),
            ("hang rate", self.hang_rate),
            ("reset rate", self.reset_rate),
            ("truncate rate", self.truncate_rate),
        ];
        if let Some((name, rate)) = rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(format!(
                "the {name} is {rate}: a rate is a share from 0.0 to 1.0"
            ));
        }
        let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
        // Ten times 0.1 is a little more than 1.
        if sum > 1.0 + 1e-9 {
            return Err(format!(
                "the fault rates add up to {sum}: at most one fault strikes a request, so their sum is at most 1.0"
            ));
        }
        if self.latency.min > self.latency.max {
            return Err(format!(
                "the latency's shortest wait, {:?}, is longer than its longest, {:?}",
                self.latency.min, self.latency.max
            ));
        }
        Ok(())
    }

    /// The fault that `draw`, evenly spread over 0.0 to 1.0, falls on.
    pub(super) fn at(&self, mut draw: f64) -> Option<Fault> {
        let shares = [
            (Fault::Hang, self.hang_rate),
            (Fault::Reset, self.reset_rate),
            (Fault::Fail, self.fail_rate),
            (Fault::Truncate, self.truncate_rate),
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

/// Counts requests by the second. A fixed window is honest about `Retry-After: 1`: after that time a new one has begun.
#[derive(Debug)]
pub(super) struct Window {
    began: Instant,
    admitted: u32,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Window {
            began: now,
            admitted: 0,
        }
    }

    /// Whether one more request may pass.
    pub(super) fn admit(&mut self, limit: u32, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            *self = Window::new(now);
        }
        let pass = self.admitted < limit;
        self.admitted += u32::from(pass);
        pass
    }
}

/// A body that ends before its `Content-Length`.
///
/// actix then drops the connection without a word in the log. What it still holds in its buffer is lost with it, and so
/// `reset` sends nothing at all, not even the status line; `half` waits one turn, in which the buffer is written out. Both
/// are tested on the wire.
#[derive(Debug)]
pub(super) struct BrokenBody {
    declared: u64,
    half: Option<Bytes>,
    flushed: bool,
}

impl BrokenBody {
    /// Nothing of the response leaves the house.
    pub(super) fn reset() -> Self {
        BrokenBody {
            declared: 1,
            half: None,
            flushed: true,
        }
    }

    /// The first half of `body` does.
    pub(super) fn half(body: &Bytes) -> Self {
        let half = body.slice(..body.len() / 2);
        BrokenBody {
            declared: body.len() as u64,
            half: Some(half),
            flushed: false,
        }
    }
}

impl MessageBody for BrokenBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.declared)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(half)));
        }
        if !self.flushed {
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_read_as_one_wait_or_a_range_and_printed_as_it_was_read() {
        for text in ["80ms", "80ms..200ms", "1s..1m 30s", "0s"] {
            assert_eq!(
                text.parse::<Latency>().map(|l| l.to_string()),
                Ok(text.to_owned())
            );
        }
        let range: Latency = " 80ms .. 200ms ".parse().unwrap();
        assert_eq!(range.max, Duration::from_millis(200));
        assert!((0..100).all(|_| (range.min..=range.max).contains(&range.draw())));
    }

    #[test]
    fn a_bad_latency_is_named_with_what_would_be_right() {
        for text in ["80", "", "..", "80ms..", "fast", "80ms..200", "-1s"] {
            let error = text.parse::<Latency>().unwrap_err();
            assert!(
                error.contains("no duration") && error.contains("80ms..200ms"),
                "{text}: {error}"
            );
        }
        assert!(
            "200ms..80ms"
                .parse::<Latency>()
                .unwrap_err()
                .contains("ends before it begins")
        );
    }

    #[test]
    fn rates_outside_of_nought_to_one_and_sums_past_one_are_refused() {
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
    fn each_fault_takes_exactly_its_share() {
        let faults = Faults {
            fail_rate: 0.25,
            hang_rate: 0.125,
            reset_rate: 0.25,
            truncate_rate: 0.125,
            ..Faults::default()
        };
        let drawn: Vec<_> = (0..8).map(|i| faults.at(f64::from(i) / 8.0)).collect();
        use Fault::{Fail, Hang, Reset, Truncate};
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
        assert!((0..8).all(|i| Faults::default().at(f64::from(i) / 8.0).is_none()));
    }

    #[test]
    fn a_second_admits_its_limit_and_the_next_one_starts_afresh() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let mut admitted = |ms| {
            (0..5)
                .filter(|_| window.admit(3, start + Duration::from_millis(ms)))
                .count()
        };
        assert_eq!(
            [admitted(0), admitted(999), admitted(1_000), admitted(1_001)],
            [3, 0, 3, 0]
        );
        assert!(!Window::new(start).admit(0, start));
    }
}

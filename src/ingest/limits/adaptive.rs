//! How much an API is asked at once, from what came of the attempts of late. Pure.
//!
//! Two levers, since servers have two kinds of limits: how many requests are in flight ([`limit`](Limit)), which is lowered by
//! 503, by widespread failures, and where fewer bring more; and how many start in a second ([`rate`](LearnedRate)), which is
//! lowered by 429.

mod limit;
mod rate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::{limit::Limit, rate::LearnedRate};
use crate::ingest::limits::signal::{Refusal, Signal};

/// So often the rule is asked.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What a single attempt says of how much may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is an answer, be it a refusal of that one request.
    Answer,
    /// 503: too many at once.
    Refused,
    /// 429: too many of late.
    Limited,
    /// No answer.
    Broken,
}

impl End {
    pub(crate) fn of(signal: Signal) -> Self {
        match signal {
            Signal::Refused {
                refusal: Refusal::Unavailable,
                ..
            } => Self::Refused,
            Signal::Refused {
                refusal: Refusal::TooManyRequests,
                ..
            } => Self::Limited,
            Signal::Unreachable | Signal::Neutral => Self::Broken,
            Signal::Served => Self::Answer,
        }
    }
}

/// The attempts that ended within a span of time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    pub(crate) elapsed: Duration,
    pub(crate) answers: u32,
    /// How long the answers took, all of them together.
    pub(crate) answers_took: Duration,
    /// 503…
    pub(crate) refused: u32,
    /// …those of them to which nothing else of ours was in flight.
    pub(crate) refused_alone: u32,
    /// 429.
    pub(crate) limited: u32,
    pub(crate) broken: u32,
    pub(crate) broken_took: Duration,
}

impl Window {
    pub(crate) fn note(&mut self, end: End, took: Duration, alone: bool) {
        match end {
            End::Answer => {
                self.answers += 1;
                self.answers_took += took;
            }
            End::Refused => {
                self.refused += 1;
                self.refused_alone += u32::from(alone);
            }
            End::Limited => self.limited += 1,
            End::Broken => {
                self.broken += 1;
                self.broken_took += took;
            }
        }
    }

    fn add(&mut self, more: &Self) {
        self.elapsed += more.elapsed;
        self.answers += more.answers;
        self.answers_took += more.answers_took;
        self.refused += more.refused;
        self.refused_alone += more.refused_alone;
        self.limited += more.limited;
        self.broken += more.broken;
        self.broken_took += more.broken_took;
    }

    fn ended(&self) -> u32 {
        self.answers + self.refused + self.limited + self.broken
    }

    /// Answers a second.
    fn goodput(&self) -> f64 {
        f64::from(self.answers) / self.elapsed.as_secs_f64().max(0.001)
    }

    /// How long an answer took on average.
    fn latency(&self) -> Duration {
        self.answers_took / self.answers.max(1)
    }
}

/// What the rule allows until it is asked again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Allowed {
    /// Requests in flight.
    pub(crate) at_once: usize,
    /// Requests that may start in a second, if that is limited.
    pub(crate) a_second: Option<f64>,
}

/// A rate learned of 503s that is down to this part of the first one, while they go on, was not what they were for.
const HOPELESS: f64 = 0.5;

/// The rule's state.
#[derive(Clone, Debug)]
pub(crate) struct Adaptive {
    limit: Limit,
    rate: LearnedRate,
    /// The first rate that was learned of 503s that come however few are in flight.
    slowed_from: Option<f64>,
    /// They come however slowly it is asked, too: they mean nothing.
    is_forgiven: bool,
}

impl Adaptive {
    /// All may work, for all that is known.
    pub(crate) fn new(ceiling: usize) -> Self {
        Self {
            limit: Limit::new(ceiling),
            rate: LearnedRate::default(),
            slowed_from: None,
            is_forgiven: false,
        }
    }

    /// The state after one more window, which is short.
    #[must_use]
    pub(crate) fn after(mut self, window: &Window) -> Self {
        if !self.limit.is_blameless() {
            (self.slowed_from, self.is_forgiven) = (None, false);
        }
        // 503 is what some servers say when it is the rate that they limit.
        let refused = match self.limit.is_blameless() && !self.is_forgiven {
            true => window.refused,
            false => 0,
        };
        self.rate = self
            .rate
            .after(window.elapsed, window.answers, window.limited + refused);
        self.limit = self.limit.after(window, self.rate.a_second().is_some());
        if refused > 0 {
            self.doubt_the_rate();
        }
        self
    }

    /// Some servers say 503 for no reason of ours.
    fn doubt_the_rate(&mut self) {
        let Some(rate) = self.rate.a_second() else {
            return;
        };
        let first = *self.slowed_from.get_or_insert(rate);
        if rate < first * HOPELESS {
            self.is_forgiven = true;
            self.rate = LearnedRate::default();
            self.limit.forgive();
        }
    }

    pub(crate) fn allowed(&self) -> Allowed {
        Allowed {
            at_once: self.limit.at_once(),
            a_second: self.rate.a_second(),
        }
    }
}

//! How the API has been doing, from the attempts made of late. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::ingest::http::error::AttemptError;

/// So many attempts are looked back on.
const LOOKED_BACK: usize = 100;

/// While the API fails widely, retries are held to this part of the recent rate of requests…
const RETRY_SHARE: f64 = 0.2;

/// …and to no fewer than this a second.
const RETRY_FLOOR: f64 = 10.0;

/// What one attempt says of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It answers, be it with a refusal of that one request.
    Answers,
    /// It answers that it is asked too much.
    Pushes,
    /// A connection broke, which proves nothing.
    Breaks,
    /// No connection, no answer in time, or a 5xx.
    Down,
}

impl Sign {
    pub(crate) fn of<T>(result: &Result<T, AttemptError>) -> Self {
        match result {
            Err(AttemptError::Timeout(_) | AttemptError::Connect(_)) => Self::Down,
            Err(AttemptError::Status {
                code: 500..=599, ..
            }) => Self::Down,
            Err(AttemptError::Status { code: 429, .. }) => Self::Pushes,
            Err(AttemptError::Reset(_)) => Self::Breaks,
            Err(
                AttemptError::Status { .. }
                | AttemptError::Redirect { .. }
                | AttemptError::TooLarge { .. }
                | AttemptError::Request(_),
            )
            | Ok(_) => Self::Answers,
        }
    }
}

/// The last attempts, and since when none was answered.
#[derive(Debug, Default)]
pub(crate) struct Health {
    last: VecDeque<(Instant, bool)>,
    failed: usize,
    down_since: Option<Instant>,
}

impl Health {
    pub(crate) fn note(&mut self, sign: Sign, now: Instant) {
        let failed = sign != Sign::Answers;
        self.last.push_back((now, failed));
        self.failed += usize::from(failed);
        if self.last.len() > LOOKED_BACK
            && let Some((_, failed)) = self.last.pop_front()
        {
            self.failed -= usize::from(failed);
        }
        match sign {
            Sign::Down => _ = self.down_since.get_or_insert(now),
            Sign::Answers | Sign::Pushes => self.down_since = None,
            Sign::Breaks => {}
        }
    }

    /// How far apart retries must start: acts while over half of the last hundred attempts failed.
    pub(crate) fn retry_spacing(&self, now: Instant) -> Option<Duration> {
        if self.last.len() < LOOKED_BACK || self.failed * 2 <= LOOKED_BACK {
            return None;
        }
        let (first, _) = self.last.front()?;
        let recent_rate = LOOKED_BACK as f64 / (now - *first).as_secs_f64().max(0.001);
        Some(Duration::from_secs_f64(
            1.0 / (recent_rate * RETRY_SHARE).max(RETRY_FLOOR),
        ))
    }

    /// For how long nothing but connect errors, timeouts and 5xx came.
    pub(crate) fn down_for(&self, now: Instant) -> Option<Duration> {
        self.down_since.map(|since| now - since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(signs: impl IntoIterator<Item = Sign>, every: Duration) -> (Health, Instant) {
        let mut health = Health::default();
        let mut now = Instant::now();
        for sign in signs {
            now += every;
            health.note(sign, now);
        }
        (health, now)
    }

    #[test]
    fn retries_are_spaced_only_while_over_half_of_a_hundred_attempts_failed() {
        let ms = Duration::from_millis(1);
        let mixed = |failed: usize, fine: usize| {
            let signs = std::iter::repeat_n(Sign::Down, failed);
            let (health, now) = noted(signs.chain(std::iter::repeat_n(Sign::Answers, fine)), ms);
            health.retry_spacing(now).is_some()
        };
        assert!(!mixed(99, 0), "too few to tell");
        assert!(!mixed(50, 50));
        assert!(mixed(51, 49));
        assert!(!mixed(100, 50), "the API is well again");
    }

    #[test]
    fn spaced_retries_take_a_fifth_of_the_recent_rate_and_ten_a_second_at_least() {
        for (every, expected) in [(1, 5.0), (10, 50.0), (100, 100.0)] {
            let down = std::iter::repeat_n(Sign::Down, 101);
            let (health, now) = noted(down, Duration::from_millis(every));
            let spacing = health.retry_spacing(now).expect("it fails").as_secs_f64() * 1000.0;
            assert!(
                (spacing / expected - 1.0).abs() < 0.02,
                "{every} ms: {spacing} ms"
            );
        }
    }

    #[test]
    fn an_api_is_down_until_it_answers_anything() {
        let second = Duration::from_secs(1);
        let (health, now) = noted(
            [Sign::Answers, Sign::Down, Sign::Breaks, Sign::Down],
            second,
        );
        assert_eq!(health.down_for(now), Some(2 * second));
        for answer in [Sign::Answers, Sign::Pushes] {
            let (health, now) = noted([Sign::Down, answer], second);
            assert_eq!(health.down_for(now), None);
        }
        let (health, now) = noted([Sign::Breaks, Sign::Breaks], second);
        assert_eq!(
            health.down_for(now),
            None,
            "a broken connection proves nothing"
        );
    }
}

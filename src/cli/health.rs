//! Whether this process does its work: what `/health` answers. Pure.
//!
//! | what | healthy? |
//! |---|---|
//! | storage is lost | no |
//! | the process stands by while another one follows | yes |
//! | the API asked for no requests | yes, until a minute after that time |
//! | the process expects news from the API | until it has heard nothing for a minute |
//! | it expects none: a backfill, for example | yes |

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::hn::clock::on_machine;

/// A process that expects news is unhealthy when it has heard nothing for this long. Streams send something every 30 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// In a test whose clock runs fast, it still has this long.
const SILENCE_MAX_LEAST: Duration = Duration::from_secs(1);

/// The health of this process. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    work: Work,
    /// When something was last heard from the API. `None` if that has never happened.
    heard_at: Option<Instant>,
    /// Until when the API wants no requests.
    cool_until: Option<Instant>,
    /// Why nothing can be stored.
    storage_lost: Option<String>,
}

/// What the process does.
#[derive(Debug, Default)]
enum Work {
    /// It hears from the API as long as it has requests to make.
    #[default]
    Ordinary,
    /// It waits for the end of the process that follows.
    StandsBy,
    /// It hears from the API all the time, at the latest a minute after this moment.
    ExpectsNews { since: Instant },
}

/// The health at one moment, to be serialized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct HealthState {
    pub(super) is_healthy: bool,
    /// Since something was last heard from the API. `None` if that has never happened.
    pub(super) seconds_since_heard: Option<u64>,
    /// What is wrong, or why silence is right.
    pub(super) why: Option<String>,
}

impl HealthState {
    /// What is to be said of it if the process is healthy, or why it is not.
    pub(super) fn into_result(self) -> Result<Option<String>, String> {
        if self.is_healthy {
            Ok(self.why)
        } else {
            Err(self.why.unwrap_or_default())
        }
    }
}

impl Health {
    /// From now on, news come from the API all the time.
    pub(super) fn expect_news(&self) {
        self.facts().work = Work::ExpectsNews {
            since: Instant::now(),
        };
    }

    /// Following could not begin, since this moment. That counts as silence, unless the process expects news already.
    pub(super) fn note_failed_start(&self, since: Instant) {
        let mut facts = self.facts();
        if let Work::Ordinary = facts.work {
            facts.work = Work::ExpectsNews { since };
        }
    }

    /// From now on, this process waits for the end of another one.
    pub(super) fn stand_by(&self) {
        self.facts().work = Work::StandsBy;
    }

    /// Something was heard from the API: an answer, an event, or only a sign that a stream is alive.
    pub(super) fn note_heard(&self) {
        self.facts().heard_at = Some(Instant::now());
    }

    /// The API wants no requests for this long. Zero says nothing about an earlier wish.
    pub(super) fn note_cool_down(&self, rest: Duration) {
        if let Some(until) = Instant::now().checked_add(rest).filter(|_| !rest.is_zero()) {
            let mut facts = self.facts();
            facts.cool_until = facts.cool_until.max(Some(until));
        }
    }

    /// Something was stored, or why it cannot be.
    pub(super) fn note_storage(&self, stored: Result<(), String>) {
        self.facts().storage_lost = stored.err();
    }

    /// How long nothing was heard. If nothing ever was: how long the process has expected news, or zero if it expects none.
    pub(super) fn silence(&self) -> Duration {
        let facts = self.facts();
        let expected_at = match facts.work {
            Work::ExpectsNews { since } => Some(since),
            Work::Ordinary | Work::StandsBy => None,
        };
        let quiet_since = facts.heard_at.max(expected_at);
        quiet_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    pub(super) fn state(&self, now: Instant) -> HealthState {
        let facts = self.facts();
        let silence = facts
            .heard_at
            .map(|heard_at| now.saturating_duration_since(heard_at));
        let (is_healthy, why) = facts.judge(now);
        HealthState {
            is_healthy,
            seconds_since_heard: silence.map(|silence| silence.as_secs()),
            why,
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    /// Whether the process is healthy, and what there is to say about that.
    fn judge(&self, now: Instant) -> (bool, Option<String>) {
        if let Some(why) = &self.storage_lost {
            return (false, Some(format!("nothing can be stored: {why}")));
        }
        let since = match self.work {
            Work::Ordinary => return (true, None),
            Work::StandsBy => {
                let why = "stands by: another process follows with this database";
                return (true, Some(why.to_owned()));
            }
            Work::ExpectsNews { since } => since,
        };
        let cool_down = self
            .cool_until
            .map(|until| until.saturating_duration_since(now));
        if let Some(rest) = cool_down.filter(|rest| !rest.is_zero()) {
            let seconds = rest.as_secs() + 1;
            let why = format!("the API asked for no requests for the next {seconds} seconds");
            return (true, Some(why));
        }
        let quiet_since = self.heard_at.max(self.cool_until).max(Some(since));
        let silence =
            quiet_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if silence < on_machine(SILENCE_MAX).max(SILENCE_MAX_LEAST) {
            return (true, None);
        }
        let seconds = silence.as_secs();
        let why = format!("nothing was heard from the API for {seconds} seconds");
        (false, Some(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said `seconds` from now on, and whether the process is healthy then.
    fn after(health: &Health, seconds: u64) -> (bool, String) {
        let state = health.state(Instant::now() + Duration::from_secs(seconds));
        (state.is_healthy, state.why.unwrap_or_default())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_of_a_minute_is_unhealthy_and_a_word_ends_it() {
        let health = Health::default();
        health.expect_news();
        assert!(after(&health, 59).0, "the first word may take a minute");
        assert!(!after(&health, 60).0);
        tokio::time::advance(Duration::from_secs(90)).await;
        health.note_heard();
        assert_eq!(after(&health, 59), (true, String::new()));
        assert_eq!(
            health.state(Instant::now() + Duration::from_secs(61)),
            HealthState {
                is_healthy: false,
                seconds_since_heard: Some(61),
                why: Some("nothing was heard from the API for 61 seconds".to_owned()),
            }
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stands_by_is_healthy_and_has_a_minute_when_it_takes_over() {
        let health = Health::default();
        health.stand_by();
        let (is_healthy, why) = after(&health, 86_400);
        assert!(is_healthy && why.starts_with("stands by"), "{why}");
        tokio::time::advance(Duration::from_secs(86_400)).await;
        health.expect_news();
        assert!(after(&health, 59).0 && !after(&health, 60).0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_fails_again_and_again_is_silence_since_the_first_time() {
        let health = Health::default();
        for seconds in [0, 20, 40] {
            assert!(after(&health, 59 - seconds).0);
            health.note_failed_start(Instant::now());
            tokio::time::advance(Duration::from_secs(20)).await;
        }
        assert!(!after(&health, 0).0);
        health.expect_news();
        assert!(after(&health, 59).0, "following has begun");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_that_the_api_asked_for_is_healthy_until_a_minute_after_it() {
        let health = Health::default();
        health.expect_news();
        health.note_cool_down(Duration::from_secs(600));
        health.note_cool_down(Duration::ZERO);
        health.note_cool_down(Duration::from_secs(5));
        let (is_healthy, why) = after(&health, 500);
        assert!(
            is_healthy && why.contains("for the next 101 seconds"),
            "{why}"
        );
        assert!(after(&health, 659).0 && !after(&health, 660).0);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_storage_is_unhealthy_whatever_the_process_does_until_something_is_stored() {
        let health = Health::default();
        let lost = (false, "nothing can be stored: the disk is full".to_owned());
        health.note_storage(Err("the disk is full".to_owned()));
        assert_eq!(after(&health, 0), lost);
        health.stand_by();
        assert_eq!(after(&health, 0), lost);
        health.expect_news();
        health.note_heard();
        assert_eq!(after(&health, 0), lost);
        health.note_storage(Ok(()));
        assert_eq!(after(&health, 0), (true, String::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_expects_no_news_is_healthy_however_quiet_it_is() {
        assert_eq!(after(&Health::default(), 86_400), (true, String::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn as_json_it_has_three_fields() {
        let state = Health::default().state(Instant::now());
        assert_eq!(
            serde_json::to_string(&state).expect("plain data"),
            r#"{"is_healthy":true,"seconds_since_heard":null,"why":null}"#
        );
    }
}

//! What an attempt did and how long it took.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

/// What an attempt did. It is kept outside the attempt, so that it is known even if the attempt is dropped.
#[derive(Debug)]
pub(super) struct Tally {
    began: Instant,
    /// Time spent waiting for resources of our own: a permit, a connection of the pool, room in the backlog.
    own_waits: Duration,
    pub(super) connections_opened: u32,
    /// Requests sent again because a kept connection had been closed.
    pub(super) resends: u32,
}

impl Tally {
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            own_waits: Duration::ZERO,
            connections_opened: 0,
            resends: 0,
        }
    }

    /// How long the attempt has taken, without waits of our own.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.own_waits)
    }

    /// Waits for a resource of our own, which takes no time from the deadline.
    pub(super) async fn own_wait<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        // Most often it is there at once, and the clock need not be read.
        if let Some(at_once) = wanted.as_mut().now_or_never() {
            return at_once;
        }
        let began = Instant::now();
        let wanted = wanted.await;
        self.own_waits += began.elapsed();
        wanted
    }

    pub(super) fn deadline(&self, timeout: Duration) -> Instant {
        self.began + timeout + self.own_waits
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_of_our_own_take_no_time_from_the_deadline_and_do_not_count() {
        let second = Duration::from_secs(1);
        let mut tally = Tally::begin();
        let deadline = tally.deadline(5 * second);
        sleep(second).await;
        tally.own_wait(sleep(60 * second)).await;
        assert_eq!(tally.took(), second);
        assert_eq!(tally.deadline(5 * second), deadline + 60 * second);
    }
}

//! The tally of an attempt: how long it took and what it counts.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

/// What an attempt counts and measures. The client keeps it outside the attempt's future, so that it survives if that is dropped.
#[derive(Debug)]
pub(super) struct Tally {
    /// When the attempt began.
    began: Instant,
    /// Time spent waiting for resources of this program: a permit, a place in the connection pool, room in the backlog. It counts
    /// neither toward the latency nor toward the deadline.
    own_waits: Duration,
    /// New connections that were made.
    pub(super) connections_opened: u32,
    /// Whether a request was sent again because its kept connection had been closed. It happens at most once.
    pub(super) is_resent: bool,
    /// Whether the server has carried out the request and redirected to its result.
    pub(super) is_carried_out: bool,
}

impl Tally {
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            own_waits: Duration::ZERO,
            connections_opened: 0,
            is_resent: false,
            is_carried_out: false,
        }
    }

    /// How long the attempt has taken, without waits of our own.
    pub(super) fn took(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.own_waits)
    }

    /// Waits for a resource of this program. The deadline moves by as much.
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

    /// The end of an attempt that may take `timeout`, waits of our own excluded.
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

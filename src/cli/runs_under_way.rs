//! What the runs under way say, and the share of the rate that each of them has.

use std::time::Duration;

use diesel::QueryResult;

use crate::hn::{
    HnConnection, cool_down,
    live_runs::{self, LiveRun, SHARE_SECONDS},
};

/// A part of the rate that all runs keep to together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateShare {
    /// The rate of all runs together, in requests per second; 0 is no limit.
    pub(super) rate: u32,
    /// How many runs share it.
    pub(super) of: usize,
}

impl RateShare {
    /// The whole rate.
    pub(super) fn all(rate: u32) -> Self {
        Self { rate, of: 1 }
    }

    /// The share of each run that was given one of these rates. The lowest of them counts.
    fn of(rates: &[i64]) -> Self {
        let rate = rates.iter().filter(|rate| **rate > 0).min();
        let rate = rate.and_then(|rate| u32::try_from(*rate).ok());
        Self {
            rate: rate.unwrap_or(0),
            of: rates.len().max(1),
        }
    }
}

/// What the runs under way say.
pub(super) struct RunsUnderWay {
    pub(super) live: Vec<LiveRun>,
    /// The database's time.
    now: i64,
    pub(super) cool_down: Duration,
}

impl RunsUnderWay {
    pub(super) fn read(conn: &mut impl HnConnection) -> QueryResult<Self> {
        Ok(Self {
            live: live_runs::live(conn)?,
            now: live_runs::database_now(conn)?,
            cool_down: cool_down::rest(conn)?,
        })
    }

    /// The share of each run. `onlooker` is the rate of a process that is not among them, and gets a share, too.
    pub(super) fn share(&self, onlooker: Option<u32>) -> RateShare {
        let heard = self.live.iter();
        let heard = heard.filter(|run| run.heartbeat_at > self.now - SHARE_SECONDS);
        let rates = heard.map(|run| run.rate).chain(onlooker.map(i64::from));
        RateShare::of(&rates.collect::<Vec<_>>())
    }
}

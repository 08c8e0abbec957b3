//! The settings of a pipeline as values.

use std::time::Duration;

use super::proxy::HttpProxy;

/// The settings of a pipeline. [`Config::default`] has the defaults, [`SETTINGS`](super::SETTINGS) the ranges. A pipeline checks
/// the ranges when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The HTTP proxy that requests go through. By default there is none, and the environment is not read;
    /// [`Config::from_env`] and [`HttpProxy::from_env`] read it.
    pub proxy: HttpProxy,
    /// The number of fetchers, which is the most requests in flight.
    ///
    /// Too low: the machine is idle while it waits for the API. Too high: the API refuses requests or slows down, and each
    /// fetcher takes a connection.
    pub workers: usize,
    /// Ids that are read ahead for each fetcher while all are busy. They wait in one queue for the next idle fetcher.
    ///
    /// Too low (0): with a list that is slow to give its ids, fetchers wait for it. Too high: memory holds ids that the list
    /// could keep.
    pub mailbox: usize,
    /// The deadline of one attempt, from connecting to the last byte.
    ///
    /// Too low: slow answers are thrown away and requested again. Too high: a request without an answer blocks its fetcher for
    /// long.
    pub timeout: Duration,
    /// Attempts per id, the first included.
    ///
    /// Too low: ids fail when the API fails for a short time. Too high: an id that can only fail blocks its fetcher for long.
    pub attempts: u32,
    /// The longest wait before the second attempt. It doubles for each further attempt. The wait itself is random (full jitter).
    ///
    /// Too low: all attempts are used up before the API has recovered. Too high: fetchers stay idle after the API has recovered.
    pub backoff: Duration,
    /// The longest wait before any attempt, however often `backoff` doubled.
    ///
    /// Too low: an API that fails gets many requests. Too high: its recovery is noticed late.
    pub backoff_max: Duration,
    /// Requests per second over all fetchers, retries included; 0 is no limit.
    ///
    /// Too low: the run takes longer than it needs. Too high: the API may refuse or block this client.
    pub rate: u32,
    /// Whether concurrency and rate are lowered to what the API accepts. `workers` and `rate` stay the upper bounds.
    ///
    /// Off: an API that refuses requests gets them again and again. On: the limits start low and take some seconds to rise.
    pub adaptive: bool,
    /// The most rows of one transaction.
    ///
    /// Too low: more commits, which are slow. Too high: more memory, and one bad row makes more rows be written one by one.
    pub batch: usize,
    /// How long a row may wait for its batch to fill. A batch is written when a hundred rows (or `batch`, if that is less) wait
    /// and no other batch is being written, or when a row has waited this long.
    ///
    /// Too low: many small transactions. Too high: if ids come slowly, their records are committed late.
    pub linger: Duration,
    /// The largest body, in bytes. A larger one fails its id.
    ///
    /// Too low: ids of large records fail. Too high: a broken or hostile server can fill more memory.
    pub max_body: u64,
    /// How long requests in flight may continue when a run is cancelled.
    ///
    /// Too low: requests are dropped, and the next run makes them again. Too high: a cancelled run takes long to end.
    pub drain: Duration,
    /// How long a run waits for an API that is out before it ends.
    ///
    /// Too low: a restart of the API ends the run. Too high: the run waits long for an API that does not come back.
    ///
    /// If the API asks for no requests for longer than this (and for more than ten seconds), the run ends at once.
    pub outage_patience: Duration,
    /// The run ends when this many ids fail in a row, none stored or absent in between, while the API answers; 0 is never.
    /// Answers 404 and 410 do not count.
    ///
    /// These ids count as not attempted. Too low: a range of ids that the API refuses ends the run. Too high: many requests are
    /// wasted on an API that refuses them all, and memory holds all these failures.
    pub max_refusals: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            proxy: HttpProxy::none(),
            workers: 16,
            mailbox: 0,
            timeout: Duration::from_secs(5),
            attempts: 4,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            rate: 0,
            adaptive: false,
            batch: 500,
            linger: Duration::from_millis(100),
            max_body: 8 * 1024 * 1024,
            drain: Duration::from_secs(5),
            outage_patience: Duration::from_secs(600),
            max_refusals: 100,
        }
    }
}

impl Config {
    /// The largest body, as a length in memory.
    pub(crate) fn max_body_len(&self) -> usize {
        usize::try_from(self.max_body).unwrap_or(usize::MAX)
    }
}

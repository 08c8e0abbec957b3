//! The settings of a pipeline as values.

use std::time::Duration;

/// The settings of a pipeline. [`Config::default`] holds the defaults. [`SETTINGS`](super::SETTINGS) holds the ranges, which a pipeline checks when
/// it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Fetcher actors, which is the most requests in flight.
    ///
    /// Too low: the API's latency is the bound, and the machine is idle. Too high: the API refuses or slows down, and each request
    /// holds a connection.
    pub workers: usize,
    /// Ids that may wait at a fetcher behind the one in flight.
    ///
    /// Too low: a fetcher may be idle for the microseconds until it gets its next id. Too high: more ids wait behind a slow one.
    pub mailbox: usize,
    /// The deadline of one attempt, from connecting to the last byte.
    ///
    /// Too low: slow answers are thrown away and asked for again. Too high: an answer that never comes keeps a fetcher for long.
    pub timeout: Duration,
    /// Attempts per id, the first included.
    ///
    /// Too low: a short trouble of the API fails ids. Too high: an id that can only fail keeps a fetcher for long.
    pub attempts: u32,
    /// The longest wait before the second attempt. It doubles for each further attempt; the wait itself is random (full jitter).
    ///
    /// Too low: all attempts are spent before the API has recovered. Too high: fetchers are idle after a short trouble.
    pub backoff: Duration,
    /// The cap of that doubling.
    ///
    /// Too low: an API in trouble is asked often. Too high: its recovery is noticed late.
    pub backoff_max: Duration,
    /// Requests per second over all fetchers, retries included; 0 is no limit.
    ///
    /// Too low: the run takes longer than it needs. Too high: the API may refuse or block this client.
    pub rate: u32,
    /// Whether concurrency and rate are lowered to what the API accepts. `workers` and `rate` stay the upper bounds.
    pub adaptive: bool,
    /// The most rows of one transaction.
    ///
    /// Too low: each transaction costs a commit of its own. Too high: more memory is held, and a bad row makes more rows be written
    /// one by one.
    pub batch: usize,
    /// How long rows may wait for more. A batch is written when a hundred rows (or `batch`, if that is less) wait and nothing is
    /// being written, or when its first row has waited this long.
    ///
    /// Too low: many small transactions. Too high: a slow trickle of ids is committed late.
    pub linger: Duration,
    /// The largest body, in bytes. A larger one fails its id.
    ///
    /// Too low: records are refused. Too high: a broken or hostile server can fill more memory.
    pub max_body: u64,
    /// How long requests in flight may go on when a run is cancelled.
    ///
    /// Too low: requests are dropped and their ids asked for again by the next run. Too high: cancelling takes long.
    pub drain: Duration,
    /// How long an API that is out is waited for before the run ends.
    ///
    /// Too low: a restart of the API ends the run. Too high: a run waits long for an API that does not come back.
    pub outage_patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 16,
            mailbox: 1,
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
        }
    }
}

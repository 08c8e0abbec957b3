//! What all requests share.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    changes::Changes,
    config::ServeConfig,
    hosts::AllowedHosts,
    meters::{Meters, OpenStream},
    monitoring::Monitoring,
    record_cache::RecordCache,
    status::StatusBoard,
};
use crate::store::readers::Readers;

/// What all requests share, on whichever thread they are answered.
pub(super) struct State {
    pub(super) readers: Readers,
    pub(super) changes: Changes,
    pub(super) cache: RecordCache,
    pub(super) hosts: AllowedHosts,
    pub(super) longest_uri: usize,
    pub(super) monitoring: Monitoring,
    pub(super) meters: Meters,
    pub(super) status: StatusBoard,
    /// One permit for each event stream that may be opened.
    streams: Arc<Semaphore>,
    in_flight: AtomicUsize,
}

impl State {
    pub(super) fn new(
        readers: Readers,
        changes: Changes,
        config: &ServeConfig,
        monitoring: Monitoring,
    ) -> Self {
        Self {
            status: StatusBoard::new(readers.clone()),
            readers,
            changes,
            cache: RecordCache::new(config.cache_bytes),
            hosts: AllowedHosts::new(config.address.ip(), &config.allowed_hosts),
            longest_uri: config.longest_uri,
            monitoring,
            meters: Meters::new(),
            streams: Arc::new(Semaphore::new(config.streams)),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// A place for one more event stream, until it is dropped.
    pub(super) fn stream_place(&self) -> Option<(OwnedSemaphorePermit, OpenStream)> {
        let permit = self.streams.clone().try_acquire_owned().ok()?;
        Some((permit, self.meters.open_stream()))
    }

    /// Counts a request until this is dropped.
    pub(super) fn begin_request(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(&self.in_flight)
    }

    pub(super) fn requests_in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

/// A request that is being answered.
pub(super) struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

//! The client: the connections, the limits and the settings that requests share.

use std::{fmt, rc::Rc, time::Duration};

#[cfg(feature = "cli")]
use tokio::time::Instant;

use crate::ingest::{
    config::{Config, HttpProxy},
    http::{body_arena::BodyArena, pool::ConnectionPool},
    limits::{backoff::RetryPolicy, cool_down::SharedCoolDown, throttle::Throttle},
};

/// Fetches URLs, and keeps connections open between requests.
///
/// A client cannot leave its thread. Clones share connections, rate and limits. So do all pipelines that
/// [use](crate::Builder::client) the same client.
#[derive(Clone)]
pub struct Client(Rc<ClientInner>);

struct ClientInner {
    connections: ConnectionPool,
    /// Memory for small bodies.
    bodies: BodyArena,
    /// Decides when the next request of this client may start.
    throttle: Throttle,
    /// The settings of requests by [`Client::get`]. A pipeline passes its own settings.
    settings: RequestSettings,
    /// The settings that count for every user of this client. The builder compares them with the pipeline's.
    shared: SharedSettings,
}

/// The settings of requests that may differ between the users of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestSettings {
    pub(crate) retry: RetryPolicy,
    /// The deadline of one attempt.
    pub(crate) timeout: Duration,
    /// The largest body, in bytes.
    pub(crate) max_body: usize,
    /// A request that would have to wait longer for the end of a cool-down is not made.
    pub(crate) patience: Duration,
}

impl RequestSettings {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            retry: RetryPolicy::new(config),
            timeout: config.timeout,
            max_body: usize::try_from(config.max_body).unwrap_or(usize::MAX),
            patience: config.outage_patience,
        }
    }
}

/// The settings that are the same for all users of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedSettings {
    pub(crate) proxy: HttpProxy,
    /// Requests per second; 0 is no limit.
    pub(crate) rate: u32,
    pub(crate) adaptive: bool,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.0.settings)
            .field("shared", &self.0.shared)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client with at most `config.workers` connections. Those of [event streams](Self::events) come on top.
    pub fn new(config: &Config) -> Self {
        Self(Rc::new(ClientInner {
            connections: ConnectionPool::new(config.workers, config.proxy.clone()),
            bodies: BodyArena::default(),
            throttle: Throttle::new(config.rate, config.adaptive.then_some(config.workers)),
            settings: RequestSettings::new(config),
            shared: SharedSettings {
                proxy: config.proxy.clone(),
                rate: config.rate,
                adaptive: config.adaptive,
            },
        }))
    }

    /// Changes the rate of all requests of this client, in requests per second; 0 is no limit.
    pub(crate) fn set_rate(&self, rate: u32) {
        self.0.throttle.set_rate(rate);
    }

    /// Gives this client a share of a rate: one of `of` equal parts of `rate` requests per second.
    #[cfg(feature = "cli")]
    pub(crate) fn set_rate_share(&self, rate: u32, of: usize) {
        self.0.throttle.set_rate_share(rate, of);
    }

    /// How long no request of this client starts from now on.
    #[cfg(feature = "cli")]
    pub(crate) fn cool_down_rest(&self) -> Duration {
        let now = Instant::now();
        let ends_at = self.cool_down().ends_at(now);
        ends_at.map_or(Duration::ZERO, |ends_at| ends_at - now)
    }

    /// Starts no request for at least this long.
    #[cfg(feature = "cli")]
    pub(crate) fn cool_down_for(&self, rest: Duration) {
        self.0.throttle.cool_down_for(rest);
    }

    /// Lets at least this many fetchers have a request in flight. There is no need to lower that: fewer fetchers make fewer
    /// requests, and other pipelines may share the client.
    pub(crate) fn allow_workers(&self, workers: usize) {
        self.0.connections.raise_limit(workers);
        self.0.throttle.raise_ceiling(workers);
    }

    /// The cool-down of all requests of this client.
    pub(crate) fn cool_down(&self) -> SharedCoolDown {
        self.0.throttle.cool_down()
    }

    /// The settings that are the same for all users of this client.
    pub(crate) fn shared_settings(&self) -> &SharedSettings {
        &self.0.shared
    }

    pub(super) fn connections(&self) -> &ConnectionPool {
        &self.0.connections
    }

    pub(super) fn bodies(&self) -> &BodyArena {
        &self.0.bodies
    }

    pub(super) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    /// The settings of this client's own requests.
    pub(super) fn settings(&self) -> &RequestSettings {
        &self.0.settings
    }
}

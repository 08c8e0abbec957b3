//! The client: the connections, the limits and the settings that requests share.

use std::{fmt, rc::Rc};

use crate::ingest::{
    config::Config,
    http::{body_arena::BodyArena, pool::ConnectionPool},
    limits::throttle::Throttle,
};

/// Fetches URLs, and keeps connections open between requests.
///
/// A client cannot leave its thread. Clones share connections, rate and limits. So do all pipelines that
/// [use](crate::Builder::client) the same client.
#[derive(Clone)]
pub struct Client(pub(super) Rc<ClientInner>);

pub(super) struct ClientInner {
    pub(super) connections: ConnectionPool,
    /// Memory for small bodies.
    pub(super) bodies: BodyArena,
    /// Decides when the next request of this client may start.
    throttle: Throttle,
    /// Proxy, rate and adaptive limits count for every user of this client. The other settings are those of its own requests
    /// ([`Client::get`]); a pipeline passes its own.
    config: Config,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("proxy", &self.0.config.proxy)
            .field("rate", &self.0.config.rate)
            .field("adaptive", &self.0.config.adaptive)
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
            config: config.clone(),
        }))
    }

    /// Lets at least this many fetchers have a request in flight. There is no need to lower that: fewer fetchers make fewer
    /// requests, and other pipelines may share the client.
    pub(crate) fn allow_workers(&self, workers: usize) {
        self.0.connections.raise_limit(workers);
        self.0.throttle.raise_ceiling(workers);
    }

    /// Decides when the next request of this client may start.
    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    /// The settings that it was made with.
    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }
}

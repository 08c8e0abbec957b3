//! The connection pool of a client: keeps connections open between requests and bounds their number.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

use crate::ingest::{
    config::HttpProxy,
    http::{
        connect::Connecting, connection::HttpConnection, error::AttemptError, tally::Tally,
        target::Target,
    },
};

/// The longest time that a connection is kept idle. After that, a server or a router may have dropped it without a sign.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// A bounded number of connections, idle ones included.
pub(super) struct ConnectionPool {
    /// Makes new connections.
    connecting: Connecting,
    /// Bounds the connections in use. An idle connection holds no permit; it is closed if a new connection needs its place.
    in_use: Arc<Semaphore>,
    /// How many connections may be in use.
    limit: Cell<usize>,
    /// The connections that are kept for later requests.
    idle: Rc<IdleConnections>,
}

/// The right to use one connection of the pool.
pub(super) struct PoolSlot<'a> {
    pool: &'a ConnectionPool,
    permit: Option<OwnedSemaphorePermit>,
}

/// A connection in use. Dropping it closes the connection; [releasing](PooledConnection::release) it keeps the connection.
pub(super) struct PooledConnection {
    /// Boxed, because it is large and is moved often.
    pub(super) http: Box<HttpConnection>,
    /// Where `release` puts it.
    idle: Rc<IdleConnections>,
    _permit: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct IdleConnections {
    /// With the time since when each is idle. The one that was used last is at the back.
    kept: RefCell<VecDeque<(Box<HttpConnection>, Instant)>>,
    /// Whether the task runs that closes connections after [`IDLE_MAX`].
    is_sweeping: Cell<bool>,
}

impl ConnectionPool {
    pub(super) fn new(limit: usize, proxy: HttpProxy) -> Self {
        Self {
            connecting: Connecting::new(proxy),
            in_use: Arc::new(Semaphore::new(limit)),
            limit: Cell::new(limit),
            idle: Rc::default(),
        }
    }

    /// Lets at least this many connections be in use.
    pub(super) fn raise_limit(&self, limit: usize) {
        let present = self.limit.get();
        if limit > present {
            self.in_use.add_permits(limit - present);
            self.limit.set(limit);
        }
    }

    /// Waits until one more connection may be in use.
    pub(super) async fn acquire(&self) -> PoolSlot<'_> {
        // The semaphore is never closed, so acquiring cannot fail.
        let permit = self.in_use.clone().acquire_owned().await.ok();
        PoolSlot { pool: self, permit }
    }

    /// Where a connection for a target leads to first, for messages.
    pub(super) fn next_hop(&self, target: &Target) -> String {
        self.connecting.next_hop(target)
    }

    async fn open(
        &self,
        target: &Target,
        tally: &mut Tally,
    ) -> Result<Box<HttpConnection>, AttemptError> {
        self.idle.shrink_to(self.in_use.available_permits());
        self.open_apart(target, tally).await
    }

    /// Opens a connection that takes no place in the pool and is not kept. Event streams use it: they stay open, and fetchers
    /// need the places.
    pub(super) async fn open_apart(
        &self,
        target: &Target,
        tally: &mut Tally,
    ) -> Result<Box<HttpConnection>, AttemptError> {
        let connected = self.connecting.connect(target).await?;
        tally.connections_opened += 1;
        Ok(Box::new(HttpConnection::new(connected, target).await?))
    }
}

impl PoolSlot<'_> {
    /// A connection to the server that a target names: an idle one, if `may_reuse`, or a new one.
    pub(super) async fn connect(
        self,
        target: &Target,
        may_reuse: bool,
        tally: &mut Tally,
    ) -> Result<PooledConnection, AttemptError> {
        let pool = self.pool;
        let idle = may_reuse.then(|| pool.idle.take(target)).flatten();
        let http = match idle {
            Some(http) => http,
            // Boxed: connecting is rare and its state is large, and each fetcher would hold room for it.
            None => Box::pin(pool.open(target, tally)).await?,
        };
        Ok(PooledConnection {
            http,
            idle: pool.idle.clone(),
            _permit: self.permit,
        })
    }
}

impl PooledConnection {
    /// Keeps the connection for another request, if it can take one.
    pub(super) fn release(self) {
        if self.http.is_reusable() {
            self.idle.keep(self.http);
        }
    }
}

impl IdleConnections {
    fn keep(self: &Rc<Self>, connection: Box<HttpConnection>) {
        self.kept
            .borrow_mut()
            .push_back((connection, Instant::now()));
        if !self.is_sweeping.replace(true) {
            actix_rt::spawn(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes the connections that were idle for longest, until at most `limit` are left.
    fn shrink_to(&self, limit: usize) {
        let mut kept = self.kept.borrow_mut();
        let too_many = kept.len().saturating_sub(limit);
        kept.drain(..too_many);
    }

    /// The connection to a target's server that was used last and is still open.
    fn take(&self, target: &Target) -> Option<Box<HttpConnection>> {
        let mut kept = self.kept.borrow_mut();
        loop {
            let index = kept.iter().rposition(|(idle, _)| idle.leads_to(target))?;
            let (connection, since) = kept.remove(index)?;
            if since.elapsed() <= IDLE_MAX && !connection.is_closed() {
                return Some(connection);
            }
        }
    }
}

/// Closes connections that were idle for longer than [`IDLE_MAX`]. Ends when no connection is left.
async fn sweep(idle: Weak<IdleConnections>) {
    loop {
        sleep(IDLE_MAX).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut kept = idle.kept.borrow_mut();
        kept.retain(|(_, since)| since.elapsed() <= IDLE_MAX);
        if kept.is_empty() {
            idle.is_sweeping.set(false);
            return;
        }
    }
}

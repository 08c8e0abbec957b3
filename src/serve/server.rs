//! Starting and stopping a server.

use std::{
    ffi::OsString,
    fmt,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use actix_web::{App, dev::ServerHandle, middleware::from_fn, web::Data};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep},
};

use super::{
    changes::Changes,
    config::{ServeConfig, ServeError},
    guard::guard,
    monitoring::{Health, Monitoring},
    routes::configure,
    state::State,
};
use crate::{
    hn_api::{ConnectionSettings, server},
    store::{StoreError, readers::Readers},
};

/// When the answers are out, connections that have no request are closed after this many seconds.
const IDLE_SECONDS: u64 = 1;

/// A server that is not started yet.
#[derive(Debug)]
#[must_use]
pub struct Server {
    database: OsString,
    config: ServeConfig,
    changes: Changes,
    monitoring: Monitoring,
}

impl Server {
    /// Serves this database: a file, or a `postgres://` URL where that is compiled in. It must have the current tables.
    pub fn new(database: impl Into<OsString>) -> Self {
        Self {
            database: database.into(),
            config: ServeConfig::default(),
            changes: Changes::default(),
            monitoring: Monitoring::default(),
        }
    }

    /// With these settings.
    pub fn config(self, config: ServeConfig) -> Self {
        Self { config, ..self }
    }

    /// Where a pipeline in the same process tells what it commits.
    pub fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// `/health` also calls this.
    pub fn health(mut self, health: Health) -> Self {
        self.monitoring.health = Some(health);
        self
    }

    /// `/metrics` answers this text, which is in the format of Prometheus.
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.monitoring.metrics = Some(Arc::new(render));
        self
    }

    /// Starts it, on threads of its own, until it is stopped or dropped.
    ///
    /// # Errors
    /// The database cannot be read, or the address cannot be used.
    pub async fn start(self) -> Result<RunningServer, ServeError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ServeError::NoRuntime)?;
        let Self {
            database,
            config,
            changes,
            monitoring,
        } = self;
        let limits = config.reads;
        let readers = spawn_blocking(move || Readers::open(&database, limits)).await;
        let readers = readers.map_err(|panic| StoreError::NoConnection(panic.to_string()))??;
        let state = Data::new(State::new(
            readers.clone(),
            changes.clone(),
            &config,
            monitoring,
        ));
        let unusable = |source| ServeError::Address {
            address: config.address,
            source,
        };
        let listener = TcpListener::bind(config.address).map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let settings = ConnectionSettings {
            threads: match config.threads {
                0 => thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            },
            most: config.connections,
            keep_alive: config.keep_alive,
            head_timeout: config.head_timeout,
            write_timeout: config.write_timeout,
            stop_seconds: IDLE_SECONDS,
        };
        let shared = state.clone();
        let application = move || {
            App::new()
                .app_data(shared.clone())
                .wrap(from_fn(guard))
                .configure(configure)
        };
        let closing = changes.clone();
        let closing = move || closing.closed();
        let server = server([listener], settings, closing, application).map_err(unusable)?;
        let handle = server.handle();
        runtime.spawn(server);
        let watch = changes.watch(readers, config.look_every);
        Ok(RunningServer {
            address,
            handle,
            state,
            watch,
            drain: config.drain,
        })
    }
}

/// A server that serves. Dropping it stops it, without waiting for the end.
pub struct RunningServer {
    address: SocketAddr,
    handle: ServerHandle,
    state: Data<State>,
    watch: JoinHandle<()>,
    drain: Duration,
}

impl RunningServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Where a pipeline in the same process tells what it commits.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.state.changes.clone()
    }

    /// Takes no more connections, ends event streams, and waits until the requests under way are answered, for as long as the settings
    /// allow.
    pub async fn stop(mut self) {
        let until = Instant::now() + self.drain;
        self.handle.pause().await;
        self.state.changes.close();
        while self.state.requests_in_flight() > 0 && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
        self.handle.stop(true).await;
        self.watch.abort();
        let _ = (&mut self.watch).await;
        // SQLite removes its files beside the database with the last connection.
        self.state.readers.close();
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.state.changes.close();
        self.watch.abort();
        // The call sends the command. Only the wait for its completion is left out.
        drop(self.handle.stop(false));
    }
}

impl fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

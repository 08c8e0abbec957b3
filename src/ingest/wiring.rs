//! Puts the parts of a pipeline together, and starts its actors. This is the only file that knows all three actors.

use std::{ffi::OsString, fmt, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context};
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::{
        actors::{
            arbiter::PipelineArbiter,
            coordinator::{Coordinator, Parts},
            fetcher::{Fetcher, FetcherResources},
            storage::{Storage, decoder::Decoder, writer::Writer},
        },
        announcements::reader::read_events,
        config::Config,
        handle::pipeline::Pipeline,
        http::{client::Client, refresh::Refresher},
        sink::Sink,
        source::Source,
        stats::meters::Meters,
    },
    store::{Pool, StoreConnection, StoreError},
};

/// What a pipeline consists of, before its database is open. It can be sent between threads.
pub(super) struct Plan<S, K: Sink> {
    pub(super) source: S,
    pub(super) sink: K,
    pub(super) config: Config,
    pub(super) database: DatabaseChoice<K::Connection>,
    /// The value of the label `pipeline` of its metrics.
    pub(super) name: String,
    /// How long a busy database is waited for. `None`: as long as such a database usually is.
    pub(super) busy_wait_max: Option<Duration>,
}

/// Where the database connections come from.
pub(super) enum DatabaseChoice<C: StoreConnection> {
    /// The pipeline opens a pool of its own for this database.
    Location(OsString),
    /// The host's pool.
    Pool(Pool<C>),
}

impl<C: StoreConnection> fmt::Debug for DatabaseChoice<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(location) => location.fmt(f),
            Self::Pool(_) => f.write_str("the host's pool"),
        }
    }
}

/// Opens the pool, and identifies the database.
fn open<C: StoreConnection>(
    database: DatabaseChoice<C>,
) -> Result<(Pool<C>, C::Identity), StoreError> {
    let pool = match database {
        DatabaseChoice::Location(location) => C::open(&location)?,
        DatabaseChoice::Pool(pool) => pool,
    };
    let mut conn = pool
        .get()
        .map_err(|error| StoreError::NoConnection(error.to_string()))?;
    let identity = conn.identify()?;
    drop(conn);
    Ok((pool, identity))
}

impl<S, K: Sink> Plan<S, K> {
    /// Opens the database. This blocks.
    pub(super) fn prepare(self, meters: Meters) -> Result<Wiring<S, K>, StoreError> {
        let (pool, identity) = open(self.database)?;
        let busy_wait_max = self
            .busy_wait_max
            .unwrap_or_else(|| K::Connection::busy_wait_max(&identity));
        let closed = CancellationToken::new();
        let writer = Writer {
            pool,
            identity,
            busy_wait_max,
            sink: Arc::new(self.sink),
            closed: closed.clone(),
            _closed: closed.clone().drop_guard(),
        };
        Ok(Wiring {
            config: self.config,
            source: Arc::new(self.source),
            writer,
            meters,
            closed,
        })
    }
}

/// The parts of a pipeline, ready to be sent to its thread and started there.
pub(super) struct Wiring<S, K: Sink> {
    pub(super) config: Config,
    source: Arc<S>,
    writer: Writer<K>,
    meters: Meters,
    /// Cancelled when the writer has closed the pool, or cannot.
    closed: CancellationToken,
}

impl<S, K> Wiring<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Starts the actors on the current thread. They stop when the last handle is dropped.
    pub(super) fn start(self, client: Client, arbiter: PipelineArbiter) -> Pipeline<S::Id> {
        let Self {
            config,
            source,
            writer,
            meters,
            closed,
        } = self;
        let decoder = Decoder::new(source.clone());
        let cool_down = client.throttle().cool_down();
        let (for_rate, for_workers) = (client.clone(), client.clone());
        let (stream_source, stream_client) = (source.clone(), client.clone());
        let read_events = Box::new(move |feed, control| {
            let (source, client) = (stream_source.clone(), stream_client.clone());
            actix_rt::spawn(read_events(source, client, feed, control));
        });
        let shared = Rc::new(FetcherResources {
            refresher: Refresher::new(source.clone(), config.timeout),
            source,
            client,
            config: config.clone(),
        });
        let start_fetcher = Box::new(move |slot, coordinator: &Addr<Coordinator<S::Id>>| {
            let fetcher = Fetcher {
                slot,
                shared: shared.clone(),
                answers: Rc::new(coordinator.clone().recipient()),
                death: coordinator.clone().recipient(),
            };
            fetcher.start().recipient()
        });
        let coordinator = Coordinator::create(|ctx: &mut Context<Coordinator<S::Id>>| {
            let committed = ctx.address().recipient();
            let death = ctx.address().recipient();
            let storage = Storage::new(
                decoder,
                writer,
                config.batch,
                config.linger,
                committed,
                death,
            )
            .start();
            let parts = Parts {
                start_fetcher,
                set_client_rate: Box::new(move |rate| for_rate.throttle().set_rate_share(rate, 1)),
                allow_client_workers: Box::new(move |workers| for_workers.allow_workers(workers)),
                read_events,
                storage: storage.recipient(),
                cool_down,
                meters: Arc::new(meters),
                arbiter,
            };
            Coordinator::new(config, parts)
        });
        Pipeline::new(coordinator, closed)
    }
}

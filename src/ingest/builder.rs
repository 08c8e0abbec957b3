//! The builder starts a pipeline. This is the only file that knows all three actors.

use std::{ffi::OsString, fmt, io, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context};
use actix_rt::task::spawn_blocking;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::{
        actors::{
            arbiter::{BuildError, PipelineArbiter},
            coordinator::{
                ClientLimits, Coordinator, Parts, storage_recipients::StorageRecipients,
            },
            fetcher::{Fetcher, FetcherResources},
            storage::{Storage, decoder::Decoder, writer::Writer},
        },
        announcements::reader::read_events,
        config::{BadSetting, Config},
        handle::pipeline::Pipeline,
        http::{
            client::{Client, RequestSettings},
            refresh::Refresher,
        },
        sink::Sink,
        source::Source,
        stats::meters::Meters,
    },
    store::{Pool, StoreConnection, StoreError},
};

/// Builds a [`Pipeline`].
///
/// A pipeline runs on the thread that starts it, which must belong to an actix System, or on [a thread of its own](Self::own_thread).
/// `C` is [`Client`] if the host gave [a client](Self::client), and `()` otherwise. Without a client, the builder and the future of
/// `start` are `Send`.
pub struct Builder<S, K: Sink, C = ()> {
    plan: Plan<S, K>,
    /// Whether the pipeline gets a thread of its own.
    own_thread: bool,
    /// A client that the host shares with this pipeline. Without one, the pipeline makes its own.
    client: C,
}

/// What a pipeline consists of, before its database is open. It can be sent between threads.
struct Plan<S, K: Sink> {
    source: S,
    sink: K,
    config: Config,
    database: DatabaseChoice<K::Connection>,
    /// The value of the label `pipeline` of its metrics.
    name: String,
    /// How long a busy database is waited for. `None`: as long as such a database usually is.
    busy_wait_max: Option<Duration>,
}

/// Where the database connections come from.
enum DatabaseChoice<C: StoreConnection> {
    /// The pipeline opens a pool of its own for this database.
    Location(OsString),
    /// The host's pool.
    Pool(Pool<C>),
}

/// Why a pipeline did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no actix System on this thread, and [`own_thread`](Builder::own_thread) was not called.
    #[error(
        "no actix System runs on this thread; call own_thread() on the builder, or start the pipeline inside #[actix_rt::main], #[actix_web::main] or System::block_on"
    )]
    NoSystem,
    /// The pipeline's own thread, or the event loop on it, cannot be started.
    #[error("the pipeline's own thread cannot be started: {0}")]
    Thread(#[source] io::Error),
    /// A panic with this message on the pipeline's own thread, while the pipeline was started.
    #[error("starting the pipeline panicked: {0}")]
    Panicked(String),
    /// Both [`client`](Builder::client) and [`own_thread`](Builder::own_thread) were called, but a client cannot leave its thread.
    #[error(
        "a client cannot leave the thread that it was made on; leave out either client() or own_thread()"
    )]
    ClientElsewhere,
    /// The given client has another proxy, another rate or other adaptive limits than the pipeline's settings.
    #[error(
        "the setting {setting} is {pipeline} for the pipeline and {client} for its client, where it is shared; give both the same value"
    )]
    ClientDiffers {
        /// The setting's name.
        setting: &'static str,
        /// Its value in the pipeline's settings.
        pipeline: String,
        /// Its value in the client's settings.
        client: String,
    },
    /// A setting is out of its range.
    #[error("the setting {0}")]
    Setting(#[from] BadSetting),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] StoreError),
}

impl From<BuildError<StoreError>> for StartError {
    fn from(error: BuildError<StoreError>) -> Self {
        match error {
            BuildError::NoThread(error) => Self::Thread(error),
            BuildError::NotPrepared(error) => Self::Database(error),
            BuildError::Panicked(message) => Self::Panicked(message),
        }
    }
}

impl<S, K> Builder<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// A pipeline from `source` to `sink` with the default settings. Its database is the file `hn.db`.
    pub fn new(source: S, sink: K) -> Self {
        let database = DatabaseChoice::Location(OsString::from("hn.db"));
        Self {
            plan: Plan {
                source,
                sink,
                config: Config::default(),
                database,
                name: "default".to_owned(),
                busy_wait_max: None,
            },
            own_thread: false,
            client: (),
        }
    }

    /// Opens the database, and starts the actors. The database is opened on a blocking thread, or on the pipeline's own.
    ///
    /// If the future is dropped before it is ready, nothing of the pipeline stays.
    ///
    /// # Errors
    /// A setting is out of its range, or the database cannot be opened. Without [`own_thread`](Self::own_thread): no actix System runs
    /// on this thread. With it: the thread cannot be started.
    pub async fn start(self) -> Result<Pipeline<S::Id>, StartError> {
        if !self.own_thread {
            check_for_system()?;
        }
        let plan = self.plan;
        plan.config.check()?;
        let meters = Meters::new(&plan.name);
        let prepare = move || plan.prepare(meters);
        let start = |wiring: Wiring<S, K>, arbiter| {
            let client = Client::new(&wiring.config);
            wiring.start(client, arbiter)
        };
        if self.own_thread {
            return Ok(PipelineArbiter::build_on_its_own(prepare, start).await?);
        }
        let wiring = on_blocking_thread(prepare).await?;
        Ok(start(wiring, PipelineArbiter::current()))
    }
}

impl<S, K> Builder<S, K, Client>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Opens the database on a blocking thread, and starts the actors on the thread of their client.
    ///
    /// # Errors
    /// No actix System runs on this thread, a setting is out of its range, the client does not fit the settings, the pipeline should
    /// have [a thread of its own](Self::own_thread), or the database cannot be opened.
    pub async fn start(self) -> Result<Pipeline<S::Id>, StartError> {
        let Self {
            plan,
            own_thread,
            client,
        } = self;
        if own_thread {
            return Err(StartError::ClientElsewhere);
        }
        check_for_system()?;
        plan.config.check()?;
        check_client(&client, &plan.config)?;
        let meters = Meters::new(&plan.name);
        let wiring = on_blocking_thread(move || plan.prepare(meters)).await?;
        Ok(wiring.start(client, PipelineArbiter::current()))
    }
}

impl<S, K, C> Builder<S, K, C>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Replaces the default settings.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.plan.config = config;
        self
    }

    /// Opens a pool for this database: with SQLite, the path of a file.
    #[must_use]
    pub fn database(mut self, location: impl Into<OsString>) -> Self {
        self.plan.database = DatabaseChoice::Location(location.into());
        self
    }

    /// Uses the host's pool. Its connections should wait while the database is locked. The pool that
    /// [`sqlite::open`](crate::store::sqlite::open) opens does this.
    #[must_use]
    pub fn pool(mut self, pool: Pool<K::Connection>) -> Self {
        self.plan.database = DatabaseChoice::Pool(pool);
        self
    }

    /// Names the pipeline in its [metrics]: the label `pipeline`, which is `default` otherwise.
    ///
    /// [metrics]: crate::ingest::metrics
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.plan.name = name.into();
        self
    }

    /// Waits this long for a database that another program keeps locked, and then ends its runs with
    /// [`GaveUp::StorageLost`](crate::GaveUp::StorageLost). The default is a minute for SQLite, and five minutes for PostgreSQL. If it is
    /// too short, a long transaction of another program ends a run; if it is too long, nobody is told that a lock was left behind.
    #[must_use]
    pub fn busy_wait_max(mut self, time: Duration) -> Self {
        self.plan.busy_wait_max = Some(time);
        self
    }

    /// Gives the pipeline a thread of its own, with an actix System of its own.
    ///
    /// Such a pipeline can be started from everywhere: from a plain tokio runtime, in a handler, in a spawned task. It outlives the
    /// runtime and the System of its host, so the host can still [shut it down](Pipeline::shutdown) after its server has ended. The
    /// thread ends with the last [`Pipeline`] and [`Run`](crate::Run), or with the shutdown.
    ///
    /// Without this, the actors run on the arbiter that calls `start`, together with its other tasks, and end with it. The guide says
    /// [what a host must do then](crate::guide::systems). In both cases, decoding and writing run on blocking threads.
    ///
    /// It cannot be combined with [`client`](Self::client): a client cannot leave its thread.
    #[must_use]
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// Uses a client that was made on this thread, for example to read lists from the same API. The pipeline then shares its
    /// connections, its rate and its adaptive limits.
    ///
    /// It cannot be combined with [`own_thread`](Self::own_thread).
    pub fn client(self, client: Client) -> Builder<S, K, Client> {
        Builder {
            plan: self.plan,
            own_thread: self.own_thread,
            client,
        }
    }
}

impl<S, K: Sink, C> fmt::Debug for Builder<S, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.plan.name)
            .field("config", &self.plan.config)
            .field("database", &self.plan.database)
            .field("own_thread", &self.own_thread)
            .finish_non_exhaustive()
    }
}

impl<C: StoreConnection> fmt::Debug for DatabaseChoice<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Location(location) => location.fmt(f),
            Self::Pool(_) => f.write_str("the host's pool"),
        }
    }
}

fn check_for_system() -> Result<(), StartError> {
    let has_runtime = tokio::runtime::Handle::try_current().is_ok();
    if actix_rt::System::try_current().is_some() && has_runtime {
        Ok(())
    } else {
        Err(StartError::NoSystem)
    }
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work)
        .await
        .map_err(|error| StoreError::NoConnection(error.to_string()))?
}

/// Checks that a client fits a pipeline's settings. Proxy, rate and adaptive limits are the client's. A pipeline that sets none of
/// them fits any client.
fn check_client(client: &Client, config: &Config) -> Result<(), StartError> {
    let shared = client.shared_settings();
    if !config.proxy.is_none() && config.proxy != shared.proxy {
        return Err(StartError::ClientDiffers {
            setting: "proxy",
            pipeline: format!("{:?}", config.proxy),
            client: format!("{:?}", shared.proxy),
        });
    }
    if config.rate > 0 && config.rate != shared.rate {
        return Err(StartError::ClientDiffers {
            setting: "rate",
            pipeline: config.rate.to_string(),
            client: shared.rate.to_string(),
        });
    }
    if config.adaptive && !shared.adaptive {
        return Err(StartError::ClientDiffers {
            setting: "adaptive",
            pipeline: config.adaptive.to_string(),
            client: shared.adaptive.to_string(),
        });
    }
    Ok(())
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
    fn prepare(self, meters: Meters) -> Result<Wiring<S, K>, StoreError> {
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
struct Wiring<S, K: Sink> {
    config: Config,
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
    fn start(self, client: Client, arbiter: PipelineArbiter) -> Pipeline<S::Id> {
        let Self {
            config,
            source,
            writer,
            meters,
            closed,
        } = self;
        let decoder = Decoder::new(source.clone());
        let cool_down = client.cool_down();
        let (for_rate, for_workers) = (client.clone(), client.clone());
        let client_limits = ClientLimits {
            set_rate: Box::new(move |rate| for_rate.set_rate(rate)),
            allow_workers: Box::new(move |workers| for_workers.allow_workers(workers)),
        };
        let (stream_source, stream_client) = (source.clone(), client.clone());
        let read_events = Box::new(move |feed, control| {
            let (source, client) = (stream_source.clone(), stream_client.clone());
            actix_rt::spawn(read_events(source, client, feed, control));
        });
        let shared = Rc::new(FetcherResources {
            refresher: Refresher::new(source.clone(), config.timeout),
            source,
            client,
            settings: RequestSettings::new(&config),
        });
        let start_fetcher = Box::new(move |slot, coordinator: &Addr<Coordinator<S::Id>>| {
            let answers = coordinator.clone().recipient();
            let death = coordinator.clone().recipient();
            Fetcher::new(slot, shared.clone(), answers, death)
                .start()
                .recipient()
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
                client_limits,
                read_events,
                storage: StorageRecipients {
                    save: storage.clone().recipient(),
                    flush: storage.recipient(),
                },
                cool_down,
                meters,
                arbiter,
            };
            Coordinator::new(config, parts)
        });
        Pipeline::new(coordinator, closed)
    }
}

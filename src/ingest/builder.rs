//! The builder starts a pipeline. This is the only file that knows all three actors.

use std::{ffi::OsString, io, rc::Rc, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context};
use actix_rt::task::spawn_blocking;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::{
        actors::{
            arbiter::{BuildError, PipelineArbiter},
            coordinator::{ClientLimits, Coordinator, Parts, StorageRecipients},
            fetcher::{Fetcher, FetcherResources},
            storage::{Storage, decoder::Decoder, writer::Writer},
        },
        backlog::Backlog,
        config::{BadSetting, Config, HttpProxy},
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
pub struct Builder<S, K: Sink> {
    source: S,
    sink: K,
    config: Config,
    /// A client that the host shares with this pipeline. Without one, the pipeline makes its own.
    client: Option<Client>,
    database: DatabaseChoice<K::Connection>,
    /// Whether the pipeline gets a thread of its own.
    own_arbiter: bool,
    /// The value of the label `pipeline` of its metrics.
    name: String,
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
    /// There is no actix System on this thread.
    #[error(
        "no actix System runs on this thread; start the pipeline inside #[actix_rt::main], #[actix_web::main] or System::block_on"
    )]
    NoSystem,
    /// The thread of the pipeline's own arbiter cannot be started.
    #[error("no thread for an arbiter can be started: {0}")]
    Arbiter(#[source] io::Error),
    /// A panic with this message on the pipeline's own arbiter, while the actors were started.
    #[error("starting the pipeline's actors panicked: {0}")]
    Panicked(String),
    /// Both [`client`](Builder::client) and [`own_arbiter`](Builder::own_arbiter) were called, but a client cannot leave its arbiter.
    #[error(
        "a client cannot leave the arbiter that it was made on; leave out either client() or own_arbiter()"
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

impl From<BuildError> for StartError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::NoThread(error) => Self::Arbiter(error),
            BuildError::Panicked(message) => Self::Panicked(message),
            BuildError::SystemStopped => Self::NoSystem,
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
            source,
            sink,
            config: Config::default(),
            client: None,
            database,
            own_arbiter: false,
            name: "default".to_owned(),
        }
    }

    /// Replaces the default settings.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Uses a client that was made on this arbiter, for example to read lists from the same API. The pipeline then shares its
    /// connections, its rate and its adaptive limits.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Opens a pool for this database: with SQLite, the path of a file.
    #[must_use]
    pub fn database(mut self, location: impl Into<OsString>) -> Self {
        self.database = DatabaseChoice::Location(location.into());
        self
    }

    /// Uses the host's pool. Its connections should wait while the database is locked. The pool that
    /// [`sqlite::open`](crate::store::sqlite::open) opens does this.
    #[must_use]
    pub fn pool(mut self, pool: Pool<K::Connection>) -> Self {
        self.database = DatabaseChoice::Pool(pool);
        self
    }

    /// Names the pipeline in its [metrics]: the label `pipeline`, which is `default` otherwise.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives the pipeline an arbiter of its own: a thread that starts and ends with it. Otherwise the actors run on the arbiter that
    /// calls [`start`](Builder::start), together with its other tasks. In both cases, decoding and writing run on blocking threads.
    #[must_use]
    pub fn own_arbiter(mut self) -> Self {
        self.own_arbiter = true;
        self
    }

    /// Opens the database on a blocking thread, and starts the actors.
    ///
    /// # Errors
    /// No actix System runs on this thread, a setting is out of its range, the given client does not fit the settings, the arbiter
    /// cannot be started, or the database cannot be opened.
    pub async fn start(self) -> Result<Pipeline<S::Id>, StartError> {
        let runtime = tokio::runtime::Handle::try_current();
        if actix_rt::System::try_current().is_none() || runtime.is_err() {
            return Err(StartError::NoSystem);
        }
        self.config.check()?;
        if let Some(client) = &self.client {
            if self.own_arbiter {
                return Err(StartError::ClientElsewhere);
            }
            check_client(client, &self.config)?;
        }
        let source = Arc::new(self.source);
        let sink = Arc::new(self.sink);
        let config = self.config;
        let (pool, identity) = spawn_blocking(move || open(self.database))
            .await
            .map_err(|error| StoreError::NoConnection(error.to_string()))??;
        let closed = CancellationToken::new();
        let writer = Writer {
            pool,
            identity,
            sink,
            _closed: closed.clone().drop_guard(),
        };
        let meters = Meters::new(&self.name);
        let wiring = Wiring {
            config,
            source,
            writer,
            meters,
            closed,
        };
        if self.own_arbiter {
            let build = move |arbiter| {
                let client = Client::new(&wiring.config);
                wiring.start(client, arbiter)
            };
            return Ok(PipelineArbiter::build_on_its_own(build).await?);
        }
        let client = self.client.unwrap_or_else(|| Client::new(&wiring.config));
        Ok(wiring.start(client, PipelineArbiter::current()))
    }
}

/// Checks that a client fits a pipeline's settings. Proxy, rate and adaptive limits are the client's. A pipeline that sets none of
/// them fits any client.
fn check_client(client: &Client, config: &Config) -> Result<(), StartError> {
    let shared = client.shared_settings();
    if config.proxy != HttpProxy::none() && config.proxy != shared.proxy {
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

/// The parts of a pipeline, ready to be sent to its arbiter and started there.
struct Wiring<S, K: Sink> {
    config: Config,
    source: Arc<S>,
    writer: Writer<K>,
    meters: Meters,
    /// Cancelled when the writer has closed the pool.
    closed: CancellationToken,
}

impl<S, K> Wiring<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Starts the actors on the current arbiter. They stop when the last handle is dropped.
    fn start(self, client: Client, arbiter: PipelineArbiter) -> Pipeline<S::Id> {
        let Self {
            config,
            source,
            writer,
            meters,
            closed,
        } = self;
        let decoder = Decoder::new(source.clone());
        let backlog = Backlog::new(config.batch);
        let cool_down = client.cool_down();
        let (for_rate, for_workers) = (client.clone(), client.clone());
        let client_limits = ClientLimits {
            set_rate: Box::new(move |rate| for_rate.set_rate(rate)),
            change_workers: Box::new(move |from, to| for_workers.change_workers(from, to)),
        };
        let shared = Rc::new(FetcherResources {
            refresher: Refresher::new(source.clone(), config.timeout),
            source,
            client,
            settings: RequestSettings::new(&config),
            backlog: backlog.clone(),
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
                storage: StorageRecipients {
                    save: storage.clone().recipient(),
                    flush: storage.recipient(),
                },
                backlog,
                cool_down,
                meters,
                arbiter,
            };
            Coordinator::new(&config, parts)
        });
        Pipeline::new(coordinator, closed)
    }
}

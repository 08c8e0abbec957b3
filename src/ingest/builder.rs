//! Starts a pipeline: the only place that knows all three actors.

use std::{ffi::OsString, io, rc::Rc, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context};
use actix_rt::task::spawn_blocking;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::{
        actors::{
            arbiter::{BuildError, PipelineArbiter},
            coordinator::{Coordinator, Parts, StorageRecipients},
            fetcher::{Fetcher, FetcherResources},
            storage::{Storage, writer::Writer},
        },
        backlog::Backlog,
        config::{BadSetting, Config},
        handle::pipeline::Pipeline,
        http::client::{Client, RequestSettings},
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
    client: Option<Client>,
    database: DatabaseChoice<K::Connection>,
    own_arbiter: bool,
    name: String,
}

enum DatabaseChoice<C: StoreConnection> {
    Location(OsString),
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
    /// The pipeline was to have an arbiter of its own, and no thread could be started for it.
    #[error("no thread for an arbiter can be started: {0}")]
    Arbiter(#[source] io::Error),
    /// Starting the actors panicked on the pipeline's own arbiter, with this message.
    #[error("starting the pipeline's actors panicked: {0}")]
    Panicked(String),
    /// A client was given, which belongs to this arbiter, and an arbiter of its own was asked for.
    #[error(
        "a client cannot leave the arbiter that it was made on; leave out either client() or own_arbiter()"
    )]
    ClientElsewhere,
    /// A client was given whose shared settings contradict the pipeline's settings.
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
    /// A pipeline from `source` to `sink`, with the default settings, into the file `hn.db`.
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

    /// Settings other than the default ones.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// A client of this arbiter, for who reads lists from the same API: its connections and its rate are then shared.
    #[must_use]
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The database that the pipeline opens a pool of its own for: with SQLite, the path of a file.
    #[must_use]
    pub fn database(mut self, location: impl Into<OsString>) -> Self {
        self.database = DatabaseChoice::Location(location.into());
        self
    }

    /// The host's pool. Its connections should wait when the database is locked:
    /// [`sqlite::open`](crate::store::sqlite::open) makes a pool that does, and says which pragmas it sets.
    #[must_use]
    pub fn pool(mut self, pool: Pool<K::Connection>) -> Self {
        self.database = DatabaseChoice::Pool(pool);
        self
    }

    /// What its [metrics] call this pipeline: the label `pipeline`, which is `default` otherwise.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// An arbiter of the pipeline's own: a thread that starts with it and ends with it. Without, the actors live on the arbiter
    /// that starts them, where they share its time with what else is there; decoding and writing are on blocking threads in
    /// either case.
    #[must_use]
    pub fn own_arbiter(mut self) -> Self {
        self.own_arbiter = true;
        self
    }

    /// Starts the actors. The database is opened on a blocking thread, so this holds nobody up.
    ///
    /// # Errors
    /// There is no actix System, a setting is out of its range, no arbiter can be had, or the database cannot be opened.
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
        let (source, sink, config) = (Arc::new(self.source), Arc::new(self.sink), self.config);
        let (pool, identity) = spawn_blocking(move || open(self.database))
            .await
            .map_err(|error| StoreError::NoConnection(error.to_string()))??;
        let closed = CancellationToken::new();
        let writer = Writer {
            pool,
            identity,
            source: source.clone(),
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

/// A pipeline's rate and adaptive limits are its client's. A pipeline without a rate of its own takes any.
fn check_client(client: &Client, config: &Config) -> Result<(), StartError> {
    let shared = client.shared_settings();
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

/// What the actors are made of.
struct Wiring<S, K: Sink> {
    config: Config,
    source: Arc<S>,
    writer: Writer<S, K>,
    meters: Meters,
    /// Cancelled when the writer is dropped.
    closed: CancellationToken,
}

impl<S, K> Wiring<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Starts the actors on this arbiter. They stop when the handle is dropped.
    fn start(self, client: Client, arbiter: PipelineArbiter) -> Pipeline<S::Id> {
        let Self {
            config,
            source,
            writer,
            meters,
            closed,
        } = self;
        let backlog = Backlog::new(config.batch);
        let shared = Rc::new(FetcherResources {
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
            let storage =
                Storage::new(writer, config.batch, config.linger, committed, death).start();
            let parts = Parts {
                start_fetcher,
                storage: StorageRecipients {
                    save: storage.clone().recipient(),
                    flush: storage.recipient(),
                },
                backlog,
                meters,
                arbiter,
            };
            Coordinator::new(&config, parts)
        });
        Pipeline::new(coordinator, closed)
    }
}

//! Starts a pipeline: the only place that knows all three actors.

use std::{ffi::OsString, io, rc::Rc, sync::Arc};

use actix::{Actor, Addr, AsyncContext, Context};
use actix_rt::{Arbiter, ArbiterHandle, task::spawn_blocking};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::{
        actors::{
            coordinator::{Coordinator, Demand},
            fetcher::{Fetcher, Shared},
            storage::{Storage, writer::Writer},
        },
        backlog::Unsaved,
        config::{BadSetting, Config},
        handle::pipeline::Pipeline,
        http::Client,
        sink::Sink,
        source::Source,
        stats::metrics::Meters,
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
pub enum StartError {
    /// There is no actix System on this thread.
    #[error(
        "no actix System runs on this thread; start the pipeline inside #[actix_rt::main], #[actix_web::main] or System::block_on"
    )]
    NoSystem,
    /// The pipeline was to have an arbiter of its own, and there is no thread for it.
    #[error("no thread for an arbiter can be started: {0}")]
    Arbiter(#[source] io::Error),
    /// A client was given, which belongs to this arbiter, and an arbiter of its own was asked for.
    #[error(
        "a client cannot leave the arbiter that it was made on; leave out either client() or own_arbiter()"
    )]
    ClientElsewhere,
    /// A setting is out of its range.
    #[error("the setting {0}")]
    Setting(#[from] BadSetting),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] StoreError),
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
        if self.own_arbiter && self.client.is_some() {
            return Err(StartError::ClientElsewhere);
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
        let coordinator = if self.own_arbiter {
            Home::of_its_own(move |home| {
                wire(
                    &config,
                    source,
                    Client::new(&config),
                    writer,
                    (home, meters),
                )
            })
            .await?
        } else {
            let client = self.client.unwrap_or_else(|| Client::new(&config));
            wire(&config, source, client, writer, (Home::here(), meters))
        };
        Ok(Pipeline::new(coordinator, closed))
    }
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

fn wire<S, K>(
    config: &Config,
    source: Arc<S>,
    client: Client,
    writer: Writer<S, K>,
    (home, meters): (Home, Meters),
) -> Addr<Coordinator<S::Id>>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    let shared = Rc::new(Shared {
        source,
        client,
        unsaved: Unsaved::new(config.batch),
    });
    let mailbox = config.mailbox;
    let api = shared.client.clone();
    let down_for = Box::new(move || api.down_for());
    let (seen, told) = (shared.client.clone(), shared.client.clone());
    let demand = Demand {
        look: Box::new(move || seen.look()),
        allow: Box::new(move |allowed| told.allow(allowed)),
    };
    let hire = Box::new(move |slot, coordinator: &Addr<Coordinator<S::Id>>| {
        let shared = shared.clone();
        let (answers, death) = (
            coordinator.clone().recipient(),
            coordinator.clone().recipient(),
        );
        Fetcher::new(slot, mailbox, shared, answers, death)
            .start()
            .recipient()
    });
    Coordinator::create(|ctx: &mut Context<Coordinator<S::Id>>| {
        let me = ctx.address();
        let (committed, death) = (me.clone().recipient(), me.recipient());
        let storage = Storage::new(writer, config.batch, config.linger, committed, death).start();
        let storage = (storage.clone().recipient(), storage.recipient());
        Coordinator::new(config, hire, (down_for, demand), storage, home, meters)
    })
}

/// An arbiter of the pipeline's own, if it has one; it ends when this is dropped.
pub(crate) struct Home(Option<ArbiterHandle>);

impl Home {
    /// The arbiter that this is called on.
    pub(crate) fn here() -> Self {
        Self(None)
    }

    /// Starts an arbiter, and builds there what must not leave it.
    pub(crate) async fn of_its_own<T: Send + 'static>(
        build: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Result<T, StartError> {
        let arbiter = Arbiter::try_new().map_err(StartError::Arbiter)?;
        let home = Self(Some(arbiter.handle()));
        let (sender, built) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let _ = sender.send(build(home));
        });
        // The System may be about to stop, and its arbiters with it.
        built.await.map_err(|_| StartError::NoSystem)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(arbiter) = self.0.take() {
            let handle = arbiter.clone();
            // Behind what waits there to be polled: answers to a last message are among it.
            arbiter.spawn(async move {
                handle.stop();
            });
        }
    }
}

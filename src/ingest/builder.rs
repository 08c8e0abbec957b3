//! The builder, with which a host says what a pipeline is like, and starts it.

use std::{ffi::OsString, fmt, io, time::Duration};

use actix_rt::task::spawn_blocking;
use thiserror::Error;

use crate::{
    ingest::{
        actors::arbiter::{BuildError, PipelineArbiter},
        config::{BadSetting, Config},
        handle::pipeline::Pipeline,
        http::client::Client,
        sink::Sink,
        source::Source,
        stats::meters::Meters,
        wiring::{DatabaseChoice, Plan, Wiring},
    },
    store::{Pool, StoreError},
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
    /// too short, a long transaction of another program ends a run. If it is too long, a lock that was left behind is noticed late.
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
    /// connections, its rate and its adaptive limits. No more connections are open than the client has
    /// [`workers`](Config::workers), so make it with as many as its pipelines have together.
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
    let shared = client.config();
    let differs = |setting, pipeline: &dyn fmt::Debug, client: &dyn fmt::Debug| {
        Err(StartError::ClientDiffers {
            setting,
            pipeline: format!("{pipeline:?}"),
            client: format!("{client:?}"),
        })
    };
    if !config.proxy.is_none() && config.proxy != shared.proxy {
        return differs("proxy", &config.proxy, &shared.proxy);
    }
    if config.rate > 0 && config.rate != shared.rate {
        return differs("rate", &config.rate, &shared.rate);
    }
    if config.adaptive && !shared.adaptive {
        return differs("adaptive", &config.adaptive, &shared.adaptive);
    }
    Ok(())
}

//! The engine: a builder that starts the actors and wires them, and the handle that it gives. The only place that knows all
//! three actors.

mod attempt;
mod client;
pub mod config;
mod connections;
mod control;
mod coordinator;
mod counters;
mod current;
mod feed;
mod fetcher;
mod fetcher_pool;
mod health;
mod latency;
mod messages;
mod outage;
mod outcome;
mod pace;
mod report;
mod retry;
mod run;
mod sink;
mod source;
mod storage;
mod unsaved;
mod wire;
mod writer;

use std::{
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix::{Actor, Addr, AsyncContext, Context};
use futures_util::{Stream, stream};
use thiserror::Error;
use tokio::sync::oneshot;

pub(crate) use self::outcome::panic_message;
pub use self::{
    client::Client,
    config::Config,
    counters::Progress,
    latency::Latency,
    outcome::{Failure, FailureKind, Outcome, UnknownKind},
    report::{FAILURES_LISTED, FailedId, Report},
    run::{PipelineStopped, Run, RunWatch},
    sink::Sink,
    source::{DecodeError, Id, Source},
};
use self::{
    control::Control,
    coordinator::Coordinator,
    feed::Feed,
    fetcher::{Fetcher, Shared},
    messages::{Close, RunId, Start},
    storage::Storage,
    unsaved::Unsaved,
    writer::Writer,
};
use crate::db::{self, DbError, FileIdentity, Pool};

/// Builds a [`Pipeline`].
pub struct Builder<S, K> {
    source: S,
    sink: K,
    config: Config,
    client: Option<Client>,
    database: DatabaseChoice,
}

enum DatabaseChoice {
    Path(PathBuf),
    Pool(Pool),
}

/// Why a pipeline did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// There is no actix System on this thread.
    #[error(
        "no actix System runs on this thread; start the pipeline inside #[actix_rt::main], #[actix_web::main] or System::block_on"
    )]
    NoSystem,
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// A running pipeline: a coordinator, its fetchers and a storage. Clones are handles of the same; when the last is dropped the
/// actors stop.
pub struct Pipeline<I: Id> {
    inner: Arc<Inner<I>>,
}

struct Inner<I: Id> {
    coordinator: Addr<Coordinator<I>>,
    runs: AtomicU64,
}

impl<S, K> Builder<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// A pipeline from `source` to `sink`, with the default settings, into the file `hn.db`.
    pub fn new(source: S, sink: K) -> Self {
        let database = DatabaseChoice::Path(PathBuf::from("hn.db"));
        Self {
            source,
            sink,
            config: Config::default(),
            client: None,
            database,
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

    /// A database file of the pipeline's own pool.
    #[must_use]
    pub fn database(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = DatabaseChoice::Path(path.into());
        self
    }

    /// The host's pool. Its connections should wait when the database is locked: see [`db::open`] for the pragmas that a pool of
    /// ours sets.
    #[must_use]
    pub fn pool(mut self, pool: Pool) -> Self {
        self.database = DatabaseChoice::Pool(pool);
        self
    }

    /// Starts the actors on the current arbiter.
    ///
    /// # Errors
    /// There is no actix System, or the database cannot be opened.
    pub fn start(self) -> Result<Pipeline<S::Id>, StartError> {
        if actix_rt::System::try_current().is_none() {
            return Err(StartError::NoSystem);
        }
        let pool = match self.database {
            DatabaseChoice::Path(path) => db::open(&path)?,
            DatabaseChoice::Pool(pool) => pool,
        };
        let source = Arc::new(self.source);
        let writer = Writer {
            file: FileIdentity::of(&pool)?,
            pool,
            source: source.clone(),
            sink: Arc::new(self.sink),
        };
        let client = self.client.unwrap_or_else(|| Client::new(&self.config));
        let coordinator = wire(&self.config, source, client, writer);
        Ok(Pipeline {
            inner: Arc::new(Inner {
                coordinator,
                runs: AtomicU64::new(0),
            }),
        })
    }
}

fn wire<S, K>(
    config: &Config,
    source: Arc<S>,
    client: Client,
    writer: Writer<S, K>,
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
        let (save, flush) = (storage.clone().recipient(), storage.recipient());
        Coordinator::new(config, hire, down_for, save, flush)
    })
}

impl<I: Id> Pipeline<I> {
    /// Ingests a list of ids, after the runs that were begun before. The list is read as fast as its ids are fetched.
    pub fn run<L>(&self, ids: L) -> Run<I>
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        self.run_stream(stream::iter(ids))
    }

    /// Ingests a stream of ids, which is polled only when there is room for another.
    pub fn run_stream(&self, ids: impl Stream<Item = I> + Send + 'static) -> Run<I> {
        let run = RunId(self.inner.runs.fetch_add(1, Relaxed));
        let control = Arc::new(Control::default());
        let (sender, report) = oneshot::channel();
        let coordinator = &self.inner.coordinator;
        let feed = Feed::new(ids);
        coordinator.do_send(Start {
            run,
            feed,
            control: control.clone(),
            report: sender,
        });
        Run::new(
            run,
            control,
            coordinator.clone().recipient(),
            report,
            self.inner.clone(),
        )
    }
}

impl<I: Id> Clone for Pipeline<I> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<I: Id> Drop for Inner<I> {
    fn drop(&mut self) {
        self.coordinator.do_send(Close);
    }
}

//! What every fetching command works with: the database, the API and the client.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    database::{self, OpenedDatabase, fresh_file::DeletedIfUnused},
    exit::CommandError,
    health::Health,
    metrics_server::MetricsServer,
    open_file_limit,
    options::Options,
    progress,
};
use crate::{
    hn::{
        HnConnection, HnSource, cool_down, lists::ListError, live_runs, process::Process,
        sample::last_item,
    },
    ingest::{Builder, Client, Config, Failure, FailureKind, Sink, Source},
    mock_api::{Clock, ItemRate, Live, MockApi, RunningMockApi},
    store::{
        Pool, StoreConnection,
        any::{AnyConnection, AnyPool},
        read_only::ReadConnection,
    },
};

/// When the newest item of the live API of `--demo` is the millionth: at the beginning of 2026.
const DEMO_START: Duration = Duration::from_secs(1_767_225_600);
/// How many items it adds in a second.
const DEMO_RATE: f64 = 2.0;

/// `C` is the connection of the database.
pub(super) struct Session<'a, C: StoreConnection = AnyConnection> {
    pub(super) options: &'a Options,
    /// The engine's settings, with no more workers than the limit of open files allows.
    pub(super) config: Config,
    pub(super) source: HnSource,
    /// Reads the list and fetches the items, so that both keep to one rate.
    pub(super) client: Client,
    pub(super) pool: Pool<C>,
    /// Dropped after the pool.
    _fresh_file: Option<DeletedIfUnused>,
    /// Tells after a run whether the database that was opened is still there.
    pub(super) database: C::Identity,
    pub(super) process: Process,
    /// Served with the metrics.
    pub(super) health: Health,
    /// The API of `--demo`. It serves until the session is dropped.
    demo_api: Option<RunningMockApi>,
    /// Serves metrics until the session is dropped.
    _metrics_server: Option<MetricsServer>,
}

/// A database, and what the API of `--demo` is for it.
type Opened<C> = (OpenedDatabase<C>, MockApi);

impl<'a> Session<'a> {
    pub(super) async fn open(options: &'a Options) -> Result<Self, CommandError> {
        let opening = database::open_or_create(options.database(), options.demo);
        let opening = async { Ok((opening.await?, MockApi::default())) };
        Self::over_writable(options, Health::default(), opening).await
    }

    /// As [`open`](Self::open), where the API of `--demo` goes on as time passes, and with the health of the process.
    pub(super) async fn open_to_follow(
        options: &'a Options,
        health: Health,
    ) -> Result<Self, CommandError> {
        let opening = database::open_or_create(options.database(), options.demo);
        let opening = async { Ok((opening.await?, live_demo()?)) };
        Self::over_writable(options, health, opening).await
    }

    /// As [`open`](Self::open), where the API of `--demo` is the one that the items are from.
    pub(super) async fn open_to_repair(options: &'a Options) -> Result<Self, CommandError> {
        let opening = database::open_or_create(options.database(), options.demo);
        Self::over_writable(options, Health::default(), with_its_demo(opening)).await
    }

    async fn over_writable(
        options: &'a Options,
        health: Health,
        opening: impl Future<Output = Result<Opened<AnyConnection>, CommandError>>,
    ) -> Result<Self, CommandError> {
        let session = Self::over(options, health, opening).await?;
        keep_to_shared_cool_down(&session.client, &session.pool).await?;
        Ok(session)
    }
}

impl<'a> Session<'a, ReadConnection> {
    /// For a command that fetches and writes nothing. The API of `--demo` is the one that the items are from.
    pub(super) async fn open_read_only(options: &'a Options) -> Result<Self, CommandError> {
        let opening = database::open_read_only(options.database(), options.demo);
        Self::over(options, Health::default(), with_its_demo(opening)).await
    }
}

impl<'a, C: StoreConnection> Session<'a, C> {
    async fn over(
        options: &'a Options,
        health: Health,
        opening: impl Future<Output = Result<Opened<C>, CommandError>>,
    ) -> Result<Self, CommandError> {
        // First, because the client and the pipeline take the metrics recorder that they find.
        let metrics_server = {
            let start = |address| MetricsServer::start(address, health.clone());
            options.metrics.map(start).transpose()?
        };
        let config = Config {
            workers: open_file_limit::allowed_workers(options),
            ..options.config.clone()
        };
        if !options.demo {
            let api_url = options.remote_api_url();
            config.proxy.check_for(api_url).map_err(CommandError::new)?;
        }
        let (opened, demo) = opening.await?;
        let OpenedDatabase {
            pool,
            identity,
            fresh_file,
        } = opened;
        let demo_api = if options.demo {
            Some(start_demo_api(demo).await?)
        } else {
            None
        };
        let api_url = match &demo_api {
            Some(api) => api.url(),
            None => options.remote_api_url().to_owned(),
        };
        let client = Client::new(&config);
        Ok(Self {
            options,
            source: HnSource::new(&api_url).map_err(CommandError::new)?,
            client,
            config,
            database: identity,
            process: Process::this(),
            health,
            pool,
            _fresh_file: fresh_file,
            demo_api,
            _metrics_server: metrics_server,
        })
    }

    /// A pipeline with the settings, the client and the database of the session.
    pub(super) fn builder<S, K>(&self, source: S, sink: K) -> Builder<S, K, Client>
    where
        S: Source,
        K: Sink<Id = S::Id, Record = S::Record, Connection = C>,
    {
        Builder::new(source, sink)
            .config(self.config.clone())
            .client(self.client.clone())
            .pool(self.pool.clone())
    }

    /// Prints a note about work that takes long, unless progress is switched off.
    pub(super) fn print_note(&self, note: &str) {
        progress::print_note(self.options.progress, note);
    }

    /// Adds to the error of a list or of the largest id what the user can do about it.
    pub(super) fn explain(&self, error: ListError) -> CommandError {
        if self.demo_api.is_some() {
            return CommandError::new(error);
        }
        let next_step = match &error {
            ListError::Unreachable { failure, .. } => next_step(failure, self.proxy().as_deref()),
            ListError::Unexpected { .. } => {
                "check that --api-url is an API like that of Hacker News".to_owned()
            }
        };
        CommandError(format!("{error}; {next_step}"))
    }

    /// The proxy that requests to the API go through, as messages name it.
    pub(super) fn proxy(&self) -> Option<String> {
        self.config.proxy.name_for(&self.source.document("maxitem"))
    }
}

/// Keeps to a cool-down that the API asked another process for. If no run is under way any more, the cool-down is forgotten.
async fn keep_to_shared_cool_down(client: &Client, pool: &AnyPool) -> Result<(), CommandError> {
    let reading = database::query(pool, |conn| {
        if live_runs::live(conn)?.is_empty() {
            cool_down::forget(conn)?;
        }
        cool_down::rest(conn)
    });
    let rest = reading.await?;
    if !rest.is_zero() {
        client.throttle().cool_down_for(rest);
    }
    Ok(())
}

/// What the user can do if the API, reached through `proxy`, does not give a list or the largest id.
fn next_step(failure: &Failure, proxy: Option<&str>) -> String {
    if let Some(wait) = failure.asked_to_wait {
        return format!(
            "run this again from {} on, or let it wait with a longer --outage-patience",
            time_after(wait)
        );
    }
    let subject = match proxy {
        Some(proxy) => format!("the API or {proxy}"),
        None => "the API".to_owned(),
    };
    match (failure.kind, failure.status) {
        (_, Some(401 | 403 | 407 | 451)) => format!(
            "{subject} refuses this machine: open the URL in a browser to see why, or try --demo, which needs no network"
        ),
        (_, Some(404 | 410)) => "check that --api-url is an API like that of Hacker News".to_owned(),
        (FailureKind::Connect | FailureKind::Timeout | FailureKind::Reset | FailureKind::Status, _) if proxy.is_some() => {
            "check --proxy, the variable that names the proxy, and the network, or try --demo, which needs none of them".to_owned()
        }
        _ => "check --api-url and the network, or try --demo, which needs neither".to_owned(),
    }
}

/// The time when `wait` is over, to the second.
pub(super) fn time_after(wait: Duration) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(SystemTime::now() + wait)
}

/// An API whose newest item was the millionth at one moment, and that has added two a second since. So each start shows the same world,
/// some time later.
/// The API of `--demo` that the items of a database are from: only the live one has more than a million.
async fn with_its_demo<C: HnConnection>(
    opening: impl Future<Output = Result<OpenedDatabase<C>, CommandError>>,
) -> Result<Opened<C>, CommandError> {
    let opened = opening.await?;
    let reading = database::query(&opened.pool, |conn| last_item(conn));
    let demo = MockApi::default();
    let is_live = reading.await?.is_some_and(|last| last > demo.max_item);
    Ok((opened, if is_live { live_demo()? } else { demo }))
}

fn live_demo() -> Result<MockApi, CommandError> {
    let rate = ItemRate::per_second(DEMO_RATE).map_err(CommandError::new)?;
    let start = UNIX_EPOCH + DEMO_START;
    let clock = Clock::running(start, 1.0);
    clock.advance(SystemTime::now().duration_since(start).unwrap_or_default());
    Ok(MockApi::default().live(Live::new(rate).clock(clock)))
}

async fn start_demo_api(api: MockApi) -> Result<RunningMockApi, CommandError> {
    api.start().await.map_err(|error| {
        CommandError(format!(
            "the API of --demo cannot start on this machine: {error}"
        ))
    })
}

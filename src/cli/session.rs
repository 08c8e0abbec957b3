//! What every fetching command works with: the database, the API and the client.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    database::{self, OpenedDatabase, fresh_file::DeletedIfUnused},
    exit::CommandError,
    metrics_server::MetricsServer,
    open_file_limit,
    options::Options,
    progress,
};
use crate::{
    hn::{
        HnSource, cool_down, follow::health::Health, lists::ListError, live_runs, process::Process,
    },
    ingest::{Client, Config, Failure, FailureKind},
    mock_api::{Clock, ItemRate, Live, MockApi, RunningMockApi},
    store::{
        any::{AnyIdentity, AnyPool},
        locks::while_locked,
    },
};

/// When the newest item of the live API of `--demo` is the millionth: at the beginning of 2026.
const DEMO_START: Duration = Duration::from_secs(1_767_225_600);
/// How many items it adds in a second.
const DEMO_RATE: f64 = 2.0;

pub(super) struct Session<'a> {
    pub(super) options: &'a Options,
    /// The engine's settings, with no more workers than the limit of open files allows.
    pub(super) config: Config,
    pub(super) source: HnSource,
    /// Reads the list and fetches the items, so that both keep to one rate.
    pub(super) client: Client,
    pub(super) pool: AnyPool,
    /// Dropped after the pool.
    _fresh_file: Option<DeletedIfUnused>,
    /// Tells after a run whether the database that was opened is still there.
    pub(super) database: AnyIdentity,
    pub(super) process: Process,
    /// Served with the metrics.
    pub(super) health: Health,
    /// The API of `--demo`. It serves until the session is dropped.
    demo_api: Option<RunningMockApi>,
    /// Serves metrics until the session is dropped.
    _metrics_server: Option<MetricsServer>,
}

impl<'a> Session<'a> {
    pub(super) async fn open(options: &'a Options) -> Result<Self, CommandError> {
        Self::open_with(options, MockApi::default()).await
    }

    /// As [`open`](Self::open), where the API of `--demo` goes on as time passes.
    pub(super) async fn open_to_follow(options: &'a Options) -> Result<Self, CommandError> {
        Self::open_with(options, live_demo()?).await
    }

    /// `demo` is the API of `--demo`.
    async fn open_with(options: &'a Options, demo: MockApi) -> Result<Self, CommandError> {
        let health = Health::default();
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
        let OpenedDatabase {
            pool,
            identity,
            fresh_file,
        } = database::open_or_create(options.database(), options.demo).await?;
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
        keep_to_shared_cool_down(&client, &pool).await?;
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

/// The API may have asked another process to wait. A wait that nobody is left to keep to is forgotten: whoever starts alone asks again.
async fn keep_to_shared_cool_down(client: &Client, pool: &AnyPool) -> Result<(), CommandError> {
    let reading = database::with_connection(pool, |conn| {
        while_locked(|| {
            if live_runs::live(conn)?.is_empty() {
                cool_down::forget(conn)?;
            }
            cool_down::rest(conn)
        })
        .map_err(|error: diesel::result::Error| CommandError::new(error))
    });
    let rest = reading.await?;
    if !rest.is_zero() {
        client.cool_down_for(rest);
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

//! What every fetching command does: open the database, start the pipeline, drive a run to its report.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use diesel::{SqliteConnection, connection::SimpleConnection};
use futures_util::Stream;
use log::{debug, warn};

use super::{
    Ending, Refusal,
    metrics::Metrics,
    open_files,
    options::Options,
    origin, output,
    progress::{self, Display},
    signals::{self, Signals},
};
use crate::{
    hn::{HnSink, HnSource, PUBLIC_API, lists::ListError, migrations, runs, top_items},
    ingest::{Builder, Client, Config, Pipeline, Report},
    mock_api::{MockApi, RunningMockApi},
    store::sqlite::{self, FileIdentity, SqlitePool, while_locked},
};

const DATABASE: &str = "hn.db";
const DEMO_DATABASE: &str = "hn-demo.db";

pub(super) struct Session<'a> {
    pub(super) options: &'a Options,
    config: Config,
    pub(super) source: HnSource,
    pub(super) client: Client,
    pub(super) pool: SqlitePool,
    file: Option<FileIdentity>,
    pub(super) signals: Signals,
    /// Serves as long as the session lasts.
    demo: Option<RunningMockApi>,
    _metrics: Option<Metrics>,
}

impl<'a> Session<'a> {
    pub(super) async fn open(options: &'a Options) -> Result<Self, Refusal> {
        let metrics = options.metrics.map(Metrics::serve).transpose()?;
        let config = with_room(options);
        let path = database(options);
        let pool = sqlite::open(&path).map_err(Refusal::new)?;
        let mut conn = connection(&pool)?;
        let refuse =
            |error: &dyn std::fmt::Display| Refusal(format!("{}: {error}", path.display()));
        origin::spare_strangers(&mut conn).map_err(|error| refuse(&error))?;
        while_locked(|| migrations::run(&mut conn)).map_err(|error| refuse(&error))?;
        while_locked(|| origin::claim(&mut conn, options.demo)).map_err(|error| refuse(&error))?;
        let demo = match options.demo {
            true => Some(
                MockApi::default()
                    .start()
                    .await
                    .map_err(|error| Refusal(format!("the demo's API cannot start: {error}")))?,
            ),
            false => None,
        };
        let base = match &demo {
            Some(demo) => demo.url(),
            None => options
                .api_url
                .clone()
                .unwrap_or_else(|| PUBLIC_API.to_owned()),
        };
        Ok(Self {
            options,
            source: HnSource::new(&base).map_err(Refusal::new)?,
            client: Client::new(&config),
            config,
            file: FileIdentity::of(&mut conn).map_err(Refusal::new)?,
            pool,
            signals: Signals::listen()?,
            _metrics: metrics,
            demo,
        })
    }

    /// Ingests `ids`, and notes it as a run of `command`.
    pub(super) async fn ingest(
        &mut self,
        command: &str,
        sink: HnSink,
        ids: impl Stream<Item = i64> + Send + 'static,
    ) -> Result<Done, Refusal> {
        let unusable = |error| Refusal(format!("the database cannot be written: {error}"));
        let mut conn = connection(&self.pool)?;
        let run_row = while_locked(|| runs::begin(&mut conn, command)).map_err(unusable)?;
        drop(conn);
        let pipeline = self.pipeline(sink).await?;
        let mut run = pipeline.run_stream(ids);
        let display = Display::start(self.options.progress, run.watch());
        let mut signal = None;
        let report = loop {
            tokio::select! {
                report = &mut run => break report,
                number = self.signals.next() => match signal {
                    None => {
                        signal = Some(number);
                        run.cancel();
                    }
                    Some(_) => signals::leave(number),
                },
            }
        };
        drop(display);
        let report = match report {
            // A file that went after the last commit took that with it.
            Ok(report) => Report {
                storage_lost: report.storage_lost.or(self.file_gone()),
                ..report
            },
            Err(stopped) => {
                output::complain(stopped);
                return Ok(Done {
                    run_row,
                    report: None,
                    ending: Ending::Broken,
                });
            }
        };
        self.note(run_row, &report);
        let broken = report.storage_lost.is_some() || report.outage.is_some();
        let ending = match signal {
            _ if broken => Ending::Broken,
            Some(number) => Ending::Interrupted(number),
            None if report.is_complete() => Ending::Complete,
            None => Ending::Incomplete,
        };
        if let Some(down) = report.outage {
            let down = humantime::format_duration(Duration::from_secs(down.as_secs()));
            output::complain(format_args!(
                "the API has been out for {down}; what the report calls stored is safe, so run the rest again when the API is back"
            ));
        }
        if let Some(why) = &report.storage_lost {
            output::complain(format_args!(
                "nothing more can be stored: {why}; what the report calls stored is safe, so mend this and run the rest again"
            ));
        }
        Ok(Done {
            run_row,
            report: Some(report),
            ending,
        })
    }

    pub(super) fn connection(&self) -> Result<PooledConnection, Refusal> {
        connection(&self.pool)
    }

    fn file_gone(&self) -> Option<String> {
        self.file.as_ref().and_then(|file| file.check().err())
    }

    async fn pipeline(&self, sink: HnSink) -> Result<Pipeline<i64>, Refusal> {
        Builder::new(self.source.clone(), sink)
            .config(self.config.clone())
            .client(self.client.clone())
            .pool(self.pool.clone())
            .start()
            .await
            .map_err(Refusal::new)
    }

    /// The report is told even when it cannot be noted.
    fn note(&self, run_row: i64, report: &Report<i64>) {
        let noted = connection(&self.pool).and_then(|mut conn| {
            while_locked(|| runs::finish(&mut conn, run_row, &report.totals))
                .map_err(Refusal::new)?;
            Ok(conn)
        });
        match noted {
            // So that what the report calls stored outlives a power cut too; if it cannot be, the next run does it.
            Ok(mut conn) => {
                if let Err(error) = conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)") {
                    debug!("no checkpoint: {error}");
                }
            }
            Err(Refusal(why)) => {
                warn!("this run could not be noted in the table runs: {why}");
            }
        }
    }

    /// A word about long work, where progress is wanted.
    pub(super) fn say(&self, what: &str) {
        progress::say(self.options.progress, what);
    }

    /// A way out for who has no network.
    pub(super) fn unreachable(&self, error: ListError) -> Refusal {
        let hint = match error {
            _ if self.demo.is_some() => "",
            ListError::Unreachable { .. } => {
                "; check --api-url and the network, or try --demo, which needs neither"
            }
            ListError::Unexpected { .. } => {
                "; check that --api-url is an API like that of Hacker News"
            }
        };
        Refusal(format!("{error}{hint}"))
    }
}

/// How a run ended, with its report unless the pipeline broke.
pub(super) struct Done {
    run_row: i64,
    report: Option<Report<i64>>,
    ending: Ending,
}

impl Done {
    /// Tells what a run came to, and how it ended.
    pub(super) fn tell(self, session: &Session<'_>, command: &str, list: Option<&[i64]>) -> Ending {
        if let Some(report) = &self.report {
            let top = list.map(|ids| session.top(self.run_row, ids));
            let told = output::Told {
                command,
                report,
                top,
            };
            output::show(&told, session.options.format);
        }
        self.ending
    }
}

impl Session<'_> {
    fn top(&self, run_row: i64, ids: &[i64]) -> Vec<top_items::TopItem> {
        connection(&self.pool)
            .and_then(|mut conn| top_items::read(&mut conn, run_row, ids).map_err(Refusal::new))
            .unwrap_or_else(|Refusal(why)| {
                warn!("the top items cannot be read: {why}");
                Vec::new()
            })
    }
}

/// The settings, with no more workers than there can be connections.
fn with_room(options: &Options) -> Config {
    let mut config = options.config.clone();
    let workers = config.workers;
    let room = open_files::room_for(workers, options.demo);
    if room < workers {
        config.workers = room.max(1);
        warn!(
            "the limit of open files has room for the connections of {room} workers, not {workers}, so that many work; raise it with ulimit -n, or lower --workers"
        );
    }
    config
}

/// Opens a database that is there already, for a command that makes no sense without one.
pub(super) fn open_existing(options: &Options) -> Result<(PathBuf, SqlitePool), Refusal> {
    let path = database(options);
    let shown = path.display();
    if !path.is_file() {
        return Err(Refusal(format!(
            "there is no database {shown}; `hn-ingest backfill` makes one of everything and `hn-ingest top` a small one, or name another with --database"
        )));
    }
    let pool = sqlite::open(&path).map_err(Refusal::new)?;
    let mut conn = connection(&pool)?;
    origin::recognise(&mut conn).map_err(|Refusal(why)| Refusal(format!("{shown}: {why}")))?;
    while_locked(|| migrations::run(&mut conn))
        .map_err(|error| Refusal(format!("{shown}: {error}")))?;
    Ok((path, pool))
}

pub(super) fn database(options: &Options) -> PathBuf {
    let default = Path::new(if options.demo {
        DEMO_DATABASE
    } else {
        DATABASE
    });
    options
        .database
        .clone()
        .unwrap_or_else(|| default.to_owned())
}

type PooledConnection =
    diesel::r2d2::PooledConnection<diesel::r2d2::ConnectionManager<SqliteConnection>>;

pub(super) fn connection(pool: &SqlitePool) -> Result<PooledConnection, Refusal> {
    pool.get()
        .map_err(|error| Refusal(format!("no connection to the database: {error}")))
}

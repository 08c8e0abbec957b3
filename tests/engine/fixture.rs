//! What every engine test starts from: a small API of notes, and the tables that notes are stored in.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{
    Connection, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use futures_util::{Stream, stream};
use hn_ingest::{
    Builder, Config, DecodeError, GaveUp, Outcome, Pipeline, Report, Settled, Sink, Source,
    test_util::{Latch, Reply, ScriptedServer},
};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::in_system;

/// Special ids. Each does harm in one place.
pub(crate) const PANICS_IN_URL: i64 = 9001;
pub(crate) const PANICS_IN_DECODE: i64 = 9002;
pub(crate) const PANICS_IN_WRITE: i64 = 9003;
pub(crate) const VIOLATES_A_CONSTRAINT: i64 = 9004;
/// Its failure cannot be written either.
pub(crate) const PANICS_ALWAYS: i64 = 9005;

/// Notes at `/ID`. Any JSON value is a note, except that `null` means that there is no such note.
pub(crate) struct NotesSource {
    pub(crate) base: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl NotesSource {
    pub(crate) fn at(base: String) -> Self {
        Self {
            base,
            headers: vec![],
        }
    }
}

impl Source for NotesSource {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        assert_ne!(*id, PANICS_IN_URL, "this id has no URL");
        format!("{}/{id}", self.base)
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    fn is_absent(&self, status: u16) -> bool {
        status == 410
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        assert_ne!(*id, PANICS_IN_DECODE, "this id cannot be decoded");
        let value: serde_json::Value = serde_json::from_slice(body).map_err(DecodeError::new)?;
        Ok((!value.is_null()).then(|| value.to_string()))
    }
}

/// Stores notes in the table `notes`, and every outcome that was ever written in the table `outcomes`.
pub(crate) struct NotesSink;

impl Sink for NotesSink {
    type Id = i64;
    type Record = String;
    type Connection = SqliteConnection;

    fn write(
        &self,
        conn: &mut SqliteConnection,
        batch: &[Settled<i64, String>],
    ) -> QueryResult<()> {
        for Settled { id, outcome, .. } in batch {
            assert_ne!(*id, PANICS_ALWAYS, "no outcome of this id can be written");
            let (name, kind, note) = match outcome {
                Outcome::Stored(_) if *id == PANICS_IN_WRITE => panic!("this id cannot be stored"),
                Outcome::Stored(_) if *id == VIOLATES_A_CONSTRAINT => {
                    let why = Box::new("CHECK constraint failed: note".to_owned());
                    return Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, why));
                }
                Outcome::Stored(note) => ("stored", None, Some(note.as_str())),
                Outcome::Absent => ("absent", None, None),
                Outcome::Failed(failure) => ("failed", Some(failure.kind.as_str()), None),
            };
            sql_query("INSERT INTO outcomes (id, outcome, kind) VALUES (?, ?, ?)")
                .bind::<BigInt, _>(id)
                .bind::<Text, _>(name)
                .bind::<Nullable<Text>, _>(kind)
                .execute(conn)?;
            if let Some(note) = note {
                sql_query("INSERT OR REPLACE INTO notes (id, note) VALUES (?, ?)")
                    .bind::<BigInt, _>(id)
                    .bind::<Text, _>(note)
                    .execute(conn)?;
            }
        }
        Ok(())
    }
}

/// A server, a database file and settings for one test.
pub(crate) struct Fixture {
    pub(crate) server: Arc<ScriptedServer>,
    /// The settings of the pipelines that it starts.
    pub(crate) config: Config,
    /// Holds the database file, and is deleted with the fixture.
    folder: TempDir,
}

impl Fixture {
    /// The server answers every note at once. The settings wait only milliseconds.
    pub(crate) fn new() -> Self {
        let server = ScriptedServer::start();
        server.otherwise(|path| Reply::json(format!(r#"{{"note":"{path}"}}"#)));
        let fixture = Self {
            server: Arc::new(server),
            config: Config {
                workers: 4,
                timeout: Duration::from_secs(5),
                backoff: Duration::from_millis(1),
                linger: Duration::from_millis(1),
                ..Config::default()
            },
            folder: tempfile::tempdir().unwrap(),
        };
        fixture
            .connection()
            .batch_execute(
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT NOT NULL);
                 CREATE TABLE outcomes (seq INTEGER PRIMARY KEY, id INTEGER, outcome TEXT, kind TEXT);",
            )
            .unwrap();
        fixture
    }

    /// Answers the requests for this id with these replies in order. The last reply repeats.
    pub(crate) fn on(&self, id: i64, replies: impl IntoIterator<Item = Reply>) {
        self.server.on(format!("/{id}"), replies);
    }

    /// From now on every answer waits for the returned latch.
    pub(crate) fn hold_answers(&self) -> Latch {
        let latch = Latch::new();
        let holding = latch.clone();
        self.server
            .otherwise(move |_| Reply::json("{}").held_by(&holding));
        latch
    }

    /// How many requests there were for this id.
    pub(crate) fn hits(&self, id: i64) -> usize {
        self.server.hits(&format!("/{id}"))
    }

    pub(crate) fn database_file(&self) -> PathBuf {
        self.folder.path().join("notes.db")
    }

    /// A pipeline from the server to the database file, with the fixture's settings.
    pub(crate) async fn pipeline(&self) -> Pipeline<i64> {
        self.builder().start().await.unwrap()
    }

    pub(crate) fn builder(&self) -> Builder<NotesSource, NotesSink> {
        self.builder_of(self.source(), NotesSink)
    }

    /// The notes of the server.
    pub(crate) fn source(&self) -> NotesSource {
        NotesSource::at(self.server.url())
    }

    /// A pipeline from `source` to `sink`, with the fixture's settings and database file.
    pub(crate) fn builder_of<S, K>(&self, source: S, sink: K) -> Builder<S, K>
    where
        S: Source,
        K: Sink<Id = S::Id, Record = S::Record>,
    {
        Builder::new(source, sink)
            .config(self.config.clone())
            .database(self.database_file())
    }

    /// Runs these ids in a pipeline of their own.
    pub(crate) fn ingest(&self, ids: RangeInclusive<i64>) -> Report<i64> {
        self.ingest_list(ids.collect())
    }

    pub(crate) fn ingest_list(&self, ids: Vec<i64>) -> Report<i64> {
        in_system(async { self.pipeline().await.run(ids).await.unwrap() })
    }

    /// Waits until this many requests are in flight. It waits on a blocking thread, so the pipeline goes on.
    pub(crate) async fn wait_in_flight(&self, count: usize) {
        let server = self.server.clone();
        actix_rt::task::spawn_blocking(move || server.wait_in_flight(count))
            .await
            .unwrap();
    }

    /// Waits until this many requests have come in total. It waits on a blocking thread, so the pipeline goes on.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        let server = self.server.clone();
        actix_rt::task::spawn_blocking(move || server.wait_for(|stats| stats.requests >= count))
            .await
            .unwrap();
    }

    pub(crate) fn connection(&self) -> SqliteConnection {
        connection(&self.database_file())
    }

    /// When the server read each request, in their order.
    pub(crate) fn request_times(&self) -> Vec<Instant> {
        let requests = self.server.requests();
        requests.iter().map(|request| request.at).collect()
    }

    /// Counts rows, as in `count_rows("notes WHERE id = 1")`.
    pub(crate) fn count_rows(&self, table_and_condition: &str) -> u64 {
        let query = format!("SELECT count(*) AS number FROM {table_and_condition}");
        number(&mut self.connection(), &query)
    }

    /// Asserts that every requested id is accounted for, and that the database holds what the report says.
    pub(crate) fn check_report(&self, report: &Report<i64>) {
        self.check_reports([report]);
    }

    /// The same for all runs on the database together.
    pub(crate) fn check_reports<'a>(&self, reports: impl IntoIterator<Item = &'a Report<i64>>) {
        let (mut stored, mut absent, mut failed) = (0, 0, 0);
        for Report { totals, .. } in reports {
            assert_eq!(
                totals.requested,
                totals.stored + totals.absent + totals.failed + totals.not_attempted,
                "requested = stored + absent + failed + not attempted: {totals:?}"
            );
            stored += totals.stored;
            absent += totals.absent;
            failed += totals.failed;
        }
        for (outcome, reported) in [("stored", stored), ("absent", absent), ("failed", failed)] {
            let written = self.count_rows(&format!("outcomes WHERE outcome = '{outcome}'"));
            assert_eq!(
                written, reported,
                "{outcome}, in the database and in the reports"
            );
        }
    }
}

/// A stream of the ids that are sent through the channel.
pub(crate) fn pushed_ids() -> (
    UnboundedSender<i64>,
    impl Stream<Item = i64> + Send + 'static,
) {
    let (ids, receiver) = unbounded_channel();
    let stream = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|id| (id, receiver))
    });
    (ids, stream)
}

/// How long all attempts had failed, if that ended the run.
pub(crate) fn out_for(report: &Report<i64>) -> Option<Duration> {
    match report.gave_up {
        Some(GaveUp::ApiOut { failing_for, .. }) => Some(failing_for),
        _ => None,
    }
}

/// Why nothing more could be stored, if that ended the run.
pub(crate) fn storage_lost(report: &Report<i64>) -> Option<&str> {
    match &report.gave_up {
        Some(GaveUp::StorageLost(why) | GaveUp::StorageBusy(why)) => Some(why),
        _ => None,
    }
}

pub(crate) fn connection(file: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
    conn
}

fn number(conn: &mut SqliteConnection, query: &str) -> u64 {
    #[derive(QueryableByName)]
    struct NumberRow {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let row: NumberRow = sql_query(query).get_result(conn).unwrap();
    u64::try_from(row.number).unwrap()
}

/// The kind of an id's failure and its attempts, as the report names them.
pub(crate) fn failure(report: &Report<i64>, id: i64) -> (&'static str, u32) {
    let failed = report.failures.iter().find(|failed| failed.id == id);
    failed.map(|failed| (failed.kind, failed.attempts)).unwrap()
}

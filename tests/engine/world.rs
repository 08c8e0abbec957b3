//! A small API of notes and the tables that they go to, so that a test reads as what it promises.

use std::{
    future::Future,
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
use hn_ingest::{
    Builder, Config, DecodeError, Outcome, Pipeline, Report, Settled, Sink, Source,
    test_util::{Gate, Reply, ScriptedServer},
};
use tempfile::TempDir;

/// Ids with a part of their own in a test: each does harm in one place.
pub(crate) const PANICS_IN_URL: i64 = 9001;
pub(crate) const PANICS_IN_DECODE: i64 = 9002;
pub(crate) const PANICS_IN_WRITE: i64 = 9003;
pub(crate) const VIOLATES_A_CONSTRAINT: i64 = 9004;
/// Not even its failure can be written.
pub(crate) const PANICS_ALWAYS: i64 = 9005;

/// Notes at `/ID`: any JSON is a note, `null` is none.
pub(crate) struct Notes {
    pub(crate) base: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Source for Notes {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        assert_ne!(*id, PANICS_IN_URL, "no URL for this one");
        format!("{}/{id}", self.base)
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    fn is_absent(&self, status: u16) -> bool {
        status == 410
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        assert_ne!(*id, PANICS_IN_DECODE, "cannot decode this one");
        let value: serde_json::Value = serde_json::from_slice(body).map_err(DecodeError::new)?;
        Ok((!value.is_null()).then(|| value.to_string()))
    }
}

/// Keeps notes in `notes`, and every outcome that was ever written in `outcomes`.
pub(crate) struct Shelf;

impl Sink for Shelf {
    type Id = i64;
    type Record = String;
    type Connection = SqliteConnection;

    fn write(
        &self,
        conn: &mut SqliteConnection,
        batch: &[Settled<i64, String>],
    ) -> QueryResult<()> {
        for Settled { id, outcome, .. } in batch {
            assert_ne!(*id, PANICS_ALWAYS, "cannot write anything of this one");
            let (name, kind, note) = match outcome {
                Outcome::Stored(_) if *id == PANICS_IN_WRITE => panic!("cannot write this one"),
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
pub(crate) struct World {
    pub(crate) server: Arc<ScriptedServer>,
    pub(crate) config: Config,
    folder: TempDir,
}

impl World {
    /// Every note answers at once, and nothing waits long.
    pub(crate) fn new() -> Self {
        let server = ScriptedServer::start();
        server.otherwise(|path| Reply::json(format!(r#"{{"note":"{path}"}}"#)));
        let world = Self {
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
        world
            .connection()
            .batch_execute(
                "CREATE TABLE notes (id INTEGER PRIMARY KEY, note TEXT NOT NULL);
                 CREATE TABLE outcomes (seq INTEGER PRIMARY KEY, id INTEGER, outcome TEXT, kind TEXT);",
            )
            .unwrap();
        world
    }

    pub(crate) fn on(&self, id: i64, replies: impl IntoIterator<Item = Reply>) {
        self.server.on(format!("/{id}"), replies);
    }

    /// Every answer waits for this gate.
    pub(crate) fn hold_answers(&self) -> Gate {
        let gate = Gate::new();
        let held = gate.clone();
        self.server
            .otherwise(move |_| Reply::json("{}").held_by(&held));
        gate
    }

    pub(crate) fn hits(&self, id: i64) -> usize {
        self.server.hits(&format!("/{id}"))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("notes.db")
    }

    pub(crate) async fn pipeline(&self) -> Pipeline<i64> {
        self.builder().database(self.file()).start().await.unwrap()
    }

    pub(crate) fn builder(&self) -> Builder<Notes, Shelf> {
        let source = Notes {
            base: self.server.url(),
            headers: vec![],
        };
        Builder::new(source, Shelf).config(self.config.clone())
    }

    /// One run from start to report.
    pub(crate) fn ingest(&self, ids: RangeInclusive<i64>) -> Report<i64> {
        self.ingest_list(ids.collect())
    }

    pub(crate) fn ingest_list(&self, ids: Vec<i64>) -> Report<i64> {
        in_system(async { self.pipeline().await.run(ids).await.unwrap() })
    }

    /// Waits on a thread of its own, so that the pipeline goes on, until so many requests are in flight.
    pub(crate) async fn in_flight(&self, count: usize) {
        let server = self.server.clone();
        actix_rt::task::spawn_blocking(move || server.wait_in_flight(count))
            .await
            .unwrap();
    }

    /// Waits likewise until so many requests came in all.
    pub(crate) async fn requested(&self, count: usize) {
        let server = self.server.clone();
        actix_rt::task::spawn_blocking(move || server.wait_for(|stats| stats.requests >= count))
            .await
            .unwrap();
    }

    pub(crate) fn connection(&self) -> SqliteConnection {
        connection(&self.file())
    }

    /// When each request came, in their order.
    pub(crate) fn times(&self) -> Vec<Instant> {
        let requests = self.server.requests();
        requests.iter().map(|request| request.at).collect()
    }

    pub(crate) fn count(&self, table_and_condition: &str) -> u64 {
        let query = format!("SELECT count(*) AS number FROM {table_and_condition}");
        number(&mut self.connection(), &query)
    }

    /// What the database holds, against what a report says: invariants 1 and 2.
    pub(crate) fn check(&self, report: &Report<i64>) {
        let totals = &report.totals;
        assert_eq!(
            totals.requested,
            totals.stored + totals.absent + totals.failed + totals.not_attempted,
            "requested = stored + absent + failed + not attempted: {totals:?}"
        );
        for (outcome, told) in [
            ("stored", totals.stored),
            ("absent", totals.absent),
            ("failed", totals.failed),
        ] {
            let held = self.count(&format!("outcomes WHERE outcome = '{outcome}'"));
            assert_eq!(
                held, told,
                "{outcome}, in the database and in the report: {totals:?}"
            );
        }
    }
}

pub(crate) fn connection(file: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
    conn
}

fn number(conn: &mut SqliteConnection, query: &str) -> u64 {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    let row: Row = sql_query(query).get_result(conn).unwrap();
    u64::try_from(row.number).unwrap()
}

pub(crate) fn in_system<F: Future>(work: F) -> F::Output {
    actix_rt::System::new().block_on(work)
}

/// Which failure an id's report names, with its attempts.
pub(crate) fn failure(report: &Report<i64>, id: i64) -> (&'static str, u32) {
    let failed = report.failures.iter().find(|failed| failed.id == id);
    failed.map(|failed| (failed.kind, failed.attempts)).unwrap()
}

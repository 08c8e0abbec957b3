//! The fixture of these tests: a database, an API, and the binary that runs with both.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::{Duration, Instant, SystemTime},
};

use diesel::{Connection, QueryDsl, RunQueryDsl, SqliteConnection, connection::SimpleConnection};
use hn_ingest::{
    Failure, FailureKind, Outcome, Settled, Sink,
    hn::{
        HnSink, Item, migrations,
        schema::{coverage, failures},
    },
    test_util::{Reply, ScriptedServer},
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NO_IDS: [i64; 0] = [];

/// The database of a mirror, and the API that it is a mirror of.
pub(crate) struct Mirror {
    /// Holds the database file, and is deleted with the fixture.
    folder: TempDir,
    pub(crate) api: ScriptedServer,
}

impl Mirror {
    /// The API has the ids up to `max_item`. Each is a comment, but every hundredth one is absent. There is no database yet.
    pub(crate) fn new(max_item: i64) -> Self {
        let api = ScriptedServer::start();
        api.on("/v0/maxitem.json", [Reply::json(max_item.to_string())]);
        api.otherwise(|path| match id_of(path) {
            Some(id) if id % 100 != 0 => Reply::json(comment(id)),
            _ => Reply::json("null"),
        });
        let folder = TempDir::new().unwrap();
        Self { folder, api }
    }

    /// Answers the requests for an item with these replies in order. The last reply repeats.
    pub(crate) fn answer_item(&self, id: i64, replies: impl IntoIterator<Item = Reply>) {
        self.api.on(format!("/v0/item/{id}.json"), replies);
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("hn.db")
    }

    pub(crate) fn connect(&self) -> SqliteConnection {
        SqliteConnection::establish(&self.database().to_string_lossy()).unwrap()
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// The binary with these arguments. It writes its report as JSON.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hn-ingest"));
        command
            .env_clear()
            .env("DATABASE_URL", self.database())
            .env("INGEST_API_URL", format!("{}/v0", self.api.url()))
            .env("INGEST_PROGRESS", "never")
            .env("INGEST_FORMAT", "json")
            .env("INGEST_BACKOFF", "1ms")
            .args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> CommandResult {
        CommandResult::new(&self.command(args).output().unwrap())
    }

    /// Waits until the database is so.
    pub(crate) fn wait_until(&self, mut is_so: impl FnMut(&mut SqliteConnection) -> bool) {
        let began = Instant::now();
        let mut conn = self.connect();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        while !is_so(&mut conn) {
            assert!(began.elapsed() < Duration::from_secs(30), "not in time");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How often each id was requested so far.
    pub(crate) fn request_counts(&self) -> BTreeMap<i64, usize> {
        let mut counts = BTreeMap::new();
        for request in self.api.requests() {
            if let Some(id) = id_of(&request.path) {
                *counts.entry(id).or_default() += 1;
            }
        }
        counts
    }

    /// Runs a command. Returns the ids that it requested, in order.
    pub(crate) fn ids_requested_by(&self, args: &[&str]) -> Vec<i64> {
        let before = self.api.requests().len();
        let result = self.run(args);
        assert!(result.exit_code < 2, "{result:?}");
        let requests = self.api.requests().split_off(before);
        let ids = requests.iter().filter_map(|request| id_of(&request.path));
        ids.collect()
    }

    /// The first and the last id of each covered range.
    pub(crate) fn covered_ranges(&self) -> Vec<(i64, i64)> {
        let ranges = coverage::table.order(coverage::lo);
        ranges.load(&mut self.connect()).unwrap()
    }

    pub(crate) fn failed_ids(&self) -> Vec<i64> {
        let ids = failures::table.select(failures::id).order(failures::id);
        ids.load(&mut self.connect()).unwrap()
    }

    /// Fills the database without the API. The ids 1 to 100 are settled and covered: 40 is absent, 50 has failed, and the others
    /// are stored. 2 is a comment on the story 1.
    pub(crate) fn fill_database(&self) {
        let mut conn = self.connect();
        migrations::run(&mut conn).unwrap();
        let story = r#"{"id":1,"type":"story","title":"<b>","kids":[2],"new":{"a":1}}"#;
        let kid = r#"{"id":2,"type":"comment","parent":1,"text":"a"}"#;
        let batch = (1..=100).map(|id| match id {
            1 => row(id, stored_item(story)),
            2 => row(id, stored_item(kid)),
            40 => row(id, Outcome::Absent),
            50 => row(id, failed_outcome()),
            _ => row(id, stored_item(&comment(id))),
        });
        let batch: Vec<_> = batch.collect();
        let sink = HnSink::with_coverage(1_000);
        sink.write(&mut conn, &batch).unwrap();
    }
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub(crate) struct CommandResult {
    pub(crate) exit_code: i32,
    /// Its standard output, or `null` if that is not JSON.
    pub(crate) report: Value,
    pub(crate) stderr: String,
}

impl CommandResult {
    pub(crate) fn new(output: &Output) -> Self {
        Self {
            exit_code: output.status.code().unwrap(),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What `verify` found.
pub(crate) struct Verification {
    pub(crate) mirror: Mirror,
    pub(crate) faults: Value,
    pub(crate) notes: Value,
}

/// Executes `sql` on a sound database and runs `verify`. Its exit code must fit the faults.
pub(crate) fn verify_after(sql: &str) -> Verification {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    mirror.execute(sql);
    let result = mirror.run(&["verify"]);
    let faults = result.report["faults"].clone();
    let notes = result.report["notes"].clone();
    assert_eq!(
        result.exit_code,
        i32::from(faults != json!([])),
        "{result:?}"
    );
    Verification {
        mirror,
        faults,
        notes,
    }
}

/// A list in a report that is short enough to be complete.
pub(crate) fn complete_list(count: u64, listed: &Value) -> Value {
    json!({"count": count, "listed": listed, "cut": false})
}

/// The id of an item's path.
pub(crate) fn id_of(path: &str) -> Option<i64> {
    let id = path.strip_prefix("/v0/item/")?.strip_suffix(".json")?;
    id.parse().ok()
}

/// The JSON of a comment.
pub(crate) fn comment(id: i64) -> String {
    let text = format!("text {id}");
    json!({"id": id, "type": "comment", "by": "ann", "time": id, "text": text}).to_string()
}

/// The outcome of an item with this JSON.
pub(crate) fn stored_item(json: &str) -> Outcome<Item> {
    let id = serde_json::from_str::<Value>(json).unwrap()["id"].as_i64();
    let item = Item::decode(id.unwrap(), json.as_bytes()).unwrap();
    Outcome::Stored(item.unwrap())
}

/// A failure whose message holds a control character.
pub(crate) fn failed_outcome() -> Outcome<Item> {
    Outcome::Failed(Failure::new(FailureKind::Timeout, "too slow\u{1b}", 4))
}

/// An outcome whose answer was received now.
pub(crate) fn row(id: i64, outcome: Outcome<Item>) -> Settled<i64, Item> {
    Settled::new(id, outcome, SystemTime::now())
}

//! What the tests of the binary share: a folder to run it in, an API to run it against, and a look into its database.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::Text,
};
use hn_ingest::test_util::{Reply, ScriptedServer};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Much longer than any run of a test takes: past it a run counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// An empty folder, and the binary run in it with no variable of the tester's.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Names of all that lies in it, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hn-ingest"));
        command
            .args(args)
            .env_clear()
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Running::start(&mut self.command(args)).wait()
    }

    /// Runs it against an API, with a JSON report and backoffs that do not hold up a test.
    pub(crate) fn ingest(&self, api: &Api, args: &[&str]) -> Ran {
        Running::start(&mut self.ingesting(api, args)).wait()
    }

    pub(crate) fn ingesting(&self, api: &Api, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.args(["--api-url", &api.url(), "--format", "json"]);
        if !args.contains(&"--backoff") {
            command.args(["--backoff", "1ms"]);
        }
        command
    }

    pub(crate) fn db(&self, name: &str) -> Db {
        let path = self.path(name);
        assert!(path.exists(), "there is no {name}");
        Db(SqliteConnection::establish(path.to_str().unwrap()).unwrap())
    }
}

/// The binary under way. It is killed if the test ends first.
pub(crate) struct Running {
    pub(crate) child: Option<Child>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self {
            child: Some(command.spawn().unwrap()),
        }
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end and takes what it said.
    pub(crate) fn wait(self) -> Ran {
        self.wait_within(PATIENCE)
    }

    pub(crate) fn wait_within(mut self, patience: Duration) -> Ran {
        let child = self.child.take().unwrap();
        let id = child.id();
        let (sender, receiver) = mpsc::channel();
        let waiter = thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(patience) else {
            signal(id, "KILL");
            let _ = waiter.join();
            panic!("it did not end within {patience:?}");
        };
        Ran::new(output.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn signal(id: u32, name: &str) {
    let sent = Command::new("/bin/kill")
        .args([&format!("-{name}"), &id.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.expect("the tests need /bin/kill");
}

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The JSON report, which must add up.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let report: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no report: {error}: {self:?}"));
        let count = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key}"));
        let settled = count("stored") + count("absent") + count("failed");
        assert_eq!(
            count("requested"),
            settled + count("not_attempted"),
            "{report}"
        );
        report
    }

    /// Ended before it began, with one message, which holds all of this.
    #[track_caller]
    pub(crate) fn refuses(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let told = &self.stderr;
        let heads = ["hn-ingest: ", "error: "];
        let messages = told
            .lines()
            .filter(|line| heads.iter().any(|head| line.starts_with(head)));
        assert_eq!(messages.count(), 1, "one message: {self:?}");
        if told.starts_with("hn-ingest: ") {
            assert_eq!(told.lines().count(), 1, "one line: {self:?}");
        }
        for never in ["panicked", "stack backtrace", "internal error", ".rs:"] {
            assert!(!told.contains(never), "{never}: {self:?}");
        }
        for part in parts {
            assert!(told.contains(part), "`{part}` is missing: {self:?}");
        }
    }
}

/// `stored`, `absent`, `failed` and `not_attempted` of a report.
pub(crate) fn counts(report: &Value) -> [u64; 4] {
    ["stored", "absent", "failed", "not_attempted"].map(|key| report[key].as_u64().unwrap())
}

/// An API that plays what the test says. What it was not told of is 404.
pub(crate) struct Api(pub(crate) ScriptedServer);

impl Api {
    pub(crate) fn new() -> Self {
        Self(ScriptedServer::start())
    }

    /// Serves a story with its id as its score for every id.
    pub(crate) fn of_stories() -> Self {
        let api = Self::new();
        api.0.otherwise(|path| match id_of(path) {
            Some(id) => Reply::json(story(id, id)),
            None => Reply::status(404),
        });
        api
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/v0", self.0.url())
    }

    pub(crate) fn list(&self, name: &str, ids: impl IntoIterator<Item = i64>) {
        let ids: Vec<_> = ids.into_iter().collect();
        let body = json!(ids).to_string();
        self.0
            .on(format!("/v0/{name}stories.json"), [Reply::json(body)]);
    }

    pub(crate) fn item(&self, id: i64, replies: impl IntoIterator<Item = Reply>) {
        self.0.on(item_path(id), replies);
    }

    pub(crate) fn hits(&self, id: i64) -> usize {
        self.0.hits(&item_path(id))
    }
}

pub(crate) fn item_path(id: i64) -> String {
    format!("/v0/item/{id}.json")
}

pub(crate) fn id_of(path: &str) -> Option<i64> {
    let id = path.strip_prefix("/v0/item/")?.strip_suffix(".json")?;
    id.parse().ok()
}

pub(crate) fn story(id: i64, score: i64) -> String {
    json!({"id": id, "type": "story", "by": "someone", "time": 1_700_000_000, "title": format!("Story {id}"), "score": score})
        .to_string()
}

/// A database, read and written behind the binary's back.
pub(crate) struct Db(SqliteConnection);

impl Db {
    /// The rows of `SELECT columns FROM rest`, each as an array.
    #[track_caller]
    pub(crate) fn rows(&mut self, columns: &str, rest: &str) -> Value {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            row: String,
        }
        let query = format!("SELECT json_array({columns}) AS row FROM {rest}");
        let rows: Vec<Row> = sql_query(query).load(&mut self.0).unwrap();
        rows.iter()
            .map(|row| serde_json::from_str::<Value>(&row.row).unwrap())
            .collect()
    }

    /// One column of all rows.
    #[track_caller]
    pub(crate) fn column(&mut self, column: &str, rest: &str) -> Value {
        let rows = self.rows(column, rest);
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row[0].clone())
            .collect()
    }

    #[track_caller]
    pub(crate) fn count(&mut self, table: &str) -> u64 {
        self.column("1", table).as_array().unwrap().len() as u64
    }

    /// What a query for one number gives.
    #[track_caller]
    pub(crate) fn number(&mut self, query: &str) -> u64 {
        self.column(&format!("({query})"), "(SELECT 1)")[0]
            .as_u64()
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn execute(&mut self, sql: &str) {
        self.0.batch_execute(sql).unwrap();
    }
}

/// A database that the binary has nothing to do with.
pub(crate) fn foreign_database(path: &std::path::Path) -> Db {
    Db(SqliteConnection::establish(path.to_str().unwrap()).unwrap())
}

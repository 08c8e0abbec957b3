//! A small mirror to look at, made up by hand, and a server over it.

use std::{
    path::PathBuf,
    process::Command,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use hn_ingest::{
    Outcome, Settled, Sink,
    diesel::{Connection, SqliteConnection, connection::SimpleConnection},
    hn::{HnSink, Item, List, User, UserSink, migrations},
    serve::{ServeConfig, Server},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// A database file of a test's own.
pub(crate) struct Mirror(TempDir);

impl Mirror {
    /// The tables, without rows.
    pub(crate) fn empty() -> Self {
        let mirror = Self(TempDir::new().unwrap());
        let mut conn = SqliteConnection::establish(mirror.path().to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA journal_mode = WAL").unwrap();
        migrations::run(&mut conn).unwrap();
        mirror
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("hn.db")
    }

    fn connect(&self) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(self.path().to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        conn
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// Stores items as a run does, received this long ago.
    pub(crate) fn store_received(&self, ago: Duration, items: impl IntoIterator<Item = Value>) {
        let batch = items.into_iter().map(|body| {
            let id = body["id"].as_i64().unwrap();
            let item = Item::decode(id, body.to_string().as_bytes()).unwrap();
            let outcome = item.map_or(Outcome::Absent, Outcome::Stored);
            Settled::new(id, outcome, SystemTime::now() - ago)
        });
        let batch: Vec<_> = batch.collect();
        HnSink::new().write(&mut self.connect(), &batch).unwrap();
    }

    pub(crate) fn store(&self, items: impl IntoIterator<Item = Value>) {
        self.store_received(Duration::ZERO, items);
    }

    pub(crate) fn store_user(&self, body: Value) {
        let name = body["id"].as_str().unwrap().to_owned();
        let user = User::decode(&name, body.to_string().as_bytes())
            .unwrap()
            .unwrap();
        let row = Settled::new(name, Outcome::Stored(user), SystemTime::now());
        UserSink::new().write(&mut self.connect(), &[row]).unwrap();
    }

    pub(crate) fn store_list(&self, list: List, ids: &[i64]) {
        list.keep(&mut self.connect(), ids).unwrap();
    }

    fn build_search_index(&self) {
        let program = env!("CARGO_BIN_EXE_hn-ingest");
        let mut build = Command::new(program);
        build.args(["search", "--build", "--database"]);
        let built = build.arg(self.path()).output().unwrap();
        assert!(built.status.success(), "{built:?}");
    }

    /// Serves it at a free port until the server is dropped.
    pub(crate) fn serve(self) -> Served {
        let (started, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let path = self.path();
        let thread = thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let mut config = ServeConfig::default();
                config.address.set_port(0);
                config.threads = 1;
                let server = Server::new(path).config(config).start().await.unwrap();
                started.send(server.address().to_string()).unwrap();
                let _ = stopped.await;
                server.stop().await;
            });
        });
        Served {
            address: address.recv().unwrap(),
            mirror: self,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

/// A server on a thread of its own.
pub(crate) struct Served {
    pub(crate) address: String,
    pub(crate) mirror: Mirror,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

/// This long ago, in Unix seconds.
pub(crate) fn ago(minutes: u64) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs() - minutes * 60
}

/// A mirror with something of each kind: a front page, a thread, a poll, a job, a user, and earlier versions.
pub(crate) fn made_up() -> Mirror {
    let mirror = Mirror::empty();
    let titles = [
        (
            "A small database that fits in one file, and why that is enough",
            "https://tidewater.example/one-file",
            412,
            9,
        ),
        (
            "Show HN: I built a lighthouse tracker for sailors without internet",
            "https://github.com/mariner/lighthouse",
            287,
            3,
        ),
        (
            "The long tail of a slow query",
            "https://www.lanternpost.example/slow-query",
            198,
            1,
        ),
        (
            "Ask HN: How do you keep notes that you still read a year later?",
            "",
            176,
            2,
        ),
        (
            "What a bus timetable taught me about distributed systems",
            "https://notes.harbour.example/timetable",
            154,
            0,
        ),
        (
            "Rust actors at a hundred thousand messages per second",
            "https://quietcode.example/actors",
            143,
            0,
        ),
        (
            "A field guide to error messages",
            "https://plainwords.example/errors",
            121,
            0,
        ),
        (
            "Mapping every public drinking fountain in one weekend",
            "https://fountains.example/",
            98,
            0,
        ),
        (
            "Back-pressure is a conversation",
            "https://quietcode.example/back-pressure",
            87,
            0,
        ),
        (
            "The compiler that explains itself",
            "https://compilers.example/explain",
            64,
            0,
        ),
        (
            "Letters from a 1970s machine room",
            "https://archive.example/letters",
            41,
            0,
        ),
    ];
    let items = titles.iter().zip(1000..).map(|((title, url, score, comments), id)| {
        let mut item = json!({"id": id, "type": "story", "by": "harbourmaster", "time": ago(30 + 40 * (id - 1000)),
            "title": title, "score": score, "descendants": comments});
        if url.is_empty() {
            item["text"] = json!("I write a lot down and never look at it again.<p>What made you <i>return</i> to your notes?");
        } else {
            item["url"] = json!(url);
        }
        item
    });
    let mut items: Vec<Value> = items.collect();
    items[0]["kids"] = json!([1100, 1105, 1108, 1110]);
    let comment = |id: i64, by: &str, parent: i64, minutes: u64, text: &str, kids: &[i64]| {
        let mut item = json!({"id": id, "type": "comment", "by": by, "parent": parent, "time": ago(minutes), "text": text});
        if !kids.is_empty() {
            item["kids"] = json!(kids);
        }
        item
    };
    items.extend([
        comment(1100, "saltmarsh", 1000, 28, "We moved a service of ours to a single file two years ago. What surprised me most was not \
            the speed but the <i>calm</i>: a backup is a copy, a test is a copy, and a bug report is a copy.<p>The one thing to know is \
            that there is one writer at a time. Keep transactions short and it does not matter.", &[1101, 1103]),
        comment(1101, "ropewalk", 1100, 25, "How do you copy it while it is being written? I would be afraid of half a page.", &[1102]),
        comment(1102, "saltmarsh", 1101, 22, "It has a command for that:<p><pre><code>  VACUUM INTO 'backup.db';\n</code></pre>\
            It takes a snapshot, so writers go on meanwhile. See <a href=\"https:&#x2F;&#x2F;tidewater.example&#x2F;backups?a=1&amp;b=2\" \
            rel=\"nofollow\">https:&#x2F;&#x2F;tidewater.example&#x2F;backups?a=1&amp;b=2</a>.", &[]),
        comment(1103, "tern", 1100, 20, "&gt; a bug report is a copy<p>This. I have not written a reproduction in months.", &[1104]),
        json!({"id": 1104, "type": "comment", "parent": 1103, "time": ago(18), "deleted": true}),
        comment(1105, "fogbell", 1000, 24, "The article leaves out the case that most of us have: a few hundred writers that each write \
            a little. A queue in front of one writer solves it, and then you have back-pressure for free.", &[1106]),
        comment(1106, "harbourmaster", 1105, 16, "Author here. That is the next article; thank you for the outline!", &[1107]),
        json!({"id": 1107, "type": "comment", "by": "buoy99", "parent": 1106, "time": ago(12), "text": "First!!!", "dead": true}),
        comment(1108, "quay", 1000, 14, "Is there a limit at which you would stop?", &[1109]),
        // 1109 and 1110 are not stored.
    ]);
    items.extend([
        json!({"id": 1200, "type": "poll", "by": "harbourmaster", "time": ago(300), "title": "Poll: Where do your notes live?",
            "score": 61, "descendants": 0, "parts": [1201, 1202, 1203]}),
        json!({"id": 1201, "type": "pollopt", "by": "harbourmaster", "poll": 1200, "score": 34, "text": "In plain files"}),
        json!({"id": 1202, "type": "pollopt", "by": "harbourmaster", "poll": 1200, "score": 19, "text": "On paper"}),
        json!({"id": 1203, "type": "pollopt", "by": "harbourmaster", "poll": 1200, "score": 8, "text": "Nowhere &amp; everywhere"}),
        json!({"id": 1300, "type": "job", "by": "tidewater", "time": ago(600), "title": "Tidewater (remote) is hiring a database engineer",
            "text": "We keep small files safe."}),
    ]);
    mirror.store_received(Duration::from_secs(180), items);
    mirror.store([json!({"id": 1004, "type": "story", "by": "harbourmaster", "time": ago(190), "score": 160, "descendants": 0,
        "title": "What a bus timetable taught me about distributed systems (2019)", "url": "https://notes.harbour.example/timetable"})]);
    mirror.store_list(
        List::Top,
        &[
            1000, 1001, 1002, 1003, 1004, 1005, 1006, 1200, 1007, 9999, 1008, 1009, 1010, 1300,
        ],
    );
    mirror.store_list(List::Ask, &[1003]);
    mirror.store_list(List::Job, &[1300]);
    mirror.store_user(json!({"id": "harbourmaster", "created": 1_300_000_000, "karma": 10_482,
        "about": "I look after <i>small</i> files.<p>https:&#x2F;&#x2F;tidewater.example", "submitted": [1106, 1010, 1009, 1004, 1003, 1000]}));
    mirror.execute(
        "INSERT INTO coverage VALUES (1, 700), (741, 900), (1000, 1300);
         INSERT INTO absent VALUES (777, 1, 1, 1);
         INSERT INTO failures VALUES (730, 'timeout', 'no answer within 5s', 4, 1795000000), (735, 'status', 'status 403', 1, 1795000000);
         INSERT INTO runs (command, host, pid, machine, rate, started_at, heartbeat_at, finished_at, requested, stored, failed)
         VALUES ('backfill', 'pier', 4711, '', 0, unixepoch() - 7200, unixepoch() - 3600, unixepoch() - 3600, 1202, 1199, 2);
         INSERT INTO runs (command, host, pid, machine, rate, started_at, heartbeat_at, ids_per_second, last_id)
         VALUES ('backfill', 'pier', 4712, '', 0, unixepoch() - 60, unixepoch(), 35, 1400);
         INSERT INTO leases VALUES (1301, 1400, 2, unixepoch() + 30);",
    );
    mirror.build_search_index();
    mirror
}

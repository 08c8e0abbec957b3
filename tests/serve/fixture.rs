//! What these tests serve: a mirror of the mock API, a mirror of a test's own items, and the mock API itself.

use std::{
    path::PathBuf,
    sync::{LazyLock, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use hn_ingest::{
    Outcome, Settled, Sink,
    hn::{HnSink, Item, List, User, UserSink, migrations},
    mock_api::{Live, MockApi},
    serve::{Changes, ServeConfig, Server},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// When the records of a mirror were received.
pub(crate) const FETCHED_AT: u64 = 1_795_000_000;

/// The largest id of the made-up items.
pub(crate) const MAX_ITEM: i64 = 2_000;

/// A database file of a test's own.
pub(crate) struct Mirror {
    folder: TempDir,
}

impl Mirror {
    /// The tables, without rows.
    pub(crate) fn empty() -> Self {
        let mirror = Self {
            folder: TempDir::new().unwrap(),
        };
        let mut conn = SqliteConnection::establish(mirror.path().to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA journal_mode = WAL").unwrap();
        migrations::run(&mut conn).unwrap();
        mirror
    }

    /// Holds what the mock API serves.
    pub(crate) fn of_mock_api() -> Self {
        static RECORDS: LazyLock<MadeUp> = LazyLock::new(MadeUp::read);
        let mirror = Self::empty();
        mirror.store_items((1..).zip(RECORDS.items.iter().cloned()));
        for (name, user) in &RECORDS.users {
            mirror.store_user(name, user);
        }
        let mut conn = mirror.connect();
        for (list, ids) in &RECORDS.lists {
            list.keep(&mut conn, ids).unwrap();
        }
        mirror
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("hn.db")
    }

    pub(crate) fn connect(&self) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(self.path().to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        conn
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// Stores these bodies as a run does. `null` is an absent item.
    pub(crate) fn store_items(&self, bodies: impl IntoIterator<Item = (i64, String)>) {
        let batch = bodies.into_iter().map(|(id, body)| {
            let item = Item::decode(id, body.as_bytes()).unwrap();
            let outcome = item.map_or(Outcome::Absent, Outcome::Stored);
            Settled::new(id, outcome, received_at())
        });
        let batch: Vec<_> = batch.collect();
        HnSink::new().write(&mut self.connect(), &batch).unwrap();
    }

    pub(crate) fn store_user(&self, name: &str, body: &str) {
        let user = User::decode(name, body.as_bytes()).unwrap().unwrap();
        let row = Settled::new(name.to_owned(), Outcome::Stored(user), received_at());
        UserSink::new().write(&mut self.connect(), &[row]).unwrap();
    }

    pub(crate) fn serve(&self) -> Served {
        self.serve_with(|_| {})
    }

    /// Serves it, and keeps it as long as it is served.
    pub(crate) fn into_served(self) -> Served {
        let mut served = self.serve();
        served.mirror = Some(self);
        served
    }

    /// Serves it at a free port, with settings that `change` makes.
    pub(crate) fn serve_with(&self, change: impl FnOnce(&mut ServeConfig)) -> Served {
        let mut config = ServeConfig::default();
        config.address.set_port(0);
        config.threads = 1;
        config.look_every = Duration::from_millis(5);
        change(&mut config);
        let server = Server::new(self.path()).config(config);
        Served::start(move || async move {
            let server = server.start().await.unwrap();
            let address = server.address().to_string();
            (address, Some(server.changes()), async {
                server.stop().await;
            })
        })
    }
}

/// What the mock API serves.
struct MadeUp {
    /// From id 1 on.
    items: Vec<String>,
    users: Vec<(String, String)>,
    lists: Vec<(List, Vec<i64>)>,
}

impl MadeUp {
    fn read() -> Self {
        let api = mock_api();
        let json = |path: String| api.json_at(&path, UNIX_EPOCH);
        let updates: Value = serde_json::from_str(&json("updates".into())).unwrap();
        let names = updates["profiles"].as_array().unwrap().iter();
        let users = names.map(|name| {
            let name = name.as_str().unwrap().to_owned();
            let user = json(format!("user/{name}"));
            (name, user)
        });
        let lists = List::ALL.into_iter().map(|list| {
            let ids = json(format!("{}stories", list.name()));
            (list, serde_json::from_str(&ids).unwrap())
        });
        Self {
            items: (1..=MAX_ITEM)
                .map(|id| json(format!("item/{id}")))
                .collect(),
            users: users.collect(),
            lists: lists.collect(),
        }
    }
}

fn received_at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(FETCHED_AT)
}

fn mock_api() -> MockApi {
    MockApi {
        max_item: MAX_ITEM,
        ..MockApi::default()
    }
}

/// A server on a thread of its own, until it is dropped.
pub(crate) struct Served {
    pub(crate) address: String,
    changes: Option<Changes>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The mirror that it serves, if nobody else holds it.
    mirror: Option<Mirror>,
}

impl Served {
    /// The mock API, with the same records as [`Mirror::of_mock_api`].
    pub(crate) fn mock_api() -> Self {
        Self::start_mock_api(mock_api())
    }

    /// The mock API with event streams.
    pub(crate) fn live_mock_api() -> Self {
        Self::start_mock_api(mock_api().live(Live::new("1/d".parse().unwrap())))
    }

    fn start_mock_api(api: MockApi) -> Self {
        Self::start(move || async move {
            let api = api.start().await.unwrap();
            let url = api.url();
            let address = url.strip_prefix("http://").unwrap();
            let address = address.strip_suffix("/v0").unwrap().to_owned();
            (address, None, async {
                api.stop().await;
            })
        })
    }

    fn start<A, S>(start: impl FnOnce() -> A + Send + 'static) -> Self
    where
        A: Future<Output = (String, Option<Changes>, S)>,
        S: Future<Output = ()>,
    {
        let (started, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            actix_rt::System::new().block_on(async {
                let (address, changes, end) = start().await;
                started.send((address, changes)).unwrap();
                let _ = stopped.await;
                end.await;
            });
        });
        let (address, changes) = address.recv().unwrap();
        Self {
            address,
            changes,
            stop: Some(stop),
            thread: Some(thread),
            mirror: None,
        }
    }

    /// Where a pipeline in the process would tell what it commits.
    pub(crate) fn changes(&self) -> &Changes {
        self.changes.as_ref().unwrap()
    }

    /// Stops it in order, and waits for its end.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Begins to stop it.
    pub(crate) fn begin_to_stop(&mut self) {
        drop(self.stop.take());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The thread ends with the process, if it does not end before.
        drop(self.stop.take());
    }
}

/// The two servers that keep the contract, each with the same made-up records.
pub(crate) fn both() -> [(&'static str, Served); 2] {
    [
        ("mock-api", Served::mock_api()),
        ("serve", Mirror::of_mock_api().into_served()),
    ]
}

//! `follow`: what is new and what changes reaches the database, whatever ends the process or the streams.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use hn_ingest::mock_api::{Clock, ItemRate, Live, MockApi, RunningMockApi, StreamEnd, Streams};
use serde_json::Value;
use tempfile::TempDir;

/// A live API whose clock the test moves, and the database of a mirror.
struct World {
    folder: TempDir,
    api: MockApi,
    clock: Clock,
    /// Runs on a thread of its own.
    url: String,
    orders: std::sync::mpsc::Sender<Order>,
}

/// What the thread of the API is to do.
enum Order {
    EndStreams(StreamEnd),
    Stop,
}

/// The largest id at the start.
const FIRST_MAX: i64 = 5_000;

impl World {
    /// It adds an item a minute.
    fn new(streams: Streams) -> Self {
        let clock = Clock::manual(SystemTime::now());
        let rate: ItemRate = "1/min".parse().unwrap();
        let live = Live::new(rate).clock(clock.clone()).streams(streams);
        let api = MockApi {
            max_item: FIRST_MAX,
            ..MockApi::default()
        }
        .live(live);
        let (orders, received) = std::sync::mpsc::channel();
        let (started, url) = std::sync::mpsc::channel();
        let served = api.clone();
        thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let running: RunningMockApi = served.start().await.unwrap();
                started.send(running.url()).unwrap();
                loop {
                    match received.try_recv() {
                        Ok(Order::EndStreams(how)) => running.end_streams(how),
                        Ok(Order::Stop) | Err(std::sync::mpsc::TryRecvError::Disconnected) => break,
                        Err(std::sync::mpsc::TryRecvError::Empty) => {
                            actix_rt::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
                running.stop().await;
            });
        });
        Self {
            folder: TempDir::new().unwrap(),
            api,
            clock,
            url: url.recv().unwrap(),
            orders,
        }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.api.json_at(path, self.clock.now())).unwrap()
    }

    fn max_item(&self) -> i64 {
        self.json("maxitem").as_i64().unwrap()
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("hn.db")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hn-ingest"));
        command
            .env_clear()
            .env("DATABASE_URL", self.database())
            .env("INGEST_API_URL", &self.url)
            .env("INGEST_PROGRESS", "never")
            .env("INGEST_FORMAT", "json")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The binary with a clock that runs twenty times as fast as the machine's.
    fn fast(&self, args: &[&str]) -> Command {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap().as_secs();
        let mut command = self.command(args);
        command.env("INGEST_TEST_CLOCK", format!("{now}/{now}*20"));
        command
    }

    fn follow(&self, args: &[&str]) -> Following {
        let mut words = vec!["follow"];
        words.extend(args);
        Following(self.command(&words).spawn().unwrap())
    }

    /// Waits until a query gives this number.
    fn wait_for(&self, query: &str, expected: i64) {
        let began = Instant::now();
        loop {
            let found = self.number(query);
            if found == Some(expected) {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{query} gives {found:?}, not {expected}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What a query gives. `None` while there is no such table or row.
    fn number(&self, query: &str) -> Option<i64> {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = Nullable<BigInt>)]
            n: Option<i64>,
        }
        let mut conn = self.connect()?;
        let row: Number = sql_query(format!("SELECT ({query}) AS n"))
            .get_result(&mut conn)
            .ok()?;
        row.n
    }

    fn texts(&self, query: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            t: String,
        }
        let query = sql_query(format!("SELECT t FROM ({query})"));
        let rows: Vec<Row> = query.load(&mut self.connect().unwrap()).unwrap();
        rows.into_iter().map(|row| row.t).collect()
    }

    fn connect(&self) -> Option<SqliteConnection> {
        let path = self.database();
        if !path.exists() {
            return None;
        }
        let mut conn = SqliteConnection::establish(&path.to_string_lossy()).ok()?;
        conn.batch_execute("PRAGMA busy_timeout = 5000").ok()?;
        Some(conn)
    }

    /// Waits until the process listens: it has stored the lists.
    fn wait_until_it_listens(&self) {
        self.wait_for("SELECT count(DISTINCT list) FROM lists", 6);
    }

    /// Waits until all ids from `from` to the largest one are stored, absent or failed.
    fn wait_until_read(&self, from: i64) {
        let max = self.max_item();
        let read = format!(
            "SELECT (SELECT count(*) FROM items WHERE id >= {from}) + (SELECT count(*) FROM absent WHERE id >= {from}) \
             + (SELECT count(*) FROM failures WHERE id >= {from})"
        );
        self.wait_for(&read, max - from + 1);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
    }
}

/// A process that follows. It is killed when it is dropped.
struct Following(Child);

impl Following {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
    }

    /// Ends it in order. Returns its exit code and its report.
    fn stop(mut self) -> (Option<i32>, Value) {
        self.signal("TERM");
        let status = self.0.wait().unwrap();
        let mut report = String::new();
        let stdout = self.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut report).unwrap();
        (
            status.code(),
            serde_json::from_str(&report).unwrap_or_default(),
        )
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// The lines of its stderr, until it ends.
    fn stderr(&mut self) -> impl Iterator<Item = String> + use<> {
        let stderr = self.0.stderr.take().unwrap();
        BufReader::new(stderr).lines().map_while(Result::ok)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn new_items_are_stored_as_they_are_announced_and_a_signal_ends_it_in_order() {
    let world = World::new(Streams::default());
    let follow = world.follow(&[]);
    world.wait_until_it_listens();
    for _ in 0..3 {
        world.pass(600);
        world.wait_until_read(FIRST_MAX + 1);
    }
    assert_eq!(world.max_item(), FIRST_MAX + 30);
    world.wait_for("SELECT count(*) > 0 FROM users", 1);
    let (code, report) = follow.stop();
    assert_eq!(code, Some(143));
    assert_eq!(report["command"], "follow");
    let outcomes =
        ["stored", "absent", "failed", "not_attempted"].map(|name| report[name].as_i64().unwrap());
    assert_eq!(
        report["requested"].as_i64(),
        Some(outcomes.iter().sum()),
        "{report}"
    );
    assert_eq!(
        world.number("SELECT count(*) FROM runs WHERE finished_at IS NULL"),
        Some(0)
    );
}

#[test]
fn it_begins_behind_the_largest_settled_id_and_leaves_older_holes_to_backfill() {
    let world = World::new(Streams::default());
    let backfill = world
        .command(&["backfill", "--from", "4800", "--to", "4900"])
        .output();
    assert!(backfill.unwrap().status.success());
    let follow = world.follow(&[]);
    world.wait_until_read(4_800);
    let (_, report) = follow.stop();
    assert!(report["requested"].as_i64().unwrap() >= 100, "{report}");
    // What is older is read only if it is on a list or has changed.
    assert!(
        world
            .number("SELECT count(*) FROM items WHERE id BETWEEN 4000 AND 4799")
            .unwrap()
            < 790
    );
    let covered = "SELECT count(*) FROM coverage WHERE lo <= 4800 AND hi >= 4900";
    assert_eq!(world.number(covered), Some(1));
}

#[test]
fn from_says_where_it_begins() {
    let world = World::new(Streams::default());
    let follow = world.follow(&["--from", "4951"]);
    world.wait_until_read(4_951);
    follow.stop();
    for value in ["0", "-3", "x", ""] {
        let refused = world
            .command(&["follow", "--from", value])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2), "{value}");
    }
}

#[test]
fn what_updates_names_is_read_again() {
    let world = World::new(Streams::default());
    // What is named again within a minute of this clock is read once more after that minute.
    let follow = Following(world.fast(&["follow", "--from", "4001"]).spawn().unwrap());
    world.wait_until_read(4_001);
    world.wait_until_it_listens();
    // Votes come, authors edit, others write comments. Each minute is announced by itself.
    for _ in 0..30 {
        world.pass(60);
        thread::sleep(Duration::from_millis(20));
    }
    let began = Instant::now();
    let is_equal = |id: i64| {
        let json = world.json(&format!("item/{id}"));
        let score = world.number(&format!("SELECT score FROM items WHERE id = {id}"));
        json.is_null() || json["score"].as_i64() == score
    };
    while !(FIRST_MAX - 50..=FIRST_MAX).all(is_equal) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "scores are not equal"
        );
        thread::sleep(Duration::from_millis(100));
    }
    follow.stop();
}

#[test]
fn where_there_are_no_streams_it_polls() {
    let streams = Streams {
        offered: false,
        ..Streams::default()
    };
    let world = World::new(streams);
    // So this takes less than the interval of polling.
    let follow = Following(world.fast(&["follow"]).spawn().unwrap());
    world.wait_until_it_listens();
    world.pass(300);
    world.wait_until_read(FIRST_MAX + 1);
    assert_eq!(world.max_item(), FIRST_MAX + 5);
    follow.stop();
}

#[test]
fn streams_that_end_are_opened_again_and_nothing_new_is_missed() {
    for how in [StreamEnd::Cut, StreamEnd::Cancel, StreamEnd::AuthRevoked] {
        let world = World::new(Streams::default());
        let follow = world.follow(&["--backoff", "10ms"]);
        world.wait_until_it_listens();
        world.orders.send(Order::EndStreams(how)).unwrap();
        world.pass(1_200);
        world.wait_until_read(FIRST_MAX + 1);
        follow.stop();
    }
}

#[test]
fn a_killed_process_leaves_no_hole() {
    let world = World::new(Streams::default());
    for round in 1..=5 {
        let follow = world.follow(&["--from", "4501"]);
        // Killed while it reads.
        world.wait_for(
            &format!(
                "SELECT (SELECT count(*) FROM items WHERE id > 4500) >= {}",
                round * 60
            ),
            1,
        );
        follow.kill();
        world.pass(120);
    }
    let follow = world.follow(&[]);
    world.wait_until_read(4_501);
    follow.stop();
}

#[test]
fn a_second_process_stands_by_and_takes_over_when_the_first_dies() {
    let world = World::new(Streams::default());
    let first = world.follow(&[]);
    world.wait_until_it_listens();
    let mut second = world.follow(&["--progress", "auto"]);
    let line = second.stderr().find(|line| line.contains("stands by"));
    assert!(line.unwrap().contains(&first.0.id().to_string()));
    assert_eq!(world.number("SELECT count(*) FROM runs"), Some(1));
    first.kill();
    world.wait_for("SELECT count(*) FROM runs", 2);
    world.pass(600);
    world.wait_until_read(FIRST_MAX + 1);
    let (code, _) = second.stop();
    assert_eq!(code, Some(143));
}

#[test]
fn a_process_that_stands_by_ends_at_once_by_a_signal() {
    let world = World::new(Streams::default());
    let first = world.follow(&[]);
    world.wait_until_it_listens();
    let mut second = world.follow(&["--progress", "auto"]);
    assert!(second.stderr().any(|line| line.contains("stands by")));
    let (code, _) = second.stop();
    assert_eq!(code, Some(143));
    first.stop();
}

#[test]
fn new_stories_are_lines_on_stderr_and_with_progress_never_there_are_none() {
    let world = World::new(Streams::default());
    let mut follow = world.follow(&["--progress", "always"]);
    world.wait_until_it_listens();
    world.pass(3_600);
    world.wait_until_read(FIRST_MAX + 1);
    let stories = world.texts(
        "SELECT id || '' AS t FROM items WHERE id > 5000 AND type IN ('story', 'job', 'poll') AND dead IS NULL AND deleted IS NULL",
    );
    let story = stories.first().expect("a story in an hour");
    let mut lines = follow.stderr();
    assert!(lines.any(|line| line.starts_with(&format!("{story}  "))));
    follow.stop();
    let mut quiet = world.follow(&["--progress", "never"]);
    world.pass(3_600);
    world.wait_until_read(FIRST_MAX + 1);
    let lines = quiet.stderr();
    quiet.stop();
    assert_eq!(lines.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_service_manager_learns_that_it_is_ready_what_it_does_and_that_it_stops() {
    let world = World::new(Streams::default());
    let path = world.folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut command = world.command(&["follow"]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "2000000");
    let follow = Following(command.spawn().unwrap());
    let wait_for = |begin: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = socket.recv(&mut buffer).expect("a message");
            if buffer[..length].starts_with(begin.as_bytes()) {
                return;
            }
        }
    };
    for begin in ["READY=1", "STATUS=newest", "WATCHDOG=1"] {
        wait_for(begin);
    }
    follow.signal("TERM");
    wait_for("STOPPING=1");
}

#[test]
fn a_setting_that_means_nothing_to_it_is_refused() {
    let world = World::new(Streams::default());
    for args in [
        ["follow", "--outage-patience", "1m"],
        ["follow", "--refresh", "5m,1m"],
    ] {
        let refused = world.command(&args).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
    }
}

//! A simulated fortnight: `follow` keeps a mirror of a live API true, with every fault on, while it is killed, is away for a day,
//! and its streams fall silent. The clocks of both run 40,000 times as fast as the machine's, so two weeks pass in half a minute.
//!
//! It is a target of its own, because it takes over a minute.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::BigInt,
};
use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_hn-ingest");
const SPEED: f64 = 40_000.0;
const DAY: f64 = 86_400.0;
/// Items at the start, and items that come in the fortnight.
const FIRST_MAX: i64 = 50;
const NEW_ITEMS: i64 = 500;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct World {
    folder: TempDir,
    _api: Killed,
    url: String,
    clock: String,
    began: Instant,
}

impl World {
    fn new() -> Self {
        // The fortnight and the ladder after it end before the present, so that no time of an item is in the machine's future.
        let start = SystemTime::now() - Duration::from_secs(40 * 86_400);
        let start = humantime::format_rfc3339_seconds(start).to_string();
        let (first, limit) = (FIRST_MAX.to_string(), NEW_ITEMS.to_string());
        let speed = SPEED.to_string();
        let args = [
            "mock-api",
            "--max-item",
            &first,
            "--live",
            "36/d",
            "--live-limit",
            &limit,
            "--live-start",
            &start,
            "--speed",
            &speed,
            "--fail-rate",
            "0.02",
            "--reset-rate",
            "0.01",
            "--truncate-rate",
            "0.01",
            "--hang-rate",
            "0.002",
            "--stream-cut-rate",
            "0.02",
            "--stream-loss-rate",
            "0.1",
            "--stream-cancel-rate",
            "0.02",
            "--stream-keep-alive",
            "200ms",
            "--stream-stall",
            "4s",
        ];
        let mut api = Command::new(BINARY)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(api.stdout.take().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        let clock = lines.next().unwrap().unwrap();
        let clock = clock.strip_prefix("INGEST_TEST_CLOCK=").unwrap().to_owned();
        Self {
            folder: TempDir::new().unwrap(),
            _api: Killed(api),
            url,
            clock,
            began: Instant::now(),
        }
    }

    /// How many days have passed in the API.
    fn day(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * SPEED / DAY
    }

    fn wait_until_day(&self, day: f64) {
        let left = (day - self.day()) * DAY / SPEED;
        thread::sleep(Duration::from_secs_f64(left.max(0.0)));
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("hn.db")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env_clear()
            .env("DATABASE_URL", self.database())
            .env("INGEST_API_URL", &self.url)
            .env("INGEST_TEST_CLOCK", &self.clock)
            .env("INGEST_PROGRESS", "never")
            .env("INGEST_FORMAT", "json")
            .env("INGEST_BACKOFF", "5ms")
            .env("INGEST_TIMEOUT", "500ms")
            .env("INGEST_LINGER", "5ms")
            .env("INGEST_MAX_REFUSALS", "0")
            .args(args);
        command
    }

    fn follow(&self) -> Killed {
        Killed(
            self.command(&["follow", "--from", "1"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn connect(&self) -> SqliteConnection {
        let mut conn = SqliteConnection::establish(&self.database().to_string_lossy()).unwrap();
        conn.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        conn
    }

    fn number(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let row: Number = sql_query(format!("SELECT ({query}) AS n"))
            .get_result(&mut self.connect())
            .unwrap();
        row.n
    }

    /// Compares every item with the API's, and returns the exit code and the report.
    fn verify(&self) -> (Option<i32>, Value) {
        let output = self
            .command(&["verify", "--sample", "100000", "--max-stale", "0%"])
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), report)
    }
}

/// The memory of a process, in KiB.
fn resident(process: &Killed) -> i64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn after_a_fortnight_with_every_fault_the_mirror_equals_the_api() {
    let world = World::new();
    let mut follow = world.follow();
    for day in [2.0, 4.0, 5.0] {
        world.wait_until_day(day);
        drop(follow);
        follow = world.follow();
    }
    world.wait_until_day(7.0);
    drop(follow);
    // A day of downtime.
    world.wait_until_day(8.0);
    let follow = world.follow();
    world.wait_until_day(12.0);
    let memory_before = resident(&follow);
    // The last items come at the end of the fortnight, and are read for the last time 15 days later.
    world.wait_until_day(14.5 + 15.5);
    let memory_after = resident(&follow);
    wait_until_all_is_read(&world);
    drop(follow);
    assert!(
        memory_after < memory_before + 8 * 1024,
        "memory grew from {memory_before} to {memory_after} KiB"
    );
    let (code, report) = world.verify();
    assert_eq!(code, Some(0), "{report}");
    // The other way round: what is altered by hand is found.
    world
        .connect()
        .batch_execute("UPDATE items SET score = coalesce(score, 0) + 1 WHERE id % 50 = 7")
        .unwrap();
    let (code, report) = world.verify();
    assert_eq!(code, Some(1), "{report}");
    check_cost(&world);
}

/// Waits until every id has an outcome, and every item has been read after its values had settled.
fn wait_until_all_is_read(world: &World) {
    let max = FIRST_MAX + NEW_ITEMS;
    let began = Instant::now();
    let last_age = 15 * 86_400;
    let due = format!(
        "SELECT count(*) FROM items WHERE fetched_at < time + {last_age} AND NOT EXISTS (
             SELECT 1 FROM absent WHERE absent.id = items.id AND last_checked_at >= time + {last_age})"
    );
    let unread =
        format!("SELECT {max} - count(*) FROM (SELECT id FROM items UNION SELECT id FROM absent)");
    let failed = "SELECT count(*) FROM failures";
    loop {
        let left = [unread.as_str(), &due, failed].map(|query| world.number(query));
        if left == [0; 3] {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "unread, due and failed: {left:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// The requests are those of the ladder and of what was announced, and not many more.
fn check_cost(world: &World) {
    let requested = world.number("SELECT sum(requested) FROM runs WHERE command = 'follow'");
    let items = FIRST_MAX + NEW_ITEMS;
    // Ten steps of the ladder and the first reading, fourteen changes that are announced and read twice at most, lists, and five
    // starts.
    let most = items * (11 + 28 + 20);
    assert!(
        requested < most,
        "{requested} ids were read, and not at most {most}"
    );
}

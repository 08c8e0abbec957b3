//! Pipelines leave nothing behind in the host's process: no thread, file, memory, hook or handler.
//!
//! Linux only, because it reads /proc.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    env, fs,
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use diesel::{QueryResult, SqliteConnection};
use hn_ingest::{
    Builder, Config, DecodeError, Pipeline, Settled, Sink, Source,
    ingest::config::SETTINGS,
    test_util::{Latch, Reply, ScriptedServer},
};
use tempfile::TempDir;

use crate::support::{eventually, in_system};

/// Records are their own ids. Id 13 panics.
struct Numbers(String);

impl Source for Numbers {
    type Id = u32;
    type Record = u32;

    fn url(&self, id: &u32) -> String {
        format!("{}/{id}", self.0)
    }

    fn decode(&self, id: &u32, _: &[u8]) -> Result<Option<u32>, DecodeError> {
        assert_ne!(*id, 13, "the host's code panics");
        Ok(Some(*id))
    }
}

/// Stores nothing.
struct NullSink;

impl Sink for NullSink {
    type Id = u32;
    type Record = u32;
    type Connection = SqliteConnection;

    fn write(&self, _: &mut SqliteConnection, _: &[Settled<u32, u32>]) -> QueryResult<()> {
        Ok(())
    }
}

struct Host {
    server: ScriptedServer,
    folder: TempDir,
}

impl Host {
    fn new() -> Self {
        let server = ScriptedServer::start();
        server.otherwise(|_| Reply::json("1"));
        let folder = tempfile::tempdir().unwrap();
        Self { server, folder }
    }

    async fn pipeline(&self, own_thread: bool) -> Pipeline<u32> {
        let builder = Builder::new(Numbers(self.server.url()), NullSink)
            .config(Config {
                linger: Duration::ZERO,
                ..Config::default()
            })
            .database(self.folder.path().join("guest.db"));
        let builder = if own_thread {
            builder.own_thread()
        } else {
            builder
        };
        builder.start().await.unwrap()
    }
}

/// These tests count what the whole process has, so only one of them runs at a time.
fn wait_for_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn threads() -> usize {
    entries("/proc/self/task")
}

fn files() -> usize {
    entries("/proc/self/fd")
}

/// A line of `/proc/self/status`.
fn status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line[name.len()..].trim_matches([':', ' ', '\t']).to_owned()
}

fn resident_kib() -> usize {
    status("VmRSS").trim_end_matches(" kB").parse().unwrap()
}

/// Waits until the count is at most this. Threads end and close their files a little later than the pipeline.
async fn comes_down_to(most: usize, what: &str, count: impl Fn() -> usize) {
    let before = count();
    let what = format!("at most {most} {what} are left of {before}");
    eventually(&what, || count() <= most).await;
}

/// Starts pipelines and lets them do a run. Half of them have a thread of their own. Half are shut down; the others are dropped
/// during a second run.
async fn start_and_stop(host: &Host, pipelines: usize) {
    for number in 0..pipelines {
        let pipeline = host.pipeline(number % 2 == 0).await;
        let report = pipeline.run(100..120).await.unwrap();
        assert_eq!(report.totals.stored, 20);
        match number % 4 {
            0 | 1 => drop(pipeline.run(100..10_000)),
            _ => _ = pipeline.shutdown(Duration::from_secs(10)).await.unwrap(),
        }
    }
}

#[test]
fn a_hundred_pipelines_leave_no_thread_no_file_and_no_memory_behind() {
    let _turn = wait_for_turn();
    let host = Host::new();
    in_system(async {
        // The first pipelines make the runtime's blocking threads and the allocator's arenas, which stay for reuse.
        start_and_stop(&host, 20).await;
        comes_down_to(files(), "files", files).await;
        let threads_before = threads();
        let files_before = files();
        let memory_before = resident_kib();
        start_and_stop(&host, 100).await;
        comes_down_to(threads_before, "threads", threads).await;
        comes_down_to(files_before, "open files", files).await;
        let grown = resident_kib().saturating_sub(memory_before);
        assert!(
            grown < 8 * 1024,
            "100 pipelines left {grown} KiB of memory behind"
        );
    });
}

#[test]
fn a_start_that_is_given_up_midway_leaves_nothing_behind() {
    let _turn = wait_for_turn();
    let host = Host::new();
    in_system(async {
        start_and_stop(&host, 20).await;
        comes_down_to(files(), "files", files).await;
        // A thread that stays behind shows too: it has files of its own.
        let files_before = files();
        // Each is given up a little later than the one before, until starting is quick enough.
        let mut given_up = 0;
        for microseconds in (0..4000).step_by(20) {
            let limit = Duration::from_micros(microseconds);
            let start = host.pipeline(true);
            given_up += u32::from(actix_rt::time::timeout(limit, start).await.is_err());
        }
        assert!(given_up > 5, "{given_up} starts were given up");
        comes_down_to(files_before, "open files", files).await;
    });
}

#[test]
fn dropping_the_last_handle_stops_requests_under_way_and_closes_the_database() {
    let _turn = wait_for_turn();
    let host = Host::new();
    host.server.otherwise(|_| Reply::hang());
    in_system(async {
        let before = files();
        for own_thread in [false, true] {
            let pipeline = host.pipeline(own_thread).await;
            let clone = pipeline.clone();
            let run = pipeline.run(0..1000);
            let server = &host.server;
            eventually("16 requests are in flight", || {
                server.stats().in_flight == 16
            })
            .await;
            drop((pipeline, run));
            assert!(files() > before, "the clone keeps the pipeline");
            drop(clone);
            comes_down_to(before, "open files", files).await;
        }
    });
}

/// Threads that pipelines have for their own.
fn own_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim() == "hn-ingest").count()
}

#[test]
fn a_thread_of_its_own_ends_with_the_last_handle_or_the_shutdown() {
    let _turn = wait_for_turn();
    let host = Host::new();
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    tokio.unwrap().block_on(async {
        let before = files();
        for number in 0..20 {
            let pipeline = host.pipeline(true).await;
            assert!(own_threads() > 0);
            let run = pipeline.run(100..400);
            match number % 4 {
                0 => drop((run, pipeline)),
                1 => drop((pipeline, run.await.unwrap())),
                2 => _ = pipeline.shutdown(Duration::from_secs(10)).await.unwrap(),
                _ => _ = pipeline.shutdown(Duration::ZERO).await.unwrap(),
            }
            comes_down_to(0, "threads of pipelines", own_threads).await;
        }
        comes_down_to(before, "open files", files).await;
    });
}

#[test]
fn the_hosts_panic_hook_signals_and_logger_are_left_alone() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let _turn = wait_for_turn();
    let host = Host::new();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| _ = PANICS.fetch_add(1, SeqCst)));
    let caught = status("SigCgt");
    let report = in_system(async { host.pipeline(true).await.run(10..20).await.unwrap() });
    assert_eq!((report.totals.stored, report.totals.failed), (9, 1));
    assert_eq!(status("SigCgt"), caught, "signals with a handler");
    assert_eq!(PANICS.load(SeqCst), 1, "panics that the host's hook saw");
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    std::panic::set_hook(before);
}

/// The next test runs it with every variable set.
#[test]
#[ignore = "a child process of the next test"]
fn child_with_variables_set() {
    let host = Host::new();
    let latch = Latch::new();
    let holding = latch.clone();
    host.server
        .otherwise(move |_| Reply::json("1").held_by(&holding));
    assert!(Config::from_env().is_err(), "the variables are nonsense");
    let report = in_system(async {
        let run = host.pipeline(false).await.run(100..200);
        let workers = Config::default().workers as u64;
        eventually("as many requests are in flight as by default", || {
            run.progress().in_flight == workers
        })
        .await;
        latch.open();
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 100);
}

#[test]
fn the_environment_counts_only_if_the_host_reads_it() {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child_with_variables_set", "--ignored"]);
    for setting in SETTINGS {
        child.env(setting.variable, "nonsense");
    }
    let done = child
        .env("DATABASE_URL", "/nowhere/at/all.db")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

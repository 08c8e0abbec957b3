//! A good guest: a host's process is as it was when its pipelines have come and gone. Linux only, for it counts in /proc.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    future::Future,
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use diesel::{QueryResult, SqliteConnection};
use hn_ingest::{
    Builder, Config, DecodeError, Pipeline, Settled, Sink, Source,
    ingest::config::SETTINGS,
    test_util::{Gate, Reply, ScriptedServer},
};
use tempfile::TempDir;

struct Numbers(String);

impl Source for Numbers {
    type Id = u32;
    type Record = u32;

    fn url(&self, id: &u32) -> String {
        format!("{}/{id}", self.0)
    }

    fn decode(&self, id: &u32, _: &[u8]) -> Result<Option<u32>, DecodeError> {
        assert_ne!(*id, 13, "the host's own code panics");
        Ok(Some(*id))
    }
}

struct Nowhere;

impl Sink for Nowhere {
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

    async fn pipeline(&self, own_arbiter: bool) -> Pipeline<u32> {
        let builder = Builder::new(Numbers(self.server.url()), Nowhere)
            .config(Config {
                linger: Duration::ZERO,
                ..Config::default()
            })
            .database(self.folder.path().join("guest.db"));
        match own_arbiter {
            true => builder.own_arbiter(),
            false => builder,
        }
        .start()
        .await
        .unwrap()
    }
}

fn in_system<F: Future>(work: F) -> F::Output {
    actix_rt::System::new().block_on(work)
}

/// These tests count what the process has, so they take turns.
fn alone() -> MutexGuard<'static, ()> {
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

fn status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line[name.len()..].trim_matches([':', ' ', '\t']).to_owned()
}

fn resident_kib() -> usize {
    status("VmRSS").trim_end_matches(" kB").parse().unwrap()
}

/// Waits until a count is no higher than this, as what ends on threads of its own does so a little later.
async fn comes_down_to(most: usize, what: &str, count: impl Fn() -> usize) {
    let began = Instant::now();
    while count() > most {
        let patience = Duration::from_secs(10);
        assert!(began.elapsed() < patience, "{} {what}, not {most}", count());
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Half of them on arbiters of their own; every other one is shut down, the rest is dropped, some with a run under way.
async fn come_and_go(host: &Host, pipelines: usize) {
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
    let _alone = alone();
    let host = Host::new();
    in_system(async {
        // What the host's own runtime keeps for reuse is there from now on, and so are the allocator's arenas.
        come_and_go(&host, 20).await;
        comes_down_to(files(), "files", files).await;
        let before = (threads(), files(), resident_kib());
        come_and_go(&host, 100).await;
        comes_down_to(before.0, "threads", threads).await;
        comes_down_to(before.1, "open files", files).await;
        let grown = resident_kib().saturating_sub(before.2);
        assert!(grown < 8 * 1024, "{grown} KiB more for 100 pipelines");
    });
}

#[test]
fn dropping_the_last_handle_stops_requests_under_way_and_closes_the_database() {
    let _alone = alone();
    let host = Host::new();
    host.server.otherwise(|_| Reply::hang());
    in_system(async {
        let before = files();
        for own_arbiter in [false, true] {
            let pipeline = host.pipeline(own_arbiter).await;
            let clone = pipeline.clone();
            let run = pipeline.run(0..1000);
            let server = &host.server;
            while server.stats().in_flight < 16 {
                actix_rt::time::sleep(Duration::from_millis(1)).await;
            }
            drop((pipeline, run));
            assert!(files() > before, "one handle is left");
            drop(clone);
            comes_down_to(before, "open files", files).await;
        }
    });
}

#[test]
fn the_hosts_panic_hook_signals_and_logger_are_left_alone() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let _alone = alone();
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

/// Its environment is that of the next test.
#[test]
#[ignore = "a child process of the next test"]
fn child_with_variables_set() {
    let host = Host::new();
    let gate = Gate::new();
    let held = gate.clone();
    host.server
        .otherwise(move |_| Reply::json("1").held_by(&held));
    assert!(Config::from_env().is_err(), "asked for, they count");
    let report = in_system(async {
        let run = host.pipeline(false).await.run(100..200);
        while run.progress().in_flight < Config::default().workers as u64 {
            actix_rt::time::sleep(Duration::from_millis(1)).await;
        }
        gate.open();
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 100);
}

#[test]
fn the_environment_counts_only_when_it_is_asked_for() {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "child_with_variables_set", "--ignored"]);
    for setting in SETTINGS {
        child.env(setting.variable, "nonsense");
    }
    let done = child
        .env("DATABASE_URL", "/nowhere/at/all.db")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 passed"), "{told}");
}

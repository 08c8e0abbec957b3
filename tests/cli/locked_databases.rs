//! A database that another program has locked: it is waited for, and a signal ends the wait.
#![cfg(target_os = "linux")]

use std::{
    io::{BufRead, BufReader, Read},
    thread,
    time::Duration,
};

use hn_ingest::test_util::{Latch, Reply};
use serde_json::json;

use crate::common::{Api, Call, Sandbox, counts, foreign_database, story};

/// Longer than a connection waits for a lock by itself.
const LOCK_TIME: Duration = Duration::from_millis(2500);

const IN_WAL_MODE: &str = "PRAGMA journal_mode = WAL";
/// As on file systems that WAL does not work on.
const WITH_A_JOURNAL: &str = "PRAGMA journal_mode = DELETE";

/// A database with an item and a failure, and an API with a list.
fn filled_database() -> (Sandbox, Api) {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", [3, 4]);
    api.0.on("/v0/maxitem.json", [Reply::json("4")]);
    api.item(2, [Reply::status(404)]);
    sandbox.ingest(&api, &["items", "1", "2"]).exits(1);
    (sandbox, api)
}

#[test]
fn a_lock_at_the_start_is_waited_for_longer_than_a_connection_waits() {
    for mode in [IN_WAL_MODE, WITH_A_JOURNAL] {
        let (sandbox, api) = filled_database();
        let mut other = foreign_database(&sandbox.path("hn.db"));
        other.execute(mode);
        other.execute("BEGIN EXCLUSIVE");
        let calls = [
            sandbox.call_with(&api, &["items", "5"]),
            sandbox.call(&["status"]),
            sandbox.call(&["verify"]),
        ];
        let running = calls.map(Call::start);
        thread::sleep(LOCK_TIME);
        other.execute("ROLLBACK");
        for running in running {
            // Such a wait is too short for a warning.
            assert_eq!(running.wait().exits(0).stderr, "");
        }
        let stored = sandbox.db("hn.db").column("id", "items ORDER BY id");
        assert_eq!(stored, json!([1, 5]), "{mode}");
    }
}

#[test]
fn a_long_wait_for_a_lock_is_announced_once() {
    let (sandbox, api) = filled_database();
    let mut other = foreign_database(&sandbox.path("hn.db"));
    other.execute("BEGIN IMMEDIATE");
    let mut running = sandbox.call_with(&api, &["items", "5"]).start();
    let mut stderr = BufReader::new(running.child().stderr.take().unwrap());
    let mut warning = String::new();
    stderr.read_line(&mut warning).unwrap();
    assert!(
        warning.contains("another program has locked the database"),
        "{warning}"
    );
    other.execute("ROLLBACK");
    running.wait().exits(0);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn the_first_signal_ends_a_wait_for_a_lock() {
    for (mode, commands) in [
        (
            WITH_A_JOURNAL,
            &[
                "top",
                "backfill",
                "items 5",
                "retry",
                "status",
                "verify",
                "verify --repair",
            ][..],
        ),
        // Readers do not wait for a writer.
        (IN_WAL_MODE, &["top", "backfill", "items 5", "retry"]),
    ] {
        let (sandbox, api) = filled_database();
        let path = sandbox.path("hn.db").canonicalize().unwrap();
        let mut other = foreign_database(&path);
        other.execute(mode);
        other.execute("BEGIN EXCLUSIVE");
        for command in commands {
            for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
                let args: Vec<_> = command.split(' ').collect();
                let call = match args[0] {
                    "status" | "verify" => sandbox.call(&args),
                    _ => sandbox.call_with(&api, &args),
                };
                let running = call.start();
                running.wait_for_open_file(&path);
                running.signal(name);
                let finished = running.wait();
                assert_eq!(finished.code, Some(code), "{mode} {command} {finished:?}");
            }
        }
    }
}

#[test]
fn a_lock_that_stays_ends_an_interrupted_run_soon_after_the_drain() {
    let (sandbox, api) = filled_database();
    let gate = Latch::new();
    api.item(7, [Reply::json(story(7, 7)).held_by(&gate)]);
    let args = ["items", "7", "--drain", "100ms", "--timeout", "1h"];
    let running = sandbox.call_with(&api, &args).start();
    api.0.wait_in_flight(1);
    let mut other = foreign_database(&sandbox.path("hn.db"));
    other.execute("BEGIN IMMEDIATE");
    gate.open();
    running.signal("INT");
    // The lock is never released, and a process that waits for a minute counts as one that hangs.
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [0, 0, 0, 1]);
}

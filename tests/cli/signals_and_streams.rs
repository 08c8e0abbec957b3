//! The binary as a process: signals, closed and full streams, and two processes on one database.

use std::{fs::OpenOptions, io::Write};

use hn_ingest::test_util::{Latch, Reply};
use serde_json::json;

use crate::common::{Api, Call, Sandbox, counts, id_of, story};

/// An API with a list of 50 stories that answers an item once its gate is open.
struct HeldApi {
    api: Api,
    /// Holds the items 1 to 4.
    first: Latch,
    /// Holds all other items.
    rest: Latch,
}

impl HeldApi {
    fn new() -> Self {
        let held = Self {
            api: Api::new(),
            first: Latch::new(),
            rest: Latch::new(),
        };
        let first = held.first.clone();
        let rest = held.rest.clone();
        held.api.list("top", 1..=50);
        held.api.0.otherwise(move |path| {
            let id = id_of(path).unwrap();
            let gate = if id <= 4 { &first } else { &rest };
            Reply::json(story(id, id)).held_by(gate)
        });
        held
    }
}

#[test]
fn a_signal_lets_requests_in_flight_finish_and_reports_what_was_stored() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let HeldApi { api, first, .. } = HeldApi::new();
        let args = ["top", "--limit", "0", "--workers", "4", "--drain", "5s"];
        let running = sandbox.call_with(&api, &args).start();
        api.0.wait_in_flight(4);
        running.signal(name);
        first.open();
        let finished = running.wait().exits(code);
        let report = finished.report();
        assert_eq!(counts(&report), [4, 0, 0, 46]);
        assert_eq!(
            (&report["interrupted"], &report["failures"]),
            (&json!(true), &json!([]))
        );
        let mut db = sandbox.db("hn.db");
        assert_eq!(db.column("id", "items ORDER BY id"), json!([1, 2, 3, 4]));
        assert_eq!(
            db.rows(
                "requested, stored, not_attempted",
                "runs WHERE finished_at IS NOT NULL"
            ),
            json!([[50, 4, 46]])
        );
        assert_eq!(db.count("lists"), 50);
    }
}

#[test]
fn after_a_signal_a_request_that_hangs_is_dropped_when_the_drain_is_over() {
    let sandbox = Sandbox::new();
    let HeldApi { api, .. } = HeldApi::new();
    let args = ["top", "--workers", "4", "--drain", "50ms"];
    let running = sandbox.call_with(&api, &args).start();
    api.0.wait_in_flight(4);
    running.signal("INT");
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [0, 0, 0, 20]);
    assert_eq!(sandbox.db("hn.db").count("failures"), 0);
}

#[test]
fn a_text_report_says_that_it_was_interrupted_and_what_was_not_attempted() {
    let sandbox = Sandbox::new();
    let HeldApi { api, .. } = HeldApi::new();
    let args = [
        "top",
        "--api-url",
        &api.url(),
        "--workers",
        "4",
        "--drain",
        "0s",
    ];
    let running = sandbox.call(&args).start();
    api.0.wait_in_flight(4);
    running.signal("INT");
    let finished = running.wait().exits(130);
    let expected = "interrupted: 0 stored, 0 absent, 0 failed, 20 not attempted, of 20 in ";
    assert!(finished.stdout.starts_with(expected), "{finished:?}");
}

#[test]
fn top_of_an_interrupted_run_names_no_item_of_an_earlier_one() {
    let sandbox = Sandbox::new();
    let HeldApi { api, first, rest } = HeldApi::new();
    first.open();
    rest.open();
    let args = ["top", "--limit", "0", "--workers", "4", "--drain", "100ms"];
    sandbox.ingest(&api, &args).exits(0);
    sandbox
        .db("hn.db")
        .execute("UPDATE items SET fetched_at = fetched_at - 60");
    let gate = Latch::new();
    for id in 3..=50 {
        api.item(id, [Reply::json(story(id, id)).held_by(&gate)]);
    }
    let running = sandbox.call_with(&api, &args).start();
    api.0
        .wait_for(|stats| stats.requests == 51 + 7 && stats.in_flight == 4);
    running.signal("INT");
    let finished = running.wait().exits(130);
    assert_eq!(counts(&finished.report()), [2, 0, 0, 48]);
    assert_eq!(finished.top_ids(), [2, 1]);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let sandbox = Sandbox::new();
    let HeldApi { api, .. } = HeldApi::new();
    let args = ["top", "--drain", "1h", "--timeout", "1h"];
    let mut running = sandbox.call_with(&api, &args).start();
    api.0.wait_in_flight(16);
    // After the first signal alone it would drain for an hour.
    running.signal_until_it_ends("INT");
    let finished = running.wait().exits(130);
    assert_eq!(finished.stdout, "", "there was no time for a report");
}

#[test]
fn a_second_signal_of_another_kind_ends_the_process_at_once() {
    let sandbox = Sandbox::new();
    let HeldApi { api, .. } = HeldApi::new();
    let args = ["top", "--drain", "1h", "--timeout", "1h"];
    let mut running = sandbox.call_with(&api, &args).start();
    api.0.wait_in_flight(16);
    running.signal("INT");
    running.signal_until_it_ends("HUP");
    assert!(matches!(running.wait().code, Some(129 | 130)));
}

#[test]
fn a_signal_that_is_sent_twice_at_once_is_one() {
    let sandbox = Sandbox::new();
    let HeldApi { api, first, .. } = HeldApi::new();
    let args = ["top", "--workers", "4", "--drain", "5s"];
    let running = sandbox.call_with(&api, &args).start();
    api.0.wait_in_flight(4);
    running.signal_twice_at_once("INT");
    first.open();
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [4, 0, 0, 16]);
}

#[test]
fn a_program_that_is_started_by_nohup_goes_on_without_its_terminal() {
    let sandbox = Sandbox::new();
    let HeldApi { api, first, .. } = HeldApi::new();
    let args = ["top", "--workers", "4", "--api-url", &api.url()];
    let running = Call::new("/bin/sh", &sandbox)
        .args(&["-c", "trap '' HUP && exec \"$0\" \"$@\""])
        .args(&[env!("CARGO_BIN_EXE_hn-ingest")])
        .args(&args)
        .args(&["--format", "json"])
        .start();
    api.0.wait_in_flight(4);
    running.signal("HUP");
    // Had the first signal counted, this one would end the process without a report.
    running.signal("TERM");
    first.open();
    let report = running.wait().exits(143).report();
    assert_eq!(counts(&report), [4, 0, 0, 16]);
}

#[test]
fn a_second_signal_ends_a_process_whose_stderr_is_not_read() {
    let sandbox = Sandbox::new();
    let HeldApi { api, .. } = HeldApi::new();
    let (unread, mut stderr) = std::io::pipe().unwrap();
    // As much as a pipe takes.
    stderr.write_all(&[b'x'; 64 * 1024]).unwrap();
    let args = ["top", "--drain", "1h", "--timeout", "1h"];
    let mut running = sandbox
        .call_with(&api, &args)
        .env("RUST_LOG", "debug")
        .env("INGEST_PROGRESS", "always")
        .stderr(stderr)
        .start();
    api.0.wait_for(|stats| stats.requests > 0);
    running.signal_until_it_ends("INT");
    running.wait().exits(130);
    drop(unread);
}

#[test]
fn the_first_signal_ends_a_report_that_is_not_read() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    let (unread, mut stdout) = std::io::pipe().unwrap();
    stdout.write_all(&[b'x'; 64 * 1024]).unwrap();
    let running = sandbox.call(&["status"]).stdout(stdout).start();
    running.wait_until_a_pipe_blocks_it();
    running.signal("TERM");
    running.wait().exits(143);
    drop(unread);
}

#[test]
fn a_signal_while_the_list_is_read_ends_the_process_at_once() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.0.on("/v0/topstories.json", [Reply::hang()]);
    let running = sandbox.call_with(&api, &["top", "--timeout", "1h"]).start();
    api.0.wait_in_flight(1);
    running.signal("TERM");
    running.wait().exits(143);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_ids_on_stdin() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let (running, mut stdin) = sandbox.call_with(&api, &["items", "-"]).start_piped();
    writeln!(stdin, "1").unwrap();
    api.0
        .wait_for(|stats| stats.requests == 1 && stats.in_flight == 0);
    running.signal("INT");
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    drop(stdin);
}

#[test]
fn a_closed_stdout_ends_the_output_and_not_the_run() {
    for format in ["text", "json"] {
        let sandbox = Sandbox::new();
        let HeldApi { api, first, rest } = HeldApi::new();
        let args = ["top", "--api-url", &api.url(), "--format", format];
        let mut running = sandbox.call(&args).start();
        api.0.wait_in_flight(16);
        drop(running.child().stdout.take());
        first.open();
        rest.open();
        let finished = running.wait().exits(0);
        assert_eq!(finished.stderr, "");
        assert_eq!(sandbox.db("hn.db").count("items"), 20);
    }
}

#[test]
fn a_closed_stderr_changes_no_exit_code() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let run = |args: &[&str]| {
        let mut running = sandbox.call_with(&api, args).start();
        drop(running.child().stderr.take());
        running.wait()
    };
    for args in [
        ["items", "x"].as_slice(),
        &["top"],
        &["--workers", "0"],
        &["tops"],
    ] {
        assert_eq!(run(args).code, Some(2), "{args:?}");
    }
    run(&["items", "1"]).exits(1).report();
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_stdout_causes_a_warning_and_nothing_is_lost() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let finished = sandbox.call_with(&api, &["items", "1"]).stdout(full).run();
    assert!(
        finished.stderr.contains("WARN") && finished.stderr.contains("standard output"),
        "{finished:?}"
    );
    assert_eq!(finished.code, Some(0), "the work was done");
    assert_eq!(sandbox.db("hn.db").column("id", "items"), json!([1]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_whose_work_is_to_print_fails_if_it_cannot() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&Api::of_stories(), &["items", "1"]).exits(0);
    for args in [
        &["status"][..],
        &["status", "--format", "json"],
        &["verify"],
        &["--help"],
        &["status", "--help"],
        &["--version"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let finished = sandbox.call(args).stdout(full).run().exits(1);
        let said = finished.stderr.contains("cannot write to standard output");
        assert!(said, "{args:?}: {finished:?}");
        // A reader that has seen enough is no fault.
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let finished = sandbox.call(args).stdout(closed).run().exits(0);
        assert_eq!(finished.stderr, "", "{args:?}");
    }
}

#[test]
fn two_processes_that_start_on_one_fresh_file_lose_nothing() {
    let api = Api::of_stories();
    for round in 0..10 {
        let sandbox = Sandbox::new();
        let start = |ids: [&str; 4]| {
            let args = [&["items"], ids.as_slice()].concat();
            sandbox.call_with(&api, &args).start()
        };
        let pair = [start(["1", "2", "3", "4"]), start(["3", "4", "5", "6"])];
        for running in pair {
            let finished = running.wait().exits(0);
            assert_eq!(
                (counts(&finished.report()), finished.stderr.as_str()),
                ([4, 0, 0, 0], ""),
                "round {round}"
            );
        }
        let mut db = sandbox.db("hn.db");
        assert_eq!(
            db.column("id", "items ORDER BY id"),
            json!([1, 2, 3, 4, 5, 6])
        );
        assert_eq!(db.column("stored", "runs"), json!([4, 4]));
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let migrations = std::fs::read_dir(migrations).unwrap().count();
        assert_eq!(db.count("__diesel_schema_migrations"), migrations as u64);
    }
}

#[test]
fn a_killed_run_leaves_what_it_had_committed_and_the_next_run_goes_on() {
    let sandbox = Sandbox::new();
    let HeldApi { api, first, rest } = HeldApi::new();
    first.open();
    let args = ["top", "--limit", "0", "--workers", "4", "--linger", "0s"];
    let running = sandbox.call_with(&api, &args).start();
    api.0
        .wait_for(|stats| stats.requests == 1 + 4 + 4 && stats.in_flight == 4);
    running.signal("KILL");
    assert_eq!(running.wait().code, None);
    let stored = sandbox.db("hn.db").count("items");
    assert!(stored <= 4, "{stored}");
    rest.open();
    let report = sandbox.ingest(&api, &args).exits(0).report();
    assert_eq!(counts(&report), [50, 0, 0, 0]);
    let mut db = sandbox.db("hn.db");
    assert_eq!(
        db.column("coalesce(finished_at > 0, 0)", "runs ORDER BY id"),
        json!([0, 1])
    );
}

#[test]
fn progress_goes_to_stderr_and_never_means_never() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let finished = sandbox
        .ingest(&api, &["items", "1", "--progress", "never"])
        .exits(0);
    assert_eq!(finished.stderr, "");
    sandbox
        .ingest(&api, &["items", "1", "--progress", "always"])
        .exits(0)
        .report();
}

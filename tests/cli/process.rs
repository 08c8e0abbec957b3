//! The binary as a process: signals, closed pipes, neighbours on the same file.

use std::{fs::OpenOptions, io::Write, process::Stdio};

use crate::common::{self, Api, Home, Running, counts, story};
use hn_ingest::test_util::{Gate, Reply};
use serde_json::json;

/// Item 1 to 4 wait for the first gate, all others for the second.
fn held_api() -> (Api, Gate, Gate) {
    let (api, first, rest) = (Api::new(), Gate::new(), Gate::new());
    let gates = (first.clone(), rest.clone());
    api.list("top", 1..=50);
    api.0.otherwise(move |path| {
        let id = common::id_of(path).unwrap();
        let gate = if id <= 4 { &gates.0 } else { &gates.1 };
        Reply::json(story(id, id)).held_by(gate)
    });
    (api, first, rest)
}

#[test]
fn a_signal_lets_requests_in_flight_finish_and_reports_what_came() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let (home, (api, first, _rest)) = (Home::new(), held_api());
        let args = ["top", "--limit", "0", "--workers", "4", "--drain", "500ms"];
        let running = Running::start(&mut home.ingesting(&api, &args));
        api.0.wait_in_flight(4);
        running.signal(name);
        first.open();
        let ran = running.wait().exits(code);
        let report = ran.report();
        assert_eq!(counts(&report), [4, 0, 0, 46]);
        assert_eq!(
            (&report["interrupted"], &report["failures"]),
            (&json!(true), &json!([]))
        );
        let mut db = home.db("hn.db");
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
    let (home, (api, _first, _rest)) = (Home::new(), held_api());
    let args = ["top", "--workers", "4", "--drain", "50ms"];
    let running = Running::start(&mut home.ingesting(&api, &args));
    api.0.wait_in_flight(4);
    running.signal("INT");
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [0, 0, 0, 20]);
    assert_eq!(home.db("hn.db").count("failures"), 0);
}

#[test]
fn a_text_report_says_that_it_was_interrupted_and_what_was_not_attempted() {
    let (home, (api, _first, _rest)) = (Home::new(), held_api());
    let args = [
        "top",
        "--api-url",
        &api.url(),
        "--workers",
        "4",
        "--drain",
        "0s",
    ];
    let running = Running::start(&mut home.command(&args));
    api.0.wait_in_flight(4);
    running.signal("INT");
    let ran = running.wait().exits(130);
    let said = "interrupted: 0 saved, 0 absent, 0 failed, 20 not attempted, of 20 in ";
    assert!(ran.stdout.starts_with(said), "{ran:?}");
}

#[test]
fn top_of_an_interrupted_run_names_no_item_of_an_earlier_one() {
    let (home, (api, first, rest)) = (Home::new(), held_api());
    first.open();
    rest.open();
    let args = ["top", "--limit", "0", "--workers", "4", "--drain", "100ms"];
    home.ingest(&api, &args).exits(0);
    home.db("hn.db")
        .execute("UPDATE items SET fetched_at = fetched_at - 60");
    let gate = Gate::new();
    for id in 3..=50 {
        api.item(id, [Reply::json(story(id, id)).held_by(&gate)]);
    }
    let running = Running::start(&mut home.ingesting(&api, &args));
    api.0
        .wait_for(|stats| stats.requests == 51 + 7 && stats.in_flight == 4);
    running.signal("INT");
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [2, 0, 0, 48]);
    let ids: Vec<_> = report["top"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["id"])
        .collect();
    assert_eq!(ids, [2, 1]);
}

#[test]
fn a_second_signal_leaves_at_once() {
    let (home, (api, _first, _rest)) = (Home::new(), held_api());
    let args = ["top", "--drain", "1h", "--timeout", "1h"];
    let mut running = Running::start(&mut home.ingesting(&api, &args));
    api.0.wait_in_flight(16);
    // Two signals of a kind that come close together are one, so it takes as many as it takes; the first alone would let it
    // drain for an hour.
    while running.child().try_wait().unwrap().is_none() {
        running.signal("INT");
    }
    let ran = running.wait().exits(130);
    assert_eq!(ran.stdout, "", "there was no time for a report");
}

#[test]
fn a_signal_while_the_list_is_read_leaves_at_once() {
    let (home, api) = (Home::new(), Api::new());
    api.0.on("/v0/topstories.json", [Reply::hang()]);
    let running = Running::start(&mut home.ingesting(&api, &["top", "--timeout", "1h"]));
    api.0.wait_in_flight(1);
    running.signal("TERM");
    running.wait().exits(143);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_ids_on_stdin() {
    let (home, api) = (Home::new(), Api::of_stories());
    let mut running = Running::start(home.ingesting(&api, &["items", "-"]).stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
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
        let (home, (api, first, rest)) = (Home::new(), held_api());
        let args = ["top", "--api-url", &api.url(), "--format", format];
        let mut running = Running::start(&mut home.command(&args));
        api.0.wait_in_flight(16);
        drop(running.child().stdout.take());
        first.open();
        rest.open();
        let ran = running.wait().exits(0);
        assert_eq!(ran.stderr, "");
        assert_eq!(home.db("hn.db").count("items"), 20);
    }
}

#[test]
fn a_closed_stderr_changes_no_exit_code() {
    let (home, api) = (Home::new(), Api::new());
    let run = |args: &[&str]| {
        let mut running = Running::start(&mut home.ingesting(&api, args));
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
fn a_full_stdout_is_warned_of_and_nothing_is_lost() {
    let (home, api) = (Home::new(), Api::of_stories());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = Running::start(home.ingesting(&api, &["items", "1"]).stdout(full)).wait();
    assert!(
        ran.stderr.contains("WARN") && ran.stderr.contains("standard output"),
        "{ran:?}"
    );
    assert_eq!(home.db("hn.db").column("id", "items"), json!([1]));
}

#[test]
fn two_programs_start_on_one_fresh_file_and_lose_nothing() {
    let api = Api::of_stories();
    for round in 0..10 {
        let home = Home::new();
        let start = |ids: [&str; 4]| {
            let args = [&["items"], ids.as_slice()].concat();
            Running::start(&mut home.ingesting(&api, &args))
        };
        let pair = [start(["1", "2", "3", "4"]), start(["3", "4", "5", "6"])];
        for running in pair {
            let ran = running.wait().exits(0);
            assert_eq!(
                (counts(&ran.report()), ran.stderr.as_str()),
                ([4, 0, 0, 0], ""),
                "round {round}"
            );
        }
        let mut db = home.db("hn.db");
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
fn a_killed_run_leaves_what_it_had_committed_and_the_next_goes_on() {
    let (home, (api, first, rest)) = (Home::new(), held_api());
    first.open();
    let args = ["top", "--limit", "0", "--workers", "4", "--linger", "0s"];
    let running = Running::start(&mut home.ingesting(&api, &args));
    api.0
        .wait_for(|stats| stats.requests == 1 + 4 + 4 && stats.in_flight == 4);
    running.signal("KILL");
    assert_eq!(running.wait().code, None);
    let stored = home.db("hn.db").count("items");
    assert!(stored <= 4, "{stored}");
    rest.open();
    let report = home.ingest(&api, &args).exits(0).report();
    assert_eq!(counts(&report), [50, 0, 0, 0]);
    let mut db = home.db("hn.db");
    assert_eq!(
        db.column("coalesce(finished_at > 0, 0)", "runs ORDER BY id"),
        json!([0, 1])
    );
}

#[test]
fn progress_goes_to_stderr_and_never_means_never() {
    let (home, api) = (Home::new(), Api::of_stories());
    let ran = home
        .ingest(&api, &["items", "1", "--progress", "never"])
        .exits(0);
    assert_eq!(ran.stderr, "");
    home.ingest(&api, &["items", "1", "--progress", "always"])
        .exits(0)
        .report();
}

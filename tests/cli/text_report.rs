//! What the reports show, and what a database that refuses or vanishes does to a run.

use std::fs;

use hn_ingest::test_util::{Latch, Reply};
use serde_json::json;

use crate::common::{Api, Finished, Sandbox, counts, id_of, story};

fn text(sandbox: &Sandbox, api: &Api, args: &[&str]) -> Finished {
    sandbox.call(args).args(&["--api-url", &api.url()]).run()
}

#[test]
fn a_text_report_names_what_failed_and_why_and_counts_the_rest() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.list("new", 1..=13);
    let finished = text(&sandbox, &api, &["new"]).exits(1);
    assert!(
        finished
            .stdout
            .starts_with("0 stored, 0 absent, 13 failed, of 13 in "),
        "{finished:?}"
    );
    let failed = |line: &&str| {
        line.starts_with("failed: ") && line.ends_with(": status, after 1 attempt: HTTP status 404")
    };
    assert_eq!(
        finished.stdout.lines().filter(failed).count(),
        10,
        "{finished:?}"
    );
    assert!(
        finished.stdout.contains(
            "and 3 more; see the table `failures`; `hn-ingest retry` fetches again what failed"
        ),
        "{finished:?}"
    );
    assert!(
        !finished.stdout.contains("score"),
        "no empty table: {finished:?}"
    );
    assert_eq!(finished.stderr, "");
    assert_eq!(sandbox.db("hn.db").count("failures"), 13);
}

#[test]
fn a_text_report_says_how_to_fetch_again_what_failed_where_that_is_possible() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let retry = "\n`hn-ingest retry` fetches again what failed\n";
    let items = text(&sandbox, &api, &["items", "1", "2"]);
    api.item(1, [Reply::json(story(1, 1))]);
    let half = text(&sandbox, &api, &["retry"]);
    for finished in [items.exits(1), half.exits(1)] {
        assert!(finished.stdout.contains(retry), "{finished:?}");
    }
    api.item(2, [Reply::json(story(2, 2))]);
    let all = text(&sandbox, &api, &["retry"]).exits(0);
    assert!(!all.stdout.contains("retry"), "{all:?}");
    // Failures of users are in no table.
    let names: Vec<String> = (1..=12).map(|number| format!("name{number}")).collect();
    let names = names.iter().map(String::as_str);
    let users: Vec<&str> = ["users"].into_iter().chain(names).collect();
    let users = text(&sandbox, &api, &users).exits(1);
    assert!(
        users.stdout.contains("and 2 more; --format json"),
        "{users:?}"
    );
    assert!(!users.stdout.contains("retry"), "{users:?}");
}

#[test]
fn without_a_database_the_next_step_is_one_for_the_same_database() {
    let sandbox = Sandbox::new();
    for command in [
        "status",
        "verify",
        "search x",
        "search --build",
        "retry",
        "verify --sample 1",
    ] {
        let args: Vec<&str> = command.split(' ').collect();
        let real = ["there is no database hn.db", "`hn-ingest top`"];
        sandbox.run(&args).refuses(&real);
        let demo = [
            "there is no database hn-demo.db",
            "`hn-ingest backfill --demo`",
            "`hn-ingest top --demo`",
        ];
        sandbox
            .run(&[&args[..], &["--demo"]].concat())
            .refuses(&demo);
    }
    assert!(sandbox.files().is_empty());
}

#[test]
fn text_from_the_api_cannot_control_the_terminal() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.list("top", [1, 2]);
    api.item(
        1,
        [Reply::json(
            r#"{"id":1,"type":"story","score":3,"title":"\u001b[2Jcleared\u0007\n\u009b1m"}"#,
        )],
    );
    api.item(2, [Reply::json("\u{1b}[2J")]);
    let finished = text(&sandbox, &api, &["top"]).exits(1);
    let controls = |c: char| c.is_control() && c != '\n';
    assert!(!finished.stdout.contains(controls), "{finished:?}");
    assert!(finished.stdout.contains("[2Jcleared"), "{finished:?}");
}

#[test]
fn scores_that_are_missing_come_last_and_equal_ones_by_id() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.list("top", [9, 8, 7, 6]);
    for id in [9, 7, 6] {
        api.item(id, [Reply::json(story(id, if id == 6 { -1 } else { 5 }))]);
    }
    api.item(8, [Reply::json(r#"{"id":8,"type":"job"}"#)]);
    let report = sandbox.ingest(&api, &["top"]).exits(0).report();
    let top = report["top"].as_array().unwrap();
    let ids: Vec<_> = top.iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [7, 9, 6, 8]);
    assert_eq!(top[3], json!({"id": 8, "score": null, "title": null}));
}

#[test]
fn a_text_with_nuls_and_any_unicode_is_stored_to_the_last_byte() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let body = "{\"id\":1,\"text\":\"a\\u0000b \u{1f9ea}\\ud83e\\uddea \\u202e\"}";
    api.item(1, [Reply::json(body)]);
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    let hex = sandbox.db("hn.db").column("hex(text)", "items");
    let text = "a\0b \u{1f9ea}\u{1f9ea} \u{202e}";
    let expected: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(hex, json!([expected]));
}

#[test]
fn a_list_of_thousands_is_kept_whole() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("best", (1..=5_000).rev());
    let report = sandbox
        .ingest(&api, &["best", "--limit", "1"])
        .exits(0)
        .report();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    let mut db = sandbox.db("hn.db");
    assert_eq!(db.count("lists WHERE rank + id = 5001"), 5_000);
}

#[test]
fn a_base_url_may_end_with_a_slash() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let url = format!("{}/", api.url());
    sandbox.run(&["items", "4", "--api-url", &url]).exits(0);
    assert_eq!(api.hits(4), 1);
}

#[test]
fn a_row_that_the_database_refuses_fails_its_id_alone() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    sandbox.db("hn.db").execute(
        "CREATE TRIGGER no_three BEFORE INSERT ON items WHEN NEW.id = 3 BEGIN SELECT RAISE(ABORT, 'three is refused'); END",
    );
    let report = sandbox
        .ingest(&api, &["items", "2", "3", "4"])
        .exits(1)
        .report();
    assert_eq!(counts(&report), [2, 0, 1, 0]);
    let mut db = sandbox.db("hn.db");
    assert_eq!(db.column("id", "items ORDER BY id"), json!([1, 2, 4]));
    assert_eq!(db.rows("id, kind", "failures"), json!([[3, "storage"]]));
    let message = db.column("message", "failures")[0].to_string();
    assert!(message.contains("three is refused"), "{message}");
}

#[test]
fn a_database_that_vanishes_ends_the_run_with_3_and_a_report_of_what_is_safe() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let gate = Latch::new();
    let held = gate.clone();
    api.0.otherwise(move |path| {
        let id = id_of(path).unwrap();
        Reply::json(story(id, id)).held_by(&held)
    });
    let args = ["items", "1", "2", "3", "4", "5", "6", "--workers", "2"];
    let running = sandbox.call_with(&api, &args).start();
    api.0.wait_in_flight(2);
    fs::rename(sandbox.path("hn.db"), sandbox.path("away.db")).unwrap();
    gate.open();
    let finished = running.wait().exits(3);
    assert_eq!(counts(&finished.report()), [0, 0, 0, 6]);
    for part in ["hn-ingest: nothing more can be stored", "hn.db"] {
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
    assert!(
        !sandbox.path("hn.db").exists(),
        "no other file takes its place"
    );
}

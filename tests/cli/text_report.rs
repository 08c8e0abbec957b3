//! What the text report shows, and what the database does to a run.

use std::fs;

use crate::common::{Api, Home, Running, counts, id_of, story};
use hn_ingest::test_util::{Gate, Reply};
use serde_json::json;

fn text(home: &Home, api: &Api, args: &[&str]) -> crate::common::Ran {
    let mut command = home.command(args);
    Running::start(command.args(["--api-url", &api.url()])).wait()
}

#[test]
fn a_text_report_names_what_failed_and_why_and_counts_the_rest() {
    let (home, api) = (Home::new(), Api::new());
    api.list("new", 1..=13);
    let ran = text(&home, &api, &["new"]).exits(1);
    assert!(
        ran.stdout
            .starts_with("0 saved, 0 absent, 13 failed, of 13 in "),
        "{ran:?}"
    );
    let failed = |line: &&str| {
        line.starts_with("failed: ") && line.ends_with(": status, after 1 attempt: HTTP status 404")
    };
    assert_eq!(ran.stdout.lines().filter(failed).count(), 10, "{ran:?}");
    assert!(
        ran.stdout.contains("and 3 more; see the table `failures`"),
        "{ran:?}"
    );
    assert!(
        !ran.stdout.contains("score"),
        "no table of nothing: {ran:?}"
    );
    assert_eq!(ran.stderr, "");
    assert_eq!(home.db("hn.db").count("failures"), 13);
}

#[test]
fn what_the_api_says_does_not_steer_the_terminal() {
    let (home, api) = (Home::new(), Api::new());
    api.list("top", [1, 2]);
    api.item(
        1,
        [Reply::json(
            r#"{"id":1,"type":"story","score":3,"title":"\u001b[2Jcleared\u0007\n\u009b1m"}"#,
        )],
    );
    api.item(2, [Reply::json("\u{1b}[2J")]);
    let ran = text(&home, &api, &["top"]).exits(1);
    let steers = |c: char| c.is_control() && c != '\n';
    assert!(!ran.stdout.contains(steers), "{ran:?}");
    assert!(ran.stdout.contains("[2Jcleared"), "{ran:?}");
}

#[test]
fn scores_that_are_missing_come_last_and_equal_ones_by_id() {
    let (home, api) = (Home::new(), Api::new());
    api.list("top", [9, 8, 7, 6]);
    for id in [9, 7, 6] {
        api.item(id, [Reply::json(story(id, if id == 6 { -1 } else { 5 }))]);
    }
    api.item(8, [Reply::json(r#"{"id":8,"type":"job"}"#)]);
    let report = home.ingest(&api, &["top"]).exits(0).report();
    let top = report["top"].as_array().unwrap();
    let ids: Vec<_> = top.iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [7, 9, 6, 8]);
    assert_eq!(top[3], json!({"id": 8, "score": null, "title": null}));
}

#[test]
fn a_text_with_nuls_and_any_unicode_is_stored_to_the_last_byte() {
    let (home, api) = (Home::new(), Api::new());
    let body = "{\"id\":1,\"text\":\"a\\u0000b \u{1f9ea}\\ud83e\\uddea \\u202e\"}";
    api.item(1, [Reply::json(body)]);
    home.ingest(&api, &["items", "1"]).exits(0);
    let hex = home.db("hn.db").column("hex(text)", "items");
    let text = "a\0b \u{1f9ea}\u{1f9ea} \u{202e}";
    let expected: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(hex, json!([expected]));
}

#[test]
fn a_list_of_thousands_is_kept_whole() {
    let (home, api) = (Home::new(), Api::of_stories());
    api.list("best", (1..=5_000).rev());
    let report = home
        .ingest(&api, &["best", "--limit", "1"])
        .exits(0)
        .report();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    let mut db = home.db("hn.db");
    assert_eq!(db.count("lists WHERE rank + id = 5001"), 5_000);
}

#[test]
fn a_base_url_may_end_with_a_slash() {
    let (home, api) = (Home::new(), Api::of_stories());
    let url = format!("{}/", api.url());
    home.run(&["items", "4", "--api-url", &url]).exits(0);
    assert_eq!(api.hits(4), 1);
}

#[test]
fn a_row_that_the_database_refuses_fails_its_id_alone() {
    let (home, api) = (Home::new(), Api::of_stories());
    home.ingest(&api, &["items", "1"]).exits(0);
    home.db("hn.db").execute(
        "CREATE TRIGGER no_three BEFORE INSERT ON items WHEN NEW.id = 3 BEGIN SELECT RAISE(ABORT, 'three is refused'); END",
    );
    let report = home
        .ingest(&api, &["items", "2", "3", "4"])
        .exits(1)
        .report();
    assert_eq!(counts(&report), [2, 0, 1, 0]);
    let mut db = home.db("hn.db");
    assert_eq!(db.column("id", "items ORDER BY id"), json!([1, 2, 4]));
    assert_eq!(db.rows("id, kind", "failures"), json!([[3, "storage"]]));
    let message = db.column("message", "failures")[0].to_string();
    assert!(message.contains("three is refused"), "{message}");
}

#[test]
fn a_database_that_vanishes_ends_the_run_with_3_and_a_report_of_what_was_safe() {
    let (home, api, gate) = (Home::new(), Api::new(), Gate::new());
    let held = gate.clone();
    api.0.otherwise(move |path| {
        let id = id_of(path).unwrap();
        Reply::json(story(id, id)).held_by(&held)
    });
    let args = ["items", "1", "2", "3", "4", "5", "6", "--workers", "2"];
    let running = Running::start(&mut home.ingesting(&api, &args));
    api.0.wait_in_flight(2);
    fs::rename(home.path("hn.db"), home.path("away.db")).unwrap();
    gate.open();
    let ran = running.wait().exits(3);
    assert_eq!(counts(&ran.report()), [0, 0, 0, 6]);
    for part in ["hn-ingest: nothing more can be stored", "hn.db"] {
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    assert!(
        !home.path("hn.db").exists(),
        "no other file takes its place"
    );
}

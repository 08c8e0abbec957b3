//! Tests of `status`: what it counts.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use hn_ingest::{Sink, hn::HnSink};
use serde_json::json;

use crate::fixture::{Mirror, comment, failed_outcome, row, stored_item};

#[test]
fn status_shows_what_is_stored_and_what_is_left() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    let later = [
        row(150, stored_item(&comment(150))),
        row(160, failed_outcome()),
    ];
    let sink = HnSink::with_coverage(0);
    sink.write(&mut mirror.connect(), &later).unwrap();
    assert_eq!(mirror.run(&["items", "170"]).exit_code, 0);
    let result = mirror.run(&["status"]);
    assert_eq!(result.exit_code, 0);
    let status = result.report;
    let types = json!([{"type": "comment", "count": 99}, {"type": "story", "count": 1}]);
    assert_eq!(status["items"]["count"], 100);
    assert_eq!(status["items"]["by_type"], types);
    assert_eq!(status["items"]["newest"], json!({"id": 170, "time": 170}));
    assert_eq!(status["items"]["oldest"], json!({"id": 1, "time": null}));
    let holes = json!([{"lo": 101, "hi": 149}, {"lo": 151, "hi": 159}]);
    let holes = json!({"count": 2, "ids": 58, "listed": holes});
    let covered = json!({"ranges": 3, "ids": 102, "holes": holes, "highest_known": 170, "left": 68, "left_absent": 0});
    assert_eq!(status["coverage"], covered);
    let kind = &status["failures"]["by_kind"][0];
    assert_eq!(
        (&kind["kind"], &kind["count"]),
        (&json!("timeout"), &json!(2))
    );
    assert_eq!(kind["examples"][1]["id"], 160);
    assert_eq!(
        (&status["absent"], &status["item_history"]),
        (&json!(1), &json!(0))
    );
    let run = &status["runs"][0];
    assert_eq!(
        (&run["command"], &run["stored"]),
        (&json!("items"), &json!(1))
    );
    assert!(status["size"]["database"].as_u64() > Some(0));

    let mut command = mirror.command(&["status", "--format", "text"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("101-149"), "{text}");
    // Text that comes from outside must not control the terminal.
    assert!(text.contains("too slow\u{fffd}") && !text.contains('\u{1b}'));
}

#[test]
fn status_counts_the_gap_below_the_first_range_and_the_absent_ids_that_are_left() {
    let mirror = Mirror::new(12_000);
    let within = ["backfill", "--from", "1950", "--to", "2250"];
    assert_eq!(mirror.run(&within).exit_code, 0);
    mirror.execute("INSERT INTO coverage VALUES (2240, 2245)");
    let covered = mirror.run(&["status"]).report["coverage"].clone();
    // 2000 is absent and old; 2100 and 2200 are absent and new.
    assert_eq!(
        (&covered["ids"], &covered["left"]),
        (&json!(299), &json!(1951))
    );
    assert_eq!(covered["left_absent"], 2);
    assert_eq!(
        (&covered["holes"]["count"], &covered["holes"]["ids"]),
        (&json!(3), &json!(1951))
    );
    assert_eq!(covered["holes"]["listed"][0], json!({"lo": 1, "hi": 1949}));
}

#[test]
fn status_and_verify_do_not_wait_for_a_writer() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    mirror.execute("PRAGMA journal_mode = WAL");
    let mut writer = mirror.connect();
    writer.batch_execute("BEGIN IMMEDIATE").unwrap();
    for command in ["status", "verify"] {
        let began = Instant::now();
        let result = mirror.run(&[command]);
        assert_eq!(result.exit_code, 0, "{result:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{command}");
    }
}

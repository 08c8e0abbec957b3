//! Tests of `status`: what it counts.

use std::time::{Duration, Instant};

use diesel::{RunQueryDsl, connection::SimpleConnection};
use hn_ingest::{Sink, hn::HnSink, test_util::Reply};
use serde_json::{Value, json};

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

#[test]
fn status_shows_how_fresh_the_mirror_is() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    let fresh = || mirror.run(&["status"]).report["freshness"].clone();
    let text = || {
        let mut command = mirror.command(&["status", "--format", "text"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let before = fresh();
    assert_eq!(before["follow"], json!(null));
    assert_eq!(before["lists_read_at"], json!(null));
    assert_eq!(before["refreshes"]["due"], 0);
    assert_eq!(before["refreshes"]["overdue"], json!(null));
    let ids = json!({"first": 1, "newest": 100, "absent": 1, "failed": 1, "unknown": 0});
    assert_eq!(before["newest_ids"], ids);
    assert!(!text().contains("follow"), "{}", text());

    // Two items are due, one of them for an hour. The ids behind the newest item are known, but not those between.
    mirror.execute(
        "INSERT INTO items (id, time, fetched_at) VALUES
             (198, unixepoch() - 3660, unixepoch() - 3659), (199, unixepoch() - 100, unixepoch() - 99),
             (200, unixepoch() - 30, unixepoch() - 29);
         INSERT INTO absent VALUES (201, 1, 0, 0); INSERT INTO failures VALUES (202, 'timeout', '', 4, 0);
         INSERT INTO lists VALUES ('top', 1, 199, unixepoch() - 20);
         INSERT INTO runs (id, command, host, pid, machine, rate, started_at, heartbeat_at, finished_at)
             VALUES (7, 'follow', 'h', 1, '', 0, 5, 6, 6), (8, 'follow', 'h', 1, '', 0, 5, unixepoch(), NULL),
             (9, 'follow', 'h', 2, '', 0, 5, unixepoch(), NULL)",
    );
    let now = fresh();
    let refreshes = &now["refreshes"];
    assert_eq!(refreshes["ladder"], "1m,5m,15m,1h,3h,12h,1d,2d,7d,15d");
    assert_eq!(
        (&refreshes["due"], &refreshes["is_at_least"]),
        (&json!(2), &json!(false))
    );
    let seconds = |value: &Value| value.as_i64().unwrap();
    assert!((3600..3660).contains(&seconds(&refreshes["overdue"])));
    assert!((30..90).contains(&seconds(&now["newest_age"])));
    let listed = seconds(&now["read_at"]) - seconds(&now["lists_read_at"]);
    assert!((20..80).contains(&listed));
    let ids = json!({"first": 1, "newest": 200, "absent": 2, "failed": 2, "unknown": 97});
    assert_eq!(now["newest_ids"], ids);
    // Of two that are heard of at the same time, one was there before the other.
    assert_eq!(
        (&now["follow"]["run"], &now["follow"]["under_way"]),
        (&json!(8), &json!(true))
    );
    let shown = text();
    for part in [
        "the newest item is",
        "a list was read",
        "run 8 is under way",
        "refreshes due: 2, one for 1h",
        "97 never asked for",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    mirror.execute("UPDATE runs SET heartbeat_at = 9 WHERE id > 7");
    assert_eq!(fresh()["follow"]["under_way"], false);
    assert!(
        text().contains("run 9 is not under way; it died"),
        "{}",
        text()
    );
    mirror.execute("UPDATE runs SET finished_at = unixepoch() - 60 WHERE id = 9");
    assert!(
        text().contains("run 9 is not under way; it ended 1m"),
        "{}",
        text()
    );
    assert_eq!(fresh()["follow"]["run"], 9);

    mirror.execute(&format!("DROP INDEX {}", index_of_refreshes(&mirror)));
    assert_eq!(fresh()["refreshes"], json!(null));
}

#[test]
fn status_names_the_run_that_follows_and_those_that_ended_without_a_report() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    // All were heard of within a minute. Run 3 was killed on another machine, and 4 has taken over.
    mirror.execute(
        "INSERT INTO runs (id, command, host, pid, machine, rate, started_at, heartbeat_at) VALUES
             (3, 'follow', 'h', 1, '', 0, 5, unixepoch() - 30), (4, 'follow', 'h', 2, '', 0, 5, unixepoch() - 40),
             (5, 'backfill', 'h', 3, '', 0, 5, unixepoch());
         INSERT INTO leases VALUES (0, 0, 4, unixepoch() + 20)",
    );
    let status = || mirror.run(&["status"]).report;
    let text = || {
        let mut command = mirror.command(&["status", "--format", "text"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let at_work = |status: &Value| -> Vec<i64> {
        let processes = status["processes"].as_array().unwrap().iter();
        processes
            .map(|process| process["run"].as_i64().unwrap())
            .collect()
    };
    let now = status();
    assert_eq!(now["freshness"]["follow"]["run"], 4);
    assert_eq!(now["freshness"]["follow"]["under_way"], true);
    assert_eq!(at_work(&now), [4, 5]);
    let shown = text();
    assert!(shown.contains("run 4 is under way"), "{shown}");
    for (run, state) in [
        ("3: follow", "ended without a report"),
        ("4: follow", "under way"),
        ("5: backfill", "under way"),
    ] {
        let line = shown.lines().find(|line| line.trim().starts_with(run));
        assert!(line.unwrap().ends_with(&format!(": {state}")), "{shown}");
    }

    // Without a lease, the one that was heard of last is at work.
    mirror.execute("DELETE FROM leases");
    assert_eq!(status()["freshness"]["follow"]["run"], 3);
    mirror.execute("UPDATE runs SET heartbeat_at = unixepoch() WHERE id = 4");
    assert_eq!(status()["freshness"]["follow"]["run"], 4);
}

#[test]
fn an_id_that_was_only_asked_for_is_not_the_highest_known_one() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    let covered = || mirror.run(&["status"]).report["coverage"].clone();
    let before = covered();
    assert_eq!(before["highest_known"], 100);
    mirror.answer_item(60_000_001, [Reply::status(403)]);
    let far = ["items", "60000000", "60000001"];
    assert_eq!(mirror.run(&far).exit_code, 1);
    assert_eq!(mirror.run(&["status"]).report["absent"], 2);
    assert_eq!(covered(), before);
    // What the API itself names is known.
    mirror.execute(
        "INSERT INTO lists VALUES ('top', 1, 250, 0); INSERT INTO absent VALUES (200, 1, 0, 0)",
    );
    let now = covered();
    assert_eq!(
        (&now["highest_known"], &now["left"], &now["left_absent"]),
        (&json!(250), &json!(150), &json!(1))
    );
}

#[test]
fn status_says_what_there_is_of_a_search_index() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    let check = |state: Value, line: &str| {
        assert_eq!(mirror.run(&["status"]).report["search_index"], state);
        let mut command = mirror.command(&["status", "--format", "text"]);
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let found = text.lines().find(|found| found.starts_with("search "));
        assert!(
            found.unwrap().starts_with(&format!("search    {line}")),
            "{text}"
        );
    };
    check(json!(null), "no index");
    mirror.run(&["search", "--build", "--stories-only"]);
    let index = |content: &str, built_up_to: Option<i64>, missing: &[&str]| {
        let is_complete = built_up_to.is_none();
        json!({"content": content, "is_complete": is_complete, "built_up_to": built_up_to, "missing": missing})
    };
    check(index("stories", None, &[]), "index of stories");
    mirror.run(&["search", "--rebuild"]);
    check(index("everything", None, &[]), "index of everything");
    mirror.execute("UPDATE search_index SET next_id = 51");
    let line = "index of everything, built up to id 50";
    check(index("everything", Some(50), &[]), line);
    mirror.execute("UPDATE search_index SET next_id = NULL; DROP TRIGGER items_ad");
    let missing = "the trigger items_ad is missing";
    let line = format!("index of everything: {missing}; `hn-ingest search --rebuild`");
    check(index("everything", None, &[missing]), &line);
}

fn index_of_refreshes(mirror: &Mirror) -> String {
    let name = diesel::dsl::sql::<diesel::sql_types::Text>(
        "SELECT name FROM sqlite_master WHERE name LIKE 'items_to_refresh_%'",
    );
    name.get_result(&mut mirror.connect()).unwrap()
}

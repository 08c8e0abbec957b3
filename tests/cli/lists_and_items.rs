//! The binary's main job: lists and named ids come in, rows and a report come out.

use std::collections::BTreeSet;

use hn_ingest::test_util::{Latch, Reply};
use serde_json::{Value, json};

use crate::common::{Api, Sandbox, counts, story};

const REPORT_KEYS: [&str; 15] = [
    "command",
    "requested",
    "stored",
    "absent",
    "failed",
    "not_attempted",
    "attempts",
    "retries",
    "bytes",
    "connections",
    "latency_ms",
    "elapsed_ms",
    "items_per_second",
    "interrupted",
    "failures",
];

fn keys(report: &Value) -> BTreeSet<&str> {
    report
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn demo_needs_nothing_and_its_table_agrees_with_the_database() {
    let sandbox = Sandbox::new();
    let finished = sandbox.run(&["--demo"]).exits(0);
    assert_eq!(finished.stderr, "");
    assert!(
        finished
            .stdout
            .starts_with("20 stored, 0 absent, 0 failed, of 20 in "),
        "{finished:?}"
    );
    let best = sandbox.db("hn-demo.db").rows(
        "id, title, score",
        "stories ORDER BY score DESC, id LIMIT 5",
    );
    let lines: Vec<&str> = finished.stdout.lines().rev().take(5).collect();
    for (line, row) in lines.iter().rev().zip(best.as_array().unwrap()) {
        let shown = line.trim();
        assert!(shown.starts_with(&format!("{} ", row[2])), "{line}: {row}");
        let title = row[1].as_str().unwrap().replace("&amp;", "&");
        assert!(shown.contains(&title), "{line}: {row}");
        assert!(shown.ends_with(&format!(" {}", row[0])), "{line}: {row}");
    }
    assert_eq!(lines.len(), 5);
}

#[test]
fn a_list_report_in_json_has_the_keys_of_the_contract_and_agrees_with_the_tables() {
    let sandbox = Sandbox::new();
    let report = sandbox
        .run(&["--demo", "--format", "json"])
        .exits(0)
        .report();
    let expected: BTreeSet<_> = REPORT_KEYS.into_iter().chain(["top"]).collect();
    assert_eq!(keys(&report), expected);
    assert_eq!(report["command"], "top");
    assert_eq!(counts(&report), [20, 0, 0, 0]);
    assert_eq!(report["attempts"], 20);
    assert_eq!(report["interrupted"], false);
    assert!(report["bytes"].as_u64().unwrap() > 0);
    let mut db = sandbox.db("hn-demo.db");
    let top: Value = report["top"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            assert_eq!(keys(item), BTreeSet::from(["id", "score", "title"]));
            json!([item["id"], item["score"], item["title"]])
        })
        .collect();
    let best = db.rows("id, score, title", "items ORDER BY score DESC, id LIMIT 5");
    assert_eq!(top, best);
    let run = db.rows(
        "command, requested, stored, absent, failed, not_attempted, attempts, bytes",
        "runs WHERE finished_at >= started_at",
    );
    assert_eq!(run, json!([["top", 20, 20, 0, 0, 0, 20, report["bytes"]]]));
}

#[test]
fn an_items_report_has_no_top() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let report = sandbox.ingest(&api, &["items", "1"]).exits(0).report();
    assert_eq!(keys(&report), BTreeSet::from(REPORT_KEYS));
    assert_eq!(report["command"], "items");
}

#[test]
fn without_a_command_it_fetches_the_top_list() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", [3, 1]);
    let report = sandbox.ingest(&api, &[]).exits(0).report();
    assert_eq!(report["command"], "top");
    assert_eq!(
        sandbox
            .db("hn.db")
            .rows("list, rank, id", "lists ORDER BY rank"),
        json!([["top", 1, 3], ["top", 2, 1]])
    );
}

#[test]
fn each_list_is_stored_whole_and_limit_cuts_what_is_fetched() {
    for name in ["top", "new", "best", "ask", "show", "job"] {
        let sandbox = Sandbox::new();
        let api = Api::of_stories();
        api.list(name, [50, 40, 60, 10]);
        let report = sandbox
            .ingest(&api, &[name, "--limit", "2"])
            .exits(0)
            .report();
        assert_eq!(
            (&report["command"], counts(&report)),
            (&json!(name), [2, 0, 0, 0])
        );
        let mut db = sandbox.db("hn.db");
        assert_eq!(
            db.rows("list, rank, id", "lists ORDER BY rank"),
            json!([[name, 1, 50], [name, 2, 40], [name, 3, 60], [name, 4, 10]])
        );
        assert_eq!(db.column("id", "items ORDER BY id"), json!([40, 50]));
    }
}

#[test]
fn limit_0_is_the_whole_list_and_the_default_is_20() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("new", 1..=33);
    for (args, fetched) in [(vec!["new"], 20), (vec!["new", "--limit", "0"], 33)] {
        let report = sandbox.ingest(&api, &args).exits(0).report();
        assert_eq!(report["requested"], fetched, "{args:?}");
    }
}

#[test]
fn a_list_read_again_replaces_itself_and_no_other() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", [1, 2, 3]);
    api.list("ask", [9]);
    sandbox.ingest(&api, &["top"]).exits(0);
    sandbox.ingest(&api, &["ask"]).exits(0);
    api.list("top", [4]);
    sandbox.ingest(&api, &["top"]).exits(0);
    assert_eq!(
        sandbox
            .db("hn.db")
            .rows("list, rank, id", "lists ORDER BY list, rank"),
        json!([["ask", 1, 9], ["top", 1, 4]])
    );
}

#[test]
fn an_empty_list_is_a_run_of_nothing() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.list("job", []);
    let report = sandbox.ingest(&api, &["job"]).exits(0).report();
    assert_eq!((counts(&report), &report["top"]), ([0; 4], &json!([])));
}

#[test]
fn top_names_only_items_that_this_run_stored() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", 1..=4);
    sandbox.ingest(&api, &["top"]).exits(0);
    // The best one is gone now and the next cannot be had: their rows stay, and are not this run's.
    api.item(4, [Reply::json("null")]);
    api.item(3, [Reply::status(404)]);
    assert_eq!(sandbox.ingest(&api, &["top"]).exits(1).top_ids(), [2, 1]);
}

#[test]
fn top_names_no_item_of_an_earlier_run_even_if_the_report_cannot_list_all_failures() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.list("top", 1..=120);
    sandbox.ingest(&api, &["top", "--limit", "0"]).exits(0);
    api.0.otherwise(|_| Reply::status(404));
    let report = sandbox
        .ingest(&api, &["top", "--limit", "0"])
        .exits(1)
        .report();
    assert_eq!(report["failures"].as_array().unwrap().len(), 100);
    assert_eq!(
        (counts(&report), &report["top"]),
        ([0, 0, 120, 0], &json!([]))
    );
}

#[test]
fn an_item_may_be_named_by_the_address_of_its_page() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let args = [
        "items",
        "https://news.ycombinator.com/item?id=8863",
        "http://news.ycombinator.com/item?id=1#2",
    ];
    sandbox.ingest(&api, &args).exits(0);
    let ids = sandbox.db("hn.db").column("id", "items ORDER BY id");
    assert_eq!(ids, json!([1, 8863]));
}

#[test]
fn an_id_named_twice_counts_twice() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let report = sandbox
        .ingest(&api, &["items", "7", "8", "7"])
        .exits(0)
        .report();
    assert_eq!(
        (counts(&report), &report["attempts"]),
        ([3, 0, 0, 0], &json!(3))
    );
    assert_eq!(
        sandbox.db("hn.db").column("id", "items ORDER BY id"),
        json!([7, 8])
    );
}

#[test]
fn every_field_of_an_item_is_stored() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let whole = r#"{"id":1,"type":"story","by":"ann","time":1700000000,"title":"A \u00e9","url":"","text":"x","score":5,
        "descendants":2,"parent":9,"poll":8,"kids":[3,2],"parts":[],"deleted":false,"dead":true}"#;
    let odd = r#"{"id":2,"deleted":[true],"dead":null,"time":"soon","score":9223372036854775808,"kids":[1,"x"],
        "karma":123456789012345678901234567890.10,"by":null,"new":{"a":[1]}}"#;
    api.item(1, [Reply::json(whole)]);
    api.item(2, [Reply::json(odd)]);
    sandbox.ingest(&api, &["items", "1", "2"]).exits(0);
    let mut db = sandbox.db("hn.db");
    let columns = "id, type, by, time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead";
    let n = Value::Null;
    assert_eq!(
        db.rows(columns, "items ORDER BY id"),
        json!([
            [
                1,
                "story",
                "ann",
                1_700_000_000,
                "A é",
                "",
                "x",
                5,
                2,
                9,
                8,
                "[3,2]",
                "[]",
                0,
                1
            ],
            [2, n, n, n, n, n, n, n, n, n, n, n, n, n, n]
        ])
    );
    let extra = db.column("extra", "items ORDER BY id");
    assert_eq!(extra[0], n);
    let extra = extra[1].as_str().unwrap();
    assert!(extra.contains("\"score\":9223372036854775808"), "{extra}");
    assert!(
        extra.contains("\"karma\":123456789012345678901234567890.10"),
        "{extra}"
    );
    let extra: Value = serde_json::from_str(extra).unwrap();
    assert_eq!(
        keys(&extra),
        BTreeSet::from([
            "by", "dead", "deleted", "karma", "kids", "new", "score", "time"
        ])
    );
    assert_eq!(
        (
            &extra["dead"],
            &extra["by"],
            &extra["deleted"],
            &extra["new"]
        ),
        (&n, &n, &json!([true]), &json!({"a": [1]}))
    );
}

#[test]
fn an_item_fetched_again_replaces_its_row_whole() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let before = r#"{"id":1,"type":"story","title":"old","score":3,"kids":[2],"odd":1}"#;
    let after = r#"{"id":1,"type":"story","score":4,"url":"http://x/"}"#;
    api.item(1, [Reply::json(before), Reply::json(after)]);
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    let n = Value::Null;
    assert_eq!(
        sandbox
            .db("hn.db")
            .rows("id, title, score, url, kids, extra", "items"),
        json!([[1, n, 4, "http://x/", n, n]])
    );
}

#[test]
fn outcomes_follow_each_other_as_the_contract_has_it() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let state = || {
        let mut db = sandbox.db("hn.db");
        let items = db.column("id", "items");
        let absent = db.column("checks", "absent WHERE last_checked_at >= first_checked_at");
        let failures = db.rows("kind, attempts", "failures");
        (items, absent, failures)
    };
    let missing = || Reply::json("null");
    let steps = [
        // What comes, the exit code, and then: items, checks of absent, failures.
        (
            Reply::status(404),
            1,
            json!([]),
            json!([]),
            json!([["status", 1]]),
        ),
        (missing(), 0, json!([]), json!([1]), json!([])),
        (missing(), 0, json!([]), json!([2]), json!([])),
        (
            Reply::status(410),
            1,
            json!([]),
            json!([2]),
            json!([["status", 1]]),
        ),
        (
            Reply::json(story(1, 1)),
            0,
            json!([1]),
            json!([]),
            json!([]),
        ),
        (
            Reply::json("<html>"),
            1,
            json!([1]),
            json!([]),
            json!([["decode", 1]]),
        ),
        (missing(), 0, json!([1]), json!([1]), json!([])),
        (
            Reply::json(story(1, 1)),
            0,
            json!([1]),
            json!([]),
            json!([]),
        ),
    ];
    api.item(1, steps.iter().map(|step| step.0.clone()));
    for (number, (_, code, items, absent, failures)) in steps.into_iter().enumerate() {
        sandbox.ingest(&api, &["items", "1"]).exits(code);
        assert_eq!(state(), (items, absent, failures), "after step {number}");
    }
}

#[test]
fn a_command_that_gets_no_list_leaves_no_file_unless_there_was_one_or_another_process_has_it_open()
{
    let api = Api::new();
    let gate = Latch::new();
    for path in ["/v0/topstories.json", "/v0/maxitem.json"] {
        api.0.on(path, [Reply::status(403).held_by(&gate)]);
    }
    let sandbox = Sandbox::new();
    let begun = sandbox.call_with(&api, &["top"]).start();
    api.0.wait_in_flight(1);
    let mut open = sandbox.db("hn.db");
    assert_eq!(open.count("runs"), 0);
    gate.open();
    begun.wait().exits(2);
    assert!(sandbox.files().contains(&"hn.db".to_owned()));
    drop(open);

    for command in ["top", "backfill", "follow"] {
        // The file was there before.
        sandbox.ingest(&api, &[command]).exits(2);
        assert!(sandbox.files().contains(&"hn.db".to_owned()), "{command}");
        let fresh = Sandbox::new();
        fresh.ingest(&api, &[command]).exits(2);
        assert_eq!(fresh.files(), [""; 0], "{command}");
    }
}

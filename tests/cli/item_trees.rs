//! `items --tree`: an item and everything below it.

use std::io::Write;

use hn_ingest::test_util::{Latch, Reply};
use serde_json::{Value, json};

use crate::common::{Api, Sandbox, counts, id_of};

fn item(id: i64, fields: &Value) -> Reply {
    let mut body = json!({"id": id, "type": "comment"});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    Reply::json(body.to_string())
}

/// 1 has 2 and 3; 2 has 4 and, again, 3 and itself; 3 fails; 4 is absent. 5 is a poll with the options 6 and 7 and the answer 8.
fn api() -> Api {
    let api = Api::new();
    for (id, fields) in [
        (1, json!({"kids": [3, 2]})),
        (2, json!({"kids": [4, 3, 2, 1]})),
        (5, json!({"type": "poll", "parts": [6, 7], "kids": [8]})),
        (6, json!({"type": "pollopt", "poll": 5})),
        (7, json!({"type": "pollopt", "poll": 5})),
        (8, json!({"kids": [], "dead": true})),
    ] {
        api.item(id, [item(id, &fields)]);
    }
    api.item(4, [Reply::json("null")]);
    api
}

#[test]
fn a_tree_is_fetched_to_its_last_leaf_and_each_id_once() {
    let sandbox = Sandbox::new();
    let api = api();
    let args = ["items", "--tree", "1", "5", "2", "1"];
    let report = sandbox.ingest(&api, &args).exits(1).report();
    assert_eq!(
        (&report["command"], counts(&report)),
        (&json!("items"), [6, 1, 1, 0])
    );
    let ids = sandbox.db("hn.db").column("id", "items ORDER BY id");
    assert_eq!(ids, json!([1, 2, 5, 6, 7, 8]));
    for id in 1..=8 {
        assert_eq!(api.hits(id), 1, "{id}");
    }
}

#[test]
fn without_tree_nothing_below_is_fetched() {
    let sandbox = Sandbox::new();
    let api = api();
    sandbox.ingest(&api, &["items", "1", "5"]).exits(0);
    assert_eq!(api.0.stats().requests, 2);
}

#[test]
fn roots_come_from_standard_input_too() {
    let sandbox = Sandbox::new();
    let api = api();
    let call = sandbox.call_with(&api, &["items", "--tree", "-"]);
    let (running, mut stdin) = call.start_piped();
    stdin.write_all(b"5\n8 6\nx\n1").unwrap();
    drop(stdin);
    let finished = running.wait().exits(2);
    assert_eq!(counts(&finished.report()), [4, 0, 0, 0]);
    assert!(
        finished.stderr.contains("line 3: `x` is no id"),
        "{finished:?}"
    );
}

#[test]
fn a_level_begins_when_the_one_above_is_settled() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let gate = Latch::new();
    api.item(1, [item(1, &json!({"kids": [3]}))]);
    api.item(2, [item(2, &json!({"kids": [4]})).held_by(&gate)]);
    for id in [3, 4] {
        api.item(id, [item(id, &json!({}))]);
    }
    let running = sandbox
        .call_with(&api, &["items", "--tree", "1", "2"])
        .start();
    api.0.wait_in_flight(1);
    // The answer for 1 comes at once. The tables show when it is committed, and 3 is known.
    let mut db = loop {
        if sandbox.path("hn.db").exists() {
            let mut db = sandbox.db("hn.db");
            if db.number("SELECT count(*) FROM sqlite_schema WHERE name = 'users'") == 1 {
                break db;
            }
        }
    };
    while db.count("items") == 0 {
        std::thread::yield_now();
    }
    assert_eq!(api.hits(3), 0);
    gate.open();
    let report = running.wait().exits(0).report();
    assert_eq!(counts(&report), [4, 0, 0, 0]);
    assert_eq!((api.hits(3), api.hits(4)), (1, 1));
}

#[test]
fn a_wide_and_deep_tree_comes_whole() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    // A chain of 30 answers below one of 2,500.
    api.0.otherwise(|path| {
        let id = id_of(path).unwrap();
        let kids: Vec<_> = match id {
            1 => (2..=2501).collect(),
            2501..=2530 => vec![id + 1],
            _ => Vec::new(),
        };
        item(id, &json!({"kids": kids}))
    });
    let args = ["items", "--tree", "1", "--linger", "1ms"];
    let report = sandbox.ingest(&api, &args).exits(0).report();
    assert_eq!(counts(&report), [2531, 0, 0, 0]);
    assert_eq!(api.0.stats().requests, 2531);
}

#[test]
fn an_interrupted_tree_ends_in_order() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let gate = Latch::new();
    api.item(1, [item(1, &json!({"kids": [2, 3]}))]);
    for id in [2, 3] {
        api.item(id, [item(id, &json!({})).held_by(&gate)]);
    }
    let args = ["items", "--tree", "1", "--workers", "1", "--mailbox", "0"];
    let running = sandbox.call_with(&api, &args).start();
    api.0.wait_for(|stats| stats.requests == 2);
    running.signal("INT");
    // The run may see the answer before the signal, and then it fetches the last item, too.
    gate.open();
    let report = running.wait().exits(130).report();
    assert!(report["stored"].as_u64() >= Some(2));
}

//! A mirror is copied from a file to a server and back, and nothing changes on the way.

#[path = "../support/copied_tables.rs"]
mod copied_tables;

use serde_json::{Value, json};

use self::copied_tables::TABLES;
use crate::{
    common::{Api, Sandbox, wait_until},
    server::{DATABASE, Server},
};

/// A sandbox with a mirror of made-up items, and rows of every odd kind.
fn sandbox_with_mirror() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .run(&[
            "backfill",
            "--demo",
            "--database",
            "hn.db",
            "--last",
            "3000",
        ])
        .exits(0);
    sandbox
        .run(&["top", "--demo", "--database", "hn.db"])
        .exits(0);
    let long = "x".repeat(5000);
    sandbox.db("hn.db").execute(&format!(
        r#"UPDATE items SET text = 'before' || id WHERE id % 7 = 0;
         UPDATE items SET text = char(0) || 'a' || char(0), title = char(0), extra = '{{"new":1.50,"score":"x"}}' WHERE id % 50 = 1;
         UPDATE items SET url = char(0) WHERE id % 50 = 2;
         UPDATE items SET "by" = '{long}', type = '{long}' WHERE id % 500 = 3;
         UPDATE items SET text = '', kids = '[]', score = 9223372036854775807 WHERE id % 50 = 4;
         INSERT INTO item_history SELECT * FROM item_history WHERE id % 2 = 0;
         UPDATE items SET text = 'after', title = 'after', url = 'after' WHERE id % 100 = 1;
         INSERT INTO items (id, fetched_at) VALUES (-5, 0), (-9223372036854775808, 0), (9223372036854775807, 0);
         INSERT INTO users (id, about, extra, fetched_at) VALUES ('nul', char(0), NULL, 1), ('Z', NULL, NULL, 1), ('a', '', '{{"a":null}}', 1),
             ('_', 'x', '{{"about":"y"}}', 1);
         INSERT INTO runs (id, command, host, pid, machine, rate, started_at, heartbeat_at) VALUES (40, 'top', 'h', 1, '', 0, 5, 6)"#
    ));
    sandbox
}

fn rows(sandbox: &Sandbox, file: &str, table: &str, columns: &str) -> Value {
    let values: Vec<_> = columns
        .split(',')
        .map(|name| format!("quote({name})"))
        .collect();
    let (values, order) = (values.join(", "), "ORDER BY 1");
    sandbox.db(file).rows(&values, &format!("{table} {order}"))
}

fn assert_equal(sandbox: &Sandbox, one: &str, other: &str) {
    for (table, columns) in TABLES {
        let sorted = |file| {
            let rows = rows(sandbox, file, table, columns);
            let mut rows: Vec<_> = rows
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            rows.sort();
            rows
        };
        let (one, other) = (sorted(one), sorted(other));
        let difference = one.iter().zip(&other).find(|(one, other)| one != other);
        assert!(
            one == other,
            "{table}: {} and {} rows: {difference:?}",
            one.len(),
            other.len()
        );
    }
}

fn copy(sandbox: &Sandbox, from: &str, to: &str) -> Value {
    let args = ["copy", "--database", from, "--to", to, "--format", "json"];
    let finished = sandbox.run(&args).exits(0);
    assert_eq!(finished.stderr, "");
    serde_json::from_str(&finished.stdout).unwrap()
}

fn written(report: &Value) -> Vec<u64> {
    let tables = report["tables"].as_array().unwrap();
    tables
        .iter()
        .map(|table| table["written"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_mirror_is_the_same_after_it_was_copied_to_a_server_to_another_and_back() {
    let server = Server::start();
    server.execute_in("postgres", "CREATE DATABASE other");
    let sandbox = sandbox_with_mirror();
    let (first, second) = (server.url(DATABASE), server.url("other"));
    for (from, to) in [("hn.db", &first), (&first, &second)] {
        let report = copy(&sandbox, from, to);
        assert_eq!(report["refused"]["count"], json!(0));
        sandbox.run(&["verify", "--database", to]).exits(0);
        // The same once more writes nothing.
        assert_eq!(written(&copy(&sandbox, from, to)), [0; 8]);
    }
    let text =
        server.text("SELECT extra FROM items WHERE title IS NULL AND extra LIKE '%score%' LIMIT 1");
    assert!(text.starts_with(r#"{"new":1.50,"score":"x","#), "{text}");
    copy(&sandbox, &second, "back.db");
    assert_equal(&sandbox, "hn.db", "back.db");
    sandbox.run(&["verify", "--database", "back.db"]).exits(0);
    assert_eq!(written(&copy(&sandbox, "back.db", &first)), [0; 8]);
    // The target goes on with the next number.
    let args = ["items", "1", "--demo", "--database", &first];
    sandbox.run(&args).exits(0);
    assert!(server.number("SELECT max(id) FROM runs") > 40);
}

#[test]
fn a_copy_that_is_killed_and_whose_server_is_restarted_goes_on() {
    let mut server = Server::start();
    let sandbox = sandbox_with_mirror();
    let url = server.url(DATABASE);
    for table in ["items", "item_history"] {
        let running = sandbox
            .call(&["copy", "--database", "hn.db", "--to", &url])
            .start();
        wait_until("rows are there", || {
            let exists = format!("SELECT to_regclass('{table}') IS NOT NULL");
            server.text(&exists) == "true"
                && server.number(&format!("SELECT count(*) FROM {table}")) > 0
        });
        running.signal("KILL");
        running.wait();
    }
    server.execute("DELETE FROM items");
    let running = sandbox
        .call(&["copy", "--database", "hn.db", "--to", &url])
        .start();
    wait_until("rows are there", || {
        server.number("SELECT count(*) FROM items") > 0
    });
    server.stop();
    server.start_again();
    running.wait().exits(0);
    copy(&sandbox, &url, "back.db");
    assert_equal(&sandbox, "hn.db", "back.db");
}

#[test]
fn a_change_at_the_source_arrives_and_leaves_no_history_of_the_copy() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    sandbox.ingest(&api, &["items", "1", "2", "3"]).exits(0);
    copy(&sandbox, "hn.db", &url);
    server.execute("UPDATE items SET title = 'older', fetched_at = 1 WHERE id = 1; DELETE FROM item_history;
        UPDATE items SET title = 'newer', fetched_at = fetched_at + 9 WHERE id = 2; DELETE FROM item_history");
    copy(&sandbox, "hn.db", &url);
    assert_eq!(server.number("SELECT count(*) FROM item_history"), 0);
    assert_ne!(server.text("SELECT title FROM items WHERE id = 1"), "older");
    assert_eq!(server.text("SELECT title FROM items WHERE id = 2"), "newer");
}

#[test]
fn a_server_cannot_be_copied_onto_itself_under_another_name_or_onto_another_kind() {
    let server = Server::start();
    server.execute_in("postgres", "CREATE DATABASE demo");
    server.execute_in("postgres", "CREATE DATABASE foreign_one");
    server.execute_in("foreign_one", "CREATE TABLE t (x int)");
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    sandbox
        .ingest(&api, &["items", "1", "--database", &url])
        .exits(0);
    sandbox
        .run(&["top", "--demo", "--database", &server.url("demo")])
        .exits(0);
    let other_name = url.replace("127.0.0.1", "localhost");
    for (to, message) in [
        (url.clone(), "are the same database"),
        (other_name, "are the same database"),
        (server.url("demo"), "was filled by --demo"),
        (server.url("foreign_one"), "belongs to another program"),
        (server.url("missing"), "does not exist"),
    ] {
        let refused = sandbox.run(&["copy", "--database", &url, "--to", &to]);
        refused.refuses(&[message]);
        assert!(
            !refused.stderr.contains(crate::server::PASSWORD),
            "{refused:?}"
        );
    }
}

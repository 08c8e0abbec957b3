//! A run into PostgreSQL leaves the rows that the same run into SQLite leaves.

use serde_json::Value;

use crate::{
    common::{Api, Sandbox},
    server::{DATABASE, Server},
};

/// All columns that do not depend on the time of the run.
const TABLES: [(&str, &str, &str); 5] = [
    (
        "items",
        "id, type, \"by\", time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, extra",
        "id",
    ),
    ("users", "id, created, karma, about, submitted, extra", "id"),
    ("absent", "id, checks", "id"),
    ("failures", "id, kind, message, attempts", "id"),
    ("coverage", "lo, hi", "lo"),
];

fn rows(server: &Server, columns: &str, table: &str, order: &str) -> Value {
    let query = format!(
        "SELECT coalesce(json_agg(json_build_array({columns}) ORDER BY {order}), '[]') FROM {table}"
    );
    serde_json::from_str(&server.text(&query)).unwrap()
}

#[test]
fn a_backfill_leaves_the_same_rows_on_a_server_as_in_a_file() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    for database in [&server.url(DATABASE), "hn.db"] {
        let args = [
            "backfill",
            "--demo",
            "--last",
            "3000",
            "--database",
            database,
        ];
        sandbox.run(&args).exits(0);
    }
    let mut db = sandbox.db("hn.db");
    for (table, columns, order) in TABLES {
        let on_server = rows(&server, columns, table, order);
        let in_file = db.rows(columns, &format!("{table} ORDER BY {order}"));
        assert_eq!(on_server, in_file, "{table}");
    }
    assert!(db.count("items") > 2900);
}

#[test]
fn text_that_postgresql_cannot_hold_is_kept_in_extra() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::new());
    let long = "x".repeat(5000);
    let bodies = [
        r#"{"id":1,"title":"a\u0000b","text":"","by":"c","new":1.50}"#.to_owned(),
        format!(r#"{{"id":2,"by":"{long}","type":"{long}","title":"t"}}"#),
        r#"{"id":3,"title":"\u0000","url":"\u0000","text":"\u0000","by":"\u0000","type":"\u0000"}"#
            .to_owned(),
    ];
    for (id, body) in (1..).zip(&bodies) {
        api.item(id, [hn_ingest::test_util::Reply::json(body.clone())]);
    }
    api.0.on(
        "/v0/user/pg.json",
        [hn_ingest::test_util::Reply::json(
            r#"{"id":"pg","about":"a\u0000"}"#,
        )],
    );
    let url = server.url(DATABASE);
    sandbox
        .ingest(&api, &["items", "1", "2", "3", "--database", &url])
        .exits(0);
    sandbox
        .ingest(&api, &["users", "pg", "--database", &url])
        .exits(0);
    let extra = |query: &str| -> Value { serde_json::from_str(&server.text(query)).unwrap() };
    for (id, body) in (1..).zip(&bodies) {
        let row = format!(
            "SELECT json_strip_nulls(json_build_object('id', id, 'title', title, 'text', text, 'by', \"by\", 'type', type)) FROM items WHERE id = {id}"
        );
        let mut row = extra(&row);
        let kept = extra(&format!("SELECT extra FROM items WHERE id = {id}"));
        row.as_object_mut()
            .unwrap()
            .extend(kept.as_object().unwrap().clone());
        assert_eq!(row, serde_json::from_str::<Value>(body).unwrap());
    }
    assert_eq!(
        server.text("SELECT extra FROM users"),
        r#"{"about":"a\u0000"}"#
    );
    sandbox.run(&["verify", "--database", &url]).exits(0);
}

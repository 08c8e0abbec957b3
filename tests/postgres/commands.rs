//! Every command works with a database on a server as with a file.

use serde_json::json;

use crate::{
    common::{Api, Sandbox, counts, item_path},
    server::{DATABASE, PASSWORD, Server},
};

#[test]
fn every_command_works_on_a_server() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    let ingest = |args: &[&str], code| {
        let args = [args, &["--database", &url]].concat();
        let finished = sandbox.ingest(&api, &args).exits(code);
        assert_eq!(finished.stderr, "");
        finished.report()
    };
    api.0.on("/v0/maxitem.json", [json_reply("30")]);
    api.0
        .on("/v0/user/pg.json", [json_reply(r#"{"id":"pg","karma":1}"#)]);
    for list in ["top", "new", "best", "ask", "show", "job"] {
        api.list(list, [1, 2, 3]);
        assert_eq!(counts(&ingest(&[list], 0)), [3, 0, 0, 0]);
    }
    assert_eq!(server.number("SELECT count(*) FROM lists"), 18);
    api.item(8, [json_reply(r#"{"id":8,"kids":[9]}"#)]);
    ingest(&["items", "8", "--tree"], 0);
    ingest(&["users", "pg"], 0);
    api.item(
        4,
        [
            hn_ingest::test_util::Reply::status(403),
            json_reply(r#"{"id":4}"#),
        ],
    );
    api.item(5, [json_reply("null")]);
    assert_eq!(counts(&ingest(&["backfill"], 1)), [28, 1, 1, 0]);
    assert_eq!(counts(&ingest(&["retry"], 0)), [1, 0, 0, 0]);
    let rows = "SELECT string_agg(lo || '-' || hi, ' ' ORDER BY lo) FROM coverage";
    assert_eq!(server.text(rows), "1-4 6-30");
    // An absent id this close to the end is asked for again.
    assert_eq!(counts(&ingest(&["backfill"], 0)), [0, 1, 0, 0]);
    let indexes = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'items_by%'";
    assert_eq!(server.number(indexes), 4);
    assert_eq!(
        api.0
            .requests()
            .iter()
            .filter(|r| r.path == item_path(5))
            .count(),
        2
    );

    let status = sandbox
        .run(&["status", "--format", "json", "--database", &url])
        .exits(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["items"]["count"], 29);
    assert_eq!(status["users"], 1);
    assert_eq!(status["absent"], 1);
    assert!(status["size"]["database"].as_u64().unwrap() > 1_000_000);
    let status = sandbox.run(&["status", "--database", &url]).exits(0);
    let first_line = status.stdout.lines().next().unwrap();
    assert!(first_line.starts_with(&server.place(DATABASE)) && !first_line.contains("log"));
    let verified = sandbox.run(&["verify", "--database", &url]).exits(0);
    assert!(verified.stdout.contains("no fault"), "{verified:?}");
}

fn json_reply(body: &str) -> hn_ingest::test_util::Reply {
    hn_ingest::test_util::Reply::json(body.to_owned())
}

#[test]
fn verify_finds_and_repairs_what_is_wrong() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    api.0.on("/v0/maxitem.json", [json_reply("50")]);
    let args = ["backfill", "--database", &url];
    sandbox.ingest(&api, &args).exits(0);
    server.execute(
        "DELETE FROM items WHERE id = 7; UPDATE items SET kids = '[' WHERE id = 9;
         INSERT INTO coverage VALUES (60, 70); UPDATE items SET kids = '[3,4]' WHERE id = 2;
         UPDATE items SET parent = 1 WHERE id = 4",
    );
    let found = sandbox.run(&["verify", "--database", &url]).exits(1);
    for part in ["7", "60-70", "kids"] {
        assert!(found.stdout.contains(part), "{found:?}");
    }
    sandbox
        .run(&["verify", "--repair", "--database", &url])
        .exits(0);
    sandbox.run(&["verify", "--database", &url]).exits(0);
    let rows = "SELECT string_agg(lo || '-' || hi, ' ' ORDER BY lo) FROM coverage";
    assert_eq!(server.text(rows), "1-6 8-8 10-50");
    let again = sandbox.ingest(&api, &args).exits(0);
    assert_eq!(counts(&again.report()), [2, 0, 0, 0]);
}

#[test]
fn a_demo_does_not_mix_with_real_items() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    sandbox.run(&["top", "--demo", "--database", &url]).exits(0);
    let real = sandbox.ingest(&api, &["items", "1", "--database", &url]);
    real.refuses(&["was filled by --demo"]);
    server.execute_in("postgres", "CREATE DATABASE real");
    let url = server.url("real");
    sandbox
        .ingest(&api, &["items", "1", "--database", &url])
        .exits(0);
    let demo = sandbox.run(&["top", "--demo", "--database", &url]);
    demo.refuses(&["holds real items"]);
}

#[test]
fn a_database_on_a_standby_can_be_read() {
    let mut server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    sandbox
        .ingest(&api, &["items", "1", "2", "--database", &url])
        .exits(0);
    server.become_standby();
    let status = sandbox
        .run(&["status", "--format", "json", "--database", &url])
        .exits(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["items"]["count"], json!(2));
    sandbox.run(&["verify", "--database", &url]).exits(0);
    let refused = sandbox.ingest(&api, &["items", "3", "--database", &url]);
    refused.refuses(&["standby", &server.place(DATABASE)]);
}

#[test]
fn a_sample_finds_and_repairs_what_is_stale() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    api.0.on("/v0/maxitem.json", [json_reply("40")]);
    // PostgreSQL keeps such a text elsewhere.
    api.item(7, [json_reply(r#"{"id":7,"text":"a\u0000b","n":1.50}"#)]);
    api.item(8, [json_reply("null")]);
    let ingest = |args: &[&str]| sandbox.ingest(&api, &[args, &["--database", &url]].concat());
    ingest(&["backfill"]).exits(0);
    ingest(&["items", "90", "70"]).exits(0);
    let sample = |args: &[&str], code| {
        let finished = ingest(&[&["verify", "--sample", "100"], args].concat()).exits(code);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        report["sample"].clone()
    };
    let fresh = sample(&["--max-stale", "0%"], 0);
    assert_eq!([&fresh["checked"], &fresh["equal"]], [41, 41], "{fresh}");
    assert_eq!(
        server.number("SELECT count(*) FROM runs WHERE command = 'verify'"),
        0
    );

    // A role that may only read can compare, too, also while others are at work.
    server.execute_in(
        DATABASE,
        &format!("CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
         UPDATE items SET score = 1, title = 'x' WHERE id < 4; DELETE FROM items WHERE id = 20;
         INSERT INTO runs (command, host, pid, machine, rate, started_at, heartbeat_at)
             SELECT 'backfill', 'far', 1, 'away', 500, 0, extract(epoch FROM clock_timestamp())::bigint + 100"),
    );
    let args = [
        "verify",
        "--sample",
        "100",
        "--database",
        &server.url_of("reader", DATABASE),
    ];
    let read = sandbox.ingest(&api, &args).exits(0);
    assert!(read.stdout.contains(r#""stale":4"#), "{read:?}");

    // Id 1 has this score anyway.
    let stale = sample(&["--repair", "--max-stale", "1%"], 1);
    assert_eq!(stale["fields"], json!({"score": 2, "title": 3}));
    assert_eq!([&stale["stale"], &stale["missing"]], [4, 1], "{stale}");
    assert_eq!(sample(&[], 0)["equal"], 41);
    // Both changes of the titles: by hand, and back.
    assert_eq!(server.number("SELECT count(*) FROM item_history"), 6);
    let joined = "SELECT count(*) FROM runs WHERE command = 'verify' AND finished_at IS NOT NULL";
    assert_eq!(server.number(joined), 2);
}

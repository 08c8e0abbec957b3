//! Indexes are built beside other writers, by one process at a time, and again if a build was ended.

use diesel::{PgConnection, connection::SimpleConnection};
use hn_ingest::test_util::Reply;

use crate::{
    common::{Api, Running, Sandbox, wait_until},
    server::{DATABASE, PASSWORD, Server},
};

const VALID: &str = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relname LIKE 'items\\_by\\_%' AND indisvalid";

fn api() -> Api {
    let api = Api::of_stories();
    api.0.on("/v0/maxitem.json", [Reply::json("50")]);
    api
}

/// A server whose tables are made.
fn server(sandbox: &Sandbox, api: &Api) -> Server {
    let server = Server::start();
    let args = ["items", "1", "--database", &server.url(DATABASE)];
    sandbox.ingest(api, &args).exits(0);
    server
}

/// A snapshot that a build waits for until its connection is dropped.
fn old_snapshot(server: &Server) -> PgConnection {
    let mut conn = server.connect();
    conn.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM items")
        .unwrap();
    conn
}

/// A backfill that builds an index, and waits for an old snapshot while it does.
fn start_building(sandbox: &Sandbox, api: &Api, server: &Server) -> Running {
    let args = ["backfill", "--database", &server.url(DATABASE)];
    let run = sandbox.call_with(api, &args).start();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'";
    wait_until("an index is being built", || server.number(waits) > 0);
    run
}

#[test]
fn others_write_while_an_index_is_built_and_leave_the_build_to_its_process() {
    let (sandbox, api) = (Sandbox::new(), api());
    let server = server(&sandbox, &api);
    let snapshot = old_snapshot(&server);
    let builder = start_building(&sandbox, &api, &server);
    let url = server.url(DATABASE);
    for args in [&["items", "2"][..], &["backfill"]] {
        let args = [args, &["--progress", "always", "--database", &url]].concat();
        let other = sandbox.ingest(&api, &args).exits(0);
        if args[0] == "backfill" {
            let said = "another process is building the indexes";
            assert!(other.stderr.contains(said), "{other:?}");
        }
    }
    assert_eq!(server.number(VALID), 0);
    drop(snapshot);
    let finished = builder.wait().exits(0);
    assert_eq!(finished.stderr, "");
    assert_eq!(server.number(VALID), 4);
    let claim = "SELECT count(*) FROM hn_ingest WHERE name = 'indexes' AND value IS NOT NULL";
    assert_eq!(server.number(claim), 0);
    let timeouts = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    assert_eq!(server.number(timeouts), 0);
}

#[test]
fn the_first_signal_ends_a_build_and_the_next_backfill_builds_again() {
    let (sandbox, api) = (Sandbox::new(), api());
    let mut server = server(&sandbox, &api);
    let snapshot = old_snapshot(&server);
    let builder = start_building(&sandbox, &api, &server);
    builder.signal("INT");
    builder.wait().exits(130);
    // The server goes on for the process that has ended. A restart ends that, too.
    drop(snapshot);
    server.kill();
    server.start_again();
    server.execute("DROP INDEX IF EXISTS items_by_author; UPDATE items SET by = 'ann'");
    let mut conn = server.connect();
    let cannot_be_unique = "CREATE UNIQUE INDEX CONCURRENTLY items_by_author ON items (by)";
    assert!(conn.batch_execute(cannot_be_unique).is_err());
    let args = ["backfill", "--database", &server.url(DATABASE)];
    sandbox.ingest(&api, &args).exits(0);
    assert_eq!(server.number(VALID), 4);
}

#[test]
fn a_role_that_may_write_and_owns_nothing_backfills_and_copies_without_indexes() {
    let (sandbox, api) = (Sandbox::new(), api());
    let server = server(&sandbox, &api);
    server.execute(&format!(
        "CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}';
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer"
    ));
    let writer = server.url_of("writer", DATABASE);
    let finished = sandbox.ingest(&api, &["backfill", "--database", &writer]);
    let finished = finished.exits(0);
    let said = "only postgres, the owner of the table items, may do that";
    assert!(finished.stderr.contains(said), "{finished:?}");

    let copy = ["copy", "--database", "hn.db", "--to", &writer];
    sandbox
        .ingest(&api, &["backfill", "--database", "hn.db"])
        .exits(0);
    sandbox.run(&copy).refuses(&[
        "writer@127.0.0.1",
        "GRANT UPDATE ON SEQUENCE public.runs_id_seq TO writer",
    ]);
    server.execute("GRANT UPDATE ON SEQUENCE public.runs_id_seq TO writer");
    let finished = sandbox.run(&copy).exits(0);
    assert!(finished.stderr.contains(said), "{finished:?}");
    assert_eq!(server.number(VALID), 0);
    sandbox.run(&["verify", "--database", &writer]).exits(0);
}

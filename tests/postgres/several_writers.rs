//! Several processes write the same rows at once. No update is lost, and nobody waits inside a transaction.

use serde_json::json;

use crate::{
    common::{Api, Sandbox, wait_until},
    server::{DATABASE, Server},
};

#[test]
fn processes_that_write_the_same_ids_at_once_leave_one_outcome_of_each() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    for id in (1..=600).filter(|id| id % 7 == 0) {
        let reply = hn_ingest::test_util::Reply::json("null");
        api.item(id, [reply]);
    }
    let ids: Vec<_> = (1..=600).map(|id: i64| id.to_string()).collect();
    let args: Vec<&str> = ["items", "--batch", "50", "--database", &url]
        .into_iter()
        .chain(ids.iter().map(String::as_str))
        .collect();
    let backwards: Vec<&str> = args[..5]
        .iter()
        .chain(args[5..].iter().rev())
        .copied()
        .collect();
    let running: Vec<_> = [&args, &backwards, &args, &backwards]
        .map(|args| sandbox.call_with(&api, args).start())
        .into();
    for run in running {
        let finished = run.wait().exits(0);
        assert_eq!(finished.report()["stored"], json!(600 - 600 / 7));
    }
    assert_eq!(server.number("SELECT count(*) FROM items"), 600 - 600 / 7);
    assert_eq!(server.number("SELECT count(*) FROM absent"), 600 / 7);
    assert_eq!(server.number("SELECT count(*) FROM item_history"), 0);
    sandbox.run(&["verify", "--database", &url]).exits(0);
}

#[test]
fn backfills_that_run_at_once_cover_every_id_once() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    let url = server.url(DATABASE);
    let args = [
        "backfill",
        "--demo",
        "--last",
        "5000",
        "--batch",
        "50",
        "--format",
        "json",
        "--database",
        &url,
    ];
    let running: Vec<_> = (0..3).map(|_| sandbox.call(&args).start()).collect();
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '2 s'";
    wait_until("all rows are written", || {
        assert_eq!(server.number(idle), 0);
        !server.text("SELECT to_regclass('items')").is_empty()
            && server.number("SELECT coalesce(sum(hi - lo + 1), 0) FROM coverage") > 4900
    });
    let reports = running.into_iter().map(|run| run.wait().exits(0).report());
    let requested: u64 = reports
        .map(|report| report["requested"].as_u64().unwrap())
        .sum();
    assert_eq!(requested, 5000);
    let verified = sandbox
        .run(&["verify", "--demo", "--database", &url])
        .exits(0);
    assert!(verified.stdout.contains("no fault"), "{verified:?}");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hn-ingest'";
    wait_until("all sessions end", || server.number(sessions) == 0);
}

#[test]
fn a_backfill_says_that_it_waits_for_ids_that_another_process_holds() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    api.0.on(
        "/v0/maxitem.json",
        [hn_ingest::test_util::Reply::json("50")],
    );
    sandbox
        .ingest(&api, &["items", "1", "--database", &url])
        .exits(0);
    server.execute(
        "INSERT INTO runs (id, command, host, pid, machine, rate, started_at, heartbeat_at) VALUES (99, 'backfill', 'h', 1, 'm', 0, 1, 1);
         INSERT INTO leases (lo, hi, owner, expires_at) VALUES (20, 50, 99, 9999999999)",
    );
    let args = ["backfill", "--progress", "always", "--database", &url];
    let stderr = std::fs::File::create(sandbox.path("stderr")).unwrap();
    let run = sandbox.call_with(&api, &args).stderr(stderr).start();
    wait_until("it says so", || {
        let said = std::fs::read_to_string(sandbox.path("stderr")).unwrap();
        said.contains("done, waiting for ids that other processes hold")
    });
    server.execute("DELETE FROM leases WHERE owner = 99");
    run.wait().exits(0);
    assert_eq!(server.number("SELECT count(*) FROM items"), 50);
}

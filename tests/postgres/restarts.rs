//! A server that restarts or is killed in the middle of a run costs nothing: the run waits for it.

use std::{fs, process::Stdio};

use hn_ingest::test_util::{Latch, Reply};
use serde_json::json;

use crate::{
    common::{Api, Running, Sandbox, address_of, counts, get, wait_until},
    server::{DATABASE, Server},
};

const IDS: i64 = 2000;

/// A run that takes some seconds, because its batches are small.
fn start_run(sandbox: &Sandbox, api: &Api, url: &str) -> Running {
    let ids: Vec<_> = (1..=IDS).map(|id| id.to_string()).collect();
    fs::write(sandbox.path("ids"), ids.join("\n")).unwrap();
    let ids = fs::File::open(sandbox.path("ids")).unwrap();
    let args = [
        "items",
        "-",
        "--batch",
        "5",
        "--rate",
        "1500",
        "--database",
        url,
    ];
    let call = sandbox.call_with(api, &args);
    call.stdin(Stdio::from(ids)).start()
}

fn a_run_survives(end: impl Fn(&mut Server)) {
    let mut server = Server::with_settings("");
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    // Makes the tables.
    sandbox
        .ingest(&api, &["items", "1", "--database", &url])
        .exits(0);
    let run = start_run(&sandbox, &api, &url);
    for stored in [IDS / 5, IDS / 2] {
        wait_until("rows are committed", || {
            server.number("SELECT count(*) FROM items") > stored
        });
        end(&mut server);
        server.start_again();
    }
    let finished = run.wait().exits(0);
    let ids = u64::try_from(IDS).unwrap();
    assert_eq!(counts(&finished.report()), [ids, 0, 0, 0]);
    assert_eq!(server.number("SELECT count(*) FROM items"), IDS);
    assert_eq!(server.number("SELECT count(*) FROM item_history"), 0);
    let again = api.hits(2);
    assert_eq!(json!(again), json!(1), "it was fetched again");
    let finished_runs = "SELECT count(*) FROM runs WHERE finished_at IS NOT NULL";
    assert_eq!(server.number(finished_runs), 2);
}

#[test]
fn a_run_goes_on_after_its_server_was_restarted() {
    a_run_survives(Server::stop);
}

#[test]
fn a_run_goes_on_after_its_server_was_killed() {
    a_run_survives(Server::kill);
}

#[test]
fn a_run_is_unhealthy_while_its_server_is_away() {
    let mut server = Server::with_settings("");
    let (sandbox, api) = (Sandbox::new(), Api::new());
    let gate = Latch::new();
    api.item(1, [Reply::json("null").held_by(&gate)]);
    let url = server.url(DATABASE);
    let args = ["items", "1", "--timeout", "10m", "--metrics", "127.0.0.1:0"];
    let call = sandbox.call_with(&api, &args).args(&["--database", &url]);
    let mut run = call.env("RUST_LOG", "hn_ingest=info").start();
    let address = address_of(&mut run);
    api.0.wait_in_flight(1);
    let becomes = |status: &str| {
        wait_until(&format!("it is {status}"), || {
            let answer = get(&address, "/health");
            answer.starts_with(&format!("HTTP/1.1 {status} "))
        });
    };
    becomes("200");
    server.stop();
    becomes("503");
    let why = "the database has not answered for ";
    assert!(get(&address, "/health").contains(why));
    server.start_again();
    becomes("200");
    gate.open();
    run.wait().exits(0);
}

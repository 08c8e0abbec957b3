//! Eight processes share a backfill. Some are killed, one is stopped, one is cut off, and the server restarts: no id is lost, and
//! only what the lost ones held is asked for twice.

use std::{
    thread,
    time::{Duration, Instant},
};

use hn_ingest::test_util::Reply;

use crate::{
    common::{Api, Running, Sandbox},
    proxy::Proxy,
    server::{DATABASE, Server},
};

const LAST: i64 = 4000;

/// Eight processes, two servers and a busy machine need some time.
const LIMIT: Duration = Duration::from_secs(120);

const COLUMNS: &str = "id, type, \"by\", time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, extra";

fn id_of(path: &str) -> Option<i64> {
    let id = path.strip_prefix("/v0/item/")?.strip_suffix(".json")?;
    id.parse().ok()
}

fn api() -> Api {
    let api = Api::new();
    api.0
        .on("/v0/maxitem.json", [Reply::json(LAST.to_string())]);
    api.0.otherwise(|path| match id_of(path) {
        // Some ids are absent, and too new for that to be final.
        Some(id) if id % 50 == 0 => Reply::json("null").latency(LATENCY),
        Some(id) => Reply::json(format!(
            r#"{{"id":{id},"type":"comment","by":"ann","text":"text {id}"}}"#
        ))
        .latency(LATENCY),
        None => Reply::status(404),
    });
    api
}

const LATENCY: Duration = Duration::from_millis(12);

fn start(sandbox: &Sandbox, api: &Api, url: &str) -> Running {
    let args = [
        "backfill",
        "--workers",
        "4",
        "--batch",
        "40",
        "--database",
        url,
    ];
    sandbox.call_with(api, &args).start()
}

/// How many ids the leases of a process span.
fn held_by(server: &Server, pid: u32) -> i64 {
    server.number(&format!(
        "SELECT coalesce(sum(hi - lo + 1), 0) FROM leases JOIN runs ON runs.id = owner WHERE pid = {pid}"
    ))
}

fn settled(server: &Server) -> i64 {
    server.number("SELECT (SELECT count(*) FROM items) + (SELECT count(*) FROM absent)")
}

fn wait_within_limit(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "in vain: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn wait_for_settled(server: &Server, count: i64) {
    wait_within_limit("ids are settled", || settled(server) >= count);
}

#[test]
fn what_lost_processes_leave_is_taken_over_and_every_id_is_settled_once() {
    let mut server = Server::with_settings("");
    let (sandbox, api) = (Sandbox::new(), api());
    let url = server.url(DATABASE);
    let proxy = Proxy::before(server.port());
    // Makes the tables.
    let args = ["users", "nobody", "--database", &url];
    sandbox.ingest(&api, &args).exits(1);
    let mut others: Vec<Running> = (0..7).map(|_| start(&sandbox, &api, &url)).collect();
    let cut_off = start(&sandbox, &api, &server.url_at(proxy.port(), DATABASE));
    let mut held = 0;

    wait_for_settled(&server, 400);
    let stopped = others.pop().unwrap();
    stopped.signal("STOP");
    held += held_by(&server, stopped.id());
    proxy.cut();
    held += held_by(&server, cut_off.id());

    for (number, at) in [800, 1200, 1600].into_iter().enumerate() {
        wait_for_settled(&server, at);
        let killed = others.pop().unwrap();
        // So that it claims nothing between the look and its end.
        killed.signal("STOP");
        held += held_by(&server, killed.id());
        killed.signal("KILL");
        assert_eq!(killed.wait().code, None, "it was killed");
        match number {
            0 => server.stop(),
            1 => server.kill(),
            _ => continue,
        }
        server.start_again();
    }

    // The three that are left do all but what the stopped one and the one that is cut off hold.
    let lost = [stopped.id(), cut_off.id()];
    let of_lost = format!(
        "owner IN (SELECT id FROM runs WHERE pid IN ({}, {}))",
        lost[0], lost[1]
    );
    wait_within_limit("only the ids of the lost ones are left", || {
        server.number(&format!("SELECT count(*) FROM leases WHERE NOT {of_lost}")) == 0
            && settled(&server) > LAST / 2
    });
    // A minute passes.
    server.execute(&format!("UPDATE leases SET expires_at = 0 WHERE {of_lost}"));
    for other in others {
        other.wait_within(LIMIT).exits(0);
    }
    proxy.mend();
    stopped.signal("CONT");
    for late in [stopped, cut_off] {
        late.wait_within(LIMIT).exits(0);
    }

    assert_eq!(server.number("SELECT count(*) FROM leases"), 0);
    assert_eq!(
        server.number("SELECT count(*) FROM items"),
        LAST - LAST / 50
    );
    assert_eq!(server.number("SELECT count(*) FROM absent"), LAST / 50);
    assert_eq!(server.number("SELECT count(*) FROM failures"), 0);
    assert_eq!(server.number("SELECT count(*) FROM item_history"), 0);
    sandbox.run(&["verify", "--database", &url]).exits(0);
    let requests = api.0.requests();
    let requested = requests
        .iter()
        .filter(|request| id_of(&request.path).is_some());
    let twice = requested.count() as i64 - LAST;
    assert!((0..=held).contains(&twice), "{twice} of {held}");

    sandbox
        .ingest(&api, &["backfill", "--database", "hn.db"])
        .exits(0);
    let query = format!("SELECT json_agg(json_build_array({COLUMNS}) ORDER BY id) FROM items");
    let on_server: serde_json::Value = serde_json::from_str(&server.text(&query)).unwrap();
    let in_file = sandbox.db("hn.db").rows(COLUMNS, "items ORDER BY id");
    assert!(on_server == in_file);
}

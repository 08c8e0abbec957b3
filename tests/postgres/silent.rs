//! A server that takes connections and does not answer: a run says so and waits, and a signal ends it in order.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use hn_ingest::test_util::Reply;

use crate::{
    common::{Api, Finished, Running, Sandbox, counts, wait_until},
    proxy::Proxy,
    server::{DATABASE, Server},
};

const LAST: i64 = 100_000;

/// A run drains for a second. It ends within a few seconds more.
const DRAIN: &str = "1s";
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// The sessions of the program, stopped until this is dropped.
struct StoppedSessions(Vec<String>);

impl StoppedSessions {
    fn of(server: &Server) -> Self {
        let pids = "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'hn-ingest'";
        let pids = server.text(pids);
        let stopped = Self(pids.split(' ').map(str::to_owned).collect());
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("/bin/kill").arg(signal).args(&self.0).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for StoppedSessions {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

fn api() -> Api {
    let api = Api::of_stories();
    api.0
        .on("/v0/maxitem.json", [Reply::json(LAST.to_string())]);
    api
}

/// A backfill whose standard error goes to a file. It is still busy long after this returns.
fn start(sandbox: &Sandbox, api: &Api, server: &Server, url: &str) -> Running {
    let args = [
        "backfill",
        "--batch",
        "20",
        "--rate",
        "300",
        "--drain",
        DRAIN,
        "--database",
        url,
    ];
    let stderr = fs::File::create(sandbox.path("stderr")).unwrap();
    let run = sandbox.call_with(api, &args).stderr(stderr).start();
    wait_until("rows are stored", || {
        !server.text("SELECT to_regclass('items')").is_empty()
            && server.number("SELECT count(*) FROM items") > 100
    });
    run
}

fn stderr(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("stderr")).unwrap()
}

/// Sends the first signal, and asserts that the run ends in order.
fn interrupt(sandbox: &Sandbox, server: &Server, run: Running) -> Finished {
    run.signal("INT");
    let finished = run.wait_within(ENDS_WITHIN).exits(130);
    let report = finished.report();
    assert_eq!(report["interrupted"], true);
    let [stored, _, failed, not_attempted] = counts(&report);
    assert!(not_attempted > 0 && failed == 0, "{report}");
    let said = stderr(sandbox);
    assert!(said.contains("has not answered"), "{said}");
    assert!(
        said.contains("what is not known to be committed counts as not attempted"),
        "{said}"
    );
    assert!(
        server.number("SELECT count(*) FROM items") >= i64::try_from(stored).unwrap(),
        "what is stored is committed"
    );
    finished
}

#[test]
fn a_run_says_that_its_server_does_not_answer_and_goes_on_when_it_does() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), api());
    let run = start(&sandbox, &api, &server, &server.url(DATABASE));
    let stopped = StoppedSessions::of(&server);
    let before = server.number("SELECT count(*) FROM items");
    let said = format!("{} has not answered for 4 s", server.place(DATABASE));
    wait_until("it says so", || stderr(&sandbox).contains(&said));
    assert_eq!(server.number("SELECT count(*) FROM items"), before);
    drop(stopped);
    wait_until("it goes on", || {
        server.number("SELECT count(*) FROM items") > before + 100
    });
    run.signal("INT");
    let report = run.wait().exits(130).report();
    let stored = i64::try_from(counts(&report)[0]).unwrap();
    assert_eq!(server.number("SELECT count(*) FROM items"), stored);
    assert_eq!(stderr(&sandbox).matches("has not answered").count(), 1);
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hn-ingest'";
    wait_until("its sessions end", || server.number(idle) == 0);
}

#[test]
fn the_first_signal_ends_a_run_whose_sessions_are_stopped() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), api());
    let run = start(&sandbox, &api, &server, &server.url(DATABASE));
    let stopped = StoppedSessions::of(&server);
    let finished = interrupt(&sandbox, &server, run);
    drop(stopped);
    // A late commit does no harm: what it settles is settled.
    let args = ["--last", "1", "--database", &server.url(DATABASE)];
    sandbox
        .ingest(&api, &[&["backfill"], &args[..]].concat())
        .exits(0);
    let verified = sandbox.run(&["verify", "--database", &server.url(DATABASE)]);
    verified.exits(0);
    assert!(finished.report()["stored"].as_i64().unwrap() > 0);
}

#[test]
fn the_first_signal_ends_a_run_whose_connections_carry_nothing_any_more() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), api());
    let proxy = Proxy::before(server.port());
    let url = server.url_at(proxy.port(), DATABASE);
    let run = start(&sandbox, &api, &server, &url);
    proxy.cut();
    let place = server.place(DATABASE);
    let place = place.replace(&server.port().to_string(), &proxy.port().to_string());
    wait_until("it says so", || {
        stderr(&sandbox).contains(&format!("{place} has not answered"))
    });
    interrupt(&sandbox, &server, run);
}

#[test]
fn the_second_signal_ends_such_a_run_at_once() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), api());
    let mut run = start(&sandbox, &api, &server, &server.url(DATABASE));
    let _stopped = StoppedSessions::of(&server);
    let began = Instant::now();
    run.signal_until_it_ends("INT");
    let finished = run.wait().exits(130);
    assert_eq!(finished.stdout, "");
    assert!(began.elapsed() < ENDS_WITHIN);
}

#[test]
fn the_first_signal_ends_a_copy_whose_server_does_not_answer() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), api());
    let args = ["items", "1", "--database", "hn.db"];
    sandbox.ingest(&api, &args).exits(0);
    sandbox.db("hn.db").execute(
        "INSERT INTO items (id, fetched_at)
         WITH RECURSIVE ids (id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM ids WHERE id < 40000) SELECT id, 1 FROM ids",
    );
    let proxy = Proxy::before(server.port());
    let url = server.url_at(proxy.port(), DATABASE);
    let args = [
        "copy",
        "--database",
        "hn.db",
        "--to",
        &url,
        "--format",
        "json",
    ];
    let run = sandbox.call(&args).start();
    wait_until("rows are copied", || {
        !server.text("SELECT to_regclass('items')").is_empty()
            && server.number("SELECT count(*) FROM items") > 0
    });
    proxy.cut();
    run.signal("INT");
    let finished = run.wait_within(ENDS_WITHIN).exits(130);
    assert!(finished.stderr.contains("interrupted"), "{finished:?}");
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
}

#[test]
fn the_first_signal_ends_a_run_that_waits_for_a_lock_of_another_program() {
    use diesel::connection::SimpleConnection;

    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), api());
    let run = start(&sandbox, &api, &server, &server.url(DATABASE));
    let mut other = server.connect();
    other
        .batch_execute("BEGIN; LOCK TABLE items IN EXCLUSIVE MODE")
        .unwrap();
    let said = format!(
        "{} is busy: canceling statement due to lock timeout",
        server.place(DATABASE)
    );
    wait_until("it says so", || stderr(&sandbox).contains(&said));
    run.signal("INT");
    let report = run.wait_within(ENDS_WITHIN).exits(130).report();
    assert!(counts(&report)[3] > 0);
    assert!(stderr(&sandbox).contains("the run was stopped while it waited for the database"));
}

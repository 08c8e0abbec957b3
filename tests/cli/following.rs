//! `follow` when the API, the database or the process that followed before is at fault. The API has no streams, so it is polled.

use std::{
    fs::{self, File},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use diesel::{
    Connection, RunQueryDsl, SqliteConnection,
    dsl::{select, sql},
    sql_types::BigInt,
};
use hn_ingest::test_util::Reply;
use serde_json::json;

use crate::common::{Api, Call, Running, Sandbox, address_of, get, id_of, wait_until};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Answers each item as one that was made now.
fn api_of_new_items(max_item: i64) -> Api {
    let api = Api::new();
    let made_at = now();
    api.0.otherwise(move |path| match id_of(path) {
        Some(id) => Reply::json(
            json!({"id": id, "type": "comment", "time": made_at, "text": "x"}).to_string(),
        ),
        None => Reply::status(404),
    });
    grow(&api, max_item);
    api
}

fn grow(api: &Api, max_item: i64) {
    api.0
        .on("/v0/maxitem.json", [Reply::json(max_item.to_string())]);
}

fn follow(sandbox: &Sandbox, api: &Api) -> Call {
    sandbox
        .call_with(api, &["follow", "--from", "1", "--metrics", "127.0.0.1:0"])
        .env("RUST_LOG", "hn_ingest=info")
}

fn stop(running: Running) {
    running.signal("TERM");
    running.wait().exits(143);
}

/// Whether this many stored items fit a condition. There may be no database yet.
fn has_items(sandbox: &Sandbox, condition: &str, count: i64) -> bool {
    let path = sandbox.text("hn.db");
    let mut conn = SqliteConnection::establish(&format!("file:{path}?mode=ro")).ok();
    let query = format!("(SELECT count(*) FROM items WHERE {condition})");
    let found = conn
        .as_mut()
        .and_then(|conn| select(sql::<BigInt>(&query)).get_result::<i64>(conn).ok());
    found == Some(count)
}

fn wait_for_item(sandbox: &Sandbox, id: i64) {
    wait_until("the item is stored", || {
        has_items(sandbox, &format!("id = {id}"), 1)
    });
}

#[test]
fn each_step_of_the_ladder_is_read_once() {
    let (sandbox, api) = (Sandbox::new(), api_of_new_items(20));
    let running = follow(&sandbox, &api)
        .args(&["--refresh", "3s,6s,9s"])
        .start();
    wait_until("all steps were read", || {
        has_items(&sandbox, "fetched_at >= time + 9", 20)
    });
    stop(running);
    for id in 1..=20 {
        // Once when it was new, and once for each step.
        assert!(api.hits(id) <= 4, "item {id}: {}", api.hits(id));
    }
}

#[test]
fn an_api_that_refuses_profiles_does_not_end_it() {
    let (sandbox, api) = (Sandbox::new(), api_of_new_items(1));
    let names: Vec<_> = (0..150).map(|n| format!("name{n}")).collect();
    let updates = json!({"items": [], "profiles": names}).to_string();
    api.0.on("/v0/updates.json", [Reply::json(updates)]);
    for name in &names {
        api.0
            .on(format!("/v0/user/{name}.json"), [Reply::status(403)]);
    }
    let running = follow(&sandbox, &api).start();
    wait_until("all profiles were refused", || {
        let asked = |name: &String| api.0.hits(&format!("/v0/user/{name}.json")) > 0;
        names.iter().all(asked)
    });
    grow(&api, 2);
    wait_for_item(&sandbox, 2);
    stop(running);
}

#[test]
fn a_database_that_stays_locked_is_unhealthy_until_it_is_free_again() {
    let (sandbox, api) = (Sandbox::new(), api_of_new_items(1));
    let mut running = follow(&sandbox, &api).start();
    let address = address_of(&mut running);
    wait_for_item(&sandbox, 1);
    let mut locker = sandbox.db("hn.db");
    locker.execute("BEGIN IMMEDIATE");
    wait_until("it is unhealthy", || {
        let health = get(&address, "/health");
        health.starts_with("HTTP/1.1 503 ") && health.contains("nothing can be stored")
    });
    grow(&api, 2);
    locker.execute("COMMIT");
    wait_for_item(&sandbox, 2);
    wait_until("it is healthy", || {
        get(&address, "/health").starts_with("HTTP/1.1 200 ")
    });
    stop(running);
}

#[test]
fn a_process_takes_over_while_the_api_is_out() {
    let (sandbox, api) = (Sandbox::new(), api_of_new_items(1));
    let first = follow(&sandbox, &api).start();
    wait_for_item(&sandbox, 1);
    let mut second = follow(&sandbox, &api).start();
    let address = address_of(&mut second);
    wait_until("it stands by", || {
        get(&address, "/health").contains("stands by")
    });
    api.0.on("/v0/maxitem.json", [Reply::status(503)]);
    first.signal("KILL");
    first.wait();
    wait_until("it has taken over", || {
        !get(&address, "/health").contains("stands by")
    });
    grow(&api, 3);
    wait_for_item(&sandbox, 3);
    stop(second);
}

#[test]
fn an_api_that_asks_for_a_long_pause_at_the_first_start_is_not_waited_for() {
    let (sandbox, api) = (Sandbox::new(), Api::new());
    let wait = Reply::status(503).header("Retry-After", "3600");
    api.0.on("/v0/maxitem.json", [wait]);
    let finished = follow(&sandbox, &api).run().exits(2);
    assert!(
        finished.stderr.contains("asks to wait"),
        "{}",
        finished.stderr
    );
}

#[test]
fn with_progress_never_a_process_that_stands_by_prints_nothing() {
    let (sandbox, api) = (Sandbox::new(), api_of_new_items(1));
    let quiet = |sandbox: &Sandbox| follow(sandbox, &api).args(&["--progress", "never"]);
    let first = quiet(&sandbox).start();
    wait_for_item(&sandbox, 1);
    let second = Logged::start(&sandbox, quiet(&sandbox), "second");
    second.wait_until_it_stands_by();
    stop(first);
    second.wait_until_it_follows();
    stop(second.running);
    let printed = fs::read_to_string(sandbox.path("second")).unwrap();
    assert!(!printed.contains("this one"), "{printed}");
}

/// A process whose stderr is a file.
struct Logged<'a> {
    running: Running,
    sandbox: &'a Sandbox,
    log: &'a str,
    /// Where its health is.
    address: String,
}

impl<'a> Logged<'a> {
    fn start(sandbox: &'a Sandbox, call: Call, log: &'a str) -> Self {
        let file = File::create(sandbox.path(log)).unwrap();
        let mut logged = Self {
            running: call.stderr(file).start(),
            sandbox,
            log,
            address: String::new(),
        };
        logged.wait_until_it_says("/metrics");
        let printed = logged.printed();
        let (_, url) = printed.split_once("metrics are at http://").unwrap();
        url.split_once('/')
            .unwrap()
            .0
            .clone_into(&mut logged.address);
        logged
    }

    fn printed(&self) -> String {
        fs::read_to_string(self.sandbox.path(self.log)).unwrap()
    }

    fn wait_until_it_says(&self, text: &str) {
        wait_until(text, || self.printed().contains(text));
    }

    fn wait_until_it_stands_by(&self) {
        wait_until("it stands by, and is healthy", || {
            let health = get(&self.address, "/health");
            health.starts_with("HTTP/1.1 200 ") && health.contains("stands by")
        });
    }

    fn wait_until_it_follows(&self) {
        wait_until("it follows", || {
            !get(&self.address, "/health").contains("stands by")
        });
    }
}

#[test]
fn a_process_that_was_replaced_is_healthy_while_it_stands_by_and_says_when_it_follows_again() {
    let (sandbox, api) = (Sandbox::new(), api_of_new_items(1));
    let first = Logged::start(&sandbox, follow(&sandbox, &api), "first");
    wait_for_item(&sandbox, 1);
    let second = Logged::start(&sandbox, follow(&sandbox, &api), "second");
    second.wait_until_it_stands_by();
    // It must not be stopped while it writes, because nobody could write then.
    let mut db = sandbox.db("hn.db");
    db.execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE");
    first.running.signal("STOP");
    let stopped_at = Instant::now();
    db.execute("UPDATE leases SET expires_at = 0; COMMIT");
    let instead_of = |id| format!("this one follows now, in place of process {id} on ");
    second.wait_until_it_says(&instead_of(first.running.id()));
    let status = sandbox.run(&["status"]).exits(0).stdout;
    assert!(status.contains("follow    run 2 is under way"), "{status}");
    // A process that has not seen the database for eight seconds is unhealthy.
    thread::sleep(Duration::from_secs(9).saturating_sub(stopped_at.elapsed()));
    first.running.signal("CONT");
    first.wait_until_it_says("this one stands by");
    first.wait_until_it_stands_by();

    let second = second.running;
    let said = instead_of(second.id());
    second.signal("KILL");
    second.wait();
    first.wait_until_it_says(&said);
    let status = sandbox.run(&["status"]).exits(0).stdout;
    assert!(status.contains("follow    run 3 is under way"), "{status}");
    let killed = status.lines().find(|line| line.starts_with("  2: follow"));
    let killed = killed.unwrap();
    assert!(killed.ends_with(": ended without a report"), "{status}");
    stop(first.running);
}

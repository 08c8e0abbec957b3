//! Tests of several backfills on one database: who fetches what, and what becomes of the ids of one that stops.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use diesel::{
    ExpressionMethods, QueryDsl, RunQueryDsl,
    connection::SimpleConnection,
    dsl::{count_star, max},
};
use hn_ingest::{
    hn::schema::{absent, items, leases},
    test_util::Reply,
};
use serde_json::json;

use crate::fixture::{CommandResult, Mirror, comment, id_of};

const LAST: i64 = 2000;

/// A mirror whose API takes some milliseconds for an item. Ids that end in 00 are absent.
fn slow_mirror() -> Mirror {
    let mirror = Mirror::new(LAST);
    mirror.api.otherwise(|path| {
        let reply = match id_of(path) {
            Some(id) if id % 100 != 0 => Reply::json(comment(id)),
            _ => Reply::json("null"),
        };
        reply.latency(Duration::from_millis(4))
    });
    // The tables are there, so that the processes do not wait for each other to make them.
    assert_eq!(mirror.run(&["items", "1"]).exit_code, 0);
    mirror
}

fn start(mirror: &Mirror, args: &[&str]) -> Child {
    let args = [&["backfill", "--from", "2", "--workers", "4"], args].concat();
    let mut command = mirror.command(&args);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let kill = Command::new("kill")
        .args([&format!("-{signal}"), &pid])
        .status();
    assert!(kill.unwrap().success());
}

fn end(child: Child) -> CommandResult {
    let result = CommandResult::new(&child.wait_with_output().unwrap());
    assert_eq!(result.exit_code, 0, "{result:?}");
    result
}

/// Stops a process while it has not locked the database, which no one else could unlock.
fn stop_unlocked(mirror: &Mirror, child: &Child) {
    let mut conn = mirror.connect();
    loop {
        signal(child, "STOP");
        if conn.batch_execute("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return;
        }
        signal(child, "CONT");
    }
}

/// Waits until the API got this many more requests.
fn wait_for_requests(mirror: &Mirror, more: usize) {
    let before = mirror.api.stats().requests;
    mirror.api.wait_for(|stats| stats.requests >= before + more);
}

fn lease_owners(mirror: &Mirror) -> Vec<i64> {
    let owners = leases::table.select(leases::owner).distinct();
    owners
        .order(leases::owner)
        .load(&mut mirror.connect())
        .unwrap()
}

/// Asserts that each id has its row, and that no lease is left. Absent ids are too new to be covered.
fn assert_complete(mirror: &Mirror) {
    let mut conn = mirror.connect();
    let stored: i64 = items::table.select(count_star()).first(&mut conn).unwrap();
    let missing: i64 = absent::table.select(count_star()).first(&mut conn).unwrap();
    assert_eq!((stored, missing), (LAST - LAST / 100, LAST / 100));
    assert_eq!(lease_owners(mirror), [0; 0]);
    let verified = mirror.run(&["verify"]);
    assert_eq!(verified.report["faults"], json!([]));
}

#[test]
fn two_backfills_of_one_file_share_the_ids_and_request_each_once() {
    let mirror = slow_mirror();
    let both = [start(&mirror, &[]), start(&mirror, &["--newest-first"])];
    let reports = both.map(|child| end(child).report);
    let requested = reports.map(|report| {
        assert_eq!(report["not_attempted"], 0);
        report["requested"].as_i64().unwrap()
    });
    assert!(requested.iter().all(|ids| *ids > 0), "{requested:?}");
    assert_eq!(requested.iter().sum::<i64>(), LAST - 1);
    let requests = mirror.request_counts();
    assert!(requests.values().all(|times| *times == 1));
    assert_complete(&mirror);
}

#[test]
fn the_ids_of_a_killed_backfill_are_taken_over_at_once_by_another_one_on_its_machine() {
    let mirror = slow_mirror();
    let mut killed = start(&mirror, &[]);
    wait_for_requests(&mirror, 50);
    let other = start(&mirror, &[]);
    wait_for_requests(&mirror, 100);
    killed.kill().unwrap();
    killed.wait().unwrap();
    end(other);
    assert_complete(&mirror);
}

#[test]
fn the_ids_of_a_stopped_backfill_are_taken_over_when_its_leases_have_expired_and_its_late_commits_do_no_harm()
 {
    let mirror = slow_mirror();
    let stopped = start(&mirror, &[]);
    wait_for_requests(&mirror, 100);
    stop_unlocked(&mirror, &stopped);
    let owner = lease_owners(&mirror);
    let other = start(&mirror, &[]);
    // The other one fetches all but what the stopped one holds, and then waits.
    let leased = leases::table.select(leases::owner).distinct();
    let held: i64 = leases::table
        .filter(leases::owner.eq_any(&owner))
        .select(max(leases::hi))
        .first::<Option<i64>>(&mut mirror.connect())
        .unwrap()
        .unwrap();
    mirror.wait_until(|conn| {
        let stored = items::table.filter(items::id.gt(held)).count();
        let stored: i64 = stored.get_result(conn).unwrap();
        stored == (held + 1..=LAST).filter(|id| id % 100 != 0).count() as i64
            && leased.load::<i64>(conn).unwrap() == owner
    });
    // A minute passes.
    diesel::update(leases::table)
        .set(leases::expires_at.eq(0))
        .execute(&mut mirror.connect())
        .unwrap();
    end(other);
    signal(&stopped, "CONT");
    end(stopped);
    assert_complete(&mirror);
    let repeated = mirror
        .request_counts()
        .into_values()
        .filter(|times| *times > 1);
    // What was in flight when it was stopped, and what it had fetched and not committed.
    assert!(repeated.count() <= held as usize);
}

#[test]
fn status_shows_who_works_on_what_and_when_nothing_will_be_left() {
    let mirror = slow_mirror();
    let child = start(&mirror, &[]);
    let pid = child.id();
    let status = loop {
        let status = mirror.run(&["status"]).report;
        let process = &status["processes"][0];
        if process["ids_per_second"]
            .as_i64()
            .is_some_and(|rate| rate > 0)
        {
            break status;
        }
    };
    let process = &status["processes"][0];
    assert_eq!(
        (&process["command"], &process["pid"]),
        (&json!("backfill"), &json!(pid))
    );
    assert!(process["leases"][0]["lo"].is_i64());
    assert_eq!(
        status["estimate"]["ids_per_second"],
        process["ids_per_second"]
    );
    end(child);
    let status = mirror.run(&["status"]).report;
    assert_eq!(
        (&status["processes"], &status["estimate"]),
        (&json!([]), &json!(null))
    );
}

#[test]
fn backfills_share_the_lowest_rate_of_them() {
    let mirror = slow_mirror();
    let both = [
        start(&mirror, &["--rate", "60"]),
        start(&mirror, &["--rate", "90"]),
    ];
    // Both are under way, and know of each other, once they have asked for some ids.
    wait_for_requests(&mirror, 150);
    let requests = mirror.api.requests();
    let items = requests
        .iter()
        .filter(|request| id_of(&request.path).is_some());
    let times: Vec<_> = items.map(|request| request.at).collect();
    let (first, last) = (times[times.len() - 100], times[times.len() - 1]);
    let rate = 99.0 / (last - first).as_secs_f64();
    assert!(rate < 75.0, "{rate}");
    for mut child in both {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_wait_that_the_api_asks_one_backfill_for_holds_back_the_other_one_within_a_second() {
    let mirror = slow_mirror();
    let refusal = Reply::status(429).header("Retry-After", "4");
    mirror.answer_item(900, [refusal, Reply::json(comment(900))]);
    let both = [
        start(&mirror, &["--rate", "400"]),
        start(&mirror, &["--newest-first", "--rate", "400"]),
    ];
    both.into_iter().for_each(|child| _ = end(child));
    let requests = mirror.api.requests();
    let refused = requests
        .iter()
        .find(|request| id_of(&request.path) == Some(900));
    let refused = refused.unwrap().at;
    let during = requests.iter().filter(|request| {
        let after = request.at.saturating_duration_since(refused);
        after > Duration::from_millis(1200) && after < Duration::from_millis(3500)
    });
    assert_eq!(during.count(), 0);
}

#[test]
fn a_wait_that_the_api_asked_for_is_kept_to_by_a_new_run_beside_others_and_not_by_one_that_starts_alone()
 {
    let mirror = Mirror::new(LAST);
    mirror.answer_item(
        1,
        [
            Reply::status(429).header("Retry-After", "3600"),
            Reply::json(comment(1)),
        ],
    );
    assert_eq!(mirror.run(&["items", "1"]).exit_code, 3);
    assert_eq!(mirror.run(&["items", "1"]).exit_code, 0);

    mirror.execute(
        "INSERT INTO runs (command, host, pid, machine, rate, started_at, heartbeat_at)
         VALUES ('backfill', 'elsewhere', 1, '', 0, unixepoch(), unixepoch());
         UPDATE cool_down SET until_ms = 1000 * unixepoch() + 3600000",
    );
    let asked = mirror.api.requests().len();
    let refused = mirror.run(&["backfill"]);
    assert_eq!(refused.exit_code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("asks for no requests"),
        "{refused:?}"
    );
    assert_eq!(mirror.api.requests().len(), asked);
}

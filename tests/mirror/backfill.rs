//! Tests of `backfill`: which ids it requests, and in which order; what it covers; when it makes the indexes.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use diesel::{Connection, QueryDsl, RunQueryDsl, SqliteConnection};
use hn_ingest::{
    hn::{
        coverage::Range,
        plan::{Refetch, RemainingIds},
        schema::{absent, items},
    },
    test_util::Reply,
};
use serde_json::json;

use crate::fixture::{CommandResult, Mirror, NO_IDS, comment, id_of};

/// A row of `items`, without the columns that comments do not have.
type Comment = (
    i64,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
);

/// The comments and the absent ids of a database.
#[derive(Debug, PartialEq)]
struct Contents {
    comments: Vec<Comment>,
    absent: Vec<i64>,
}

impl Contents {
    fn of(database: &Path) -> Self {
        let mut conn = SqliteConnection::establish(&database.to_string_lossy()).unwrap();
        let columns = (items::id, items::type_, items::by, items::time, items::text);
        let comments = items::table.select(columns).order(items::id);
        let absent = absent::table.select(absent::id).order(absent::id);
        Self {
            comments: comments.load(&mut conn).unwrap(),
            absent: absent.load(&mut conn).unwrap(),
        }
    }
}

/// Kills a backfill with this many fetchers, once the API has got this many requests.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kill {
    after_requests: usize,
    workers: usize,
}

#[test]
fn a_backfill_that_is_killed_many_times_ends_with_the_same_database() {
    const BATCH: usize = 50;
    let mirror = Mirror::new(20_000);
    fn args(workers: &str) -> [&str; 7] {
        [
            "backfill",
            "--to",
            "2000",
            "--batch",
            "50",
            "--workers",
            workers,
        ]
    }
    let seed =
        std::env::var("KILL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // All these numbers are less than the 2000 requests of one whole backfill, so each of them is reached.
    let mut kills: Vec<_> = (0..8)
        .map(|_| Kill {
            after_requests: random.usize(1..1900),
            workers: random.usize(1..=16),
        })
        .collect();
    kills.sort_unstable();
    for kill in &kills {
        let mut command = mirror.command(&args(&kill.workers.to_string()));
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        mirror
            .api
            .wait_for(|stats| stats.requests >= kill.after_requests);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let result = mirror.run(&args("8"));
    assert_eq!(result.exit_code, 0, "{result:?}");

    assert_eq!(mirror.covered_ranges(), [(1, 2000)]);
    let verified = mirror.run(&["verify"]);
    assert_eq!(
        (verified.exit_code, &verified.report["faults"]),
        (0, &json!([]))
    );
    let requests = mirror.request_counts();
    assert!(requests.keys().copied().eq(1..=2000));
    let repeats = requests.values().sum::<usize>() - requests.len();
    // A kill loses one request or answer per fetcher, and two batches that are not committed. Ids that wait in the mailbox of a
    // fetcher were not requested yet.
    let at_most: usize = kills.iter().map(|kill| kill.workers + 2 * BATCH).sum();
    assert!(repeats <= at_most, "{repeats} of at most {at_most}");

    let undisturbed = Mirror::new(20_000);
    assert_eq!(undisturbed.run(&args("8")).exit_code, 0);
    assert_eq!(
        Contents::of(&mirror.database()),
        Contents::of(&undisturbed.database())
    );
}

#[test]
fn an_interrupted_backfill_continues_and_requests_no_id_twice() {
    let mirror = Mirror::new(20_000);
    let args = ["backfill", "--last", "1000", "--newest-first"];
    // No id is absent, because new absent ids are requested again. The latency keeps the backfill running until the signal comes.
    let reply = |path: &str| Reply::json(comment(id_of(path).unwrap()));
    mirror
        .api
        .otherwise(move |path| reply(path).latency(Duration::from_millis(5)));
    let mut command = mirror.command(&args);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    mirror.api.wait_for(|stats| stats.requests >= 100);
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status();
    assert!(kill.unwrap().success());
    let result = CommandResult::new(&child.wait_with_output().unwrap());
    assert_eq!(
        (result.exit_code, &result.report["interrupted"]),
        (130, &json!(true))
    );
    assert_eq!(result.report["requested"], 1000);

    assert_eq!(mirror.run(&args).exit_code, 0);
    let requests = mirror.request_counts();
    assert!(requests.keys().copied().eq(19_001..=20_000));
    assert!(requests.values().all(|&times| times == 1));
    assert_eq!(mirror.covered_ranges(), [(19_001, 20_000)]);
}

#[test]
fn newest_first_requests_the_ids_in_descending_order() {
    let mirror = Mirror::new(500);
    let args = [
        "backfill",
        "--last",
        "20",
        "--newest-first",
        "--workers",
        "1",
    ];
    let descending: Vec<i64> = (481..=500).rev().collect();
    assert_eq!(mirror.ids_requested_by(&args), descending);
}

#[test]
fn an_absent_id_is_requested_again_until_its_absence_is_old() {
    let mirror = Mirror::new(12_100);
    let within = ["backfill", "--from", "1950", "--to", "2250"];
    // 2000 and 2100 are absent and old; 2200 is absent and new.
    assert_eq!(mirror.ids_requested_by(&within).len(), 301);
    assert_eq!(mirror.covered_ranges(), [(1950, 2199), (2201, 2250)]);
    assert_eq!(mirror.ids_requested_by(&within), [2200]);
    let again = [&within[..], &["--recheck-absent", "--workers", "1"]].concat();
    assert_eq!(mirror.ids_requested_by(&again), [2000, 2100, 2200]);

    mirror.api.on("/v0/maxitem.json", [Reply::json("12200")]);
    assert_eq!(mirror.ids_requested_by(&within), [2200]);
    assert_eq!(mirror.covered_ranges(), [(1950, 2250)]);
    assert_eq!(mirror.ids_requested_by(&within), NO_IDS);
}

#[test]
fn a_backfill_requests_no_id_beyond_the_largest_one_and_says_so() {
    let mirror = Mirror::new(150);
    let result = mirror.run(&["backfill", "--from", "101", "--to", "9999"]);
    assert_eq!(
        (result.exit_code, &result.report["requested"]),
        (0, &json!(50))
    );
    assert_eq!(result.report["command"], "backfill");
    assert!(result.stderr.contains("largest id is 150"), "{result:?}");
    let beyond = mirror.run(&["backfill", "--from", "151"]);
    assert_eq!(
        (beyond.exit_code, &beyond.report["requested"]),
        (0, &json!(0))
    );
}

#[test]
fn the_indexes_are_made_once_a_backfill_leaves_at_most_a_twentieth() {
    let indexes = |mirror: &Mirror| -> Vec<String> {
        let names = diesel::dsl::sql::<diesel::sql_types::Text>(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'items_by%' ORDER BY 1",
        );
        names.load(&mut mirror.connect()).unwrap()
    };
    let mirror = Mirror::new(50);
    assert_eq!(mirror.run(&["items", "1"]).exit_code, 0);
    assert_eq!(mirror.run(&["backfill", "--from", "4"]).exit_code, 0);
    assert_eq!(indexes(&mirror), [""; 0]);
    assert_eq!(mirror.run(&["backfill", "--from", "3"]).exit_code, 0);
    let names = ["author", "parent", "time", "type_and_score"];
    assert_eq!(
        indexes(&mirror),
        names.map(|name| format!("items_by_{name}"))
    );
}

#[test]
fn a_plan_around_a_million_ranges_takes_seconds_at_most() {
    let mirror = Mirror::new(20_000);
    mirror.fill_database();
    mirror.execute(
        "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
         INSERT INTO coverage SELECT 2 * i, 2 * i FROM n",
    );
    let within = Range {
        lo: 1,
        hi: 2_000_300,
    };
    let mut conn = mirror.connect();
    let began = Instant::now();
    let left = RemainingIds::plan(&mut conn, within, Refetch::default()).unwrap();
    assert_eq!(left.len(), 1_000_200);
    // With optimization it takes much less than a second.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

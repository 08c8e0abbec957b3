//! Which items are due to be read again: the server says what the ladder says.

use hn_ingest::hn::Ladder;
use serde_json::Value;

use crate::{
    common::{Sandbox, wait_until},
    server::{DATABASE, Server},
};

const NOW: i64 = 1_700_000_000;

/// A server with the tables of a mirror.
fn server_with_tables(sandbox: &Sandbox) -> Server {
    let server = Server::start();
    let url = server.url(DATABASE);
    sandbox
        .run(&["items", "1", "--demo", "--database", &url])
        .exits(0);
    server.execute("DELETE FROM items; DELETE FROM absent");
    server
}

/// Times, and times at which items were read: the steps, the seconds around them, and absurd ones.
fn times_and_readings() -> Vec<(i64, i64)> {
    let times = [
        i64::MIN,
        -1,
        0,
        NOW,
        253_402_300_799,
        253_402_300_800,
        i64::MAX,
    ];
    let absurd = [i64::MIN, -1, 0, NOW, i64::MAX];
    let around = |time: i64| {
        let ages = [0, 60, 300, 3600, 86_400, 1_296_000];
        ages.into_iter().flat_map(move |age| {
            [-1, 0, 1].map(|more| time.saturating_add(age).saturating_add(more))
        })
    };
    let readings = |time| absurd.into_iter().chain(around(time));
    times
        .into_iter()
        .flat_map(|time| readings(time).map(move |read_at| (time, read_at)))
        .collect()
}

#[test]
fn the_index_has_the_steps_of_the_ladder_whatever_the_times() {
    let sandbox = Sandbox::new();
    let server = server_with_tables(&sandbox);
    let rows: Vec<_> = (1..)
        .zip(times_and_readings())
        .map(|(id, (time, read_at))| format!("({id}, '{time}'::bigint, '{read_at}'::bigint)"))
        .collect();
    server.execute(&format!(
        "INSERT INTO items (id, time, fetched_at) VALUES {};
         INSERT INTO items (id, fetched_at) VALUES (-1, 5)",
        rows.join(",")
    ));
    let step = server.text(
        "SELECT pg_get_indexdef(indexrelid, 1, false) FROM pg_index
         WHERE indexrelid::regclass::text LIKE 'items_to_refresh_%'",
    );
    let found = server.text(&format!(
        "SELECT json_agg(json_build_array(\"time\"::text, fetched_at::text, {step})) FROM items WHERE id > 0"
    ));
    let found: Vec<(String, String, Option<usize>)> = serde_json::from_str(&found).unwrap();
    let ladder = Ladder::default();
    for (time, read_at, step) in &found {
        let (time, read_at) = (time.parse().unwrap(), read_at.parse().unwrap());
        let due_at = ladder.next_due(time, read_at);
        let expected = due_at.map(|due_at| ladder.step_of(due_at - time));
        assert_eq!(*step, expected, "{time} {read_at}");
    }
    assert_eq!(found.len(), rows.len());
}

#[test]
fn due_items_are_counted_by_the_index() {
    let sandbox = Sandbox::new();
    let server = server_with_tables(&sandbox);
    // Old items, and every minute of the last hour three young ones: one was read at once, one has an absence, and one has failed.
    server.execute(
        "INSERT INTO items (id, time, fetched_at)
             SELECT n, 1000000000 + n, 1600000000 FROM generate_series(1, 50000) AS n;
         INSERT INTO items (id, time, fetched_at)
             SELECT 60000 + n, now - n / 3 * 60 - 30, now - n / 3 * 60 - 29
             FROM generate_series(0, 179) AS n, floor(extract(epoch FROM clock_timestamp())) AS now;
         INSERT INTO items (id, time, text, fetched_at)
             SELECT 70000 + n, now - 100, '[delayed]', now - n
             FROM generate_series(0, 99) AS n, floor(extract(epoch FROM clock_timestamp())) AS now;
         INSERT INTO absent SELECT id, 1, fetched_at + 1, now - 1
             FROM items, floor(extract(epoch FROM clock_timestamp())) AS now WHERE id > 60000 AND id % 3 = 1 AND id < 70000;
         INSERT INTO failures SELECT id, 'timeout', '', 4, fetched_at + 1 FROM items WHERE id > 60000 AND id % 3 = 2 AND id < 70000;
         ANALYZE items",
    );
    let url = server.url(DATABASE);
    let args = ["status", "--format", "json", "--database", &url];
    let status = sandbox.run(&args).exits(0);
    let report: Value = serde_json::from_str(&status.stdout).unwrap();
    let refreshes = &report["freshness"]["refreshes"];
    // All but the youngest of the first kind, none of the second, of the third those of ten minutes ago, and 59 texts; and
    // what becomes due meanwhile.
    let due = refreshes["due"].as_u64().unwrap();
    assert!((59 + 50 + 59..59 + 50 + 159).contains(&due), "{refreshes}");
    assert!(
        refreshes["overdue"].as_u64().unwrap() >= 3500,
        "{refreshes}"
    );
    let scans =
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'items_to_refresh_%'";
    wait_until("the index was used", || server.number(scans) >= 11);
}

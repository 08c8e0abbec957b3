//! What is due on an SQLite database. The same properties are tested on PostgreSQL in `tests/postgres`.
#![allow(clippy::unwrap_used)]

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    dsl::sql,
    sql_query,
    sql_types::{BigInt, Text},
};
use proptest::prelude::*;

use super::*;
use crate::hn::migrations;

const NOW: i64 = 1_700_000_000;

fn database() -> SqliteConnection {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    migrations::run(&mut conn).unwrap();
    conn
}

fn add(conn: &mut SqliteConnection, id: i64, time: i64, fetched_at: i64) {
    conn.batch_execute(&format!(
        "INSERT INTO items (id, time, fetched_at) VALUES ({id}, {time}, {fetched_at})"
    ))
    .unwrap();
}

#[test]
fn the_migration_makes_the_index_of_the_default_ladder() {
    let mut conn = database();
    let ladder = Ladder::default();
    assert!(has_index(&mut conn, &ladder).unwrap());
    assert_eq!(indexed_ladder(&mut conn).unwrap(), Some(ladder.clone()));
    let statement =
        || sql::<Text>("SELECT sql FROM sqlite_master WHERE name LIKE 'items_to_refresh%'");
    let of_migration: String = statement().get_result(&mut conn).unwrap();
    build_index(&mut conn, &"1m".parse().unwrap()).unwrap();
    build_index(&mut conn, &ladder).unwrap();
    let built: Vec<String> = statement().load(&mut conn).unwrap();
    assert_eq!(built, [of_migration]);
}

#[test]
fn the_index_of_another_ladder_replaces_the_one_before_and_tells_its_ladder() {
    let mut conn = database();
    for text in ["5s", "1m,1d", "1m,5m,12h", "1d", "23h,3650d"] {
        let ladder: Ladder = text.parse().unwrap();
        assert!(!has_index(&mut conn, &ladder).unwrap());
        build_index(&mut conn, &ladder).unwrap();
        assert!(has_index(&mut conn, &ladder).unwrap());
        assert!(!has_index(&mut conn, &Ladder::default()).unwrap());
        assert_eq!(indexed_ladder(&mut conn).unwrap(), Some(ladder));
    }
    conn.batch_execute("DROP INDEX items_to_refresh_no")
        .unwrap_err();
}

#[test]
fn due_items_are_found_by_the_index() {
    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let mut conn = database();
    let ladder = Ladder::default();
    for (step, condition) in (0..).zip(due::conditions(&ladder, NOW)) {
        let explain = sql_query(format!(
            "EXPLAIN QUERY PLAN SELECT id, \"time\" FROM items WHERE {condition} ORDER BY \"time\" LIMIT 9"
        ));
        let plan: Vec<Plan> = explain.load(&mut conn).unwrap();
        let plan: Vec<_> = plan.into_iter().map(|line| line.detail).collect();
        let by_time = if step == 0 {
            "(<expr>=?)"
        } else {
            "(<expr>=? AND time<?)"
        };
        assert!(
            plan[0].starts_with("SEARCH items USING INDEX items_to_refresh_")
                && plan[0].ends_with(by_time),
            "{plan:?}"
        );
        assert!(
            !plan
                .iter()
                .any(|line| line.contains("TEMP B-TREE") || line.starts_with("SCAN")),
            "{plan:?}"
        );
    }
}

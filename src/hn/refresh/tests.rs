//! What is due on an SQLite database. The same properties are tested on PostgreSQL in `tests/postgres`.
#![allow(clippy::unwrap_used)]

use diesel::{
    QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection, dsl::sql,
    sql_query, sql_types::Text,
};
use proptest::prelude::*;

use super::*;
use crate::hn::migrations::empty_database;

const NOW: i64 = 1_700_000_000;

fn execute(conn: &mut SqliteConnection, sql: &str) {
    conn.batch_execute(sql).unwrap();
}

/// An item, and what the API said later.
#[derive(Clone, Debug)]
struct Row {
    time: Option<i64>,
    fetched_at: i64,
    is_delayed: bool,
    absent_at: Option<i64>,
    failed_at: Option<i64>,
}

impl Row {
    fn new(time: i64, fetched_at: i64) -> Self {
        Self {
            time: Some(time),
            fetched_at,
            is_delayed: false,
            absent_at: None,
            failed_at: None,
        }
    }

    fn add(&self, conn: &mut SqliteConnection, id: i64) {
        let time = self.time.map_or("NULL".to_owned(), |time| time.to_string());
        let text = if self.is_delayed { "[delayed]" } else { "a" };
        execute(
            conn,
            &format!(
                "INSERT INTO items (id, time, text, fetched_at) VALUES ({id}, {time}, '{text}', {})",
                self.fetched_at
            ),
        );
        if let Some(at) = self.absent_at {
            execute(
                conn,
                &format!("INSERT INTO absent VALUES ({id}, 1, {at}, {at})"),
            );
        }
        if let Some(at) = self.failed_at {
            execute(
                conn,
                &format!("INSERT INTO failures VALUES ({id}, 'timeout', '', 4, {at})"),
            );
        }
    }

    fn due_after(&self, ladder: &Ladder, read_at: i64) -> Option<i64> {
        let time = self.time?;
        let was_delayed = self.is_delayed
            && (0..=253_402_300_799).contains(&time)
            && self.fetched_at < time + 86_400;
        if was_delayed {
            ladder.next_due_if_delayed(time, read_at)
        } else {
            ladder.next_due(time, read_at)
        }
    }

    /// Since when it is due by the rules, if it is.
    fn due_at(&self, ladder: &Ladder, now: i64) -> Option<i64> {
        let due_at = self.due_after(ladder, self.fetched_at)?;
        let absent_at = self.absent_at.filter(|at| *at > self.fetched_at);
        let is_absent = absent_at
            .is_some_and(|at| self.due_after(ladder, at).is_none_or(|due_at| due_at > now));
        let failed_at = self.failed_at.filter(|at| *at > self.fetched_at);
        let patience = self.time? + ladder.last_age() + 86_400;
        let is_held_back = failed_at.is_some_and(|at| {
            at > now.saturating_sub(600) || at >= patience && at > now.saturating_sub(86_400)
        });
        (due_at <= now && !is_absent && !is_held_back).then_some(due_at)
    }
}

/// A time of an item, of a reading or of now: mostly near the others, sometimes absurd.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => NOW..NOW + 900,
        6 => NOW..NOW + 200_000,
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, 253_402_300_799, 253_402_300_800, i64::MAX - 1, i64::MAX]),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let later = || prop_oneof![3 => Just(None), 2 => moment().prop_map(Some)];
    let time = prop_oneof![9 => moment().prop_map(Some), 1 => Just(None)];
    let row = (time, moment(), any::<bool>(), later(), later());
    row.prop_map(|(time, fetched_at, is_delayed, absent_at, failed_at)| Row {
        time,
        fetched_at,
        is_delayed,
        absent_at,
        failed_at,
    })
}

fn ladder() -> impl Strategy<Value = Ladder> {
    let step = prop_oneof![1..100_i64, 1..2000_i64, 1..300_000_i64];
    let steps = prop::collection::btree_set(step, 1..8);
    steps.prop_map(|steps| Ladder::new(steps.into_iter().collect()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_database_says_what_the_ladder_says(
        ladder in ladder(),
        rows in prop::collection::vec(row(), 1..30),
        times in prop::collection::vec(moment(), 1..6),
    ) {
        let mut conn = empty_database();
        build_index(&mut conn, &ladder).unwrap();
        for (id, row) in (1..).zip(&rows) {
            row.add(&mut conn, id);
        }
        for now in times {
            let due_rows: Vec<(i64, i64)> = (1..)
                .zip(&rows)
                .filter_map(|(id, row)| Some((id, row.due_at(&ladder, now)?)))
                .collect();
            let mut found = due(&mut conn, &ladder, now, 100).unwrap();
            found.sort_unstable();
            let expected: Vec<i64> = due_rows.iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(count_due(&mut conn, &ladder, now).unwrap(), found.len() as u64);
            let earliest = due_rows.iter().map(|(_, due_at)| *due_at).min();
            prop_assert_eq!(longest_overdue(&mut conn, &ladder, now).unwrap(), earliest);
            let some = due(&mut conn, &ladder, now, 5).unwrap();
            prop_assert_eq!(some.len(), expected.len().min(5));
            prop_assert!(some.iter().all(|id| expected.contains(id)));
        }
    }
}

#[test]
fn nothing_is_due_at_the_beginning_of_all_times() {
    let (mut conn, ladder) = (empty_database(), Ladder::default());
    build_index(&mut conn, &ladder).unwrap();
    let row = Row {
        time: Some(NOW),
        fetched_at: i64::MIN,
        is_delayed: true,
        absent_at: None,
        failed_at: None,
    };
    row.add(&mut conn, 1);
    assert_eq!(due(&mut conn, &ladder, i64::MIN, 100), Ok(vec![]));
    assert_eq!(due(&mut conn, &ladder, i64::MIN + 59, 100), Ok(vec![]));
    assert_eq!(due(&mut conn, &ladder, i64::MIN + 60, 100), Ok(vec![1]));
}

#[test]
fn young_items_come_first_and_every_fourth_is_the_longest_overdue() {
    let (mut conn, ladder) = (empty_database(), Ladder::default());
    let day = 86_400;
    // 1 to 8: their last reading was due long ago. 11 to 20: made a minute ago and a bit.
    for id in 1..=8 {
        Row::new(NOW - 30 * day + id, NOW - 30 * day + 8 * day).add(&mut conn, id);
    }
    for id in 11..=20 {
        let time = NOW - 81 + id;
        Row::new(time, time + 1).add(&mut conn, id);
    }
    let found = due(&mut conn, &ladder, NOW, 12).unwrap();
    assert_eq!(found, [11, 12, 13, 1, 14, 15, 16, 2, 17, 18, 19, 3]);
    assert_eq!(
        longest_overdue(&mut conn, &ladder, NOW).unwrap(),
        Some(NOW - 15 * day + 1)
    );
    let all = due(&mut conn, &ladder, NOW, 100).unwrap();
    assert_eq!(all.len(), 18);
}

#[test]
fn items_without_an_answer_do_not_keep_others_from_being_read() {
    let (mut conn, ladder) = (empty_database(), Ladder::default());
    for id in 1..=50 {
        let time = NOW - 1000 + id;
        let mut row = Row::new(time, time + 1);
        match id {
            1..=20 => row.absent_at = Some(NOW - 5),
            21..=40 => row.failed_at = Some(NOW - 599),
            _ => {}
        }
        row.add(&mut conn, id);
    }
    assert_eq!(due(&mut conn, &ladder, NOW, 3).unwrap(), [41, 42, 43]);
    // The failures are old enough by then, and the next step of the absent ones has come.
    assert_eq!(count_due(&mut conn, &ladder, NOW + 1).unwrap(), 30);
    assert_eq!(count_due(&mut conn, &ladder, NOW + 2620).unwrap(), 50);
}

#[test]
fn items_on_a_list_are_due_until_something_was_heard_of_them() {
    let mut conn = empty_database();
    for id in [1, 2] {
        Row::new(NOW - 1000, NOW - id).add(&mut conn, id);
    }
    execute(
        &mut conn,
        &format!(
            "INSERT INTO lists VALUES ('top', 1, 3, 0), ('top', 2, 1, 0), ('top', 3, 2, 0), ('new', 1, 2, 0), ('new', 4, 5, 0), ('new', 5, 6, 0);
             INSERT INTO absent VALUES (5, 1, 0, {NOW}); INSERT INTO failures VALUES (6, 'timeout', '', 4, {NOW});"
        ),
    );
    assert_eq!(due_on_lists(&mut conn, NOW - 1, 9).unwrap(), [2, 3]);
    assert_eq!(due_on_lists(&mut conn, NOW, 9).unwrap(), [2, 3, 1]);
    assert_eq!(
        due_on_lists(&mut conn, NOW + 1, 9).unwrap(),
        [2, 3, 1, 5, 6]
    );
    assert_eq!(due_on_lists(&mut conn, NOW + 1, 1).unwrap(), [2]);
}

#[test]
fn young_items_are_found_page_by_page_despite_odd_times_and_gaps() {
    let mut conn = empty_database();
    // Ten items a minute, a gap in the ids, and items that claim to be very old or very young.
    let time_of = |id: i64| match id {
        _ if id % 97 == 0 => Some(i64::MAX),
        _ if id % 89 == 0 => Some(3),
        _ if id % 83 == 0 => None,
        _ => Some(NOW - (30_000 - id) * 6 + (id % 3) * 40),
    };
    execute(&mut conn, "BEGIN");
    let ids = || (1..=30_000).filter(|id| !(12_000..18_000).contains(id));
    for id in ids() {
        let row = Row {
            time: time_of(id),
            ..Row::new(0, NOW - 500 + (id % 2) * 100)
        };
        row.add(&mut conn, id);
    }
    execute(
        &mut conn,
        &format!("INSERT INTO absent VALUES (29000, 1, 0, {NOW}); COMMIT"),
    );
    for created_since in [NOW - 60_000, NOW - 100_000, NOW - 6_000] {
        let read_before = NOW - 450;
        let is_young = |id: &i64| {
            let time = time_of(*id);
            id % 2 == 0 && *id != 29_000 && time.is_some_and(|time| time >= created_since)
        };
        let mut pages = Vec::new();
        let mut after = 0;
        loop {
            let page = young(&mut conn, created_since, read_before, after, 700).unwrap();
            let Some(last) = page.last() else { break };
            after = *last;
            pages.extend(page);
        }
        let lowest = pages[0];
        let expected: Vec<i64> = ids().filter(|id| *id >= lowest && is_young(id)).collect();
        assert_eq!(pages, expected);
        // What claims to be young among much older ones is not found.
        let plain = ids().filter(|id| id % 97 != 0 && is_young(id));
        assert_eq!(plain.min(), pages.iter().copied().find(|id| id % 97 != 0));
    }
    assert_eq!(young(&mut empty_database(), 0, NOW, 0, 9).unwrap(), [0; 0]);
}

#[test]
fn holes_among_the_newest_ids_are_due_every_minute_and_older_ones_every_hour() {
    let mut conn = empty_database();
    let newest = 20_000;
    for id in [1, 15_000, 19_990, 19_995] {
        Row::new(NOW - (newest - id) * 6, NOW - 50).add(&mut conn, id);
    }
    let absent = |id: i64, first: i64, last: i64| {
        format!(
            "INSERT INTO absent VALUES ({id}, 1, {}, {});",
            NOW - first,
            NOW - last
        )
    };
    let failed = |id: i64, ago: i64| {
        format!(
            "INSERT INTO failures VALUES ({id}, 'timeout', '', 4, {});",
            NOW - ago
        )
    };
    let rows = [
        absent(20_001, 100, 100), // above the newest
        absent(19_999, 100, 60),
        absent(19_998, 100, 59),
        absent(19_995, 100, 60), // stored: the ladder's
        absent(19_600, 7200, 60),
        absent(19_500, 7200, 3599),
        absent(19_400, 7200, 3600),
        absent(14_000, 90_000, 90_000), // the absence was settled
        "INSERT INTO coverage VALUES (13000, 14500);".to_owned(),
        absent(14_600, 90_000, 90_000),
        failed(19_997, 60),
        failed(19_996, 59),
        failed(19_990, 60),   // stored
        failed(15_000, 3600), // stored, and the ladder may not know it any more
        failed(18_000, 3599),
        failed(17_000, 3600),
        absent(16_000, 4000, 4000) + &failed(16_000, 30),
    ];
    execute(&mut conn, &rows.concat());
    let due_ids = [19_999, 19_997, 19_600, 19_400, 17_000, 15_000, 14_600];
    assert_eq!(holes(&mut conn, newest, NOW, 99).unwrap(), due_ids);
    assert_eq!(holes(&mut conn, newest, NOW, 2).unwrap(), due_ids[..2]);
    // Ids of more than a fortnight ago are left to other commands.
    let later = NOW + 30 * 86_400;
    let newest = 300_000;
    Row::new(later - 10, later).add(&mut conn, newest);
    let due_ids = [
        20_001, 19_999, 19_998, 19_997, 19_996, 19_990, 19_600, 19_500, 19_400,
    ];
    assert_eq!(holes(&mut conn, newest, later, 99).unwrap(), due_ids);
    assert_eq!(holes(&mut empty_database(), 100, NOW, 9).unwrap(), [0; 0]);
}

#[test]
fn the_migration_makes_the_index_of_the_default_ladder() {
    let mut conn = empty_database();
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
    let mut conn = empty_database();
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
    let mut conn = empty_database();
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

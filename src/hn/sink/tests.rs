//! Answers for one id that are committed in either order, as two pipelines or two requests in flight can do.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use diesel::{Connection, QueryDsl, RunQueryDsl};
use proptest::prelude::*;

use super::*;
use crate::{
    hn::{
        coverage::Range,
        migrations,
        schema::{absent, failures, items},
    },
    ingest::{Failure, FailureKind, Outcome},
};

const ID: i64 = 7;

fn database() -> SqliteConnection {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    migrations::run(&mut conn).unwrap();
    conn
}

/// An answer that was received `at` Unix seconds.
fn answer(outcome: Outcome<Item>, at: u64) -> Settled<i64, Item> {
    let received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    Settled::new(ID, outcome, received_at)
}

fn stored(at: u64) -> Settled<i64, Item> {
    let body = format!(r#"{{"id":{ID},"title":"at {at}"}}"#);
    let item = Item::decode(ID, body.as_bytes()).unwrap().unwrap();
    answer(Outcome::Stored(item), at)
}

fn absence(at: u64) -> Settled<i64, Item> {
    answer(Outcome::Absent, at)
}

fn failure(at: u64) -> Settled<i64, Item> {
    let failure = Failure::new(FailureKind::Timeout, format!("at {at}"), 4);
    answer(Outcome::Failed(failure), at)
}

/// What the tables hold of the id.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    item: Option<(Option<String>, i64)>,
    absent_since: Option<i64>,
    failure: Option<(String, i64)>,
}

/// What is held after these answers, each committed by itself.
fn held_after(answers: &[Settled<i64, Item>]) -> Held {
    let mut conn = database();
    for answer in answers {
        let batch = std::slice::from_ref(answer);
        HnSink::new().write(&mut conn, batch).unwrap();
    }
    held(&mut conn)
}

fn held(conn: &mut SqliteConnection) -> Held {
    let item = items::table.select((items::title, items::fetched_at));
    let absence = absent::table.select(absent::last_checked_at);
    let failure = failures::table.select((failures::message, failures::failed_at));
    Held {
        item: item.load(conn).unwrap().pop(),
        absent_since: absence.load(conn).unwrap().pop(),
        failure: failure.load(conn).unwrap().pop(),
    }
}

fn item_at(at: i64) -> Option<(Option<String>, i64)> {
    Some((Some(format!("at {at}")), at))
}

#[test]
fn an_older_record_never_overwrites_a_newer_one() {
    let newer = Held {
        item: item_at(20),
        ..Held::default()
    };
    assert_eq!(held_after(&[stored(10), stored(20)]), newer);
    assert_eq!(held_after(&[stored(20), stored(10)]), newer);
}

#[test]
fn of_two_answers_of_one_second_the_one_committed_later_counts() {
    let mut conn = database();
    let mut later = stored(10);
    let body = format!(r#"{{"id":{ID},"title":"later"}}"#);
    later.outcome = Outcome::Stored(Item::decode(ID, body.as_bytes()).unwrap().unwrap());
    HnSink::new()
        .write(&mut conn, &[stored(10), later])
        .unwrap();
    assert_eq!(held(&mut conn).item, Some((Some("later".to_owned()), 10)));
}

#[test]
fn an_older_failure_or_absence_changes_nothing_that_a_newer_answer_wrote() {
    let stored_only = Held {
        item: item_at(20),
        ..Held::default()
    };
    assert_eq!(held_after(&[stored(20), failure(10)]), stored_only);
    assert_eq!(held_after(&[stored(20), absence(10)]), stored_only);
    let absent_only = Held {
        absent_since: Some(20),
        ..Held::default()
    };
    assert_eq!(held_after(&[absence(20), failure(10)]), absent_only);
    assert_eq!(held_after(&[absence(20), absence(10)]), absent_only);
    let failed = Some(("at 20".to_owned(), 20));
    assert_eq!(held_after(&[failure(20), failure(10)]).failure, failed);
    // The newer failure stays beside what the older answer says.
    assert_eq!(held_after(&[failure(20), stored(10)]).failure, failed);
    assert_eq!(held_after(&[failure(20), absence(10)]).failure, failed);
    assert_eq!(
        held_after(&[absence(20), stored(10)]).absent_since,
        Some(20)
    );
}

#[test]
fn a_change_that_came_too_late_is_no_history() {
    let mut conn = database();
    for answer in [stored(20), stored(10)] {
        HnSink::new().write(&mut conn, &[answer]).unwrap();
    }
    let history = crate::hn::schema::item_history::table.count();
    assert_eq!(history.get_result::<i64>(&mut conn).unwrap(), 0);
}

#[test]
fn an_older_absence_revokes_no_coverage() {
    let settled = [Range { lo: ID, hi: ID }];
    for sink in [HnSink::with_coverage(0), HnSink::for_retry()] {
        let mut conn = database();
        let first = HnSink::with_coverage(0);
        first.write(&mut conn, &[stored(20)]).unwrap();
        sink.write(&mut conn, &[absence(10)]).unwrap();
        assert_eq!(coverage::all(&mut conn).unwrap(), settled);
        sink.write(&mut conn, &[absence(30)]).unwrap();
        assert_eq!(coverage::all(&mut conn).unwrap(), []);
    }
}

#[test]
fn truth_values_are_stored_as_0_and_1_and_odd_ones_in_extra() {
    let mut conn = database();
    let bodies = [
        r#"{"id":7,"deleted":true,"dead":false}"#,
        r#"{"id":7,"deleted":[true],"dead":1}"#,
        r#"{"id":7}"#,
    ];
    let columns = (items::deleted, items::dead, items::extra);
    type Columns = (Option<i32>, Option<i32>, Option<String>);
    let rows = bodies.map(|body| -> Columns {
        let item = Item::decode(ID, body.as_bytes()).unwrap().unwrap();
        assert!(item.encode().len() >= body.len());
        let row = answer(Outcome::Stored(item), 10);
        HnSink::new().write(&mut conn, &[row]).unwrap();
        items::table.select(columns).get_result(&mut conn).unwrap()
    });
    let odd = r#"{"deleted":[true],"dead":1}"#.to_owned();
    let wanted = [
        (Some(1), Some(0), None),
        (None, None, Some(odd)),
        (None, None, None),
    ];
    assert_eq!(rows, wanted);
    let column_type =
        "SELECT DISTINCT type FROM pragma_table_info('items') WHERE name IN ('deleted', 'dead')";
    let types = diesel::dsl::sql::<diesel::sql_types::Text>(column_type);
    assert_eq!(types.load::<String>(&mut conn).unwrap(), ["INTEGER"]);
}

fn answers() -> impl Strategy<Value = Vec<Settled<i64, Item>>> {
    // Each of another second, so that one order is right.
    let kinds = prop::collection::vec(0..3_usize, 1..6);
    let answers = kinds.prop_map(|kinds| {
        let make = [stored, absence, failure];
        (10..).zip(kinds).map(|(at, kind)| make[kind](at)).collect()
    });
    answers.prop_flat_map(|answers: Vec<_>| Just(answers).prop_shuffle())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_order_of_commits_does_not_matter(mut answers in answers()) {
        let as_committed = held_after(&answers);
        answers.sort_by_key(|answer| answer.received_at);
        prop_assert_eq!(as_committed, held_after(&answers));
    }
}

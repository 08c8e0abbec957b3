//! Answers for one id that are committed in either order, as two pipelines or two requests in flight can do.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use diesel::{QueryDsl, RunQueryDsl};
use proptest::prelude::*;

use super::*;
use crate::{
    hn::{
        coverage::Range,
        migrations::empty_database,
        schema::{absent, failures, items},
    },
    ingest::{Failure, FailureKind, Outcome},
};

const ID: i64 = 7;

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
    let mut conn = empty_database();
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
    let mut conn = empty_database();
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
    let mut conn = empty_database();
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
        let mut conn = empty_database();
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
    let mut conn = empty_database();
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

#[test]
fn an_absence_that_has_lasted_for_a_day_is_settled() {
    let day = 24 * 3600;
    let settled = [Range { lo: ID, hi: ID }];
    let mut conn = empty_database();
    let sink = HnSink::with_moving_frontier(Frontier::at(0));
    for (at, covered) in [(100, &[][..]), (99 + day, &[]), (100 + day, &settled)] {
        sink.write(&mut conn, &[absence(at)]).unwrap();
        assert_eq!(coverage::all(&mut conn).unwrap(), covered);
    }
    // An older answer that comes late leaves it so.
    sink.write(&mut conn, &[stored(50)]).unwrap();
    assert_eq!(coverage::all(&mut conn).unwrap(), settled);
}

#[test]
fn a_frontier_that_moves_settles_absences_while_the_run_goes_on() {
    let (mut conn, frontier) = (empty_database(), Frontier::at(ID - 1));
    let sink = HnSink::with_moving_frontier(frontier.clone());
    sink.write(&mut conn, &[absence(10)]).unwrap();
    assert_eq!(coverage::all(&mut conn).unwrap(), []);
    frontier.raise(ID + 10_000);
    sink.write(&mut conn, &[absence(20)]).unwrap();
    let settled = [Range { lo: ID, hi: ID }];
    assert_eq!(coverage::all(&mut conn).unwrap(), settled);
}

/// An answer with these fields, `age` seconds after the item was made.
fn scored(age: u64, fields: &str) -> Settled<i64, Item> {
    let body = format!(r#"{{"id":{ID},"time":1000000,{fields}}}"#);
    let item = Item::decode(ID, body.as_bytes()).unwrap().unwrap();
    answer(Outcome::Stored(item), 1_000_000 + age)
}

/// A row of `item_history`: its age, and the score, number of descendants and title that it keeps.
type HistoryRow = (i64, Option<i64>, Option<i64>, Option<String>);

fn history(conn: &mut SqliteConnection) -> Vec<HistoryRow> {
    use crate::hn::schema::item_history as history;
    let rows = history::table.order(history::changed_at).select((
        history::changed_at - 1_000_000,
        history::score,
        history::descendants,
        history::title,
    ));
    rows.load(conn).unwrap()
}

#[test]
fn scores_are_kept_once_a_step_and_only_on_demand() {
    let story = |age, score, descendants, title: &str| {
        scored(
            age,
            &format!(
                r#""type":"story","title":"{title}","score":{score},"descendants":{descendants}"#
            ),
        )
    };
    let answers = [
        story(1, 1, 0, "a"),
        story(70, 2, 0, "a"),
        story(200, 3, 1, "a"),   // the same step
        story(310, 3, 1, "a"),   // nothing has changed
        story(320, 3, 2, "a"),   // only the descendants
        story(1000, 9, 2, "b"),  // the change of the title keeps the score, too
        story(1200, 10, 2, "b"), // the same step
        story(4000, 11, 2, "b"),
        story(3990, 5, 2, "b"), // an older answer
        scored(90_000, r#""type":"story","title":"b""#),
        scored(90_001, r#""type":"story","title":"b","score":4"#),
    ];
    let title = Some("a".to_owned());
    let changed_title = (1000, Some(3), Some(2), title);
    let kept = [
        (70, Some(1), Some(0), None),
        (320, Some(3), Some(1), None),
        changed_title.clone(),
        (4000, Some(10), Some(2), None),
        (90_000, Some(11), Some(2), None),
    ];
    let one_by_one = |sink: &HnSink| {
        let mut conn = empty_database();
        for answer in &answers {
            let batch = std::slice::from_ref(answer);
            sink.write(&mut conn, batch).unwrap();
        }
        history(&mut conn)
    };
    let sink = HnSink::new().keep_scores(Ladder::default());
    assert_eq!(one_by_one(&sink), kept);
    assert_eq!(one_by_one(&HnSink::new()), [changed_title]);
    let mut conn = empty_database();
    sink.write(&mut conn, &answers).unwrap();
    assert_eq!(history(&mut conn), kept);
}

#[test]
fn scores_of_comments_and_of_items_without_a_time_are_not_kept() {
    let sink = HnSink::new().keep_scores(Ladder::default());
    let mut conn = empty_database();
    for score in 1..4 {
        let fields = format!(r#""type":"comment","score":{score}"#);
        sink.write(&mut conn, &[scored(score * 100, &fields)])
            .unwrap();
    }
    let mut conn_without_time = empty_database();
    for score in 1..4 {
        let body = format!(r#"{{"id":{ID},"type":"story","score":{score}}}"#);
        let item = Item::decode(ID, body.as_bytes()).unwrap().unwrap();
        let row = answer(Outcome::Stored(item), score);
        sink.write(&mut conn_without_time, &[row]).unwrap();
    }
    assert_eq!(history(&mut conn), []);
    assert_eq!(history(&mut conn_without_time), []);
}

/// Answers in the order in which they are committed. Some were received in the same second.
fn answers() -> impl Strategy<Value = Vec<Settled<i64, Item>>> {
    let answer = (0..3_usize, 10..14_u64);
    let answers = prop::collection::vec(answer, 1..7);
    answers.prop_map(|answers| {
        let make = [stored, absence, failure];
        let answers = answers.into_iter();
        answers.map(|(kind, at)| make[kind](at)).collect()
    })
}

/// A sink of one of the kinds.
fn sink(kind: usize) -> HnSink {
    match kind {
        0 => HnSink::new(),
        1 => HnSink::with_coverage(0),
        2 => HnSink::with_coverage(ID),
        _ => HnSink::for_retry(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    // Of answers of the same second, the one that was committed later counts.
    #[test]
    fn the_order_of_commits_does_not_matter(
        kind in 0..4_usize,
        mut answers in answers(),
        in_one_batch in any::<bool>(),
    ) {
        let held_after = |answers: &[Settled<i64, Item>]| {
            let mut conn = empty_database();
            let length = if in_one_batch { answers.len() } else { 1 };
            for batch in answers.chunks(length) {
                sink(kind).write(&mut conn, batch).unwrap();
            }
            (held(&mut conn), coverage::all(&mut conn).unwrap())
        };
        let as_committed = held_after(&answers);
        answers.sort_by_key(|answer| answer.received_at);
        prop_assert_eq!(as_committed, held_after(&answers));
    }
}

//! Tests of the table `item_history`.

use std::time::{Duration, SystemTime};

use diesel::{ExpressionMethods, QueryDsl, Queryable, RunQueryDsl};
use hn_ingest::{
    Settled, Sink,
    hn::{HnSink, schema::item_history},
};

use crate::fixture::{Mirror, row, stored_item};

/// The values of an item before they were lost.
#[derive(Queryable, Debug, PartialEq)]
struct HistoryRow {
    title: Option<String>,
    text: Option<String>,
    score: Option<i64>,
    type_: Option<String>,
    deleted: Option<i32>,
    dead: Option<i32>,
}

#[test]
fn values_that_an_item_loses_are_kept_in_its_history() {
    let mirror = Mirror::new(10);
    mirror.fill_database();
    let mut conn = mirror.connect();
    let mut store = |json: &str| {
        let batch = [row(1, stored_item(json))];
        HnSink::new().write(&mut conn, &batch).unwrap();
    };
    // A changed score, changed kids and a new value are no loss.
    store(r#"{"id":1,"type":"story","title":"<b>","text":"new","score":9}"#);
    store(r#"{"id":1,"type":"story","title":"<b>","text":"newer","score":9}"#);
    store(r#"{"id":1,"type":"story","title":"<b>","text":"newer","dead":true}"#);
    store(r#"{"id":1,"deleted":true,"dead":true}"#);
    store(r#"{"id":1,"deleted":true,"dead":true}"#);
    store(r#"{"id":1,"type":"story","title":"back"}"#);
    let columns = (
        item_history::title,
        item_history::text,
        item_history::score,
        item_history::type_,
        item_history::deleted,
        item_history::dead,
    );
    let history = item_history::table.filter(item_history::id.eq(1));
    let rows: Vec<HistoryRow> = history.select(columns).load(&mut conn).unwrap();
    let lost = |text: &str, score, dead| HistoryRow {
        title: Some("<b>".to_owned()),
        text: Some(text.to_owned()),
        score,
        type_: Some("story".to_owned()),
        deleted: None,
        dead,
    };
    let expected = [
        lost("new", Some(9), None),
        lost("newer", Some(9), None),
        lost("newer", None, Some(1)),
    ];
    assert_eq!(rows, expected);
    assert_eq!(mirror.run(&["status"]).report["item_history"], 3);
}

/// The second of a change, and the title, the text and the number of descendants before it.
type Kept = (i64, Option<String>, Option<String>, Option<i64>);

/// What the history keeps after these answers, a second apart.
fn kept_after(answers: &[&str]) -> Vec<Kept> {
    let mirror = Mirror::new(10);
    mirror.fill_database();
    let mut conn = mirror.connect();
    for (second, json) in (1..).zip(answers) {
        let received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000 + second);
        let row = Settled::new(1, stored_item(json), received_at);
        HnSink::new().write(&mut conn, &[row]).unwrap();
    }
    let rows = item_history::table
        .filter(item_history::id.eq(1))
        .order(item_history::changed_at)
        .select((
            item_history::changed_at - 4_000_000_000_i64,
            item_history::title,
            item_history::text,
            item_history::descendants,
        ));
    let mut rows: Vec<Kept> = rows.load(&mut conn).unwrap();
    // What the fixture stored before.
    rows.retain(|(changed_at, ..)| *changed_at > 1);
    rows
}

fn text(at: i64, text: &str) -> Kept {
    (at, None, Some(text.to_owned()), None)
}

const DELAYED: &str = r#"{"id":1,"type":"comment","text":"[delayed]"}"#;
const FLAGGED: &str = r#"{"id":1,"type":"comment","text":"[flagged]","dead":true}"#;
const FIRST: &str = r#"{"id":1,"type":"comment","text":"first"}"#;
const SECOND: &str = r#"{"id":1,"type":"comment","text":"second"}"#;
const DELETED: &str = r#"{"id":1,"type":"comment","deleted":true}"#;

#[test]
fn texts_that_stand_for_another_are_no_history() {
    assert_eq!(kept_after(&[DELAYED, FIRST]), []);
    assert_eq!(kept_after(&[DELAYED, FLAGGED, DELETED]), []);
    assert_eq!(kept_after(&[FLAGGED, FIRST]), []);
    // The title is kept without such a text.
    let ask = [
        r#"{"id":1,"title":"Ask","text":"[delayed]","descendants":3}"#,
        r#"{"id":1,"title":"Ask HN","text":"[delayed]","descendants":3}"#,
    ];
    assert_eq!(
        kept_after(&ask),
        [(2, Some("Ask".to_owned()), None, Some(3))]
    );
}

#[test]
fn a_text_that_is_lost_is_kept_once_at_the_second_of_the_answer() {
    for lost in [FLAGGED, DELAYED, DELETED, r#"{"id":1,"type":"comment"}"#] {
        assert_eq!(kept_after(&[FIRST, lost]), [text(2, "first")], "{lost}");
        let again = [FIRST, lost, FIRST, lost, FIRST, lost];
        assert_eq!(kept_after(&again), [text(2, "first")], "{lost}");
    }
    assert_eq!(
        kept_after(&[FIRST, FLAGGED, SECOND, FLAGGED, SECOND, DELETED]),
        [text(2, "first"), text(4, "second")]
    );
}

#[test]
fn each_edit_of_a_text_is_kept() {
    assert_eq!(
        kept_after(&[FIRST, SECOND, FIRST, SECOND]),
        [text(2, "first"), text(3, "second"), text(4, "first")]
    );
}

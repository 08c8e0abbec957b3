//! Tests of the table `item_history`.

use diesel::{ExpressionMethods, QueryDsl, Queryable, RunQueryDsl};
use hn_ingest::{
    Sink,
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

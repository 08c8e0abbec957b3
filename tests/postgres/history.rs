//! The table `item_history` keeps on a server what it keeps in a file.

use std::time::{Duration, SystemTime};

use diesel::PgConnection;
use hn_ingest::{
    Outcome, Settled, Sink,
    hn::{HnSink, Item, Ladder},
};

use crate::{
    common::Sandbox,
    server::{DATABASE, Server},
};

const MADE_AT: u64 = 1_700_000_000;

/// What the history keeps after these answers, each with the item's age: ages, texts, titles and scores.
fn kept_after(server: &Server, answers: &[(u64, &str)]) -> String {
    let mut conn = server.connect();
    let sink: HnSink<PgConnection> = HnSink::new().over().keep_scores(Ladder::default());
    for (age, fields) in answers {
        let json = format!(r#"{{"id":1,"time":{MADE_AT},{fields}}}"#);
        let item = Item::decode(1, json.as_bytes()).unwrap().unwrap();
        let received_at = SystemTime::UNIX_EPOCH + Duration::from_secs(MADE_AT + age);
        let row = Settled::new(1, Outcome::Stored(item), received_at);
        sink.write(&mut conn, &[row]).unwrap();
    }
    let kept = server.text(&format!(
        "SELECT coalesce(string_agg(concat_ws(' ', changed_at - {MADE_AT}, text, title, score, descendants), ', ' ORDER BY changed_at), '')
         FROM item_history"
    ));
    server.execute("DELETE FROM items; DELETE FROM item_history");
    kept
}

#[test]
fn texts_and_scores_are_kept_as_in_a_file() {
    let (sandbox, server) = (Sandbox::new(), Server::start());
    let url = server.url(DATABASE);
    sandbox
        .run(&["items", "1", "--demo", "--database", &url])
        .exits(0);
    server.execute("DELETE FROM items");
    let delayed = r#""type":"comment","text":"[delayed]""#;
    let flagged = r#""type":"comment","text":"[flagged]","dead":true"#;
    let real = r#""type":"comment","text":"real""#;
    let edited = r#""type":"comment","text":"edited""#;
    let deleted = r#""type":"comment","deleted":true"#;
    let kept = |answers: &[(u64, &str)]| kept_after(&server, answers);
    assert_eq!(kept(&[(1, delayed), (2, flagged), (3, real)]), "");
    for lost in [delayed, flagged, deleted] {
        let flapping = [(1, real), (2, lost), (3, real), (4, lost)];
        assert_eq!(kept(&flapping), "2 real", "{lost}");
    }
    let edits = [(1, real), (2, edited), (3, real), (4, deleted)];
    assert_eq!(kept(&edits), "2 real, 3 edited, 4 real");
    let story = |title: &str, score: i64| {
        format!(r#""type":"story","title":"{title}","score":{score},"descendants":0"#)
    };
    let stories = [
        story("a", 1),
        story("a", 2),
        story("a", 3),
        story("b", 4),
        story("b", 5),
    ];
    let ages = [1, 70, 80, 400, 500];
    let answers: Vec<_> = ages
        .into_iter()
        .zip(stories.iter().map(String::as_str))
        .collect();
    assert_eq!(kept(&answers), "70 1 0, 400 a 3 0");
}

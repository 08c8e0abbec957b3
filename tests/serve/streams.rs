//! Event streams: the first event is the whole value, and later ones tell what changes.

use std::{thread, time::Duration};

use hn_ingest::serve::Committed;
use serde_json::{Value, json};

use crate::{
    fixture::{Mirror, Served},
    http::{Events, get, json, request},
};

fn at_root(data: &Value) -> (&'static str, Value) {
    ("put", json!({"path": "/", "data": data}))
}

#[test]
fn a_stream_of_every_path_begins_with_the_value_that_the_path_has() {
    let mirror = Mirror::of_mock_api();
    for served in [Served::live_mock_api(), mirror.serve()] {
        let a = &served.address;
        let id = json(a, "topstories/0");
        let name = json(a, &format!("item/{id}/by"));
        for path in [
            "maxitem".to_owned(),
            "updates".to_owned(),
            "updates/items".to_owned(),
            "topstories".to_owned(),
            "topstories/0".to_owned(),
            format!("item/{id}"),
            format!("item/{id}/title"),
            format!("user/{}", name.as_str().unwrap()),
            "item/0".to_owned(),
            "x".to_owned(),
        ] {
            let before = json(a, &path);
            let mut events = Events::open(a, &format!("/v0/{path}.json"));
            let (event, data) = events.next().unwrap();
            // A live API may have written the value anew meanwhile.
            let value = [before, json(a, &path)]
                .into_iter()
                .find(|value| data["data"] == *value)
                .unwrap_or_else(|| panic!("{path}: {data}"));
            assert_eq!((&*event, data), at_root(&value), "{path}");
        }
    }
}

#[test]
fn a_stream_tells_what_another_process_commits() {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1,"score":1,"title":"a","kids":[2]}"#.into())]);
    let served = mirror.serve();
    let a = &served.address;
    let open = |path: &str| {
        let mut events = Events::open(a, &format!("/v0/{path}.json"));
        events.next().unwrap();
        events
    };
    let [mut item, mut score, mut max_item, mut list] =
        ["item/1", "item/1/score", "maxitem", "topstories"].map(open);
    mirror.execute("UPDATE items SET score = 2, title = NULL WHERE id = 1");
    assert_eq!(
        item.next().unwrap(),
        (
            "patch".into(),
            json!({"path": "/", "data": {"score": 2, "title": null}})
        )
    );
    assert_eq!(
        score.next().unwrap(),
        ("put".into(), json!({"path": "/", "data": 2}))
    );
    mirror.store_items([(9, r#"{"id":9}"#.into())]);
    assert_eq!(
        max_item.next().unwrap(),
        ("put".into(), json!({"path": "/", "data": 9}))
    );
    mirror.execute("INSERT INTO lists VALUES ('top', 1, 9, 1), ('top', 2, 1, 1)");
    assert_eq!(
        list.next().unwrap(),
        ("put".into(), json!({"path": "/", "data": [9, 1]}))
    );
    mirror.execute("DELETE FROM lists; DELETE FROM items WHERE id = 1");
    for mut events in [item, score, list] {
        assert_eq!(
            events.next().unwrap(),
            ("put".into(), json!({"path": "/", "data": null}))
        );
    }
}

#[test]
fn a_stream_is_told_at_once_what_a_pipeline_in_the_process_commits() {
    let mirror = Mirror::empty();
    let served = mirror.serve_with(|config| config.look_every = Duration::from_secs(3_600));
    let mut commits = served.changes().commits();
    let mut events = Events::open(&served.address, "/v0/item/1.json");
    assert_eq!(events.next().unwrap().1["data"], Value::Null);
    mirror.store_items([(1, r#"{"id":1}"#.into())]);
    let committed = Committed {
        items: vec![1],
        users: vec![],
    };
    served.changes().publish(committed.clone());
    assert_eq!(events.next().unwrap().1["data"], json!({"id": 1}));
    assert_eq!(*commits.try_recv().unwrap(), committed);
}

#[test]
fn what_changes_is_seen_by_plain_requests_too() {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1,"score":1}"#.into())]);
    let served = mirror.serve();
    for score in 2..20 {
        mirror.execute(&format!("UPDATE items SET score = {score} WHERE id = 1"));
        while json(&served.address, "item/1/score") != score {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn there_are_only_so_many_streams_and_a_closed_one_makes_room() {
    let mirror = Mirror::empty();
    let served = mirror.serve_with(|config| config.streams = 1);
    let a = &served.address;
    let mut first = Events::open(a, "/v0/maxitem.json");
    first.next().unwrap();
    let ask = || request(a, "GET", "/v0/maxitem.json", &["Accept: text/event-stream"]);
    let refused = ask();
    refused.is_error(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(get(a, "/v0/maxitem.json").status, 200);
    drop(first);
    // The next event finds that nobody reads.
    let mut id = 0;
    loop {
        id += 1;
        mirror.store_items([(id, format!(r#"{{"id":{id}}}"#))]);
        let head = Events::try_open(a, "/v0/maxitem.json");
        if head.is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_stream_is_refused_as_any_other_request_is() {
    let served = Mirror::empty().into_served();
    let a = &served.address;
    let accept = "Accept: text/event-stream";
    assert_eq!(
        request(a, "HEAD", "/v0/maxitem.json", &[accept]).status,
        405
    );
    request(a, "POST", "/v0/maxitem.json", &[accept]).is_error(401);
    assert_eq!(request(a, "GET", "/v0/maxitem", &[accept]).status, 404);
}

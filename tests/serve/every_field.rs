//! The server gives every field of a stored record as the API gave it.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    fixture::Mirror,
    http::{get, json},
};

#[test]
fn odd_items_come_out_as_they_came_in() {
    let bodies = [
        r#"{"id":1}"#,
        r#"{"by":"a","id":2,"kids":[5,3],"time":1,"type":"story","title":"a <b> &amp; \"c\"","url":"","text":""}"#,
        r#"{"id":3,"deleted":true,"dead":true,"time":0,"type":"comment","parent":2}"#,
        r#"{"id":4,"deleted":[true],"dead":[],"time":null,"score":1.5,"kids":null,"by":7}"#,
        r#"{"id":5,"new":{"deep":[{"x":[1,{"y":null}]}]},"title":"\ud83d\ude80 \u0000 \u2028","big":12345678901234567890123}"#,
        r#"{"id":6,"kids":[],"parts":[9,8],"poll":1,"descendants":0,"dead":false,"score":-1}"#,
        r#"{"id":7,"text":"x</script><!-- ' OR 1=1 --","type":"\u202e","number":1.0}"#,
    ];
    let mirror = Mirror::empty();
    mirror.store_items((1..).zip(bodies.map(str::to_owned)));
    let user = r#"{"id":"a-B_9","about":"<p>\u0000","karma":null,"submitted":[3,1],"delay":0}"#;
    mirror.store_user("a-B_9", user);
    let served = mirror.serve();
    let a = &served.address;
    for (id, body) in (1..).zip(bodies) {
        let wanted: Value = serde_json::from_str(body).unwrap();
        assert_eq!(json(a, &format!("item/{id}")), wanted);
        let pretty = get(a, &format!("/v0/item/{id}.json?print=pretty"));
        assert_eq!(pretty.json(), wanted);
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(json(a, &format!("item/{id}/{field}")), *value);
        }
    }
    let raw = get(a, "/v0/item/5.json").body;
    assert!(raw.contains("\"big\":12345678901234567890123"), "{raw}");
    assert!(get(a, "/v0/item/7.json").body.contains("\"number\":1.0"));
    let wanted: Value = serde_json::from_str(user).unwrap();
    assert_eq!(json(a, "user/a-B_9"), wanted);
    assert_eq!(json(a, "user/a-b_9"), Value::Null, "names differ by case");
    assert_eq!(json(a, "maxitem"), 7);
}

#[test]
fn an_empty_mirror_answers_too() {
    let served = Mirror::empty().into_served();
    let a = &served.address;
    assert_eq!(json(a, "maxitem"), 0);
    assert_eq!(
        json(a, "updates"),
        serde_json::json!({"items": [], "profiles": []})
    );
    for path in ["topstories", "item/1", "user/pg"] {
        assert_eq!(json(a, path), Value::Null, "{path}");
    }
}

#[test]
fn maxitem_is_the_largest_id_that_is_stored_or_settled() {
    let mirror = Mirror::empty();
    mirror.store_items([(5, r#"{"id":5}"#.into())]);
    let served = mirror.serve();
    assert_eq!(json(&served.address, "maxitem"), 5);
    mirror.execute("INSERT INTO coverage VALUES (1, 3), (7, 9)");
    let again = mirror.serve();
    assert_eq!(json(&again.address, "maxitem"), 9);
}

#[test]
fn updates_name_what_was_fetched_last() {
    let mirror = Mirror::empty();
    let item = |id: i64| (id, format!(r#"{{"id":{id},"by":"u{id}"}}"#));
    mirror.store_items((1..=2_000).map(item));
    for id in [7, 1_900, 1_950] {
        mirror.store_user(&format!("u{id}"), &format!(r#"{{"id":"u{id}"}}"#));
    }
    mirror.execute(
        "UPDATE items SET fetched_at = fetched_at + id WHERE id IN (7, 8, 1900);
        INSERT INTO lists VALUES ('top', 1, 7, 1), ('new', 1, 7, 1)",
    );
    let served = mirror.serve();
    let updates = json(&served.address, "updates");
    let items = updates["items"].as_array().unwrap();
    // 8 is neither new nor in a list.
    assert_eq!(items[..3], [1900, 7, 2000].map(Value::from));
    assert_eq!(items.len(), 100);
    let profiles = updates["profiles"].as_array().unwrap();
    assert_eq!(*profiles, ["u1900", "u1950", "u7"].map(Value::from));
}

/// Real items, where somebody has put them.
#[test]
fn real_items_come_out_as_they_came_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/items-2025.ndjson");
    let Ok(text) = fs::read_to_string(file) else {
        return;
    };
    let items = text.lines().step_by(20).filter_map(|line| {
        let item: Value = serde_json::from_str(line).ok()?;
        Some((item["id"].as_i64()?, item, line.to_owned()))
    });
    let items: Vec<_> = items.collect();
    let mirror = Mirror::empty();
    mirror.store_items(items.iter().map(|(id, _, line)| (*id, line.clone())));
    let served = mirror.serve();
    for (id, item, _) in items {
        assert_eq!(json(&served.address, &format!("item/{id}")), item);
    }
}

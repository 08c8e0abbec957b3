//! What the API of Hacker News promises, asked of the mock API and of a server over a mirror of it.

use serde_json::{Value, json};

use crate::{
    fixture::{FETCHED_AT, MAX_ITEM, Mirror, both},
    http::{Answer, get, json, request},
};

const LISTS: [&str; 6] = [
    "topstories",
    "newstories",
    "beststories",
    "askstories",
    "showstories",
    "jobstories",
];

/// A story with at least three kids.
fn story_with_kids(address: &str) -> Value {
    let ids = json(address, "newstories");
    let items = ids.as_array().unwrap().iter();
    let mut items = items.map(|id| json(address, &format!("item/{id}")));
    let has_kids = |item: &Value| item["kids"].as_array().is_some_and(|kids| kids.len() >= 3);
    items.find(has_kids).unwrap()
}

fn is_json(answer: &Answer) {
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("etag"), None);
}

#[test]
fn lists_items_users_maxitem_and_updates_have_their_shapes() {
    for (server, served) in both() {
        let a = &served.address;
        for list in LISTS {
            let answer = get(a, &format!("/v0/{list}.json"));
            is_json(&answer);
            let ids = answer.json();
            let ids = ids.as_array().unwrap();
            assert!(
                !ids.is_empty() && ids.iter().all(Value::is_i64),
                "{server} {list}"
            );
            assert_eq!(json(a, &format!("{list}/0")), ids[0]);
        }
        let max_item = json(a, "maxitem").as_i64().unwrap();
        assert!(
            (MAX_ITEM - 10..=MAX_ITEM).contains(&max_item),
            "{server} {max_item}"
        );

        let updates = json(a, "updates");
        assert_eq!(updates.as_object().unwrap().len(), 2, "{server}");
        assert!(
            updates["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(Value::is_i64)
        );
        let names = updates["profiles"].as_array().unwrap();
        assert!(
            !names.is_empty() && names.iter().all(Value::is_string),
            "{server}"
        );
        assert_eq!(json(a, "updates/items/0"), updates["items"][0]);

        let name = names[0].as_str().unwrap();
        let user = json(a, &format!("user/{name}"));
        assert_eq!(user["id"], name);
        for field in ["created", "karma"] {
            assert!(user[field].is_i64(), "{server} {user}");
            assert_eq!(json(a, &format!("user/{name}/{field}")), user[field]);
        }

        let story = story_with_kids(a);
        for (field, is_right) in [
            ("id", Value::is_i64 as fn(&Value) -> bool),
            ("type", Value::is_string),
            ("by", Value::is_string),
            ("time", Value::is_i64),
            ("title", Value::is_string),
            ("score", Value::is_i64),
            ("descendants", Value::is_i64),
            ("kids", Value::is_array),
        ] {
            assert!(is_right(&story[field]), "{server} {field}: {story}");
        }
        let kid = json(a, &format!("item/{}", story["kids"][0]));
        assert_eq!(
            (&kid["type"], &kid["parent"]),
            (&json!("comment"), &story["id"])
        );
    }
}

#[test]
fn the_server_decodes_to_the_same_json_as_the_api_that_it_mirrors() {
    let [(_, original), (_, mirror)] = both();
    for list in LISTS {
        assert_eq!(json(&mirror.address, list), json(&original.address, list));
    }
    for id in (1..=MAX_ITEM).step_by(37) {
        let path = format!("item/{id}");
        assert_eq!(json(&mirror.address, &path), json(&original.address, &path));
    }
    for name in json(&original.address, "updates/profiles")
        .as_array()
        .unwrap()
    {
        let path = format!("user/{}", name.as_str().unwrap());
        assert_eq!(json(&mirror.address, &path), json(&original.address, &path));
    }
}

#[test]
fn a_path_to_nothing_is_null_and_a_path_without_json_is_404() {
    for (server, served) in both() {
        let a = &served.address;
        for path in [
            "item/99999999.json",
            "item/0.json",
            "item/-1.json",
            "item/01.json",
            "item/1.0.json",
            "item/x.json",
            "item/%00.json",
            "item/.json",
            "item.json",
            "item/99999999999999999999.json",
            "item/1/nothing/at/all.json",
            "item/1/kids/99999.json",
            "user/nobody.json",
            "user/%00.json",
            "user/%ff.json",
            "user/'%20OR%201=1--.json",
            "user/.json",
            "x.json",
            "x/y.json",
            ".json",
            "stories.json",
            "topstories/9999.json",
            "topstories/x.json",
            "maxitem/0.json",
            "updates/nothing.json",
        ] {
            let answer = get(a, &format!("/v0/{path}"));
            assert_eq!(
                (answer.status, &*answer.body),
                (200, "null"),
                "{server} {path}"
            );
            is_json(&answer);
        }
        for path in [
            "/v0/item/1",
            "/v0/",
            "/v1/item/1.json",
            "/v0.json",
            "/v00/item/1.json",
        ] {
            assert_eq!(get(a, path).status, 404, "{server} {path}");
        }
        let max_item = json(a, "maxitem");
        for path in [
            "/v0/maxitem/.json",
            "/v0//maxitem.json",
            "/v0/%6Daxitem.json",
        ] {
            assert_eq!(get(a, path).json(), max_item, "{server} {path}");
        }
    }
}

#[test]
fn every_value_inside_a_record_has_a_path() {
    for (server, served) in both() {
        let a = &served.address;
        let story = story_with_kids(a);
        let id = &story["id"];
        for (field, value) in story.as_object().unwrap() {
            assert_eq!(json(a, &format!("item/{id}/{field}")), *value, "{server}");
        }
        assert_eq!(json(a, &format!("item/{id}/kids/2")), story["kids"][2]);
        assert_eq!(json(a, &format!("item/{id}/title/x")), Value::Null);
    }
}

#[test]
fn only_get_reads_and_nothing_writes() {
    for (server, served) in both() {
        let a = &served.address;
        let path = "/v0/item/1.json";
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = request(a, method, path, &["Content-Length: 0"]);
            answer.is_error(401);
            assert_eq!(
                answer.json()["error"],
                "Permission denied",
                "{server} {method}"
            );
        }
        for method in ["HEAD", "TRACE", "BREW"] {
            let answer = request(a, method, path, &[]);
            assert_eq!(answer.status, 405, "{server} {method}");
            assert!(answer.header("allow").unwrap().contains("GET"));
        }
        assert_eq!(request(a, "HEAD", path, &[]).body, "");
        let answer = request(
            a,
            "OPTIONS",
            path,
            &[
                "Origin: https://x.example",
                "Access-Control-Request-Headers: x-firebase-etag",
            ],
        );
        assert_eq!((answer.status, &*answer.body), (200, ""), "{server}");
        assert!(answer.header("allow").unwrap().contains("GET"));
        for (header, value) in [
            ("access-control-allow-origin", "https://x.example"),
            ("access-control-allow-headers", "x-firebase-etag"),
        ] {
            assert_eq!(answer.header(header), Some(value), "{server}");
        }
        assert!(answer.header("access-control-allow-methods").is_some());
    }
}

#[test]
fn scripts_of_every_origin_may_read_every_answer() {
    for (server, served) in both() {
        let a = &served.address;
        for path in [
            "/v0/maxitem.json",
            "/v0/x.json",
            "/v0/maxitem.json?limitToFirst=1",
            "/v0/item/1",
        ] {
            let answer = request(a, "GET", path, &["Origin: https://x.example"]);
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, Some("https://x.example"), "{server} {path}");
            assert_eq!(
                get(a, path).header("access-control-allow-origin"),
                Some("*")
            );
        }
    }
}

#[test]
fn an_etag_comes_on_request_only_and_saves_the_body() {
    for (server, served) in both() {
        let a = &served.address;
        let path = "/v0/topstories.json";
        let with = |headers: &[&str]| request(a, "GET", path, headers);
        let asked = "X-Firebase-ETag: true";
        assert_eq!(
            with(&["X-Firebase-ETag: false"]).header("etag"),
            None,
            "{server}"
        );
        let first = with(&[asked]);
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!((first.status, first.json()), (200, json(a, "topstories")));
        for known in [
            tag.clone(),
            format!("\"{tag}\""),
            format!("W/\"{tag}\""),
            format!("\"x\", {tag}"),
            "*".into(),
        ] {
            let again = with(&[asked, &format!("If-None-Match: {known}")]);
            assert_eq!((again.status, &*again.body), (304, ""), "{server} {known}");
            assert_eq!(again.header("etag"), Some(&*tag));
        }
        let other = with(&[asked, "If-None-Match: other"]);
        assert_eq!((other.status, other.json()), (200, first.json()));
        let part = request(a, "GET", "/v0/topstories/0.json", &[asked]);
        assert_ne!(part.header("etag"), Some(&*tag));
    }
}

#[test]
fn the_server_says_when_a_record_was_fetched() {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1}"#.into()), (2, "null".into())]);
    mirror.store_user("pg", r#"{"id":"pg"}"#);
    mirror.execute("INSERT INTO lists VALUES ('top', 1, 1, 17)");
    let served = mirror.serve();
    let fetched_at = |path: &str| {
        let answer = get(&served.address, &format!("/v0/{path}.json"));
        answer
            .header("x-fetched-at")
            .map(|at| at.parse::<u64>().unwrap())
    };
    for path in ["item/1", "item/1/id", "item/2", "user/pg"] {
        assert_eq!(fetched_at(path), Some(FETCHED_AT), "{path}");
    }
    assert_eq!(fetched_at("topstories"), Some(17));
    for path in ["item/3", "user/x", "newstories", "maxitem", "updates"] {
        assert_eq!(fetched_at(path), None, "{path}");
    }
}

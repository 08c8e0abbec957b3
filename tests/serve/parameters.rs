//! The parameters of the API of Hacker News, asked of the mock API and of a server over a mirror of it.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::{
    fixture::{Mirror, both},
    http::{Answer, connect, get, json},
};

const BY_KEY: &str = "orderBy=%22$key%22";

fn top(address: &str, query: &str) -> Answer {
    get(address, &format!("/v0/topstories.json?{query}"))
}

#[test]
fn print_indents_or_silences_and_shallow_shows_one_level() {
    for (server, served) in both() {
        let a = &served.address;
        let ids = json(a, "topstories");
        let id = &ids[0];
        let plain = get(a, &format!("/v0/item/{id}.json"));
        let pretty = get(a, &format!("/v0/item/{id}.json?print=pretty"));
        assert_eq!(pretty.json(), plain.json(), "{server}");
        assert!(
            pretty.body.starts_with("{\n  \"") && !plain.body.contains('\n'),
            "{server}"
        );
        assert_eq!(get(a, "/v0/item/0.json?print=pretty").body, "null");

        let silent = get(a, "/v0/maxitem.json?print=silent");
        assert_eq!((silent.status, &*silent.body), (204, ""), "{server}");

        let shallow = get(a, "/v0/updates.json?shallow=true").json();
        assert_eq!(
            shallow,
            json!({"items": true, "profiles": true}),
            "{server}"
        );
        let shallow = get(a, &format!("/v0/item/{id}.json?shallow=true")).json();
        for (field, value) in plain.json().as_object().unwrap() {
            let shown = if value.is_array() {
                &json!(true)
            } else {
                value
            };
            assert_eq!(&shallow[field], shown, "{server}");
        }
        assert_eq!(
            get(a, "/v0/maxitem.json?shallow=true").json(),
            json(a, "maxitem")
        );
        // What Firebase does not know means nothing.
        assert_eq!(
            top(a, "x=1&auth=y&print=x&shallow=x&ns=hacker-news").json(),
            ids
        );
    }
}

#[test]
fn a_list_can_be_cut() {
    for (server, served) in both() {
        let a = &served.address;
        let ids = json(a, "topstories");
        let ids = ids.as_array().unwrap();
        let last = ids.len() - 1;
        for (query, wanted) in [
            (format!("{BY_KEY}&limitToFirst=3"), json!(ids[..3])),
            (
                "print=pretty&orderBy=%22%24priority%22&limitToFirst=3".to_owned(),
                json!(ids[..3]),
            ),
            (format!("{BY_KEY}&limitToFirst=100000"), json!(ids)),
            (BY_KEY.to_owned(), json!(ids)),
            (
                format!("{BY_KEY}&limitToLast=1"),
                json!({ last.to_string(): ids[last] }),
            ),
            (
                format!("{BY_KEY}&startAt=%221%22&endAt=%222%22"),
                json!({"1": ids[1], "2": ids[2]}),
            ),
            (format!("{BY_KEY}&endAt=%220%22"), json!({"0": ids[0]})),
            (format!("{BY_KEY}&equalTo=%222%22"), json!({"2": ids[2]})),
            (format!("{BY_KEY}&startAt=%22x%22"), json!({})),
            (
                format!("{BY_KEY}&startAt=%222%22&limitToFirst=1"),
                json!({"2": ids[2]}),
            ),
        ] {
            let answer = top(a, &query);
            assert_eq!(
                (answer.status, answer.json()),
                (200, wanted),
                "{server} {query}"
            );
        }
        let item = get(a, &format!("/v0/item/0.json?{BY_KEY}&limitToFirst=1"));
        assert_eq!(item.json(), Value::Null, "{server}");
    }
}

/// A widespread form, which no browser sends: quotes that are not encoded.
#[test]
fn quotes_in_an_address_need_not_be_encoded() {
    for (server, served) in both() {
        let a = &served.address;
        let ids = json(a, "topstories");
        let ids = ids.as_array().unwrap();
        let answer = top(a, "print=pretty&orderBy=\"$key\"&limitToFirst=2");
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!(ids[..2])),
            "{server}"
        );
        let answer = top(a, "orderBy=\"$key\"&startAt=\"1\"&endAt=\"1\"");
        assert_eq!(answer.json(), json!({"1": ids[1]}), "{server}");
    }
}

#[test]
fn parameters_that_do_not_go_together_are_refused() {
    for (_, served) in both() {
        let a = &served.address;
        for query in [
            "limitToFirst=3".to_owned(),
            "startAt=%221%22".to_owned(),
            "orderBy=$key&limitToFirst=3".to_owned(),
            "orderBy=%22score%22&limitToFirst=3".to_owned(),
            "orderBy=%22$value%22".to_owned(),
            format!("{BY_KEY}&limitToFirst=0"),
            format!("{BY_KEY}&limitToFirst=-1"),
            format!("{BY_KEY}&limitToFirst=99999999999999999999"),
            format!("{BY_KEY}&limitToFirst=x"),
            format!("{BY_KEY}&limitToFirst=1&limitToLast=1"),
            format!("{BY_KEY}&startAt=x"),
            format!("{BY_KEY}&equalTo=%221%22&startAt=%221%22"),
            format!("{BY_KEY}&shallow=true"),
        ] {
            top(a, &query).is_error(400);
        }
    }
}

#[test]
fn a_script_gets_its_call_and_nothing_that_it_did_not_name() {
    for (server, served) in both() {
        let a = &served.address;
        let answer = get(a, "/v0/maxitem.json?callback=app.show");
        let max_item = json(a, "maxitem");
        assert_eq!(answer.body, format!("app.show({max_item});"), "{server}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/javascript; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        for bad in [
            "",
            "alert(1)//",
            "a%20b",
            "%3Cscript%3E",
            "a;b",
            "1a",
            "a%0Ab",
        ] {
            get(a, &format!("/v0/maxitem.json?callback={bad}")).is_error(400);
        }
    }
}

/// JSON allows more than most programs can read.
#[test]
fn a_value_that_few_can_read_does_not_hide_an_item() {
    let mirror = Mirror::empty();
    let nested = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let odd = ["\"\\ud800\"", "1e400", &nested];
    let body = |id: i64, odd: &str| format!(r#"{{"id":{id},"title":"x","odd":{odd},"kids":[7]}}"#);
    mirror.store_items((1..).zip(odd).map(|(id, odd)| (id, body(id, odd))));
    let served = mirror.serve();
    let a = &served.address;
    for (id, odd) in (1..).zip(odd) {
        let plain = get(a, &format!("/v0/item/{id}.json")).body;
        assert!(plain.contains(odd), "{plain}");
        assert_eq!(json(a, &format!("item/{id}/title")), "x");
        assert_eq!(json(a, &format!("item/{id}/kids/0")), 7);
        assert_eq!(get(a, &format!("/v0/item/{id}/odd.json")).body, odd);
        for parameters in ["print=pretty", "orderBy=\"$key\"&limitToFirst=1"] {
            let answer = get(a, &format!("/v0/item/{id}.json?{parameters}"));
            assert_eq!(answer.body, plain, "{parameters}");
        }
        let shallow = get(a, &format!("/v0/item/{id}.json?shallow=true")).body;
        assert!(shallow.contains(r#""kids":true"#), "{shallow}");
        let stream = send(
            a,
            &format!(
                "GET /v0/item/{id}.json HTTP/1.1\r\nHost: {a}\r\nAccept: text/event-stream\r\n\r\n"
            ),
            plain.len(),
        );
        assert!(
            stream.contains(&format!(r#"{{"path":"/","data":{plain}}}"#)),
            "{stream}"
        );
    }
}

/// Sends a request, and reads until this many bytes of a body may be there.
fn send(address: &str, request: &str, body: usize) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let (mut text, mut part) = (String::new(), [0; 4096]);
    while text.matches("\n\n").count() == 0 || text.len() < body {
        let length = stream.read(&mut part).unwrap();
        assert!(length > 0, "{text}");
        text += std::str::from_utf8(&part[..length]).unwrap();
    }
    text
}

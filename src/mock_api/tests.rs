//! What the mock API promises: its items, seen in the generator, and its answers and faults, seen on the wire.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use super::{
    generate::{Generator, MockItem},
    lists::{Lists, Updates, User},
    *,
};
use crate::hn::List;

fn items(seed: u64, max_item: i64) -> BTreeMap<i64, MockItem> {
    let items = Generator::new(seed, max_item);
    (1..=max_item)
        .filter_map(|id| Some((id, items.item(id)?)))
        .collect()
}

fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let add_byte = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3);
    bytes.into_iter().fold(0xCBF2_9CE4_8422_2325, add_byte)
}

fn bodies(seed: u64, max_item: i64, ids: impl IntoIterator<Item = i64>) -> u64 {
    let items = Generator::new(seed, max_item);
    hash(ids.into_iter().flat_map(|id| items.body(id)))
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    // These hashes change only on purpose, because such a change gives every user other demo data.
    let far = [999_999, 1_000_000, 20_000_000, 49_999_999];
    assert_eq!(
        bodies(1, 50_000_000, (1..=3_000).chain(far)),
        4_901_398_070_858_657_526
    );
    assert_ne!(bodies(2, 50_000_000, 1..=3), bodies(1, 50_000_000, 1..=3));

    let items = Generator::new(1, 50_000_000);
    let lists = Lists::new(&items);
    let others = (
        lists.top,
        lists.best,
        lists.ask,
        Updates::new(&items),
        User::new(&items, "amberfox"),
    );
    assert_eq!(
        hash(serde_json::to_vec(&others).unwrap()),
        6_890_683_474_597_918_794
    );
}

#[test]
fn an_item_does_not_depend_on_what_was_asked_before() {
    let items = Generator::new(7, 500_000);
    let ids: Vec<i64> = (0..300).map(|i| 1 + i * 7_919 % 400_000).collect();
    let first: Vec<_> = ids.iter().map(|&id| items.body(id)).collect();
    for (id, body) in ids.iter().zip(&first).rev() {
        assert_eq!(items.body(*id), body);
        assert_eq!(
            Generator::new(7, 999_999).body(*id),
            body,
            "with another max_item that is far larger"
        );
    }
}

#[test]
fn fifty_million_items_cost_no_memory() {
    // A generator keeps 64 block shapes and no item. The newest item takes as long as the first.
    let items = Generator::new(1, 50_000_000);
    let id = (49_999_000..=49_999_999)
        .rev()
        .find(|&id| items.item(id).is_some());
    assert_eq!(id.and_then(|id| items.item(id)).map(|item| item.id), id);
    for id in (1..50_000_000).step_by(250_003) {
        assert_eq!(items.body(id).starts_with(b"{"), items.item(id).is_some());
    }
    assert_eq!(items.body(50_000_001), "null");
    assert!(items.cached_blocks() <= 64);
}

#[test]
fn every_kid_names_its_parent_and_every_parent_lists_its_kids() {
    for (seed, max_item) in [(1, 6_000), (2, 3_456), (3, 1_001), (4, 20), (5, 1)] {
        let all = items(seed, max_item);
        let mut listed = HashMap::new();
        for (id, item) in &all {
            for kid in item.kids.iter().chain(&item.parts) {
                assert!(kid > id, "{kid} is older than its parent {id}");
                assert_eq!(listed.insert(*kid, *id), None, "{kid} is listed twice");
            }
        }
        for (id, item) in &all {
            assert_eq!(
                listed.remove(id),
                item.parent.or(item.poll),
                "item {id} of seed {seed}"
            );
            assert_eq!(item.parent.is_some(), item.kind == "comment");
            assert_eq!(item.poll.is_some(), item.kind == "pollopt");
            let is_poll = item.poll.map(|poll| all[&poll].kind);
            assert!(is_poll.is_none_or(|kind| kind == "poll"));
        }
        assert_eq!(listed, HashMap::new(), "items are listed that do not exist");
    }
}

#[test]
fn descendants_counts_all_comments_below() {
    let all = items(1, 5_500);
    fn below(all: &BTreeMap<i64, MockItem>, id: i64) -> usize {
        all[&id].kids.iter().map(|&kid| 1 + below(all, kid)).sum()
    }
    for (id, item) in &all {
        let counted =
            matches!(item.kind, "story" | "poll") && item.deleted.is_none() && item.dead.is_none();
        assert_eq!(
            item.descendants.map(usize::from),
            counted.then(|| below(&all, *id)),
            "item {id}"
        );
    }
}

#[test]
fn later_ids_have_later_times() {
    let all = items(1, 3_000);
    let times: Vec<i64> = all.values().map(|item| item.time).collect();
    assert!(times.is_sorted_by(|a, b| a < b));
}

#[test]
fn kinds_and_exceptions_have_plausible_shares() {
    const N: i64 = 40_000;
    let all = items(1, N);
    let share_of = |wanted: &dyn Fn(&MockItem) -> bool| {
        all.values().filter(|item| wanted(item)).count() as f64 / N as f64
    };
    let near = |wanted: &dyn Fn(&MockItem) -> bool, low: f64, high: f64| {
        let share = share_of(wanted);
        assert!(
            (low..high).contains(&share),
            "{share} is not within {low}..{high}"
        );
    };
    near(&|i| i.kind == "comment", 0.83, 0.88);
    near(&|i| i.kind == "story", 0.12, 0.15);
    near(&|i| i.kind == "job", 0.003, 0.007);
    near(&|i| i.kind == "poll", 0.0001, 0.002);
    near(&|i| i.deleted.is_some(), 0.035, 0.055);
    near(&|i| i.dead.is_some(), 0.035, 0.055);
    near(&|i| i.deleted.is_some() && i.dead.is_some(), 0.0005, 0.005);
    near(
        &|i| i.text.as_ref().is_some_and(|t| !t.is_ascii()),
        0.1,
        0.2,
    );
    near(&|i| i.text.as_deref() == Some(""), 0.0005, 0.01);
    near(&|i| i.url.as_deref() == Some(""), 0.0003, 0.01);
    near(
        &|i| i.kind == "story" && i.url.is_some() && i.text.is_some(),
        0.003,
        0.05,
    );
    near(
        &|i| i.kind == "job" && i.url.is_none() && i.text.is_some(),
        0.001,
        0.005,
    );
    assert!(
        (0.003..0.008).contains(&(1.0 - all.len() as f64 / N as f64)),
        "null ids"
    );

    let texts: Vec<usize> = all
        .values()
        .filter_map(|i| Some(i.text.as_ref()?.len()))
        .collect();
    assert!((200..450).contains(&(texts.iter().sum::<usize>() / texts.len())));
    assert!((3_000..12_000).contains(texts.iter().max().unwrap()));
    assert!(
        all.values().any(|i| i.kids.len() > 200),
        "there is no long list of kids"
    );
}

#[test]
fn deleted_items_keep_only_what_the_real_ones_keep_and_dead_stories_lose_their_title() {
    for item in items(1, 5_000).values() {
        let fields: Vec<String> = match serde_json::to_value(item).unwrap() {
            Value::Object(fields) => fields.keys().cloned().collect(),
            other => panic!("{other}"),
        };
        if item.deleted.is_some() {
            let kept = ["dead", "deleted", "id", "parent", "time", "type"];
            assert!(
                fields.iter().all(|f| kept.contains(&f.as_str())),
                "{fields:?}"
            );
        } else if item.dead.is_some() && item.kind == "story" {
            assert_eq!(fields, ["by", "dead", "id", "score", "time", "type"]);
        } else if item.kind == "story" {
            assert!(item.title.is_some());
        }
    }
}

#[test]
fn lists_hold_live_items_of_their_kind_without_repeats() {
    let items = Generator::new(1, 50_000_000);
    let lists = Lists::new(&items);
    let title = |id: i64| {
        items
            .item(id)
            .and_then(|item| item.title)
            .unwrap_or_default()
    };
    assert_eq!(
        [lists.top.len(), lists.new.len(), lists.best.len()],
        [500, 500, 200]
    );
    assert!(
        (50..=200).contains(&lists.ask.len())
            && lists
                .ask
                .iter()
                .all(|&id| title(id).starts_with("Ask HN: "))
    );
    assert!(
        (50..=200).contains(&lists.show.len())
            && lists
                .show
                .iter()
                .all(|&id| title(id).starts_with("Show HN: "))
    );
    assert!((50..=200).contains(&lists.job.len()));
    assert!(
        lists
            .job
            .iter()
            .all(|&id| items.item(id).unwrap().kind == "job")
    );
    assert!(lists.new.is_sorted_by(|a, b| a > b), "new is newest first");
    assert!(
        lists.top.iter().any(|id| lists.job.contains(id)),
        "top includes jobs"
    );
    for list in [
        lists.top, lists.new, lists.best, lists.ask, lists.show, lists.job,
    ] {
        let mut ids = list.clone();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), list.len());
        for id in ids {
            let item = items.item(id).unwrap();
            assert!(item.deleted.is_none() && item.dead.is_none() && item.title.is_some());
        }
    }
}

#[test]
fn a_small_api_has_short_lists_and_an_empty_one_has_empty_lists() {
    for max_item in [0, 1, 20, 999, 1_000, 1_001] {
        let items = Generator::new(1, max_item);
        let lists = Lists::new(&items);
        assert!(
            lists
                .new
                .iter()
                .all(|&id| items.item(id).is_some_and(|item| item.kind != "comment"))
        );
        assert_eq!(lists.new.is_empty(), max_item == 0);
    }
}

// The tests from here on use a real socket.

pub(super) fn on_a_system<T>(test: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(test)
}

/// Serves `api` while `client` talks to it from a thread of its own.
pub(super) fn served<T: Send + 'static>(
    api: MockApi,
    client: impl FnOnce(&str) -> T + Send + 'static,
) -> T {
    on_a_system(async {
        let api = api.start().await.unwrap();
        let address = api.address.to_string();
        let result = actix_rt::task::spawn_blocking(move || client(&address))
            .await
            .unwrap();
        api.stop().await;
        result
    })
}

/// A connection whose reads fail after five seconds instead of hanging.
pub(super) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream
}

/// Everything that the server sends for one request, until it closes the connection.
pub(super) fn exchange(address: &str, head: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

pub(super) fn get(address: &str, path: &str) -> String {
    exchange(address, &format!("GET /v0/{path} HTTP/1.1"))
}

pub(super) fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(super) fn parsed(address: &str, path: &str) -> Value {
    serde_json::from_str(body(&get(address, path))).unwrap()
}

#[test]
fn every_path_of_the_api_answers_json() {
    served(
        MockApi {
            max_item: 5_000,
            ..MockApi::default()
        },
        |a| {
            assert_eq!(parsed(a, "maxitem.json"), 5_000);
            for list in List::ALL.map(List::document) {
                let ids = parsed(a, &format!("{list}.json"));
                assert!(
                    ids.as_array()
                        .is_some_and(|ids| !ids.is_empty() && ids.iter().all(Value::is_i64)),
                    "{list}: {ids}"
                );
                assert_eq!(parsed(a, &format!("{list}/0.json")), ids[0]);
            }
            let updates = parsed(a, "updates.json");
            assert!(
                updates["items"]
                    .as_array()
                    .is_some_and(|ids| ids.len() > 10)
            );
            for name in updates["profiles"].as_array().unwrap() {
                let user = parsed(a, &format!("user/{}.json", name.as_str().unwrap()));
                assert_eq!(user["id"], *name);
                assert!(user["created"].is_i64() && user["karma"].is_i64());
                for id in user["submitted"].as_array().unwrap() {
                    assert_eq!(parsed(a, &format!("item/{id}/by.json")), *name);
                }
            }
            let response = get(a, "item/1.json");
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(response.contains("content-type: application/json; charset=utf-8\r\n"));
            assert_eq!(body(&response).as_bytes(), Generator::new(1, 5_000).body(1));
        },
    );
}

#[test]
fn a_path_to_nothing_is_null_and_a_path_that_is_not_json_is_404() {
    served(
        MockApi {
            max_item: 500,
            ..MockApi::default()
        },
        |a| {
            for path in [
                "item/501.json",
                "item/0.json",
                "item/-1.json",
                "item/+1.json",
                "item/01.json",
                "item/1.0.json",
                "item/x.json",
                "item/.json",
                "item.json",
                "item/99999999999999999999.json",
                "user/nobody.json",
                "user/AMBERFOX.json",
                "user/.json",
                "x.json",
                "x/y.json",
                ".json",
                "item/1/nothing/at/all.json",
                "topstories/9999.json",
                "maxitem/0.json",
            ] {
                let response = get(a, path);
                assert!(
                    response.starts_with("HTTP/1.1 200 OK\r\n") && body(&response) == "null",
                    "{path}: {response}"
                );
            }
            for path in ["/v0/item/1", "/v0/", "/", "/v1/item/1.json", "/v0.json"] {
                assert!(
                    exchange(a, &format!("GET {path} HTTP/1.1")).starts_with("HTTP/1.1 404"),
                    "{path}"
                );
            }
            let answer = |method| exchange(a, &format!("{method} /v0/item/1.json HTTP/1.1"));
            for method in ["HEAD", "TRACE", "BREW"] {
                let response = answer(method);
                assert!(
                    response.starts_with("HTTP/1.1 405") && response.contains("allow: GET"),
                    "{response}"
                );
            }
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let response = answer(method);
                assert!(response.starts_with("HTTP/1.1 401"), "{response}");
                assert_eq!(body(&response), r#"{"error":"Permission denied"}"#);
            }
        },
    );
}

#[test]
fn deep_paths_pretty_and_shallow_work_as_in_firebase() {
    served(
        MockApi {
            max_item: 3_000,
            ..MockApi::default()
        },
        |a| {
            let items = Generator::new(1, 3_000);
            let item = (1..)
                .find_map(|id| items.item(id).filter(|i| i.kids.len() > 3))
                .unwrap();
            let id = item.id;
            let whole = serde_json::to_value(&item).unwrap();
            assert_eq!(parsed(a, &format!("item/{id}.json")), whole);
            assert_eq!(parsed(a, &format!("item/{id}/title.json")), whole["title"]);
            assert_eq!(
                parsed(a, &format!("item/{id}/kids/2.json")),
                whole["kids"][2]
            );

            let pretty = get(a, &format!("item/{id}.json?x=1&print=pretty"));
            assert!(body(&pretty).starts_with("{\n  \"by\": "), "{pretty}");
            assert_eq!(serde_json::from_str::<Value>(body(&pretty)).unwrap(), whole);
            assert_eq!(body(&get(a, "item/0.json?print=pretty")), "null");

            let shallow = parsed(a, &format!("item/{id}.json?shallow=true"));
            assert_eq!(
                (&shallow["kids"], &shallow["id"]),
                (&json!(true), &json!(id))
            );
        },
    );
}

#[test]
fn an_etag_is_sent_on_request_and_saves_the_body() {
    served(MockApi::default(), |a| {
        let get =
            |headers: &str| exchange(a, &format!("GET /v0/item/1.json HTTP/1.1\r\n{headers}X: y"));
        assert!(!get("").contains("etag:"));
        let first = get("X-Firebase-ETag: true\r\n");
        let tag = first
            .split_once("etag: ")
            .and_then(|(_, rest)| rest.split_once("\r\n"))
            .unwrap()
            .0;
        assert!(body(&first).starts_with('{'));
        for known in [
            tag.to_owned(),
            format!("\"{tag}\""),
            format!("\"other\", {tag}"),
        ] {
            let again = get(&format!(
                "X-Firebase-ETag: true\r\nIf-None-Match: {known}\r\n"
            ));
            assert!(
                again.starts_with("HTTP/1.1 304") && again.contains(tag) && body(&again).is_empty(),
                "{again}"
            );
        }
        assert!(get("If-None-Match: other\r\n").starts_with("HTTP/1.1 200"));
    });
}

fn faulty(faults: Faults) -> MockApi {
    MockApi {
        faults,
        ..MockApi::default()
    }
}

#[test]
fn a_reset_sends_not_one_byte() {
    let api = faulty(Faults {
        reset_rate: 1.0,
        ..Faults::default()
    });
    served(api, |a| {
        for path in ["item/1.json", "topstories.json", "maxitem.json"] {
            assert_eq!(get(a, path), "");
        }
    });
}

#[test]
fn a_truncated_answer_promises_the_whole_body_and_sends_half() {
    let api = faulty(Faults {
        truncate_rate: 1.0,
        ..Faults::default()
    });
    served(api, |a| {
        let whole = Generator::new(1, 1_000_000).body(1);
        let response = get(a, "item/1.json");
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(
            response.contains(&format!("content-length: {}\r\n", whole.len())),
            "{response}"
        );
        assert_eq!(body(&response).as_bytes(), &whole[..whole.len() / 2]);
        assert_eq!(body(&get(a, "maxitem.json")), "100");
    });
}

#[test]
fn a_failure_is_a_503_and_the_rate_limit_is_a_429_with_a_retry_after() {
    let api = faulty(Faults {
        fail_rate: 1.0,
        ..Faults::default()
    });
    served(api, |a| {
        assert!(get(a, "item/1.json").starts_with("HTTP/1.1 503"));
    });
    let api = faulty(Faults {
        rate_limit: Some(0),
        ..Faults::default()
    });
    served(api, |a| {
        let response = get(a, "topstories.json");
        assert!(
            response.starts_with("HTTP/1.1 429") && response.contains("retry-after: 1\r\n"),
            "{response}"
        );
    });
}

#[test]
fn latency_holds_an_answer_back() {
    let wait = Duration::from_millis(30);
    let latency = LatencyRange {
        min: wait,
        max: wait,
    };
    served(
        faulty(Faults {
            latency,
            ..Faults::default()
        }),
        move |a| {
            let began = std::time::Instant::now();
            assert!(get(a, "item/1.json").starts_with("HTTP/1.1 200"));
            assert!(began.elapsed() >= wait);
        },
    );
}

#[test]
fn a_client_that_gives_up_a_hung_request_frees_its_connection() {
    let api = faulty(Faults {
        hang_rate: 1.0,
        ..Faults::default()
    });
    served(api, |a| {
        let mut stream = connect(a);
        stream
            .write_all(b"GET /v0/item/1.json HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(
            stream.read(&mut [0]).unwrap(),
            0,
            "the server closes without an answer"
        );
    });
}

#[test]
fn a_reset_does_not_destroy_the_answer_before_it() {
    // One request after the other on a connection. Each gets a complete answer, or a close without an answer.
    let api = faulty(Faults {
        reset_rate: 0.5,
        ..Faults::default()
    });
    served(api, |a| {
        for _ in 0..20 {
            let (mut stream, mut sent, mut bytes) = (connect(a), 0, Vec::new());
            while stream
                .write_all(b"GET /v0/maxitem.json HTTP/1.1\r\nHost: x\r\n\r\n")
                .is_ok()
            {
                sent += 1;
                let mut part = [0; 4_096];
                match stream.read(&mut part).unwrap() {
                    0 => break,
                    n => bytes.extend_from_slice(&part[..n]),
                }
            }
            let answers = String::from_utf8(bytes).unwrap();
            assert_eq!(
                answers.matches("\r\n\r\n1000000").count(),
                sent - 1,
                "{answers}"
            );
        }
    });
}

#[test]
fn stop_ends_hung_and_waiting_requests_at_once() {
    for by_drop in [false, true] {
        on_a_system(async {
            let latency = LatencyRange {
                min: Duration::ZERO,
                max: Duration::from_secs(600),
            };
            let api = faulty(Faults {
                hang_rate: 1.0,
                latency,
                ..Faults::default()
            })
            .start()
            .await
            .unwrap();
            let mut streams: Vec<TcpStream> =
                (0..8).map(|_| connect(&api.address.to_string())).collect();
            for stream in &mut streams {
                stream
                    .write_all(b"GET /v0/item/1.json HTTP/1.1\r\nHost: x\r\n\r\n")
                    .unwrap();
            }
            let (address, began) = (api.address, std::time::Instant::now());
            if by_drop {
                drop(api);
            } else {
                api.stop().await;
                assert!(TcpStream::connect(address).is_err(), "the port is closed");
            }
            let ends = move || {
                streams
                    .iter_mut()
                    .all(|s| !matches!(s.read(&mut [0]), Ok(1..)))
            };
            assert!(actix_rt::task::spawn_blocking(ends).await.unwrap());
            assert!(began.elapsed() < Duration::from_secs(2));
        });
    }
}

#[test]
fn settings_that_cannot_be_served_are_refused_with_a_reason() {
    on_a_system(async {
        let refused = async |api: MockApi| api.start().await.map(|api| api.url()).unwrap_err();
        let error = refused(MockApi {
            max_item: -1,
            ..MockApi::default()
        })
        .await;
        assert!(error.to_string().contains("-1") && error.kind() == ErrorKind::InvalidInput);
        let error = refused(faulty(Faults {
            fail_rate: 2.0,
            ..Faults::default()
        }))
        .await;
        assert!(error.to_string().contains("fail rate is 2"), "{error}");
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(
            refused(MockApi {
                port,
                ..MockApi::default()
            })
            .await
            .kind(),
            ErrorKind::AddrInUse
        );
    });
    let error = futures_util::FutureExt::now_or_never(MockApi::default().start());
    assert!(matches!(error, Some(Err(error)) if error.kind() == ErrorKind::Unsupported));
}

#[test]
fn it_runs_under_plain_tokio_too() {
    let served = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let api = MockApi::default().start().await.unwrap();
            let address = api.address.to_string();
            let answer = tokio::task::spawn_blocking(move || get(&address, "maxitem.json"))
                .await
                .unwrap();
            api.stop().await;
            answer
        })
    });
    assert_eq!(body(&served.join().unwrap()), "1000000");
}

//! What a live mock API promises about its items, lists and profiles at any moment.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;

use super::{words, *};

const DAY: Duration = Duration::from_secs(86_400);

/// A moment at which items of an API that stands still have the same times as those of a live one of `max_item` items.
fn still_start(max_item: i64) -> SystemTime {
    let seconds = timeline::FIRST_TIME + max_item * 13;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64)
}

/// An API that has `max_item` items at its start and gets more.
fn live(seed: u64, max_item: i64, rate: &str) -> MockApi {
    let clock = Clock::manual(still_start(max_item));
    let live = Live::new(rate.parse().unwrap()).clock(clock);
    MockApi {
        seed,
        max_item,
        ..MockApi::default()
    }
    .live(live)
}

/// The documents of an API and its start.
fn documents(api: &MockApi) -> (Documents, i64) {
    let start = api.live.as_ref().unwrap().clock.start();
    (api.documents(), micros(start))
}

fn value(documents: &Documents, path: &str, now: i64) -> Value {
    serde_json::from_slice(&documents.json(path, now)).unwrap()
}

fn seconds(n: i64) -> i64 {
    n * 1_000_000
}

/// Moments that lie close together at first, and then further apart, up to fourteen days.
fn moments(start: i64) -> impl Iterator<Item = i64> {
    let ages = [
        0, 5, 19, 40, 70, 95, 130, 215, 640, 1_900, 3_700, 6_700, 20_000, 40_000, 80_000,
    ];
    let days = (1..15).map(|day| day * 86_400);
    ages.into_iter()
        .chain(days)
        .map(move |age| start + seconds(age))
}

#[test]
fn the_same_seed_and_time_give_the_same_bytes_whatever_was_asked_before() {
    let (one, start) = documents(&live(7, 2_000, "5/s"));
    let (again, _) = documents(&live(7, 2_000, "5/s"));
    let (other, _) = documents(&live(8, 2_000, "5/s"));
    let paths = [
        "maxitem",
        "updates",
        "topstories",
        "newstories",
        "user/amberfox",
    ];
    let paths: Vec<String> = paths
        .iter()
        .map(|path| (*path).to_owned())
        .chain((1_990..2_020).map(|id| format!("item/{id}")))
        .collect();
    let ages = [0, 3, 15, 3_600].map(|age| start + seconds(age));
    let all = |documents: &Documents, ages: &[i64]| -> Vec<Bytes> {
        let at = |now: &i64| {
            paths
                .iter()
                .map(|path| documents.json(path, *now))
                .collect::<Vec<_>>()
        };
        ages.iter().flat_map(at).collect()
    };
    let first = all(&one, &ages);
    assert_eq!(all(&again, &ages), first);
    assert_ne!(all(&other, &ages), first);
    let backwards: Vec<i64> = ages.into_iter().rev().collect();
    all(&one, &backwards);
    assert_eq!(all(&one, &ages), first);
}

#[test]
fn json_at_answers_for_any_moment_without_a_server() {
    let api = live(1, 500, "2/s");
    let start = still_start(500);
    assert_eq!(api.json_at("maxitem", start), "500");
    assert_eq!(
        api.json_at("maxitem", start + DAY),
        (500 + 2 * 86_400).to_string()
    );
    assert_eq!(api.json_at("item/501", start), "null");
    assert!(api.json_at("item/501", start + DAY).contains("\"id\":501"));
    let still = MockApi {
        max_item: 500,
        ..MockApi::default()
    };
    assert_eq!(still.json_at("maxitem", start + DAY), "500");
}

#[test]
fn ids_grow_with_time_and_an_item_never_changes_what_it_is() {
    let (documents, start) = documents(&live(1, 1_200, "10/min"));
    let mut newest = 0;
    let mut seen: Vec<Option<Value>> = vec![None; 1_400];
    for now in moments(start) {
        let max = value(&documents, "maxitem", now).as_i64().unwrap();
        assert!(max >= newest);
        newest = max;
        assert!(documents.json(&format!("item/{}", max + 1), now) == "null");
        for id in 1_000..max.min(1_399) {
            let item = value(&documents, &format!("item/{id}"), now);
            let before = &mut seen[id as usize];
            let Some(old) = before else {
                assert!(item.is_null() || item["time"].as_i64().unwrap() <= now / 1_000_000);
                *before = (!item.is_null()).then_some(item);
                continue;
            };
            for field in ["id", "type", "time", "parent", "poll"] {
                assert_eq!(old[field], item[field], "{field} of {id}");
            }
            // A deleted item does not name its author, and neither does that of the real API.
            assert!(old["by"] == item["by"] || item["deleted"] == true, "{id}");
            assert!(
                old["deleted"].is_null() || item["deleted"] == true,
                "{id} came back"
            );
            *before = Some(item);
        }
    }
    assert!(newest > 100_000);
}

#[test]
fn everything_happens_that_happens_to_real_items() {
    let (documents, start) = documents(&live(3, 4_000, "1/d"));
    let mut counts = [0; 9];
    for id in (1..4_000).step_by(8) {
        // An item appears every 13 seconds.
        let birth = start - seconds(13 * (4_000 - id));
        let lives: Vec<Value> = moments(birth)
            .map(|now| value(&documents, &format!("item/{id}"), now))
            .collect();
        let first = lives.iter().find(|item| !item.is_null());
        let (Some(first), last) = (first, lives.last().unwrap()) else {
            continue;
        };
        let gone = last["deleted"] == true || last["dead"] == true;
        let happened = [
            lives[0].is_null(),
            first["text"] == "[delayed]" && last["text"] != "[delayed]",
            !gone && first["text"] != "[delayed]" && first["text"] != last["text"],
            !gone && first["title"] != last["title"],
            !gone && first["url"] != last["url"],
            first["deleted"].is_null() && last["deleted"] == true,
            first["dead"].is_null() && last["dead"] == true,
            !gone && first["score"].as_i64() < last["score"].as_i64(),
            last["text"] == "[flagged]",
        ];
        for (count, happened) in counts.iter_mut().zip(happened) {
            *count += usize::from(happened);
        }
        assert_ne!(last["text"], "[delayed]");
        let scores: Vec<_> = lives
            .iter()
            .filter_map(|item| item["score"].as_i64())
            .collect();
        assert!(gone || scores.is_sorted(), "{scores:?}");
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}

#[test]
fn an_item_settles_within_a_fortnight_as_the_api_that_stands_still_serves_it() {
    let api = live(1, 3_000, "1/s");
    let (live, start) = documents(&api);
    let still = Documents::new(1, 3_000, None);
    let at = |day: i64| start + seconds(86_400) * day;
    let mut equal = 0;
    for id in 1..=2_000 {
        let path = format!("item/{id}");
        let settled = live.json(&path, at(15));
        assert_eq!(settled, live.json(&path, at(400)), "{id}");
        equal += usize::from(settled == still.json(&path, 0));
    }
    // Two placeholders that stand still differ: `[delayed]`, and texts that become `[flagged]`.
    assert!(equal > 1_900, "{equal}");
}

#[test]
fn updates_name_every_item_and_profile_that_changed_within_the_minute() {
    let (documents, start) = documents(&live(5, 700, "3/s"));
    let ids = |max: i64| (1..=max).map(|id| format!("item/{id}"));
    // Some of the users: a profile takes long.
    let users = || {
        (0..words::NAMES)
            .step_by(29)
            .map(|user| format!("user/{}", words::name(user)))
    };
    for now in [10, 250].map(|age| start / seconds(10) * seconds(10) + seconds(age)) {
        let updates = value(&documents, "updates", now);
        let named: BTreeSet<String> = ["items", "profiles"]
            .into_iter()
            .zip(["item", "user"])
            .flat_map(|(list, kind)| {
                let names = updates[list].as_array().unwrap().iter();
                names.map(move |name| format!("{kind}/{}", name.to_string().trim_matches('"')))
            })
            .collect();
        let max = value(&documents, "maxitem", now).as_i64().unwrap();
        let changed: BTreeSet<String> = ids(max)
            .chain(users())
            .filter(|path| documents.json(path, now - seconds(60)) != documents.json(path, now))
            .collect();
        let missing: Vec<_> = changed.difference(&named).collect();
        assert!(missing.is_empty(), "{missing:?}");
        // Few items are named that show no change.
        let items =
            |paths: &BTreeSet<String>| paths.iter().filter(|p| p.starts_with("item")).count();
        let (named_items, changed_items) = (items(&named), items(&changed));
        assert!(
            named_items <= changed_items + changed_items / 4,
            "{named_items} of {changed_items}"
        );
        assert!(named.iter().any(|path| path.starts_with("user/")));
    }
}

#[test]
fn lists_change_and_name_only_items_that_can_be_seen() {
    let (documents, start) = documents(&live(2, 5_000, "2/s"));
    for list in ["top", "new", "best", "ask", "show", "job"] {
        let path = format!("{list}stories");
        let at = |age| value(&documents, &path, start + seconds(age));
        let later = at(3_600);
        assert_ne!(at(0), later, "{list}");
        assert_eq!(at(3_600), later);
        // A list is written at whole multiples of ten seconds.
        let written = (start + seconds(3_600)) / seconds(10) * seconds(10);
        for id in later.as_array().unwrap().iter().take(40) {
            let item = value(&documents, &format!("item/{id}"), written);
            assert!(
                item["title"].is_string() && item["deleted"].is_null(),
                "{item}"
            );
        }
    }
}

#[test]
fn after_the_limit_no_more_items_come_and_all_documents_settle() {
    let mut api = live(4, 1_000, "5/s");
    let limited = api.live.take().unwrap().limit(300);
    let (documents, start) = documents(&api.live(limited));
    let at = |path: &str, days: i64| value(&documents, path, start + seconds(86_400 * days));
    assert_eq!(at("maxitem", 1), 1_300);
    for path in [
        "maxitem",
        "topstories",
        "user/amberfox",
        "item/1300",
        "item/1299",
    ] {
        assert_eq!(at(path, 15), at(path, 99), "{path}");
    }
    let nothing = serde_json::json!({"items": [], "profiles": []});
    assert_eq!(at("updates", 15), nothing);
}

#[test]
fn stream_settings_out_of_range_are_refused() {
    let check = |streams| {
        let live = Live::new("1/s".parse().unwrap()).streams(streams);
        MockApi::default().live(live).check()
    };
    assert_eq!(check(Streams::default()), Ok(()));
    for (streams, why) in [
        (
            Streams {
                cut_rate: 1.5,
                ..Streams::default()
            },
            "stream cut rate is 1.5",
        ),
        (
            Streams {
                loss_rate: f64::NAN,
                ..Streams::default()
            },
            "stream loss rate is NaN",
        ),
        (
            Streams {
                cut_rate: 0.6,
                loss_rate: 0.5,
                ..Streams::default()
            },
            "add up to 1.1",
        ),
        (
            Streams {
                keep_alive: Duration::ZERO,
                ..Streams::default()
            },
            "keep-alive",
        ),
    ] {
        let error = check(streams).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

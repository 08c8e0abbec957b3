//! Faults of the API: which kind of failure they are, how often they are tried again, and how fast. Rate and requests in flight.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use hn_ingest::test_util::{Latch, Reply};
use serde_json::{Value, json};

use crate::common::{Api, Sandbox, counts, id_of, item_path, story, words};

/// `id`, `kind` and `attempts` of a report's failures, by id.
fn failures(report: &Value) -> Value {
    let mut failures: Vec<_> = report["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed| json!([failed["id"], failed["kind"], failed["attempts"]]))
        .collect();
    failures.sort_by_key(|failed| failed[0].as_i64());
    failures.into()
}

#[test]
fn each_fault_of_an_id_ends_as_the_contract_says_and_costs_no_other_its_result() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let html = "<html><body>Please wait</body></html>";
    let busy = || Reply::status(503);
    let whole = |id| Reply::json(story(id, id));
    api.item(1, [whole(1)]);
    api.item(2, [Reply::json("null")]);
    api.item(3, [Reply::status(404)]);
    api.item(4, [busy(), busy(), whole(4)]);
    api.item(5, [whole(5).cut_at(20)]);
    api.item(6, [Reply::json(vec![b' '; 9 << 20])]);
    api.item(7, [Reply::json(html)]);
    api.item(8, [Reply::reset()]);
    api.item(9, [Reply::status(401)]);
    api.item(10, [Reply::status(429)]);
    api.item(11, [whole(12)]);
    api.item(12, [Reply::raw("")]);
    api.item(13, [whole(13).chunked()]);
    api.item(14, [Reply::json("[14]")]);
    api.item(15, [whole(15).cut_at(20), whole(15)]);
    api.item(16, [Reply::endless_body()]);
    api.list("top", 1..=16);
    let report = sandbox.ingest(&api, &["top"]).exits(1).report();

    assert_eq!(counts(&report), [4, 1, 11, 0], "{report}");
    let expected = json!([
        [3, "status", 1],
        [5, "reset", 4],
        [6, "body", 1],
        [7, "decode", 1],
        [8, "reset", 4],
        [9, "status", 1],
        [10, "status", 4],
        [11, "decode", 1],
        [12, "reset", 4],
        [14, "decode", 1],
        [16, "body", 1]
    ]);
    assert_eq!(failures(&report), expected);
    let mut db = sandbox.db("hn.db");
    assert_eq!(
        db.rows("id, kind, attempts", "failures ORDER BY id"),
        expected
    );
    assert_eq!(db.column("id", "items ORDER BY id"), json!([1, 4, 13, 15]));
    assert_eq!(db.rows("id, checks", "absent"), json!([[2, 1]]));
    for failed in report["failures"].as_array().unwrap() {
        let kept = db.column("message", &format!("failures WHERE id = {}", failed["id"]));
        assert_eq!(kept, json!([failed["message"]]));
    }
    for (id, hits) in [
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 3),
        (5, 4),
        (6, 1),
        (7, 1),
        (10, 4),
        (15, 2),
    ] {
        assert_eq!(api.hits(id), hits, "attempts for {id}");
    }
    let requests = api.0.stats().requests as u64;
    // The request for the list does not count as an attempt.
    assert_eq!(report["attempts"], requests - 1);
    assert_eq!(report["retries"], requests - 1 - 16);
}

#[test]
fn a_chunked_body_that_is_cut_short_is_tried_again() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let whole = Reply::json(story(1, 1)).chunked();
    api.item(
        1,
        [whole.clone().cut_at(20), whole.clone().cut_at(0), whole],
    );
    let report = sandbox.ingest(&api, &["items", "1"]).exits(0).report();
    assert_eq!((counts(&report), api.hits(1)), ([1, 0, 0, 0], 3));
}

#[test]
fn the_message_of_a_failure_names_the_status() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.item(3, [Reply::status(451)]);
    let report = sandbox.ingest(&api, &["items", "3"]).exits(1).report();
    let message = report["failures"][0]["message"].as_str().unwrap();
    assert!(message.contains("451"), "{message}");
}

#[test]
fn an_attempt_that_hangs_before_or_within_its_body_ends_at_its_deadline() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let drip = Reply::json(story(3, 3)).drip_body(Duration::from_millis(50));
    api.item(1, [Reply::hang()]);
    api.item(2, [Reply::json(story(2, 2)).stall_at(10)]);
    api.item(3, [drip]);
    let args = words("items 1 2 3 --timeout 300ms --attempts 2");
    let report = sandbox.ingest(&api, &args).exits(1).report();
    let expected = json!([[1, "timeout", 2], [2, "timeout", 2], [3, "timeout", 2]]);
    assert_eq!(failures(&report), expected);
    // Two attempts of 300 ms. Without the deadline it would never end.
    let elapsed = report["elapsed_ms"].as_u64().unwrap();
    assert!(elapsed >= 600, "{elapsed} ms");
}

#[test]
fn an_id_whose_server_has_gone_fails_to_connect() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.0.go_down();
    let args = ["items", "1", "--attempts", "3"];
    let report = sandbox.ingest(&api, &args).exits(1).report();
    assert_eq!(failures(&report), json!([[1, "connect", 3]]));
}

#[test]
fn every_transient_status_is_tried_again_and_every_other_given_up() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let transient = [408, 425, 429, 500, 502, 503, 504];
    let permanent = [400, 401, 403, 404, 405, 410, 422, 451];
    for status in transient.into_iter().chain(permanent) {
        api.item(
            status.into(),
            [Reply::status(status), Reply::json(story(status.into(), 1))],
        );
    }
    api.list("new", transient.into_iter().chain(permanent).map(i64::from));
    let report = sandbox.ingest(&api, &["new"]).exits(1).report();
    assert_eq!(counts(&report), [7, 0, 8, 0]);
    let expected: Value = permanent
        .map(|status| json!([status, "status", 1]))
        .to_vec()
        .into();
    assert_eq!(failures(&report), expected);
}

#[test]
fn a_body_of_max_body_bytes_is_stored_and_one_byte_more_fails() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let item = story(1, 1);
    let fits = format!("{}B", item.len());
    let is_short = format!("{}B", item.len() - 1);
    api.item(1, [Reply::json(item)]);
    sandbox
        .ingest(&api, &["items", "1", "--max-body", &fits])
        .exits(0);
    let report = sandbox
        .ingest(&api, &["items", "1", "--max-body", &is_short])
        .exits(1)
        .report();
    assert_eq!(failures(&report), json!([[1, "body", 1]]));
}

#[test]
fn three_redirects_are_followed_and_a_fourth_is_not() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    for hop in 1..=4 {
        api.0.on(
            format!("/hop/{hop}"),
            [Reply::redirect(307, format!("/hop/{}", hop - 1))],
        );
    }
    api.0.on("/hop/0", [Reply::json(story(1, 1))]);
    api.item(1, [Reply::redirect(302, "/hop/2")]);
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    api.item(1, [Reply::redirect(302, "/hop/3")]);
    let report = sandbox.ingest(&api, &["items", "1"]).exits(1).report();
    assert_eq!(
        (counts(&report), &report["attempts"]),
        ([0, 0, 1, 0], &json!(1))
    );
}

#[test]
fn a_retry_after_is_waited_for_past_the_longest_backoff() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    for (id, status) in [(1, 429), (2, 503)] {
        let wait = Reply::status(status).header("retry-after", "1");
        api.item(id, [wait, Reply::json(story(id, id))]);
    }
    let args = ["items", "1", "2", "--backoff-max", "1ms"];
    sandbox.ingest(&api, &args).exits(0);
    for id in [1, 2] {
        let path = item_path(id);
        let requests = api.0.requests();
        let times: Vec<Instant> = requests
            .iter()
            .filter(|request| request.path == path)
            .map(|request| request.at)
            .collect();
        assert_eq!(times.len(), 2);
        assert!(times[1] - times[0] >= Duration::from_secs(1), "{times:?}");
    }
}

#[test]
fn a_wait_beyond_the_patience_ends_the_run_and_the_message_says_when_to_come_back() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.item(1, [Reply::status(429).header("retry-after", "601")]);
    let finished = sandbox.ingest(&api, &["items", "1"]).exits(3);
    assert_eq!(finished.report()["not_attempted"], 1);
    let message = "the API asks for no requests for the next 10m 1s";
    assert!(finished.stderr.contains(message), "{finished:?}");
    let when = "run the rest again from 2";
    assert!(finished.stderr.contains(when), "{finished:?}");
    assert_eq!(sandbox.db("hn.db").count("failures"), 0);
}

fn any_story(path: &str) -> Reply {
    Reply::json(story(id_of(path).unwrap(), 1))
}

#[test]
fn a_ban_ends_a_backfill_and_the_next_one_asks_for_the_refused_ids_again() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.0.on("/v0/maxitem.json", [Reply::json("500")]);
    let requests = AtomicUsize::new(0);
    api.0
        .otherwise(move |path| match requests.fetch_add(1, Ordering::Relaxed) {
            0..50 => any_story(path),
            _ => Reply::status(403),
        });
    let finished = sandbox.ingest(&api, &["backfill"]).exits(3);
    let report = finished.report();
    assert_eq!(
        (&report["stored"], &report["failed"]),
        (&json!(50), &json!(0))
    );
    for part in [
        "HTTP status 403",
        "left to the next run",
        "--max-refusals 0",
    ] {
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
    api.0.otherwise(any_story);
    let report = sandbox.ingest(&api, &["backfill"]).exits(0).report();
    assert_eq!(report["stored"], 450);
}

#[test]
fn a_list_is_tried_again_like_an_id_and_its_attempts_are_not_counted() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let list = "/v0/topstories.json";
    api.0.on(
        list,
        [Reply::status(503), Reply::reset(), Reply::json("[1,2]")],
    );
    let report = sandbox.ingest(&api, &["top"]).exits(0).report();
    assert_eq!(api.0.hits(list), 3);
    assert_eq!(
        (&report["attempts"], &report["retries"]),
        (&json!(2), &json!(0))
    );
}

#[test]
fn rate_paces_all_requests_of_all_workers_and_their_retries() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    for id in 1..=20 {
        api.item(id, [Reply::status(503), Reply::json(story(id, id))]);
    }
    api.list("top", 1..=20);
    sandbox.ingest(&api, &["top", "--rate", "50"]).exits(0);
    let requests = api.0.requests();
    assert_eq!(requests.len(), 41);
    // At 20 ms apart, after a first burst of two, 41 requests take 780 ms. If retries did not count, they would take 380 ms. The
    // bound leaves room for a first request that the server sees late.
    let took = requests[40].at - requests[0].at;
    assert!(took >= Duration::from_millis(650), "{took:?}");
}

#[test]
fn never_more_requests_in_flight_nor_connections_than_workers() {
    for workers in [1, 3, 8] {
        let sandbox = Sandbox::new();
        let api = Api::new();
        let gate = Latch::new();
        let held = gate.clone();
        api.list("top", 1..=40);
        api.0.otherwise(move |path| {
            let id = id_of(path).unwrap();
            Reply::json(story(id, id)).held_by(&held)
        });
        let count = workers.to_string();
        let args = ["top", "--limit", "0", "--workers", &count, "--mailbox", "5"];
        let running = sandbox.call_with(&api, &args).start();
        api.0.wait_in_flight(workers);
        gate.open();
        assert_eq!(counts(&running.wait().exits(0).report()), [40, 0, 0, 0]);
        let stats = api.0.stats();
        assert_eq!(stats.peak_in_flight, workers);
        assert!(stats.connections <= workers, "{stats:?}");
    }
}

#[test]
fn one_worker_waits_for_ten_items_one_by_one_and_ten_workers_for_all_at_once() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let ids: Vec<_> = (1..=10).map(|id| id.to_string()).collect();
    let call = |workers| {
        sandbox
            .call_with(&api, &["items", "--workers", workers])
            .args(&ids)
    };
    api.0.otherwise(|path| {
        let id = id_of(path).unwrap();
        Reply::json(story(id, id)).latency(Duration::from_millis(100))
    });
    let report = call("1").run().exits(0).report();
    let elapsed = report["elapsed_ms"].as_u64().unwrap();
    assert!(elapsed >= 1_000, "{elapsed} ms");

    let gate = Latch::new();
    let held = gate.clone();
    api.0.otherwise(move |path| {
        let id = id_of(path).unwrap();
        Reply::json(story(id, id)).held_by(&held)
    });
    let running = call("10").start();
    api.0.wait_in_flight(10);
    gate.open();
    assert_eq!(counts(&running.wait().exits(0).report()), [10, 0, 0, 0]);
}

#[test]
fn batches_of_any_size_store_the_same() {
    for batch in ["1", "7", "10000"] {
        let sandbox = Sandbox::new();
        let api = Api::of_stories();
        api.list("top", 1..=30);
        let args = ["top", "--limit", "0", "--batch", batch];
        sandbox.ingest(&api, &args).exits(0);
        assert_eq!(sandbox.db("hn.db").count("items"), 30, "batches of {batch}");
    }
}

#[test]
fn a_list_or_the_largest_id_that_the_api_will_not_give_yet_says_when_to_come_back() {
    for status in [429, 503] {
        for (command, path) in [
            ("top", "/v0/topstories.json"),
            ("backfill", "/v0/maxitem.json"),
        ] {
            let sandbox = Sandbox::new();
            let api = Api::new();
            let wait = Reply::status(status).header("retry-after", "3600");
            api.0.on(path, [wait]);
            let finished = sandbox.ingest(&api, &[command]);
            finished.refuses(&[
                path,
                "asks for no requests for the next",
                "run this again from 2",
                "--outage-patience",
            ]);
            assert!(!finished.stderr.contains("--demo"), "{finished:?}");
            assert_eq!(api.0.hits(path), 1);
        }
    }
}

#[test]
fn a_list_that_the_api_refuses_says_so() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    for status in [401, 403, 451] {
        api.0.on("/v0/topstories.json", [Reply::status(status)]);
        let finished = sandbox.ingest(&api, &["top"]);
        finished.refuses(&[
            &format!("HTTP status {status}"),
            "the API refuses this machine",
        ]);
    }
}

#[test]
fn a_compressed_list_without_a_proxy_is_not_blamed_on_the_flag_proxy() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let compressed = Reply::json("[1]").header("content-encoding", "gzip");
    api.0.on("/v0/topstories.json", [compressed]);
    let finished = sandbox.ingest(&api, &["top"]);
    finished.refuses(&["content-encoding: gzip", "--api-url"]);
    assert!(!finished.stderr.contains("--proxy"), "{finished:?}");
}

#[test]
fn a_redirect_without_a_usable_location_says_which_header_is_at_fault() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    for head in ["Location: /v0/\u{1}x\r\n", ""] {
        for status in [301, 302, 303, 307, 308] {
            let raw = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: 0\r\n\r\n");
            api.item(1, [Reply::raw(raw)]);
            let report = sandbox.ingest(&api, &["items", "1"]).exits(1).report();
            assert_eq!(failures(&report), json!([[1, "status", 1]]));
            let message = report["failures"][0]["message"].as_str().unwrap();
            for part in [&*status.to_string(), "not followed", "the header Location"] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
    }
}

//! Which failures are retried, how often, when, and at which rate.

use std::time::{Duration, Instant};

use hn_ingest::test_util::{Reply, ScriptedServer};

use crate::{
    fixture::{Fixture, NotesSink, NotesSource, failure},
    support::{eventually, in_system},
};

#[test]
fn a_transient_failure_is_retried_and_costs_only_attempts() {
    let fixture = Fixture::new();
    fixture.on(
        1,
        [Reply::status(503), Reply::status(503), Reply::json("{}")],
    );
    fixture.on(
        2,
        [Reply::json("{\"half\": true}").cut_at(5), Reply::json("{}")],
    );
    fixture.on(3, [Reply::json("{}").reset_at(1), Reply::json("{}")]);
    fixture.on(4, [Reply::raw("HTTP/1.1 20"), Reply::json("{}")]);
    let report = fixture.ingest(1..=5);
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (5, 0));
    assert_eq!((report.totals.attempts, report.totals.retries), (10, 5));
    assert_eq!([1, 2, 3, 4, 5].map(|id| fixture.hits(id)), [3, 2, 2, 2, 1]);
}

#[test]
fn each_failure_has_its_kind_and_its_attempts() {
    let mut fixture = Fixture::new();
    fixture.config.timeout = Duration::from_millis(600);
    fixture.config.attempts = 3;
    fixture.config.max_body = 1000;
    fixture.config.workers = 20;
    let cases = [
        (Reply::status(404), "status", 1),
        (Reply::status(401), "status", 1),
        (Reply::status(501), "status", 1),
        (Reply::status(500), "status", 3),
        (Reply::status(408), "status", 3),
        (Reply::status(425), "status", 3),
        (Reply::status(429), "status", 3),
        (Reply::status(504), "status", 3),
        (Reply::hang(), "timeout", 3),
        (
            Reply::json("{}").latency(Duration::from_millis(900)),
            "timeout",
            3,
        ),
        (
            Reply::json("[1,2,3,4,5,6,7,8,9]").drip_body(Duration::from_millis(50)),
            "timeout",
            3,
        ),
        (Reply::json("[1,2,3,4,5,6,7,8,9]").stall_at(4), "timeout", 3),
        (Reply::json("[1,2]").cut_at(3), "reset", 3),
        (Reply::json("[1,2]").chunked().cut_at(3), "reset", 3),
        (Reply::json("[1,2]").reset_at(3), "reset", 3),
        (Reply::raw("this is not HTTP\r\n\r\n"), "reset", 3),
        (Reply::json("x".repeat(1001)), "body", 1),
        (Reply::json("x".repeat(1001)).chunked(), "body", 1),
        (Reply::body("<html>"), "decode", 1),
        (Reply::body(""), "decode", 1),
    ];
    let ids: Vec<i64> = (1..).take(cases.len()).collect();
    for (id, (reply, ..)) in ids.iter().zip(&cases) {
        fixture.on(*id, [reply.clone()]);
    }
    let report = fixture.ingest_list(ids.clone());
    fixture.check_report(&report);
    for (id, (reply, kind, attempts)) in ids.iter().zip(cases) {
        assert_eq!(failure(&report, *id), (kind, attempts), "{reply:?}");
        assert_eq!(fixture.hits(*id), attempts as usize, "{reply:?}");
    }
}

#[test]
fn a_status_counts_even_if_its_body_never_comes() {
    let mut fixture = Fixture::new();
    fixture.config.timeout = Duration::from_millis(800);
    fixture.on(
        1,
        [Reply::status(404)
            .header("content-length", "100")
            .stall_at(0)],
    );
    let stalling = Reply::status(503)
        .header("retry-after", "1")
        .header("content-length", "100");
    fixture.on(2, [stalling.stall_at(0), Reply::json("{}")]);
    let report = fixture.ingest(1..=2);
    fixture.check_report(&report);
    assert_eq!(
        (failure(&report, 1), report.totals.stored),
        (("status", 1), 1)
    );
    let times: Vec<Instant> = fixture
        .server
        .requests()
        .iter()
        .filter(|request| request.path == "/2")
        .map(|request| request.at)
        .collect();
    assert!(
        times[1] - times[0] >= Duration::from_secs(1),
        "Retry-After counts too"
    );
}

#[test]
fn resends_and_redirects_keep_to_the_rate() {
    for case in ["resent", "redirected"] {
        let mut fixture = Fixture::new();
        fixture.config.workers = 4;
        fixture.config.rate = 50;
        // One server closes each connection without a `Connection: close`. The other first redirects each request.
        fixture.server.otherwise(move |path| match case {
            "redirected" if !path.contains("there") => {
                Reply::redirect(302, format!("/there{path}"))
            }
            "redirected" => Reply::json("{}"),
            _ => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        });
        let began = Instant::now();
        let report = fixture.ingest(1..=60);
        let seconds = began.elapsed().as_secs_f64();
        fixture.check_report(&report);
        assert_eq!(report.totals.stored, 60, "{case}");
        // A twentieth of a second's requests may come at once, and the first request does not wait.
        let allowed = 50.0 * seconds * 1.02 + 50.0 / 20.0 + 1.0;
        let requests = fixture.server.stats().requests;
        assert!(
            requests as f64 <= allowed,
            "{case}: {requests} requests in {seconds} s"
        );
    }
}

#[test]
fn a_record_that_the_api_calls_absent_is_not_a_failure() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::json("null")]);
    fixture.on(2, [Reply::status(410)]);
    let report = fixture.ingest(1..=3);
    fixture.check_report(&report);
    assert_eq!(
        (
            report.totals.stored,
            report.totals.absent,
            report.totals.failed
        ),
        (1, 2, 0)
    );
}

#[test]
fn a_refused_connection_is_a_failure_to_connect() {
    let fixture = Fixture::new();
    fixture.server.go_down();
    let report = fixture.ingest(1..=1);
    assert_eq!(failure(&report, 1), ("connect", 4));
}

#[test]
fn a_server_that_comes_back_loses_nothing() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 100;
    fixture.config.backoff = Duration::from_millis(5);
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=2000);
        fixture.wait_for_requests(200).await;
        let server = fixture.server.clone();
        let going_down = actix_rt::task::spawn_blocking(move || server.go_down());
        going_down.await.unwrap();
        let retried = || run.progress().being_retried > 0;
        eventually("attempts have failed", retried).await;
        let server = fixture.server.clone();
        let coming_back = actix_rt::task::spawn_blocking(move || server.come_back());
        coming_back.await.unwrap();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (2000, 0));
    assert!(report.totals.retries > 0, "{:?}", report.totals);
}

#[test]
fn retry_after_is_waited_for() {
    let fixture = Fixture::new();
    fixture.on(
        1,
        [
            Reply::status(429).header("retry-after", "1"),
            Reply::json("{}"),
        ],
    );
    let report = fixture.ingest(1..=1);
    let times = fixture.request_times();
    assert_eq!(report.totals.stored, 1);
    assert!(
        times[1] - times[0] >= Duration::from_secs(1),
        "{:?}",
        times[1] - times[0]
    );
}

#[test]
fn the_rate_holds_over_all_fetchers_and_retries() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 16;
    fixture.config.rate = 200;
    fixture.config.attempts = 2;
    fixture.server.otherwise(|_| Reply::status(503));
    let began = Instant::now();
    let report = fixture.ingest(1..=60);
    let took = began.elapsed();
    assert_eq!(report.totals.attempts, 120);
    // 200 a second, of which a twentieth may come at once. The whole run is timed, because a busy server may read the first
    // requests late.
    assert!(
        took >= Duration::from_millis((119 - 10) * 5),
        "120 requests came within {took:?}"
    );
}

#[test]
fn redirects_are_followed_three_times_and_send_no_headers_to_another_origin() {
    let fixture = Fixture::new();
    let other = ScriptedServer::start();
    other.on("/there", [Reply::json("{}")]);
    fixture.on(1, [Reply::redirect(302, "/a")]);
    fixture.server.on("/a", [Reply::redirect(307, "/b")]);
    fixture.server.on(
        "/b",
        [Reply::redirect(301, format!("{}/there", other.url()))],
    );
    fixture.on(2, [Reply::redirect(302, "/2")]);
    let source = NotesSource {
        base: fixture.server.url(),
        headers: vec![("x-api-key".to_owned(), "secret".to_owned())],
    };
    let report = in_system(async {
        let pipeline = hn_ingest::Builder::new(source, NotesSink)
            .database(fixture.database_file())
            .start();
        pipeline.await.unwrap().run([1, 2]).await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(
        (report.totals.stored, failure(&report, 2)),
        (1, ("status", 1))
    );
    assert_eq!(fixture.hits(2), 4, "the first request and three redirects");
    assert!(
        fixture
            .server
            .requests()
            .iter()
            .all(|request| request.header("x-api-key").is_some())
    );
    assert!(
        other
            .requests()
            .iter()
            .all(|request| request.header("x-api-key").is_none())
    );
}

//! Which failures are tried again, how often and when.

use std::time::{Duration, Instant};

use hn_ingest::test_util::{Reply, ScriptedServer};

use crate::world::{Notes, Shelf, World, failure, in_system};

#[test]
fn a_transient_failure_is_tried_again_and_costs_nothing_but_attempts() {
    let world = World::new();
    world.on(
        1,
        [Reply::status(503), Reply::status(503), Reply::json("{}")],
    );
    world.on(
        2,
        [Reply::json("{\"half\": true}").cut_at(5), Reply::json("{}")],
    );
    world.on(3, [Reply::json("{}").reset_at(1), Reply::json("{}")]);
    world.on(4, [Reply::raw("HTTP/1.1 20"), Reply::json("{}")]);
    let report = world.ingest(1..=5);
    world.check(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (5, 0));
    assert_eq!((report.totals.attempts, report.totals.retries), (10, 5));
    assert_eq!([1, 2, 3, 4, 5].map(|id| world.hits(id)), [3, 2, 2, 2, 1]);
}

#[test]
fn each_failure_has_its_kind_and_its_attempts() {
    let mut world = World::new();
    (world.config.timeout, world.config.attempts) = (Duration::from_millis(200), 3);
    world.config.max_body = 1000;
    world.config.workers = 20;
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
        (Reply::raw("this is no HTTP\r\n\r\n"), "reset", 3),
        (Reply::json("x".repeat(1001)), "body", 1),
        (Reply::json("x".repeat(1001)).chunked(), "body", 1),
        (Reply::body("<html>"), "decode", 1),
        (Reply::body(""), "decode", 1),
    ];
    let ids: Vec<i64> = (1..).take(cases.len()).collect();
    for (id, (reply, ..)) in ids.iter().zip(&cases) {
        world.on(*id, [reply.clone()]);
    }
    let report = world.ingest_list(ids.clone());
    world.check(&report);
    for (id, (reply, kind, attempts)) in ids.iter().zip(cases) {
        assert_eq!(failure(&report, *id), (kind, attempts), "{reply:?}");
        assert_eq!(world.hits(*id), attempts as usize, "{reply:?}");
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole() {
    let world = World::new();
    world.on(1, [Reply::raw("HTTP/1.0 200 OK\r\n\r\n{\"note\":1}")]);
    world.on(2, [Reply::raw("HTTP/1.1 200 OK\r\n\r\n{\"note\":1}")]);
    let identity = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{\"note\":1}";
    world.on(3, [Reply::raw(identity)]);
    let report = world.ingest(1..=3);
    assert_eq!((report.totals.stored, report.totals.attempts), (3, 3));
}

#[test]
fn a_status_counts_whatever_becomes_of_its_body() {
    let mut world = World::new();
    world.config.timeout = Duration::from_millis(800);
    world.on(
        1,
        [Reply::status(404)
            .header("content-length", "100")
            .stall_at(0)],
    );
    let stalling = Reply::status(503)
        .header("retry-after", "1")
        .header("content-length", "100");
    world.on(2, [stalling.stall_at(0), Reply::json("{}")]);
    let report = world.ingest(1..=2);
    world.check(&report);
    assert_eq!(
        (failure(&report, 1), report.totals.stored),
        (("status", 1), 1)
    );
    let asked: Vec<Instant> = world
        .server
        .requests()
        .iter()
        .filter(|request| request.path == "/2")
        .map(|request| request.at)
        .collect();
    assert!(
        asked[1] - asked[0] >= Duration::from_secs(1),
        "Retry-After counts too"
    );
}

#[test]
fn a_connection_that_closes_after_an_answer_costs_the_next_id_no_attempt() {
    let mut world = World::new();
    (world.config.attempts, world.config.workers) = (1, 3);
    // Closes without saying so.
    world
        .server
        .otherwise(|_| Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
    let report = world.ingest(1..=300);
    world.check(&report);
    assert_eq!(report.totals.stored, 300, "{:?}", report.failures);
    // Each exchange is told of all the same, be it that the server saw a closing connection only.
    assert!(report.totals.attempts >= world.server.stats().requests as u64);
}

#[test]
fn requests_made_again_and_redirects_keep_to_the_rate() {
    for path in ["stale", "redirected"] {
        let mut world = World::new();
        (world.config.workers, world.config.rate) = (4, 50);
        // The one closes without saying so, the other sends everything elsewhere first.
        world.server.otherwise(move |asked| match path {
            "redirected" if !asked.contains("there") => {
                Reply::redirect(302, format!("/there{asked}"))
            }
            "redirected" => Reply::json("{}"),
            _ => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        });
        let report = world.ingest(1..=60);
        world.check(&report);
        assert_eq!(report.totals.stored, 60, "{path}");
        let times = world.times();
        let seconds = (times[times.len() - 1] - times[0]).as_secs_f64();
        // Of the second's worth a twentieth may come at once, and the first has no wait before it.
        let allowed = 50.0 * seconds * 1.02 + 50.0 / 20.0 + 1.0;
        assert!(
            times.len() as f64 <= allowed,
            "{path}: {} in {seconds} s",
            times.len()
        );
    }
}

#[test]
fn what_can_have_no_body_is_waited_for_no_longer() {
    let mut world = World::new();
    world.config.attempts = 1;
    let answers = [
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            "decode",
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            "status",
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "decode"),
        ("HTTP/1.1 200 OK\r\n\r\n", "reset"),
    ];
    for (id, (answer, _)) in (1..).zip(answers) {
        world.on(id, [Reply::raw(answer)]);
    }
    let report = world.ingest(1..=4);
    for (id, (answer, kind)) in (1..).zip(answers) {
        assert_eq!(failure(&report, id), (kind, 1), "{answer}");
    }
}

#[test]
fn informational_answers_are_passed_over() {
    let world = World::new();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    world.on(1, [Reply::raw([hints, hints, answer].concat())]);
    world.on(2, [Reply::raw(hints), Reply::json("{}")]);
    let report = world.ingest(1..=2);
    assert_eq!((report.totals.stored, report.totals.attempts), (2, 3));
}

#[test]
fn what_the_api_says_is_absent_is_no_failure() {
    let world = World::new();
    world.on(1, [Reply::json("null")]);
    world.on(2, [Reply::status(410)]);
    let report = world.ingest(1..=3);
    world.check(&report);
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
fn nobody_answers_is_a_failure_to_connect() {
    let world = World::new();
    world.server.go_down();
    let report = world.ingest(1..=1);
    assert_eq!(failure(&report, 1), ("connect", 4));
}

#[test]
fn a_server_that_comes_back_loses_nothing() {
    let mut world = World::new();
    (world.config.attempts, world.config.backoff) = (100, Duration::from_millis(5));
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=2000);
        world.requested(200).await;
        let server = world.server.clone();
        actix_rt::task::spawn_blocking(move || {
            server.go_down();
            server.come_back();
        })
        .await
        .unwrap();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (2000, 0));
}

#[test]
fn retry_after_is_waited_for() {
    let world = World::new();
    world.on(
        1,
        [
            Reply::status(429).header("retry-after", "1"),
            Reply::json("{}"),
        ],
    );
    let report = world.ingest(1..=1);
    let times = world.times();
    assert_eq!(report.totals.stored, 1);
    assert!(
        times[1] - times[0] >= Duration::from_secs(1),
        "{:?}",
        times[1] - times[0]
    );
}

#[test]
fn more_patience_than_ten_minutes_is_not_had() {
    let world = World::new();
    world.on(1, [Reply::status(503).header("retry-after", "601")]);
    assert_eq!(failure(&world.ingest(1..=1), 1), ("status", 1));
}

#[test]
fn the_rate_holds_over_all_fetchers_and_retries() {
    let mut world = World::new();
    (
        world.config.workers,
        world.config.rate,
        world.config.attempts,
    ) = (16, 200, 2);
    world.server.otherwise(|_| Reply::status(503));
    let report = world.ingest(1..=60);
    assert_eq!(report.totals.attempts, 120);
    let times = world.times();
    let took = times[119] - times[0];
    // 200 a second, of which a twentieth may come at once.
    assert!(
        took >= Duration::from_millis((119 - 10) * 5),
        "120 requests came within {took:?}"
    );
}

#[test]
fn redirects_are_followed_three_times_and_keep_secrets_at_home() {
    let world = World::new();
    let other = ScriptedServer::start();
    other.on("/there", [Reply::json("{}")]);
    world.on(1, [Reply::redirect(302, "/a")]);
    world.server.on("/a", [Reply::redirect(307, "/b")]);
    world.server.on(
        "/b",
        [Reply::redirect(301, format!("{}/there", other.url()))],
    );
    world.on(2, [Reply::redirect(302, "/2")]);
    let source = Notes {
        base: world.server.url(),
        headers: vec![("x-api-key".to_owned(), "secret".to_owned())],
    };
    let report = in_system(async {
        let pipeline = hn_ingest::Builder::new(source, Shelf)
            .database(world.file())
            .start();
        pipeline.await.unwrap().run([1, 2]).await.unwrap()
    });
    world.check(&report);
    assert_eq!(
        (report.totals.stored, failure(&report, 2)),
        (1, ("status", 1))
    );
    assert_eq!(world.hits(2), 4, "the first request and three redirects");
    assert!(
        world
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

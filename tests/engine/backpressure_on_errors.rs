//! How an API that refuses or fails is treated, and what an outage costs.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use hn_ingest::{
    Client, FailureKind, GaveUp,
    test_util::{Latch, Reply},
};

use crate::{
    fixture::{Fixture, out_for},
    support::{eventually, in_system},
};

#[test]
fn no_request_is_made_before_the_time_that_the_api_named() {
    // With a single attempt the refused id fails, and the other ids wait all the same.
    for (status, attempts) in [(429, 4), (503, 4), (429, 1), (503, 1)] {
        let mut fixture = Fixture::new();
        fixture.config.attempts = attempts;
        let others = fixture.hold_answers();
        let refusal = Latch::new();
        fixture.on(
            1,
            [
                Reply::status(status)
                    .header("retry-after", "1")
                    .held_by(&refusal),
                Reply::json("{}"),
            ],
        );
        let (report, refused_at) = in_system(async {
            let run = fixture.pipeline().await.run(1..=200);
            fixture.wait_in_flight(4).await;
            let refused_at = Instant::now();
            refusal.open();
            eventually("the refusal has arrived", || {
                run.progress().attempts_failed(FailureKind::Status) == 1
            })
            .await;
            // From here on three fetchers become free, and each has a next id.
            others.open();
            (run.await.unwrap(), refused_at)
        });
        fixture.check_report(&report);
        let failed = u64::from(attempts == 1);
        assert_eq!(
            (report.totals.stored, report.totals.failed),
            (200 - failed, failed)
        );
        let waited = fixture.request_times()[4] - refused_at;
        assert!(waited >= Duration::from_secs(1), "{status}: {waited:?}");
    }
}

#[test]
fn a_wait_that_is_longer_than_the_patience_ends_the_run_and_fails_no_id() {
    let in_an_hour = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    for (status, retry_after, attempts) in
        [(429, "3600", 4), (503, "3600", 1), (503, &in_an_hour, 4)]
    {
        let mut fixture = Fixture::new();
        fixture.config.attempts = attempts;
        fixture.on(
            50,
            [Reply::status(status).header("retry-after", retry_after)],
        );
        let report = fixture.ingest(1..=5000);
        fixture.check_report(&report);
        assert_eq!(report.totals.failed, 0);
        assert!(report.totals.not_attempted > 4000, "{:?}", report.totals);
        let Some(GaveUp::ApiAsksToWait { wait, .. }) = report.gave_up else {
            panic!("{report:?}");
        };
        assert!(wait > Duration::from_secs(3500), "{wait:?}");
    }
}

#[test]
fn until_the_time_that_the_api_named_later_runs_and_other_pipelines_make_no_request_either() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    fixture.on(1, [Reply::status(429).header("retry-after", "3600")]);
    in_system(async {
        let client = Client::new(&fixture.config);
        let first = fixture.builder().client(client.clone()).start().await;
        let second = fixture.builder().client(client).start().await;
        for pipeline in [&first.unwrap(), &second.unwrap()] {
            let report = pipeline.run(1..=10).await.unwrap();
            assert_eq!(report.totals.not_attempted, 10);
            assert!(matches!(report.gave_up, Some(GaveUp::ApiAsksToWait { .. })));
        }
    });
    assert_eq!(fixture.request_times().len(), 1);
}

#[test]
fn an_api_that_refuses_everybody_ends_the_run_and_leaves_the_refused_ids_to_the_next_one() {
    let portal = || Reply::body("<html>Please log in</html>").header("content-type", "text/html");
    let replies: [(fn() -> Reply, FailureKind); 3] = [
        (|| Reply::status(403), FailureKind::Status),
        (portal, FailureKind::Decode),
        (|| Reply::json("x".repeat(2_000_000)), FailureKind::Body),
    ];
    for (refusal, kind) in replies {
        for workers in [1, 64] {
            let mut fixture = Fixture::new();
            fixture.config.workers = workers;
            fixture.config.max_body = 1_000_000;
            let requests = AtomicUsize::new(0);
            // An id that is answered before one that is served is at fault itself. So the refusals come later.
            let all_are_stored = Latch::new();
            let latch = all_are_stored.clone();
            fixture
                .server
                .otherwise(move |_| match requests.fetch_add(1, Ordering::Relaxed) {
                    0..50 => Reply::json("{}"),
                    _ => refusal().held_by(&latch),
                });
            let report = in_system(async {
                let run = fixture.pipeline().await.run(10_001..=12_000);
                eventually("50 ids are stored", || run.progress().stored == 50).await;
                all_are_stored.open();
                run.await.unwrap()
            });
            fixture.check_report(&report);
            assert_eq!((report.totals.stored, report.totals.failed), (50, 0));
            let Some(GaveUp::ApiRefuses {
                ids, last_failure, ..
            }) = report.gave_up
            else {
                panic!("{report:?}");
            };
            assert!(ids >= 100);
            assert_eq!(last_failure.kind, kind);
            fixture.server.otherwise(|_| Reply::json("{}"));
            assert_eq!(fixture.ingest(10_001..=12_000).totals.stored, 2000);
        }
    }
}

#[test]
fn what_was_fetched_before_a_run_gave_up_or_was_cancelled_is_committed() {
    let ends: [(fn() -> Reply, bool); 3] = [
        (|| Reply::status(429).header("retry-after", "3600"), false),
        (|| Reply::raw(""), false),
        (Reply::hang, true),
    ];
    for (end, is_cancelled) in ends {
        let mut fixture = Fixture::new();
        fixture.config.workers = 2;
        fixture.config.linger = Duration::from_secs(3600);
        fixture.config.outage_patience = Duration::ZERO;
        fixture.config.drain = Duration::from_millis(10);
        let requests = AtomicUsize::new(0);
        fixture
            .server
            .otherwise(move |_| match requests.fetch_add(1, Ordering::Relaxed) {
                0..58 => Reply::json("{}"),
                _ => end(),
            });
        let report = in_system(async {
            let pipeline = fixture.pipeline().await;
            let mut run = pipeline.run(10_001..=12_000);
            let is_hanging = || run.progress().bytes >= 58 * 2 && run.progress().in_flight == 2;
            if is_cancelled {
                eventually("requests hang", is_hanging).await;
                run.cancel();
            }
            (&mut run).await.unwrap()
        });
        fixture.check_report(&report);
        assert_eq!(report.totals.stored, 58, "{report:?}");
    }
}

#[test]
fn answers_404_end_no_run() {
    let fixture = Fixture::new();
    fixture.server.otherwise(|_| Reply::status(404));
    let report = fixture.ingest(1..=1000);
    assert_eq!((report.totals.failed, report.gave_up), (1000, None));
}

#[test]
fn a_short_list_against_a_dead_api_fails_no_id_if_there_are_enough_to_doubt_the_api() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    fixture.server.go_down();
    let report = fixture.ingest(1..=500);
    fixture.check_report(&report);
    assert_eq!(
        (report.totals.failed, report.totals.not_attempted),
        (0, 500)
    );
    assert!(report.gave_up.is_some());
}

#[test]
fn a_server_that_accepts_connections_and_closes_them_is_out() {
    let mut fixture = Fixture::new();
    fixture.config.outage_patience = Duration::from_millis(100);
    fixture.server.otherwise(|_| Reply::raw(""));
    let report = fixture.ingest(1..=20_000);
    fixture.check_report(&report);
    assert_eq!(report.totals.failed, 0);
    assert!(out_for(&report).unwrap() >= Duration::from_secs(3));
}

#[test]
fn a_503_without_a_retry_after_holds_up_only_its_own_id() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::status(503), Reply::json("{}")]);
    let report = fixture.ingest(1..=100);
    assert_eq!((report.totals.stored, report.totals.retries), (100, 1));
}

#[test]
fn while_most_requests_fail_retries_are_slowed_down_and_none_is_dropped() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 32;
    fixture.config.attempts = 8;
    fixture.server.otherwise(|_| Reply::status(500));
    let report = fixture.ingest(1..=20);
    fixture.check_report(&report);
    assert_eq!((report.totals.failed, report.totals.attempts), (20, 160));
    // The first hundred requests are too few to judge by. The other sixty are retries, and they come at a fifth of the
    // recent rate. Half of the rate leaves room for a busy machine.
    let times = fixture.request_times();
    let first_spacing = (times[100] - times[0]) / 100;
    let last_spacing = (times[159] - times[100]) / 59;
    assert!(
        last_spacing >= 2 * first_spacing,
        "{first_spacing:?} between the first requests, {last_spacing:?} between the last"
    );
}

/// Answers 503 for this long after its first request, then answers notes.
fn down_for(time: Duration) -> impl Fn(&str) -> Reply {
    let first = OnceLock::new();
    move |_| {
        let first: &Instant = first.get_or_init(Instant::now);
        if first.elapsed() < time {
            Reply::status(503)
        } else {
            Reply::json("{}")
        }
    }
}

#[test]
fn an_outage_is_waited_for_and_fails_only_few_ids() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 3;
    fixture.config.backoff = Duration::from_secs(2);
    fixture.server.otherwise(down_for(Duration::from_secs(6)));
    let report = fixture.ingest(1..=2000);
    fixture.check_report(&report);
    assert_eq!((report.totals.not_attempted, report.gave_up), (0, None));
    assert!(report.totals.failed < 100, "{:?}", report.totals);
}

#[test]
fn an_outage_that_outlasts_the_patience_ends_the_run_with_a_report() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 2;
    fixture.config.backoff = Duration::from_secs(3);
    fixture.config.outage_patience = Duration::from_millis(200);
    fixture.server.otherwise(|_| Reply::status(502));
    let report = fixture.ingest(1..=2000);
    fixture.check_report(&report);
    assert!(out_for(&report).unwrap() >= Duration::from_secs(3));
    assert!(report.totals.not_attempted > 1900, "{:?}", report.totals);
}

#[test]
fn an_outage_is_noticed_while_every_id_is_still_being_retried() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 100;
    fixture.config.backoff = Duration::from_secs(1);
    fixture.config.backoff_max = Duration::from_secs(1);
    fixture.config.outage_patience = Duration::from_millis(200);
    fixture.server.otherwise(|_| Reply::status(502));
    let began = Instant::now();
    let report = fixture.ingest(1..=2000);
    fixture.check_report(&report);
    assert_eq!(report.totals.not_attempted, 2000);
    assert!(out_for(&report).is_some() && began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_few_ids_fail_against_a_dead_api_without_waiting_for_an_outage() {
    let fixture = Fixture::new();
    fixture.server.go_down();
    let began = Instant::now();
    let report = fixture.ingest(1..=8);
    fixture.check_report(&report);
    assert_eq!((report.totals.failed, report.gave_up), (8, None));
    // An outage begins after three seconds. The attempts take milliseconds.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

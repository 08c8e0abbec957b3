//! How runs end: completed, cancelled, or shut down with their pipeline.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, stream};
use hn_ingest::{Config, StartError, test_util::Reply};

use crate::{
    fixture::{Fixture, failure},
    support::{eventually, in_system},
};

#[test]
fn a_cancelled_run_finishes_what_is_in_flight_and_accounts_for_the_rest() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=1000);
        fixture.wait_in_flight(4).await;
        run.cancel();
        latch.open();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert!(report.interrupted);
    assert_eq!((report.totals.requested, report.totals.stored), (1000, 4));
    assert_eq!(report.totals.not_attempted, 996);
}

#[test]
fn a_drain_ends_even_if_the_server_never_answers() {
    let mut fixture = Fixture::new();
    fixture.config.timeout = Duration::from_secs(600);
    fixture.config.drain = Duration::from_millis(50);
    fixture.server.otherwise(|_| Reply::hang());
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=10);
        fixture.wait_in_flight(4).await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(
        (report.totals.not_attempted, report.totals.attempts),
        (10, 4)
    );
}

#[test]
fn ids_that_wait_for_a_retry_do_not_hold_up_a_drain() {
    let mut fixture = Fixture::new();
    fixture.config.backoff = Duration::from_secs(3600);
    fixture.config.backoff_max = Duration::from_secs(3600);
    fixture.config.drain = Duration::from_secs(3600);
    fixture.server.otherwise(|_| Reply::status(503));
    let began = Instant::now();
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=10);
        fixture.wait_for_requests(4).await;
        eventually("four ids wait for a retry", || {
            run.progress().being_retried == 4
        })
        .await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(report.totals.not_attempted, 10);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_cancelled_run_reads_no_more_of_its_stream() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let endless = stream::iter(1..=3).chain(stream::pending());
        let run = fixture.pipeline().await.run_stream(endless);
        fixture.wait_for_requests(3).await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(report.totals.requested, 3);
}

#[test]
fn runs_that_start_together_each_have_their_own_report() {
    let fixture = Fixture::new();
    fixture.on(30, [Reply::status(404)]);
    let (first, second, third) = in_system(async {
        let pipeline = fixture.pipeline().await;
        let runs = (
            pipeline.run(1..=20),
            pipeline.run(21..=30),
            pipeline.run([]),
        );
        (
            runs.0.await.unwrap(),
            runs.1.await.unwrap(),
            runs.2.await.unwrap(),
        )
    });
    assert_eq!((first.totals.stored, first.totals.failed), (20, 0));
    assert_eq!((second.totals.stored, second.totals.failed), (9, 1));
    assert_eq!(failure(&second, 30), ("status", 1));
    assert_eq!(third.totals.requested, 0);
}

#[test]
fn two_pipelines_on_one_file_both_finish_with_nothing_lost() {
    let mut fixture = Fixture::new();
    fixture.config.batch = 7;
    let (first, second) = in_system(async {
        let first = fixture.pipeline().await.run(1..=500);
        let second = fixture.pipeline().await.run(501..=1000);
        (first.await.unwrap(), second.await.unwrap())
    });
    assert_eq!((first.totals.stored, second.totals.stored), (500, 500));
    assert_eq!(fixture.count_rows("notes"), 1000);
}

#[test]
fn a_run_goes_on_after_its_pipeline_handle_is_dropped() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=100);
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 100);
}

#[test]
fn a_list_that_panics_ends_only_its_own_run() {
    let fixture = Fixture::new();
    let iterator = || (1..=10).chain((11..=20).inspect(|_| panic!("no more ids")));
    // It panics when it is polled the second time, while the run waits for it.
    let waited = || {
        let mut polls = 0;
        let late = stream::poll_fn(move |cx: &mut std::task::Context<'_>| {
            polls += 1;
            assert!(polls < 2, "no more ids");
            cx.waker().wake_by_ref();
            std::task::Poll::<Option<i64>>::Pending
        });
        stream::iter(1..=10).chain(late)
    };
    let (first, second, third) = in_system(async {
        let pipeline = fixture.pipeline().await;
        let runs = (
            pipeline.run(iterator()),
            pipeline.run_stream(waited()),
            pipeline.run(21..=30),
        );
        (
            runs.0.await.unwrap(),
            runs.1.await.unwrap(),
            runs.2.await.unwrap(),
        )
    });
    for report in [&first, &second] {
        assert_eq!(report.list_failed.as_deref(), Some("no more ids"));
        assert_eq!(report.totals.stored, 10);
        let totals = &report.totals;
        assert_eq!(totals.requested, totals.settled() + totals.not_attempted);
    }
    assert_eq!((third.totals.stored, third.list_failed), (10, None));
}

#[test]
fn a_setting_out_of_its_range_is_refused_at_the_start() {
    for (name, config) in [
        (
            "workers",
            Config {
                workers: 0,
                ..Config::default()
            },
        ),
        (
            "mailbox",
            Config {
                mailbox: usize::MAX,
                ..Config::default()
            },
        ),
        (
            "batch",
            Config {
                batch: 0,
                ..Config::default()
            },
        ),
        (
            "batch",
            Config {
                batch: usize::MAX,
                ..Config::default()
            },
        ),
        (
            "timeout",
            Config {
                timeout: Duration::ZERO,
                ..Config::default()
            },
        ),
    ] {
        let fixture = Fixture::new();
        let start = fixture
            .builder()
            .config(config)
            .database(fixture.database_file())
            .own_thread();
        let error = in_system(start.start()).err().unwrap();
        assert!(matches!(error, StartError::Setting(_)), "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("the setting {name} is")),
            "{error}"
        );
    }
}

#[test]
fn a_run_that_is_cancelled_before_a_fetcher_was_idle_reports_at_once_and_attempts_nothing() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        let first = pipeline.run(1..=4);
        fixture.wait_in_flight(4).await;
        let second = pipeline.run(5..=8);
        second.cancel();
        let report = second.await.unwrap();
        latch.open();
        first.await.unwrap();
        report
    });
    assert_eq!((report.totals.not_attempted, report.interrupted), (4, true));
    assert_eq!(fixture.server.stats().requests, 4);
}

#[test]
fn a_shutdown_may_have_the_longest_duration_as_its_bound() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        let _run = pipeline.run(1..=65_535);
        fixture.wait_for_requests(10).await;
        pipeline.shutdown(Duration::MAX).await.unwrap()
    });
    assert_eq!(report.requested, report.stored + report.not_attempted);
}

#[test]
fn without_an_actix_system_a_pipeline_does_not_start_and_says_what_to_do() {
    let fixture = Fixture::new();
    let start = || fixture.builder().database(fixture.database_file()).start();
    let error = start().now_or_never().unwrap().err().unwrap();
    assert!(matches!(error, StartError::NoSystem));
    assert!(error.to_string().contains("#[actix_rt::main]"), "{error}");
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = tokio.block_on(start()).err();
    assert!(matches!(error, Some(StartError::NoSystem)));
}

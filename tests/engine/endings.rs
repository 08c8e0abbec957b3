//! How runs end: cancelled, in turn, or with their pipeline.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, stream};
use hn_ingest::{Config, StartError, test_util::Reply};

use crate::world::{World, failure, in_system};

#[test]
fn a_cancelled_run_finishes_what_is_in_flight_and_accounts_for_the_rest() {
    let world = World::new();
    let gate = world.hold_answers();
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=1000);
        world.in_flight(4).await;
        run.cancel();
        gate.open();
        run.await.unwrap()
    });
    world.check(&report);
    assert!(report.interrupted);
    assert_eq!((report.totals.requested, report.totals.stored), (1000, 4));
    assert_eq!(report.totals.not_attempted, 996);
}

#[test]
fn a_drain_ends_even_when_nothing_is_ever_answered() {
    let mut world = World::new();
    (world.config.timeout, world.config.drain) =
        (Duration::from_secs(600), Duration::from_millis(50));
    world.server.otherwise(|_| Reply::hang());
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=10);
        world.in_flight(4).await;
        run.cancel();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!(
        (report.totals.not_attempted, report.totals.attempts),
        (10, 4)
    );
}

#[test]
fn who_waits_for_another_attempt_does_not_hold_up_a_drain() {
    let mut world = World::new();
    (world.config.backoff, world.config.backoff_max) =
        (Duration::from_secs(3600), Duration::from_secs(3600));
    world.config.drain = Duration::from_secs(3600);
    world.server.otherwise(|_| Reply::status(503));
    let began = Instant::now();
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=10);
        world.requested(4).await;
        while run.progress().being_retried < 4 {
            actix_rt::task::yield_now().await;
        }
        run.cancel();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!(report.totals.not_attempted, 10);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_stream_is_asked_for_nothing_more_once_its_run_is_cancelled() {
    let world = World::new();
    let report = in_system(async {
        let endless = stream::iter(1..=3).chain(stream::pending());
        let run = world.pipeline().await.run_stream(endless);
        world.requested(3).await;
        run.cancel();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!(report.totals.requested, 3);
}

#[test]
fn runs_of_a_pipeline_queue_and_each_has_its_own_report() {
    let world = World::new();
    world.on(30, [Reply::status(404)]);
    let (first, second, third) = in_system(async {
        let pipeline = world.pipeline().await;
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
    let mut world = World::new();
    world.config.batch = 7;
    let (first, second) = in_system(async {
        let (one, other) = (world.pipeline().await, world.pipeline().await);
        let (first, second) = (one.run(1..=500), other.run(501..=1000));
        (first.await.unwrap(), second.await.unwrap())
    });
    assert_eq!((first.totals.stored, second.totals.stored), (500, 500));
    assert_eq!(world.count("notes"), 1000);
}

#[test]
fn a_run_without_its_pipelines_other_handles_goes_on() {
    let world = World::new();
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=100);
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 100);
}

#[test]
fn a_list_that_panics_ends_its_run_early_and_no_other() {
    let world = World::new();
    let iterator = || (1..=10).chain((11..=20).inspect(|_| panic!("no more ids")));
    // Read while it is waited for, so that it panics there.
    let waited = || {
        let mut looks = 0;
        let late = stream::poll_fn(move |cx: &mut std::task::Context<'_>| {
            looks += 1;
            assert!(looks < 2, "no more ids");
            cx.waker().wake_by_ref();
            std::task::Poll::<Option<i64>>::Pending
        });
        stream::iter(1..=10).chain(late)
    };
    let (first, second, third) = in_system(async {
        let pipeline = world.pipeline().await;
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
        let world = World::new();
        let start = world
            .builder()
            .config(config)
            .database(world.file())
            .own_arbiter();
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
fn a_run_cancelled_in_the_queue_attempts_nothing_and_reports_at_once() {
    let world = World::new();
    let gate = world.hold_answers();
    let report = in_system(async {
        let pipeline = world.pipeline().await;
        let first = pipeline.run(1..=4);
        let queued = pipeline.run(5..=8);
        world.in_flight(4).await;
        queued.cancel();
        let report = queued.await.unwrap();
        gate.open();
        first.await.unwrap();
        report
    });
    assert_eq!((report.totals.not_attempted, report.interrupted), (4, true));
    assert_eq!(world.server.stats().requests, 4);
}

#[test]
fn a_shutdown_may_be_given_all_the_time_there_is() {
    let world = World::new();
    let report = in_system(async {
        let pipeline = world.pipeline().await;
        let _run = pipeline.run(1..=65_535);
        world.requested(10).await;
        pipeline.shutdown(Duration::MAX).await.unwrap()
    });
    assert_eq!(report.requested, report.stored + report.not_attempted);
}

#[test]
fn without_a_system_a_pipeline_does_not_start_and_says_what_to_do() {
    let world = World::new();
    let start = || world.builder().database(world.file()).start();
    let error = start().now_or_never().unwrap().err().unwrap();
    assert!(matches!(error, StartError::NoSystem));
    assert!(error.to_string().contains("#[actix_rt::main]"), "{error}");
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = tokio.block_on(start()).err();
    assert!(matches!(error, Some(StartError::NoSystem)));
}

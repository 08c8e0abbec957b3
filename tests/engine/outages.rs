//! What an API that is out for a while costs: time, and no id.

use std::time::Duration;

use hn_ingest::test_util::Reply;

use crate::{
    fixture::{Fixture, out_for},
    support::{eventually, in_system},
};

#[test]
fn a_time_in_which_the_api_wants_no_requests_is_no_outage() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 16;
    fixture.config.outage_patience = Duration::from_millis(500);
    for id in 50..=70 {
        let refusal = Reply::status(503).header("retry-after", "5");
        fixture.on(id, [refusal, Reply::json("{}")]);
    }
    let report = fixture.ingest(1..=200);
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.gave_up), (200, None));
    assert!(report.elapsed >= Duration::from_secs(5));
}

#[test]
fn a_pause_is_no_outage_whatever_came_before_it() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 16;
    fixture.config.attempts = 2;
    fixture.config.outage_patience = Duration::ZERO;
    fixture.config.backoff = Duration::from_millis(100);
    for id in 1..=16 {
        fixture.on(
            id,
            [Reply::status(502), Reply::status(502), Reply::json("{}")],
        );
    }
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        let run = pipeline.run(1..=200);
        eventually("attempts have failed", || run.progress().attempts >= 10).await;
        pipeline.pause();
        actix_rt::time::sleep(Duration::from_secs(4)).await;
        pipeline.resume();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.not_attempted, report.gave_up), (0, None));
}

#[test]
fn the_next_run_starts_as_if_there_had_been_no_outage() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    fixture.config.outage_patience = Duration::ZERO;
    fixture.server.otherwise(|_| Reply::status(502));
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let report = pipeline.run(1..=5000).await.unwrap();
        assert!(out_for(&report).is_some());
        assert_eq!((report.totals.failed, report.totals.stored), (0, 0));
        fixture.server.otherwise(|_| Reply::json("{}"));
        fixture.on(1, [Reply::status(502)]);
        let report = pipeline.run(1..=100).await.unwrap();
        assert_eq!((report.totals.stored, report.totals.failed), (99, 1));
    });
}

#[test]
fn with_a_single_attempt_each_an_api_that_is_down_for_a_while_costs_no_id() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 16;
    fixture.config.attempts = 1;
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        fixture.server.go_down();
        let run = pipeline.run(1..=5000);
        eventually("attempts have failed", || run.progress().attempts > 100).await;
        actix_rt::time::sleep(Duration::from_secs(1)).await;
        fixture.server.come_back();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (5000, 0));
}

#[test]
fn an_api_that_asks_for_more_time_again_and_again_is_out() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 16;
    fixture.config.attempts = 100;
    fixture.config.outage_patience = Duration::from_millis(500);
    fixture
        .server
        .otherwise(|_| Reply::status(503).header("retry-after", "1"));
    let report = fixture.ingest(1..=200);
    fixture.check_report(&report);
    assert!(out_for(&report).unwrap() >= Duration::from_secs(3));
    assert_eq!(report.totals.failed, 0);
}

#[test]
fn failures_in_a_list_that_stays_open_are_not_left_undecided() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    for id in 1..=12 {
        fixture.on(id, [Reply::status(502), Reply::json("{}")]);
    }
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (ids, stream) = tokio::sync::mpsc::unbounded_channel();
        let stream = futures_util::stream::unfold(stream, |mut stream| async {
            stream.recv().await.map(|id| (id, stream))
        });
        let run = pipeline.run_stream(stream);
        (1..=12).for_each(|id| ids.send(id).unwrap());
        eventually("all ids are settled", || run.progress().settled() == 12).await;
        drop(ids);
        let report = run.await.unwrap();
        assert_eq!(report.totals.stored, 12, "they were asked for again");
    });
}

//! Workers and rate are changed while a run is under way.

use std::time::{Duration, Instant};

use hn_ingest::test_util::Reply;

use crate::{
    fixture::Fixture,
    support::{eventually, in_system},
};

#[test]
fn more_workers_have_more_requests_in_flight_and_fewer_workers_let_theirs_finish() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 2;
    let latch = fixture.hold_answers();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let run = pipeline.run(1..=500);
        fixture.wait_in_flight(2).await;
        pipeline.set_workers(20);
        fixture.wait_in_flight(20).await;
        pipeline.set_workers(3);
        latch.open();
        eventually("the twenty are stored", || run.progress().stored >= 20).await;
        let latch = fixture.hold_answers();
        fixture.wait_in_flight(3).await;
        assert_eq!(run.progress().in_flight, 3);
        latch.open();
        let report = run.await.unwrap();
        assert_eq!((report.totals.stored, report.totals.failed), (500, 0));
        fixture.check_report(&report);
    });
}

#[test]
fn a_number_of_workers_beyond_the_range_counts_as_the_nearest_one() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        pipeline.set_workers(0);
        let run = pipeline.run(1..=50);
        fixture.wait_in_flight(1).await;
        latch.open();
        let report = run.await.unwrap();
        assert_eq!(
            (report.totals.stored, report.totals.in_flight_peak),
            (50, 1)
        );
    });
}

#[test]
fn a_new_rate_counts_at_once() {
    let mut fixture = Fixture::new();
    fixture.config.rate = 1;
    fixture.server.otherwise(|_| Reply::json("{}"));
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let run = pipeline.run(1..=300);
        eventually("a request is made", || run.progress().attempts > 0).await;
        let began = Instant::now();
        pipeline.set_rate(0);
        assert_eq!(run.await.unwrap().totals.stored, 300);
        // With the old rate it would take five minutes.
        assert!(began.elapsed() < Duration::from_secs(60));
    });
}

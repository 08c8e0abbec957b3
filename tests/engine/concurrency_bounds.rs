//! The bounds on requests in flight, waiting ids and the backlog.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use diesel::connection::SimpleConnection;
use hn_ingest::test_util::{Latch, Reply};

use crate::{
    fixture::Fixture,
    support::{eventually, in_system},
};

#[test]
fn requests_in_flight_and_connections_never_exceed_the_fetchers() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 8;
    let latch = fixture.hold_answers();
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=80);
        fixture.wait_in_flight(8).await;
        latch.open();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    let stats = fixture.server.stats();
    assert_eq!((report.totals.stored, stats.peak_in_flight), (80, 8));
    assert_eq!(report.totals.in_flight_peak, 8);
    assert!(stats.connections <= 8, "{} connections", stats.connections);
}

#[test]
fn ids_are_pulled_only_when_a_fetcher_or_its_mailbox_has_room() {
    for (mailbox, expected) in [(0, 3), (1, 6), (4, 15)] {
        let mut fixture = Fixture::new();
        fixture.config.workers = 3;
        fixture.config.mailbox = mailbox;
        let latch = fixture.hold_answers();
        let pulled = Arc::new(AtomicUsize::new(0));
        let counting = pulled.clone();
        let ids = (1..=1000).inspect(move |_| {
            counting.fetch_add(1, SeqCst);
        });
        let report = in_system(async {
            let run = fixture.pipeline().await.run(ids);
            fixture.wait_in_flight(3).await;
            assert_eq!(pulled.load(SeqCst), expected, "a mailbox of {mailbox}");
            latch.open();
            run.await.unwrap()
        });
        assert_eq!(report.totals.stored, 1000);
    }
}

#[test]
fn no_id_waits_behind_another_while_a_fetcher_is_idle() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 10;
    fixture.config.mailbox = 5;
    let latch = fixture.hold_answers();
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=10);
        fixture.wait_in_flight(10).await;
        latch.open();
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 10);
}

#[test]
fn a_slow_id_holds_up_no_other_whatever_the_mailbox() {
    for mailbox in [0, 1, 10] {
        let mut fixture = Fixture::new();
        fixture.config.workers = 4;
        fixture.config.mailbox = mailbox;
        let latch = Latch::new();
        fixture.on(3, [Reply::json("{}").held_by(&latch)]);
        let report = in_system(async {
            let run = fixture.pipeline().await.run(1..=40);
            eventually("all others are stored", || run.progress().stored == 39).await;
            latch.open();
            run.await.unwrap()
        });
        assert_eq!(report.totals.stored, 40);
    }
}

#[test]
fn the_backlog_never_exceeds_two_batches_while_the_database_is_locked() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 4;
    fixture.config.batch = 10;
    let mut locker = fixture.connection();
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let run = pipeline.run(1..=500);
        // Two batches fill the backlog. Then each fetcher keeps one answer until there is room.
        fixture.wait_for_requests(2 * 10 + 4).await;
        assert_eq!(run.progress().settled(), 0);
        locker.batch_execute("COMMIT").unwrap();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(
        (report.totals.stored, report.totals.unsaved_peak),
        (500, 20)
    );
}

#[test]
fn a_hundred_rows_are_written_at_once_and_rows_that_come_meanwhile_form_the_next_batch() {
    let mut fixture = Fixture::new();
    fixture.config.batch = 500;
    fixture.config.linger = Duration::from_secs(3600);
    let mut locker = fixture.connection();
    let (sender, receiver) = channel();
    let report = in_system(async {
        let run = fixture.pipeline().await.run_stream(receiver);
        for id in 1..=100 {
            sender.send(id).await.unwrap();
        }
        eventually("100 ids are stored", || run.progress().stored == 100).await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        for id in 101..=700 {
            sender.send(id).await.unwrap();
        }
        eventually("600 rows are in the backlog", || {
            run.progress().unsaved_peak == 600
        })
        .await;
        locker.batch_execute("COMMIT").unwrap();
        drop(sender);
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.batches_full), (700, 3));
}

#[test]
fn large_bodies_fill_a_batch_and_bound_the_backlog() {
    let mut fixture = Fixture::new();
    fixture.config.linger = Duration::from_secs(60);
    let body = format!("\"{}\"", "x".repeat(5 << 20));
    fixture.server.otherwise(move |_| Reply::json(body.clone()));
    let report = fixture.ingest(1..=8);
    fixture.check_report(&report);
    // Each body has 5 MiB. Two bodies fill a batch of 8 MiB, and at most three fit into the bound of 16 MiB.
    assert_eq!((report.totals.stored, report.totals.batches_full), (8, 0));
    assert!(report.totals.batches_heavy >= 3, "{:?}", report.totals);
    assert!(report.totals.unsaved_peak <= 3, "{:?}", report.totals);
}

#[test]
fn a_run_waits_for_a_stream_that_has_no_id_yet() {
    let fixture = Fixture::new();
    let (sender, receiver) = channel();
    let report = in_system(async {
        let run = fixture.pipeline().await.run_stream(receiver);
        sender.send(1).await.unwrap();
        fixture.wait_for_requests(1).await;
        for id in 2..=50 {
            sender.send(id).await.unwrap();
        }
        drop(sender);
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.requested, report.totals.stored), (50, 50));
}

/// A sender, and the stream of the ids that it sends.
fn channel() -> (
    tokio::sync::mpsc::Sender<i64>,
    impl futures_util::Stream<Item = i64> + Send + 'static,
) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    (
        sender,
        futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)),
    )
}

//! How much is under way at once: invariant 4.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use diesel::connection::SimpleConnection;
use futures_util::{StreamExt, future::ready};
use hn_ingest::{Progress, Run, test_util::Reply};

use crate::world::{World, in_system};

#[test]
fn never_more_requests_in_flight_nor_connections_than_fetchers() {
    let mut world = World::new();
    world.config.workers = 8;
    let gate = world.hold_answers();
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=80);
        world.in_flight(8).await;
        gate.open();
        run.await.unwrap()
    });
    world.check(&report);
    let stats = world.server.stats();
    assert_eq!((report.totals.stored, stats.peak_in_flight), (80, 8));
    assert_eq!(report.totals.in_flight_peak, 8);
    assert!(stats.connections <= 8, "{} connections", stats.connections);
}

#[test]
fn ids_are_pulled_only_as_fetchers_and_their_mailboxes_have_room() {
    for (mailbox, expected) in [(0, 3), (1, 6), (4, 15)] {
        let mut world = World::new();
        (world.config.workers, world.config.mailbox) = (3, mailbox);
        let gate = world.hold_answers();
        let pulled = Arc::new(AtomicUsize::new(0));
        let counting = pulled.clone();
        let ids = (1..=1000).inspect(move |_| {
            counting.fetch_add(1, SeqCst);
        });
        let report = in_system(async {
            let run = world.pipeline().await.run(ids);
            world.in_flight(3).await;
            assert_eq!(pulled.load(SeqCst), expected, "a mailbox of {mailbox}");
            gate.open();
            run.await.unwrap()
        });
        assert_eq!(report.totals.stored, 1000);
    }
}

#[test]
fn no_id_waits_behind_another_while_a_fetcher_is_idle() {
    let mut world = World::new();
    (world.config.workers, world.config.mailbox) = (10, 5);
    let gate = world.hold_answers();
    let report = in_system(async {
        let run = world.pipeline().await.run(1..=10);
        world.in_flight(10).await;
        gate.open();
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 10);
}

#[test]
fn never_more_unsaved_than_two_batches_however_long_the_database_is_locked() {
    let mut world = World::new();
    (world.config.workers, world.config.batch) = (4, 10);
    let mut locker = world.connection();
    let report = in_system(async {
        let pipeline = world.pipeline().await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let run = pipeline.run(1..=500);
        // Two batches, and an answer that each fetcher keeps until there is room.
        world.requested(2 * 10 + 4).await;
        assert_eq!(run.progress().settled(), 0);
        locker.batch_execute("COMMIT").unwrap();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!(
        (report.totals.stored, report.totals.unsaved_peak),
        (500, 20)
    );
}

#[test]
fn a_hundred_rows_are_written_at_once_and_what_comes_meanwhile_makes_the_next_batch() {
    let mut world = World::new();
    (world.config.batch, world.config.linger) = (500, Duration::from_secs(3600));
    let mut locker = world.connection();
    let (sender, receiver) = channel();
    let report = in_system(async {
        let run = world.pipeline().await.run_stream(receiver);
        for id in 1..=100 {
            sender.send(id).await.unwrap();
        }
        reached(&run, |progress| progress.stored == 100).await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        for id in 101..=700 {
            sender.send(id).await.unwrap();
        }
        reached(&run, |progress| progress.unsaved_peak == 600).await;
        locker.batch_execute("COMMIT").unwrap();
        drop(sender);
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!((report.totals.stored, report.totals.batches_full), (700, 3));
}

/// Waits for a moment of a run, though not for ever.
async fn reached(run: &Run<i64>, moment: impl Fn(&Progress) -> bool) {
    let mut moments = pin!(
        run.events(Duration::from_millis(1))
            .filter(|progress| ready(moment(progress)))
    );
    let reached = tokio::time::timeout(Duration::from_secs(20), moments.next()).await;
    assert!(matches!(reached, Ok(Some(_))), "{:?}", run.progress());
}

#[test]
fn large_bodies_fill_a_batch_and_bound_what_is_unsaved() {
    let mut world = World::new();
    world.config.linger = Duration::from_secs(60);
    let body = format!("\"{}\"", "x".repeat(5 << 20));
    world.server.otherwise(move |_| Reply::json(body.clone()));
    let report = world.ingest(1..=8);
    world.check(&report);
    // 5 MiB each: two make a batch of 8 MiB or more, and three are the most that find room in 16 MiB.
    assert_eq!((report.totals.stored, report.totals.batches_full), (8, 0));
    assert!(report.totals.batches_heavy >= 3, "{:?}", report.totals);
    assert!(report.totals.unsaved_peak <= 3, "{:?}", report.totals);
}

#[test]
fn a_stream_that_has_nothing_yet_is_waited_for_without_ending_the_run() {
    let world = World::new();
    let (sender, receiver) = channel();
    let report = in_system(async {
        let run = world.pipeline().await.run_stream(receiver);
        sender.send(1).await.unwrap();
        world.requested(1).await;
        for id in 2..=50 {
            sender.send(id).await.unwrap();
        }
        drop(sender);
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!((report.totals.requested, report.totals.stored), (50, 50));
}

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

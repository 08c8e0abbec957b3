//! The handle that a host has: pausing, watching, shutting down, an arbiter of its own, and the messages behind it.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use diesel::connection::SimpleConnection;
use futures_util::{FutureExt, StreamExt};
use hn_ingest::{
    Client, Pipeline, PipelineStopped, ShutdownReport, StartError,
    ingest::messages::{Cancel, GetProgress, Pause, Resume, Shutdown, Start},
    test_util::{Gate, Reply},
};

use crate::world::{World, in_system};

const LONG: Duration = Duration::from_secs(60);

/// Every request waits for the gate.
fn held(world: &World) -> Gate {
    let gate = Gate::new();
    let holds = gate.clone();
    world
        .server
        .otherwise(move |_| Reply::json("{}").held_by(&holds));
    gate
}

fn is_shared_by_threads<T: Clone + Send + Sync + 'static>(_: &T) {}

#[test]
fn a_pipeline_of_its_own_arbiter_runs_from_any_thread_and_leaves_the_hosts_alone() {
    let world = World::new();
    let report = in_system(async {
        let builder = world.builder().database(world.file()).own_arbiter();
        let pipeline = builder.start().await.unwrap();
        is_shared_by_threads(&pipeline);
        // The host's arbiter is blocked all the while, and the run is over before it is not.
        let elsewhere = pipeline.clone();
        let thread = std::thread::spawn(move || {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            tokio.block_on(elsewhere.run(1..=200)).unwrap()
        });
        thread.join().unwrap()
    });
    world.check(&report);
    assert_eq!(report.totals.stored, 200);
}

#[test]
fn a_client_of_this_arbiter_and_an_arbiter_of_its_own_exclude_each_other() {
    let world = World::new();
    let error = in_system(async {
        let client = Client::new(&world.config);
        let builder = world.builder().client(client).own_arbiter();
        builder.start().await.err().unwrap()
    });
    assert!(matches!(error, StartError::ClientElsewhere));
    assert!(error.to_string().contains("leave out"), "{error}");
}

#[test]
fn an_unusable_database_is_an_error_with_its_source() {
    let world = World::new();
    let error = in_system(async {
        let builder = world.builder().database("/nowhere/at/all.db");
        builder.start().await.err().unwrap()
    });
    assert!(matches!(error, StartError::Database(_)));
    assert!(error.source().is_some(), "{error}");
}

#[test]
fn while_paused_nothing_is_handed_out_and_what_is_in_flight_is_committed() {
    let mut world = World::new();
    world.config.mailbox = 0;
    let gate = held(&world);
    let report = in_system(async {
        let pipeline = world.pipeline().await;
        let run = pipeline.run(1..=100);
        world.in_flight(4).await;
        pipeline.pause();
        gate.open();
        let mut events = Box::pin(run.events(Duration::from_millis(1)));
        while events.next().await.is_some_and(|now| now.settled() < 4) {}
        // A message behind all that the pause could still let through.
        let coordinator = pipeline.coordinator();
        coordinator.send(Pause).await.unwrap();
        assert_eq!(world.server.stats().requests, 4);
        assert_eq!(
            (run.progress().in_flight, run.watch().is_over()),
            (0, false)
        );
        pipeline.resume();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!(report.totals.stored, 100);
}

#[test]
fn a_paused_run_can_be_cancelled_and_a_paused_pipeline_shut_down() {
    let world = World::new();
    let (report, down) = in_system(async {
        let pipeline = world.pipeline().await;
        pipeline.pause();
        let (first, _second) = (pipeline.run(1..=10), pipeline.run(11..=30));
        first.cancel();
        let report = first.await.unwrap();
        (report, pipeline.shutdown(LONG).await.unwrap())
    });
    assert_eq!(
        (report.totals.not_attempted, report.interrupted),
        (10, true)
    );
    assert_eq!((down.runs, down.requested, down.not_attempted), (1, 20, 20));
    assert_eq!(world.server.stats().requests, 0);
}

#[test]
fn a_stream_of_events_begins_at_once_goes_on_and_ends_with_the_last_count() {
    let world = World::new();
    let gate = held(&world);
    in_system(async {
        let run = world.pipeline().await.run(1..=50);
        let mut events = Box::pin(run.events(Duration::from_millis(1)));
        assert_eq!(events.next().await.unwrap().settled(), 0);
        world.in_flight(4).await;
        assert_eq!(events.next().await.unwrap().settled(), 0);
        let watch = run.watch();
        gate.open();
        let last = events.fold(None, async |_, progress| Some(progress)).await;
        assert_eq!(last.unwrap(), run.await.unwrap().totals);
        assert!(watch.is_over());
        // Who comes late sees the last count too.
        let late: Vec<_> = watch.events(LONG).collect().await;
        assert_eq!((late.len(), late[0].stored), (1, 50));
    });
}

#[test]
fn events_end_with_a_pipeline_that_stops_before_the_run() {
    let world = World::new();
    in_system(async {
        let pipeline = world.pipeline().await;
        pipeline.shutdown(LONG).await.unwrap();
        let run = pipeline.run(1..=5);
        let events: Vec<_> = run.events(LONG).collect().await;
        assert_eq!(events.len(), 1);
        assert_eq!(run.await.err(), Some(PipelineStopped));
        assert_eq!(pipeline.shutdown(LONG).await, Err(PipelineStopped));
    });
}

async fn shut_down_with_four_in_flight(world: &World, pipeline: Pipeline<i64>) -> ShutdownReport {
    let gate = held(world);
    let (first, second) = (pipeline.run(1..=1000), pipeline.run(1001..=1500));
    world.in_flight(4).await;
    let mut down = Box::pin(pipeline.shutdown(LONG));
    assert!(down.as_mut().now_or_never().is_none());
    // Behind the order to stop, in the same mailbox.
    let _ = pipeline
        .coordinator()
        .send(GetProgress(first.watch().id()))
        .await;
    gate.open();
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert!(first.interrupted && second.interrupted);
    assert_eq!((first.totals.stored, second.totals.stored), (4, 0));
    down.await.unwrap()
}

#[test]
fn a_shutdown_drains_every_run_says_what_was_saved_and_closes_the_file() {
    for own in [false, true] {
        let world = World::new();
        let down = in_system(async {
            let mut builder = world.builder().database(world.file());
            if own {
                builder = builder.own_arbiter();
            }
            shut_down_with_four_in_flight(&world, builder.start().await.unwrap()).await
        });
        let mut expected = ShutdownReport::default();
        (expected.runs, expected.requested) = (2, 1500);
        (expected.stored, expected.not_attempted) = (4, 1496);
        assert_eq!(down, expected);
        assert_eq!(world.count("notes"), 4);
        // SQLite removes the log with the last connection to the file.
        assert!(!world.file().with_extension("db-wal").exists());
    }
}

#[test]
fn a_shutdown_keeps_its_bound_though_nothing_answers() {
    let mut world = World::new();
    world.config.timeout = LONG;
    world.server.otherwise(|_| Reply::hang());
    let began = Instant::now();
    let down = in_system(async {
        let pipeline = world.pipeline().await;
        let _run = pipeline.run(1..=10);
        world.in_flight(4).await;
        pipeline.shutdown(Duration::from_millis(100)).await.unwrap()
    });
    assert_eq!((down.not_attempted, down.undecided), (10, 0));
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn what_a_locked_database_did_not_take_in_time_is_called_undecided() {
    let world = World::new();
    let mut locker = world.connection();
    let (down, run) = in_system(async {
        let pipeline = world.pipeline().await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let (run, queued) = (pipeline.run(1..=10), pipeline.run(11..=15));
        world.requested(10).await;
        let down = pipeline.shutdown(Duration::from_millis(200)).await.unwrap();
        locker.batch_execute("COMMIT").unwrap();
        assert_eq!(queued.await.err(), Some(PipelineStopped));
        (down, run.await)
    });
    assert_eq!(run.err(), Some(PipelineStopped));
    assert_eq!((down.runs, down.requested, down.stored), (2, 15, 0));
    assert!(down.undecided > 0, "{down:?}");
    assert_eq!(down.undecided + down.not_attempted, 15);
}

#[test]
fn who_holds_the_coordinators_address_can_do_all_that_by_messages() {
    let world = World::new();
    let gate = held(&world);
    in_system(async {
        let pipeline = world.pipeline().await;
        let coordinator = pipeline.coordinator();
        let (start, waiting) = (Start::list(1..=100), Start::list(101..=110));
        let (run, other) = (start.run(), waiting.run());
        let (report, second) = (coordinator.send(start), coordinator.send(waiting));
        world.in_flight(4).await;
        coordinator.send(Pause).await.unwrap();
        coordinator.send(Resume).await.unwrap();
        let progress = coordinator.send(GetProgress(run)).await.unwrap();
        assert_eq!(progress.map(|now| now.in_flight), Some(4));
        coordinator.send(Cancel(other)).await.unwrap();
        coordinator.send(Cancel(run)).await.unwrap();
        gate.open();
        let report = report.await.unwrap().unwrap();
        assert_eq!((report.totals.stored, report.interrupted), (4, true));
        assert_eq!(second.await.unwrap().unwrap().totals.not_attempted, 10);
        assert_eq!(coordinator.send(GetProgress(run)).await.unwrap(), None);
        let down = coordinator.send(Shutdown { within: LONG }).await.unwrap();
        assert_eq!(down, Ok(ShutdownReport::default()));
        drop(pipeline);
    });
}

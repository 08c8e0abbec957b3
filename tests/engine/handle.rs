//! A host's handle: pausing, watching, shutdown, and the messages behind these.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use diesel::connection::SimpleConnection;
use futures_util::{FutureExt, StreamExt};
use hn_ingest::{
    Client, Pipeline, PipelineStopped, ShutdownReport, StartError,
    ingest::messages::{Cancel, GetProgress, Pause, Resume, Shutdown, Start},
    test_util::Reply,
};

use crate::{
    fixture::{Fixture, pushed_ids},
    support::{eventually, in_system},
};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_stream_whose_run_gave_up_gives_the_next_run_no_id() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    fixture.on(1, [Reply::status(429).header("retry-after", "3600")]);
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (ids, stream) = pushed_ids();
        let run = pipeline.run_stream(stream);
        ids.send(1).unwrap();
        assert!(run.await.unwrap().gave_up.is_some());
        // The client keeps to the time that the API named, so the next run gives up at its first id, too.
        let next = pipeline.run(2..=50);
        let _ = ids.send(99);
        let report = next.await.unwrap();
        assert_eq!(
            (report.totals.requested, report.totals.not_attempted),
            (49, 49)
        );
        assert!(ids.is_closed(), "the stream is dropped with its run");
    });
}

#[test]
fn a_pipeline_with_its_own_thread_cannot_use_a_client_of_the_hosts_thread() {
    let fixture = Fixture::new();
    in_system(async {
        let client = Client::new(&fixture.config);
        let first = fixture.builder().client(client.clone()).own_thread();
        let last = fixture.builder().own_thread().client(client);
        for builder in [first, last] {
            let error = builder.start().await.err().unwrap();
            assert!(matches!(error, StartError::ClientElsewhere));
            assert!(error.to_string().contains("leave out"), "{error}");
        }
    });
}

#[test]
fn an_unusable_database_is_an_error_with_its_source() {
    let fixture = Fixture::new();
    let error = in_system(async {
        let builder = fixture.builder().database("/nowhere/at/all.db");
        builder.start().await.err().unwrap()
    });
    assert!(matches!(error, StartError::Database(_)));
    assert!(error.source().is_some(), "{error}");
}

#[test]
fn a_paused_pipeline_hands_out_no_ids_and_commits_what_is_in_flight() {
    let mut fixture = Fixture::new();
    fixture.config.mailbox = 0;
    let latch = fixture.hold_answers();
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        let run = pipeline.run(1..=100);
        fixture.wait_in_flight(4).await;
        pipeline.pause();
        latch.open();
        eventually("four ids are settled", || run.progress().settled() == 4).await;
        // The answer to this message comes after everything that the pause could still let through.
        let coordinator = pipeline.coordinator();
        coordinator.send(Pause).await.unwrap();
        assert_eq!(fixture.server.stats().requests, 4);
        assert_eq!(
            (run.progress().in_flight, run.watch().is_over()),
            (0, false)
        );
        pipeline.resume();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(report.totals.stored, 100);
}

#[test]
fn a_paused_run_can_be_cancelled_and_a_paused_pipeline_shut_down() {
    let fixture = Fixture::new();
    let (report, shutdown) = in_system(async {
        let pipeline = fixture.pipeline().await;
        pipeline.pause();
        let first = pipeline.run(1..=10);
        let _second = pipeline.run(11..=30);
        first.cancel();
        let report = first.await.unwrap();
        (report, pipeline.shutdown(LONG).await.unwrap())
    });
    assert_eq!(
        (report.totals.not_attempted, report.interrupted),
        (10, true)
    );
    assert_eq!(
        (shutdown.runs, shutdown.requested, shutdown.not_attempted),
        (1, 20, 20)
    );
    assert_eq!(fixture.server.stats().requests, 0);
}

#[test]
fn a_stream_of_events_starts_at_once_and_ends_with_the_final_count() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    in_system(async {
        let run = fixture.pipeline().await.run(1..=50);
        let mut events = Box::pin(run.events(Duration::from_millis(1)));
        assert_eq!(events.next().await.unwrap().settled(), 0);
        fixture.wait_in_flight(4).await;
        assert_eq!(events.next().await.unwrap().settled(), 0);
        let watch = run.watch();
        latch.open();
        let last = events.fold(None, async |_, progress| Some(progress)).await;
        assert_eq!(last.unwrap(), run.await.unwrap().totals);
        assert!(watch.is_over());
        // A stream that starts after the end has the last count too.
        let late: Vec<_> = watch.events(LONG).collect().await;
        assert_eq!((late.len(), late[0].stored), (1, 50));
    });
}

#[test]
fn a_run_is_over_as_soon_as_it_gave_its_result() {
    let fixture = Fixture::new();
    // On another thread, the pipeline sends the result while this one looks.
    let builder = fixture.builder();
    let mut locker = fixture.connection();
    in_system(async {
        let pipeline = builder.own_thread().start().await.unwrap();
        for _ in 0..50 {
            let run = pipeline.run([1]);
            let watch = run.watch();
            assert_eq!(run.await.unwrap().totals.stored, 1);
            assert!(watch.is_over());
        }
        // A run that ends with its pipeline, because its record waits for a locked database.
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let run = pipeline.run(1..=4);
        while run.progress().bytes == 0 {
            actix_rt::time::sleep(Duration::from_millis(1)).await;
        }
        let watch = run.watch();
        pipeline.coordinator().do_send(Shutdown {
            within: Duration::ZERO,
        });
        assert_eq!(run.await.err(), Some(PipelineStopped));
        assert!(watch.is_over());
        locker.batch_execute("COMMIT").unwrap();
    });
}

#[test]
fn handles_and_builders_can_be_printed_for_debugging() {
    let fixture = Fixture::new();
    in_system(async {
        let builder = fixture.builder().name("notes");
        let text = format!("{builder:?}");
        assert!(
            text.contains("notes") && text.contains("workers: 4"),
            "{text}"
        );
        let client = Client::new(&fixture.config);
        assert!(format!("{client:?}").starts_with("Client"));
        let pipeline = fixture.pipeline().await;
        let run = pipeline.run([1]);
        let watch = run.watch();
        assert!(format!("{pipeline:?}").contains("is_stopped: false"));
        assert!(format!("{run:?} {watch:?}").contains("is_over: "));
        assert_eq!(run.await.unwrap().totals.stored, 1);
        assert!(format!("{watch:?}").contains("is_over: true"));
    });
}

#[test]
fn events_end_if_the_pipeline_stops_before_the_run() {
    let fixture = Fixture::new();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        pipeline.shutdown(LONG).await.unwrap();
        let run = pipeline.run(1..=5);
        let events: Vec<_> = run.events(LONG).collect().await;
        assert_eq!(events.len(), 1);
        assert_eq!(run.await.err(), Some(PipelineStopped));
        assert_eq!(pipeline.shutdown(LONG).await, Err(PipelineStopped));
    });
}

async fn shut_down_with_four_in_flight(
    fixture: &Fixture,
    pipeline: Pipeline<i64>,
) -> ShutdownReport {
    let latch = fixture.hold_answers();
    let first = pipeline.run(1..=1000);
    let second = pipeline.run(1001..=1500);
    fixture.wait_in_flight(4).await;
    let mut shutdown = Box::pin(pipeline.shutdown(LONG));
    assert!(shutdown.as_mut().now_or_never().is_none());
    // This message is behind the shutdown in the same mailbox, so its answer comes after the shutdown began.
    let _ = pipeline
        .coordinator()
        .send(GetProgress(first.watch().id()))
        .await;
    latch.open();
    let first = first.await.unwrap();
    let second = second.await.unwrap();
    assert!(first.interrupted && second.interrupted);
    assert_eq!((first.totals.stored, second.totals.stored), (4, 0));
    shutdown.await.unwrap()
}

#[test]
fn a_shutdown_drains_every_run_reports_what_was_stored_and_closes_the_file() {
    for own_thread in [false, true] {
        let fixture = Fixture::new();
        let shutdown = in_system(async {
            let mut builder = fixture.builder().database(fixture.database_file());
            if own_thread {
                builder = builder.own_thread();
            }
            shut_down_with_four_in_flight(&fixture, builder.start().await.unwrap()).await
        });
        let mut expected = ShutdownReport::default();
        (expected.runs, expected.requested) = (2, 1500);
        (expected.stored, expected.not_attempted) = (4, 1496);
        assert_eq!(shutdown, expected);
        assert_eq!(fixture.count_rows("notes"), 4);
        // SQLite removes the log with the last connection to the file.
        assert!(!fixture.database_file().with_extension("db-wal").exists());
    }
}

#[test]
fn a_shutdown_keeps_its_bound_even_if_the_server_never_answers() {
    let mut fixture = Fixture::new();
    fixture.config.timeout = LONG;
    fixture.server.otherwise(|_| Reply::hang());
    let began = Instant::now();
    let shutdown = in_system(async {
        let pipeline = fixture.pipeline().await;
        let _run = pipeline.run(1..=10);
        fixture.wait_in_flight(4).await;
        pipeline.shutdown(Duration::from_millis(100)).await.unwrap()
    });
    assert_eq!((shutdown.not_attempted, shutdown.undecided), (10, 0));
    assert!(began.elapsed() < LONG / 2);
}

#[test]
fn records_that_a_locked_database_did_not_take_in_time_are_undecided() {
    let fixture = Fixture::new();
    let mut locker = fixture.connection();
    let (shutdown, run) = in_system(async {
        let pipeline = fixture.pipeline().await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let run = pipeline.run(1..=10);
        let queued = pipeline.run(11..=15);
        fixture.wait_for_requests(10).await;
        let shutdown = pipeline.shutdown(Duration::from_millis(200)).await.unwrap();
        locker.batch_execute("COMMIT").unwrap();
        assert_eq!(queued.await.err(), Some(PipelineStopped));
        (shutdown, run.await)
    });
    assert_eq!(run.err(), Some(PipelineStopped));
    assert_eq!(
        (shutdown.runs, shutdown.requested, shutdown.stored),
        (2, 15, 0)
    );
    assert!(shutdown.undecided > 0, "{shutdown:?}");
    assert_eq!(shutdown.undecided + shutdown.not_attempted, 15);
}

#[test]
fn messages_to_the_coordinator_do_all_that_the_handle_does() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let coordinator = pipeline.coordinator();
        let first = Start::list(1..=100);
        let second = Start::list(101..=110);
        let first_id = first.run();
        let second_id = second.run();
        let first_report = coordinator.send(first);
        let second_report = coordinator.send(second);
        fixture.wait_in_flight(4).await;
        coordinator.send(Pause).await.unwrap();
        coordinator.send(Resume).await.unwrap();
        let progress = coordinator.send(GetProgress(first_id)).await.unwrap();
        assert_eq!(progress.map(|now| now.in_flight), Some(4));
        coordinator.send(Cancel(second_id)).await.unwrap();
        coordinator.send(Cancel(first_id)).await.unwrap();
        latch.open();
        let report = first_report.await.unwrap().unwrap();
        assert_eq!((report.totals.stored, report.interrupted), (4, true));
        assert_eq!(
            second_report.await.unwrap().unwrap().totals.not_attempted,
            10
        );
        assert_eq!(coordinator.send(GetProgress(first_id)).await.unwrap(), None);
        let shutdown = coordinator.send(Shutdown { within: LONG }).await.unwrap();
        assert_eq!(shutdown, Ok(ShutdownReport::default()));
        drop(pipeline);
    });
}

//! A pipeline on a thread of its own: where it can be started, what it outlives, and when its thread ends.

use std::{future::Future, thread, time::Duration};

use actix_rt::System;
use futures_util::FutureExt;
use hn_ingest::{
    Builder, Pipeline, PipelineStopped, Run, RunWatch, StartError, ingest::messages::Pause,
};

use crate::{
    fixture::{Fixture, NotesSink, NotesSource},
    support::in_system,
};

const LONG: Duration = Duration::from_secs(60);

/// A builder of a pipeline with a thread of its own.
fn builder(fixture: &Fixture) -> Builder<NotesSource, NotesSink> {
    let builder = fixture.builder().database(fixture.database_file());
    builder.own_thread()
}

/// The runtimes of `#[tokio::main]`.
fn tokio_runtimes() -> [tokio::runtime::Runtime; 2] {
    let multi_thread = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let current_thread = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    [multi_thread.unwrap(), current_thread.unwrap()]
}

#[test]
fn what_a_host_holds_can_be_sent_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    let fixture = Fixture::new();
    is_send(&fixture.builder());
    is_send(&fixture.builder().start());
    is_send(&builder(&fixture).start());
    is_shared::<Pipeline<i64>>();
    is_shared::<RunWatch>();
    is_send(&None::<Run<i64>>);
}

#[test]
fn it_starts_runs_and_drains_in_a_plain_tokio_runtime() {
    for tokio in tokio_runtimes() {
        let fixture = Fixture::new();
        let start = builder(&fixture).start();
        let (report, shutdown) = tokio.block_on(async {
            // Started in a task, which may run on any thread.
            let pipeline = tokio::spawn(start).await.unwrap().unwrap();
            let report = tokio::spawn(pipeline.run(1..=200)).await.unwrap().unwrap();
            let latch = fixture.hold_answers();
            let run = pipeline.run(201..=1200);
            fixture.wait_in_flight(4).await;
            let mut shutdown = Box::pin(pipeline.shutdown(LONG));
            assert!(shutdown.as_mut().now_or_never().is_none());
            // This message is behind the shutdown in the same mailbox, so its answer comes after the shutdown began.
            let _ = pipeline.coordinator().send(Pause).await;
            latch.open();
            assert_eq!(run.await.unwrap().totals.stored, 4);
            (report, shutdown.await.unwrap())
        });
        assert_eq!(report.totals.stored, 200);
        assert_eq!((shutdown.runs, shutdown.undecided), (1, 0));
        assert_eq!((shutdown.stored, shutdown.not_attempted), (4, 996));
    }
}

#[test]
fn it_can_be_started_and_awaited_in_a_runtime_without_sockets_and_timers() {
    let fixture = Fixture::new();
    let bare = tokio::runtime::Builder::new_current_thread().build();
    let report = bare.unwrap().block_on(async {
        let pipeline = builder(&fixture).start().await.unwrap();
        pipeline.run(1..=200).await.unwrap()
    });
    assert_eq!(report.totals.stored, 200);
}

#[test]
fn its_handle_works_on_any_thread_while_the_hosts_arbiter_is_blocked() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let pipeline = builder(&fixture).start().await.unwrap();
        // `join` blocks the host's arbiter until the run is over.
        let elsewhere = pipeline.clone();
        let thread = thread::spawn(move || {
            let [_, tokio] = tokio_runtimes();
            tokio.block_on(elsewhere.run(1..=200)).unwrap()
        });
        thread.join().unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(report.totals.stored, 200);
}

#[test]
fn it_outlives_the_system_of_its_host_and_drains_after_it() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    let host = System::new();
    let (pipeline, run) = host.block_on(async {
        let here = System::current().id();
        let pipeline = builder(&fixture).start().await.unwrap();
        assert_eq!(System::current().id(), here, "the host keeps its System");
        let run = pipeline.run(1..=1000);
        fixture.wait_in_flight(4).await;
        System::current().stop();
        (pipeline, run)
    });
    // This returns when the System has stopped.
    host.run().unwrap();
    latch.open();
    let [_, tokio] = tokio_runtimes();
    let shutdown = tokio.block_on(pipeline.shutdown(LONG)).unwrap();
    assert!(shutdown.stored >= 4, "{shutdown:?}");
    assert_eq!((shutdown.requested, shutdown.undecided), (1000, 0));
    let report = tokio.block_on(run).unwrap();
    assert_eq!(report.totals.stored, shutdown.stored);
    assert_eq!(fixture.count_rows("notes"), shutdown.stored);
}

#[test]
fn it_goes_on_after_the_runtime_that_started_it_is_gone() {
    let fixture = Fixture::new();
    for tokio in tokio_runtimes() {
        let pipeline = tokio.block_on(builder(&fixture).start()).unwrap();
        drop(tokio);
        let [_, later] = tokio_runtimes();
        let report = later.block_on(pipeline.run(1..=50)).unwrap();
        assert_eq!(report.totals.stored, 50);
    }
}

#[test]
fn without_its_own_thread_it_ends_with_the_arbiter_that_started_it() {
    let fixture = Fixture::new();
    let latch = fixture.hold_answers();
    in_system(async {
        // As a handler of actix-web would: each of its workers is an arbiter.
        let worker = actix_rt::Arbiter::new();
        let (started, pipeline) = tokio::sync::oneshot::channel();
        let start = fixture.builder().database(fixture.database_file()).start();
        worker.spawn(async { _ = started.send(start.await) });
        let pipeline = pipeline.await.unwrap().unwrap();
        let run = pipeline.run(1..=1000);
        fixture.wait_in_flight(4).await;
        worker.stop();
        assert_eq!(run.await.err(), Some(PipelineStopped));
        assert_eq!(pipeline.shutdown(LONG).await, Err(PipelineStopped));
    });
    latch.open();
}

#[test]
fn an_id_stream_may_hold_the_last_handle() {
    let fixture = Fixture::new();
    let [_, tokio] = tokio_runtimes();
    tokio.block_on(async {
        let pipeline = builder(&fixture).start().await.unwrap();
        let holding = pipeline.clone();
        // The handle is dropped on the pipeline's own thread.
        let run = pipeline.run((1..=10).inspect(move |_| _ = &holding));
        drop(pipeline);
        assert_eq!(run.await.unwrap().totals.stored, 10);
    });
}

#[test]
fn what_keeps_it_from_starting_is_an_error_from_everywhere() {
    fn error<T>(started: impl Future<Output = Result<T, StartError>>) -> StartError {
        let [_, tokio] = tokio_runtimes();
        tokio.block_on(started).err().unwrap()
    }
    let mut fixture = Fixture::new();
    let elsewhere = fixture
        .builder()
        .own_thread()
        .database("/nowhere/at/all.db");
    assert!(matches!(error(elsewhere.start()), StartError::Database(_)));
    fixture.config.workers = 0;
    let no_workers = builder(&fixture);
    assert!(matches!(error(no_workers.start()), StartError::Setting(_)));
}

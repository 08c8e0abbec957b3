//! What a host learns of each id: every id once, after its commit, and with back-pressure.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use hn_ingest::{
    FailureKind, IdOutcome, IdResult, Outcomes, Pipeline, Report,
    test_util::{Latch, Reply},
};

use crate::{
    fixture::{Fixture, PANICS_IN_DECODE, PANICS_IN_URL, out_for, storage_lost},
    support::{eventually, in_system},
};

/// The outcomes of each id, in the order in which they came.
type ById = BTreeMap<i64, Vec<IdOutcome>>;

fn add(by_id: &mut ById, batch: Vec<IdResult<i64>>) {
    for IdResult { id, outcome, .. } in batch {
        by_id.entry(id).or_default().push(outcome);
    }
}

async fn read(mut outcomes: Outcomes<i64>) -> ById {
    let mut by_id = ById::new();
    while let Some(batch) = outcomes.next_batch().await {
        add(&mut by_id, batch);
    }
    by_id
}

/// Runs these ids, and reads all of their outcomes.
async fn run_all(
    pipeline: &Pipeline<i64>,
    ids: impl Stream<Item = i64> + Send + 'static,
) -> (Report<i64>, ById) {
    let (run, outcomes) = pipeline.run_with_outcomes(ids);
    let (report, by_id) = tokio::join!(run, read(outcomes));
    (report.unwrap(), by_id)
}

fn count(by_id: &ById, matches: impl Fn(&IdOutcome) -> bool) -> u64 {
    let outcomes = by_id.values().flatten();
    outcomes.filter(|outcome| matches(outcome)).count() as u64
}

/// Every id has exactly one outcome, and they are as many as the report says.
fn check(by_id: &ById, report: &Report<i64>, ids: impl Iterator<Item = i64>) {
    assert!(by_id.keys().copied().eq(ids), "every id, and no other");
    assert!(by_id.values().all(|outcomes| outcomes.len() == 1));
    let totals = &report.totals;
    let is_failed = |outcome: &IdOutcome| matches!(outcome, IdOutcome::Failed(_));
    for (name, counted, reported) in [
        (
            "stored",
            count(by_id, |o| *o == IdOutcome::Stored),
            totals.stored,
        ),
        (
            "absent",
            count(by_id, |o| *o == IdOutcome::Absent),
            totals.absent,
        ),
        ("failed", count(by_id, is_failed), totals.failed),
        (
            "not attempted",
            count(by_id, |o| *o == IdOutcome::NotAttempted),
            totals.not_attempted,
        ),
    ] {
        assert_eq!(counted, reported, "{name}");
    }
}

#[test]
fn each_id_is_reported_once_with_its_outcome_and_failures_beyond_a_hundred_too() {
    let fixture = Fixture::new();
    for id in 1..=150 {
        fixture.on(id, [Reply::status(404)]);
    }
    fixture.on(200, [Reply::json("null")]);
    fixture.on(201, [Reply::body("<html>")]);
    let special = [PANICS_IN_URL, PANICS_IN_DECODE];
    let ids: Vec<_> = (1..=1000).chain(special).collect();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (report, by_id) = run_all(&pipeline, stream::iter(ids.clone())).await;
        check(&by_id, &report, ids.into_iter());
        assert_eq!(report.failures.len(), 100);
        assert_eq!(by_id[&200], [IdOutcome::Absent]);
        for (id, kind) in [
            (150, FailureKind::Status),
            (201, FailureKind::Decode),
            (PANICS_IN_URL, FailureKind::Panic),
            (PANICS_IN_DECODE, FailureKind::Panic),
        ] {
            let [IdOutcome::Failed(failure)] = &by_id[&id][..] else {
                panic!("{id}: {:?}", by_id[&id]);
            };
            assert_eq!(failure.kind, kind, "{id}");
        }
    });
}

#[test]
fn an_id_that_is_listed_twice_is_reported_twice() {
    let fixture = Fixture::new();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (_, by_id) = run_all(&pipeline, stream::iter([1, 2, 1])).await;
        assert_eq!((by_id[&1].len(), by_id[&2].len()), (2, 1));
    });
}

#[test]
fn a_batch_that_is_not_read_holds_the_run_up() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 2;
    fixture.config.batch = 1;
    let pulled = Arc::new(AtomicUsize::new(0));
    let counting = pulled.clone();
    let ids = stream::iter((1..=1000).inspect(move |_| {
        counting.fetch_add(1, SeqCst);
    }));
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (run, mut outcomes) = pipeline.run_with_outcomes(ids);
        eventually("some are stored", || run.progress().stored >= 1).await;
        actix_rt::time::sleep(Duration::from_millis(300)).await;
        // One batch in the channel, one that waits for it, and what fetchers and the backlog held by then.
        let pulled_at_once = pulled.load(SeqCst);
        assert!(pulled_at_once <= 10, "{pulled_at_once} were pulled");
        let mut by_id = ById::new();
        add(&mut by_id, outcomes.next_batch().await.unwrap());
        let (report, rest) = tokio::join!(run, read(outcomes));
        by_id.extend(rest);
        check(&by_id, &report.unwrap(), 1..=1000);
    });
}

#[test]
fn a_run_goes_on_if_its_reader_is_gone() {
    let fixture = Fixture::new();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (run, mut outcomes) = pipeline.run_with_outcomes(stream::iter(1..=2000));
        outcomes.next_batch().await.unwrap();
        drop(outcomes);
        assert_eq!(run.await.unwrap().totals.stored, 2000);
    });
}

#[test]
fn a_cancel_hands_back_every_id_of_a_list_and_every_id_taken_from_a_stream() {
    for is_list in [true, false] {
        let mut fixture = Fixture::new();
        fixture.config.mailbox = 3;
        fixture.config.drain = Duration::from_millis(50);
        let gate = Latch::new();
        for id in 500..=600 {
            fixture.on(id, [Reply::json("{}").held_by(&gate)]);
        }
        let taken = Arc::new(AtomicUsize::new(0));
        let counting = taken.clone();
        let list = stream::iter(1..=2000_i64);
        let ids = if is_list {
            list.boxed()
        } else {
            let endless = stream::unfold(0_i64, |last| async move { Some((last + 1, last + 1)) });
            endless.boxed()
        };
        let ids = ids.inspect(move |_| {
            counting.fetch_add(1, SeqCst);
        });
        in_system(async {
            let pipeline = fixture.pipeline().await;
            let (run, outcomes) = pipeline.run_with_outcomes(ids);
            let watch = run.watch();
            let reading = actix_rt::spawn(read(outcomes));
            eventually("requests hang", || watch.progress().stored >= 490).await;
            run.cancel();
            let report = run.await.unwrap();
            let by_id = reading.await.unwrap();
            assert!(report.totals.not_attempted > 0);
            let last = if is_list {
                2000
            } else {
                taken.load(SeqCst) as i64
            };
            check(&by_id, &report, 1..=last);
        });
    }
}

#[test]
fn a_shutdown_of_a_pipeline_on_its_own_thread_still_hands_every_id_back() {
    let fixture = Fixture::new();
    in_system(async {
        let builder = fixture.builder().database(fixture.database_file());
        let pipeline = builder.own_thread().start().await.unwrap();
        let (run, outcomes) = pipeline.run_with_outcomes(stream::iter(1..=8000));
        let reading = actix_rt::spawn(read(outcomes));
        eventually("some are stored", || run.progress().stored > 100).await;
        pipeline.shutdown(Duration::from_secs(10)).await.unwrap();
        let report = run.await.unwrap();
        drop(pipeline);
        check(&reading.await.unwrap(), &report, 1..=8000);
    });
}

#[test]
fn ids_that_an_outage_or_a_ban_or_a_full_disk_leaves_are_handed_back() {
    let ids = 10_001..=12_000;
    in_system(async {
        let mut fixture = Fixture::new();
        fixture.config.outage_patience = Duration::ZERO;
        fixture.server.otherwise(|_| Reply::status(502));
        let pipeline = fixture.pipeline().await;
        let (report, by_id) = run_all(&pipeline, stream::iter(ids.clone())).await;
        assert!(out_for(&report).is_some());
        check(&by_id, &report, ids.clone());

        fixture.server.otherwise(|_| Reply::status(403));
        let (report, by_id) = run_all(&pipeline, stream::iter(ids.clone())).await;
        assert_eq!(report.totals.not_attempted, 2000);
        check(&by_id, &report, ids.clone());

        fixture.server.otherwise(|_| Reply::json("{}"));
        std::fs::remove_file(fixture.database_file()).unwrap();
        let (report, by_id) = run_all(&pipeline, stream::iter(ids.clone())).await;
        assert!(storage_lost(&report).is_some());
        check(&by_id, &report, ids);
    });
}

#[test]
fn outcomes_end_after_a_cancel_although_the_rest_of_the_ids_would_have_to_be_waited_for() {
    let fixture = Fixture::new();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        // It says that three ids are left and gives one.
        let waiting = stream::iter([2, 3]).then(|_| std::future::pending::<i64>());
        let (run, mut outcomes) = pipeline.run_with_outcomes(stream::iter([1]).chain(waiting));
        let first = outcomes.next_batch().await.unwrap();
        assert_eq!((first[0].id, &first[0].outcome), (1, &IdOutcome::Stored));
        run.cancel();
        assert!(outcomes.next_batch().await.is_none());
        fixture.check_report(&run.await.unwrap());
    });
}

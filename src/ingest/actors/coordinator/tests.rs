//! Tests of the coordinator with test actors instead of fetchers and Storage. Some of them die, which the real ones are built not
//! to do.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient};
use tokio::sync::oneshot;

use super::*;
use crate::ingest::{
    backlog::RowPermit,
    limits::signal::{Blame, Signal},
    messages::{Cancel, FailedRow, ServedRow, Start, StartRun},
    outcome::{
        answer::{Answer, AnsweredId},
        failure::{Failure, FailureKind},
        report::Report,
    },
};

/// The fetcher that gets this id stops.
const DEADLY: i64 = 13;

/// The fetcher that gets this id panics.
const POISON: i64 = 14;

/// Starting one more fetcher kills the coordinator.
const FETCHERS_MAX: usize = 100;

/// A fetcher that answers at once, as its script says. It stops at one id and panics at another.
struct MortalFetcher {
    slot: usize,
    api: ApiScript,
    answers: Recipient<Fetched<i64>>,
    death: Recipient<FetcherGone>,
}

/// Decides how an attempt for an id ends. Called once for each id that is handed out.
type ApiScript = Arc<Mutex<dyn FnMut(i64) -> Signal + Send>>;

fn healthy() -> ApiScript {
    Arc::new(Mutex::new(|_| Signal::Served))
}

impl Actor for MortalFetcher {
    type Context = Context<Self>;
}

impl Drop for MortalFetcher {
    fn drop(&mut self) {
        self.death.do_send(FetcherGone { slot: self.slot });
    }
}

impl Handler<Fetch<i64>> for MortalFetcher {
    type Result = ();

    fn handle(&mut self, Fetch { id, control, .. }: Fetch<i64>, ctx: &mut Self::Context) {
        match id {
            DEADLY => return ctx.stop(),
            POISON => panic!("poisoned"),
            _ => {}
        }
        let signal = (self.api.lock().expect("the API"))(id);
        control.record_signal(signal, None);
        let failed = |kind, blame| Answer::Failed(Failure::new(kind, "refused", 1), blame);
        let answer = match signal {
            Signal::Served => Answer::Absent,
            Signal::Neutral => failed(FailureKind::Status, Blame::Refusal),
            _ => failed(FailureKind::Connect, Blame::Outage),
        };
        self.answers.do_send(Fetched {
            slot: self.slot,
            result: Ok(AnsweredId {
                id,
                answer,
                attempts: 1,
                received_at: SystemTime::now(),
                permit: RowPermit::default(),
            }),
            breaker: control.breaker().state(),
        });
    }
}

/// A Storage that reports every answer as committed at once. If it is mortal, it dies at the first answer.
struct InstantStorage {
    committed: Recipient<Committed<i64>>,
    death: Recipient<StorageGone>,
    is_mortal: bool,
}

impl Actor for InstantStorage {
    type Context = Context<Self>;
}

impl Drop for InstantStorage {
    fn drop(&mut self) {
        self.death.do_send(StorageGone);
    }
}

impl Handler<ToStorage<i64>> for InstantStorage {
    type Result = ();

    fn handle(&mut self, message: ToStorage<i64>, ctx: &mut Self::Context) {
        let ToStorage::Save(save) = message else {
            return;
        };
        if self.is_mortal {
            return ctx.stop();
        }
        let mut committed = Committed::nothing(save.run);
        let answered = save.row.answered;
        match answered.answer {
            Answer::Failed(failure, _) => {
                committed.failed.push(FailedRow {
                    number: save.row.number,
                    id: answered.id,
                    failure,
                });
            }
            _ => {
                committed.served.push(ServedRow {
                    number: save.row.number,
                    is_stored: false,
                });
            }
        }
        self.committed.do_send(committed);
    }
}

/// A coordinator with test actors.
struct TestPipeline {
    config: Config,
    api: ApiScript,
    has_mortal_storage: bool,
    fetchers_started: Arc<AtomicUsize>,
}

impl TestPipeline {
    fn new(workers: usize, mailbox: usize) -> Self {
        Self {
            config: Config {
                workers,
                mailbox,
                ..Config::default()
            },
            api: healthy(),
            has_mortal_storage: false,
            fetchers_started: Arc::default(),
        }
    }

    fn with_api(mut self, api: impl FnMut(i64) -> Signal + Send + 'static) -> Self {
        self.api = Arc::new(Mutex::new(api));
        self
    }

    fn fetchers_started(&self) -> usize {
        self.fetchers_started.load(SeqCst)
    }

    fn start(&self) -> Addr<Coordinator<i64>> {
        let (count, api) = (self.fetchers_started.clone(), self.api.clone());
        let start_fetcher: StartFetcher<i64> = Box::new(move |slot, coordinator| {
            assert!(
                count.fetch_add(1, SeqCst) < FETCHERS_MAX,
                "no more fetchers"
            );
            MortalFetcher {
                slot,
                api: api.clone(),
                answers: coordinator.clone().recipient(),
                death: coordinator.clone().recipient(),
            }
            .start()
            .recipient()
        });
        Coordinator::create(|ctx: &mut Context<Coordinator<i64>>| {
            let storage = InstantStorage {
                committed: ctx.address().recipient(),
                death: ctx.address().recipient(),
                is_mortal: self.has_mortal_storage,
            }
            .start();
            let parts = Parts {
                start_fetcher,
                set_client_rate: Box::new(|_| {}),
                allow_client_workers: Box::new(|_| {}),
                read_events: Box::new(|_, _| {}),
                storage: storage.recipient(),
                cool_down: SharedCoolDown::default(),
                meters: Arc::new(Meters::new("test")),
                arbiter: PipelineArbiter::current(),
            };
            Coordinator::new(self.config.clone(), parts)
        })
    }

    /// Starts all runs at once. Returns their reports, with `None` for a run that ended without one.
    fn ingest(&self, runs: Vec<Vec<i64>>) -> Vec<Option<Report<i64>>> {
        actix_rt::System::new().block_on(async {
            let coordinator = self.start();
            let mut reports = Vec::new();
            for ids in runs {
                let (report, reported) = oneshot::channel();
                let start = Start::list(ids);
                coordinator.do_send(StartRun { start, report });
                reports.push(reported);
            }
            let mut received = Vec::new();
            for report in reports {
                received.push(report.await.ok());
            }
            received
        })
    }

    fn reports(&self, runs: Vec<Vec<i64>>) -> Vec<Report<i64>> {
        let reports = self.ingest(runs);
        reports
            .into_iter()
            .map(|report| report.expect("a report"))
            .collect()
    }
}

#[test]
fn a_dead_coordinator_is_an_error_to_every_caller_that_waits_for_a_report() {
    let pipeline = TestPipeline::new(2, 1);
    let reports = pipeline.ingest(vec![vec![DEADLY; 2 * FETCHERS_MAX]; 2]);
    assert_eq!(pipeline.fetchers_started(), FETCHERS_MAX + 1);
    assert!(reports.iter().all(Option::is_none));
}

#[test]
fn ten_thousand_runs_that_are_over_at_once_need_no_deep_stack() {
    let mut runs = vec![vec![100]];
    runs.extend(std::iter::repeat_n(vec![], 10_000));
    assert_eq!(TestPipeline::new(1, 0).reports(runs).len(), 10_001);
}

#[test]
fn a_dead_fetcher_is_replaced_and_costs_only_the_id_it_worked_on() {
    for deadly in [DEADLY, POISON] {
        for mailbox in [0, 1, 5] {
            let ids: Vec<i64> = (100..200).chain([deadly]).chain(200..300).collect();
            let pipeline = TestPipeline::new(4, mailbox);
            let report = &pipeline.reports(vec![ids])[0];
            let totals = &report.totals;
            assert_eq!(
                (totals.requested, totals.absent, totals.failed),
                (201, 200, 1)
            );
            assert_eq!(
                (report.failures[0].id, report.failures[0].kind),
                (deadly, "panic")
            );
            assert_eq!(
                (pipeline.fetchers_started(), totals.fetchers_replaced),
                (5, 1)
            );
        }
    }
}

#[test]
fn fetchers_that_die_cost_their_own_run_an_id_and_the_other_run_none() {
    let deadly = vec![DEADLY, POISON, DEADLY, POISON, DEADLY, POISON, DEADLY];
    let reports = TestPipeline::new(3, 1).reports(vec![deadly, (100..200).collect()]);
    assert_eq!(
        (reports[0].totals.failed, reports[0].totals.not_attempted),
        (7, 0)
    );
    assert_eq!(
        (reports[1].totals.absent, reports[1].totals.failed),
        (100, 0)
    );
}

#[test]
fn a_dead_storage_ends_runs_in_order_instead_of_hanging_them() {
    let pipeline = TestPipeline {
        has_mortal_storage: true,
        ..TestPipeline::new(3, 1)
    };
    for report in pipeline.reports(vec![(100..200).collect(), (200..300).collect()]) {
        assert_eq!(
            (report.totals.requested, report.totals.not_attempted),
            (100, 100)
        );
        assert_eq!(report.gave_up, Some(storage_died()));
    }
}

/// Fails the attempts from number `from` (counted from 0) up to number `to`.
fn fails_between(from: usize, to: usize) -> impl FnMut(i64) -> Signal + Send + 'static {
    let mut attempts = 0..;
    move |_| {
        let attempt = attempts.next().expect("a number");
        if (from..to).contains(&attempt) {
            Signal::Unreachable
        } else {
            Signal::Served
        }
    }
}

#[test]
fn a_single_attempt_that_fails_while_the_api_serves_others_is_its_ids_own_failure() {
    let pipeline = TestPipeline::new(4, 1).with_api(fails_between(50, 53));
    let report = &pipeline.reports(vec![(100..300).collect()])[0];
    assert_eq!((report.totals.absent, report.totals.failed), (197, 3));
}

#[test]
fn ids_that_fail_in_a_long_streak_are_fetched_again() {
    let pipeline = TestPipeline::new(4, 1).with_api(fails_between(50, 65));
    let report = &pipeline.reports(vec![(100..300).collect()])[0];
    assert_eq!((report.totals.absent, report.totals.failed), (200, 0));
}

#[test]
fn a_dead_api_costs_no_id_even_with_a_single_attempt_each() {
    let mut pipeline = TestPipeline::new(4, 1).with_api(|_| Signal::Unreachable);
    pipeline.config.outage_patience = Duration::from_millis(100);
    let report = &pipeline.reports(vec![(100..10_000).collect()])[0];
    assert_eq!(
        (report.totals.failed, report.totals.not_attempted),
        (0, 9900)
    );
    let Some(GaveUp::ApiOut { failing_for, .. }) = &report.gave_up else {
        panic!("{report:?}");
    };
    assert!(*failing_for >= Duration::from_secs(3));
}

#[test]
fn the_last_few_ids_of_a_run_fail_without_a_wait_when_the_api_is_dead() {
    let pipeline = TestPipeline::new(4, 4).with_api(|_| Signal::Unreachable);
    let report = &pipeline.reports(vec![(100..120).collect()])[0];
    assert_eq!((report.totals.failed, &report.gave_up), (20, &None));
}

#[test]
fn an_id_that_fails_while_no_other_is_in_flight_is_settled_without_a_wait_for_the_next_id() {
    actix_rt::System::new().block_on(async {
        let coordinator = TestPipeline::new(4, 1)
            .with_api(|_| Signal::Unreachable)
            .start();
        let (ids, stream) = tokio::sync::mpsc::unbounded_channel();
        let start = Start::stream(futures_util::stream::unfold(stream, |mut stream| async {
            stream.recv().await.map(|id| (id, stream))
        }));
        let control = start.control.clone();
        let (report, _reported) = oneshot::channel();
        coordinator.do_send(StartRun { start, report });
        ids.send(100).expect("a receiver");
        while control.recorder.progress().failed == 0 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn ids_that_failed_in_a_long_streak_are_fetched_again_while_the_stream_is_quiet() {
    actix_rt::System::new().block_on(async {
        let pipeline = TestPipeline::new(4, 0).with_api(fails_between(0, 15));
        let coordinator = pipeline.start();
        let ids = futures_util::stream::iter(100..120);
        let quiet = futures_util::stream::pending();
        let start = Start::stream(futures_util::StreamExt::chain(ids, quiet));
        let control = start.control.clone();
        let (report, _reported) = oneshot::channel();
        coordinator.do_send(StartRun { start, report });
        while control.recorder.progress().absent < 20 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn ids_that_failed_in_a_long_streak_are_left_to_the_next_run_by_a_cancel() {
    actix_rt::System::new().block_on(async {
        let coordinator = TestPipeline::new(4, 1)
            .with_api(|_| Signal::Unreachable)
            .start();
        let start = Start::list(100..100_100);
        let run = start.run();
        let control = start.control.clone();
        let (report, reported) = oneshot::channel();
        coordinator.do_send(StartRun { start, report });
        while !control.breaker().state().doubts_api() {
            tokio::task::yield_now().await;
        }
        coordinator.do_send(Cancel(run));
        let totals = reported.await.expect("a report").totals;
        assert_eq!((totals.failed, totals.not_attempted), (0, 100_000));
    });
}

#[test]
fn a_range_of_ids_that_always_fail_does_not_hide_the_ids_behind_it() {
    let mut pipeline = TestPipeline::new(4, 1).with_api(|id| {
        if (100..600).contains(&id) {
            Signal::Unreachable
        } else {
            Signal::Served
        }
    });
    pipeline.config.max_refusals = 0;
    let report = &pipeline.reports(vec![(20..2000).collect()])[0];
    let totals = &report.totals;
    assert_eq!(
        (totals.absent, totals.failed, totals.not_attempted),
        (1480, 500, 0)
    );
}

/// Refuses the attempts from number `from` (counted from 0) on, except those that `serves` picks.
fn refuses_from(
    from: usize,
    serves: fn(usize) -> bool,
) -> impl FnMut(i64) -> Signal + Send + 'static {
    let mut attempts = 0..;
    move |_| {
        let attempt = attempts.next().expect("a number");
        if attempt < from || serves(attempt) {
            Signal::Served
        } else {
            Signal::Neutral
        }
    }
}

#[test]
fn a_run_that_is_refused_again_and_again_ends_and_leaves_these_ids_to_the_next_run() {
    for workers in [1, 4, 64] {
        let pipeline = TestPipeline::new(workers, 0).with_api(refuses_from(50, |_| false));
        let report = &pipeline.reports(vec![(100..20_100).collect()])[0];
        let totals = &report.totals;
        assert_eq!(
            (totals.absent, totals.failed, totals.not_attempted),
            (50, 0, 19_950)
        );
        assert!(totals.attempts <= 150 + workers as u64, "{totals:?}");
        let Some(GaveUp::ApiRefuses { ids, last_failure }) = &report.gave_up else {
            panic!("{report:?}");
        };
        assert!((100..100 + workers).contains(ids), "{ids}");
        assert_eq!(last_failure.kind, FailureKind::Status);
    }
}

#[test]
fn ids_that_are_refused_while_others_are_served_are_settled_as_failed() {
    let pipeline = TestPipeline::new(4, 1).with_api(refuses_from(0, |attempt| attempt % 90 == 0));
    let report = &pipeline.reports(vec![(100..1000).collect()])[0];
    assert_eq!((report.totals.absent, report.totals.failed), (10, 890));
    assert_eq!(report.gave_up, None);
}

#[test]
fn fewer_refused_ids_than_end_a_run_are_settled_at_its_end() {
    let pipeline = TestPipeline::new(4, 1).with_api(refuses_from(0, |_| false));
    let report = &pipeline.reports(vec![(100..199).collect()])[0];
    assert_eq!((report.totals.failed, &report.gave_up), (99, &None));
}

#[test]
fn without_a_limit_every_refused_id_is_settled_as_failed() {
    let mut pipeline = TestPipeline::new(4, 1).with_api(refuses_from(0, |_| false));
    pipeline.config.max_refusals = 0;
    let report = &pipeline.reports(vec![(100..1100).collect()])[0];
    assert_eq!((report.totals.failed, &report.gave_up), (1000, &None));
}

//! The coordinator among actors that die, which the real ones are built not to do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient};
use tokio::sync::oneshot;

use super::*;
use crate::ingest::{Report, messages::Start};

const DEADLY: i64 = 13;
const POISON: i64 = 14;

/// Hiring one more kills the coordinator.
const HIRED_MAX: usize = 100;

/// Answers `null` at once; stops at one id, and panics at another.
struct Mortal {
    slot: usize,
    answers: Recipient<Fetched>,
    death: Recipient<FetcherGone>,
}

impl Actor for Mortal {
    type Context = Context<Self>;
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.death.do_send(FetcherGone { slot: self.slot });
    }
}

impl Handler<Fetch<i64>> for Mortal {
    type Result = ();

    fn handle(&mut self, Fetch { id, .. }: Fetch<i64>, ctx: &mut Self::Context) {
        match id {
            DEADLY => ctx.stop(),
            POISON => panic!("poisoned"),
            _ => self.answers.do_send(Fetched {
                slot: self.slot,
                answer: Answer::Absent,
                received_at: SystemTime::now(),
                attempts: 1,
                room: None,
            }),
        }
    }
}

/// Says of everything that it is committed; dies at the first answer when it is told to.
struct Ledger {
    committed: Recipient<Committed<i64>>,
    death: Recipient<StorageGone>,
    mortal: bool,
}

impl Actor for Ledger {
    type Context = Context<Self>;
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.death.do_send(StorageGone);
    }
}

impl Handler<Save<i64>> for Ledger {
    type Result = ();

    fn handle(&mut self, save: Save<i64>, ctx: &mut Self::Context) {
        if self.mortal {
            return ctx.stop();
        }
        let mut committed = Committed::nothing(save.run);
        match save.answer {
            Answer::Failed(kind, message) => {
                let failure = crate::ingest::Failure {
                    kind,
                    message,
                    attempts: save.attempts,
                };
                committed.failed.push((save.id, failure));
            }
            _ => committed.absent = 1,
        }
        self.committed.do_send(committed);
    }
}

impl Handler<Flush> for Ledger {
    type Result = ();

    fn handle(&mut self, _: Flush, _: &mut Self::Context) {}
}

/// Runs `ids` over `workers` mortal fetchers; gives the reports and how many fetchers were hired in all.
fn run(
    workers: usize,
    mailbox: usize,
    mortal: bool,
    runs: Vec<Vec<i64>>,
) -> (Vec<Option<Report<i64>>>, usize) {
    let config = Config {
        workers,
        mailbox,
        ..Config::default()
    };
    let hired = Arc::new(AtomicUsize::new(0));
    let count = hired.clone();
    let reports = actix_rt::System::new().block_on(async move {
        let hire: Hire<i64> = Box::new(move |slot, coordinator: &Addr<Coordinator<i64>>| {
            assert!(count.fetch_add(1, SeqCst) < HIRED_MAX, "no more fetchers");
            let (answers, death) = (
                coordinator.clone().recipient(),
                coordinator.clone().recipient(),
            );
            Mortal {
                slot,
                answers,
                death,
            }
            .start()
            .recipient()
        });
        let coordinator = Coordinator::create(|ctx: &mut Context<Coordinator<i64>>| {
            let me = ctx.address();
            let (committed, death) = (me.clone().recipient(), me.recipient());
            let ledger = Ledger {
                committed,
                death,
                mortal,
            }
            .start();
            let ledger = (ledger.clone().recipient(), ledger.recipient());
            let demand = Demand {
                look: Box::new(|| None),
                allow: Box::new(|_| {}),
            };
            Coordinator::new(
                &config,
                hire,
                (Box::new(|| None), demand),
                ledger,
                Home::here(),
                Meters::new("test"),
            )
        });
        let mut reports = Vec::new();
        for ids in runs {
            let (report, reported) = oneshot::channel();
            let start = Start::list(ids);
            coordinator.do_send(Begin { start, report });
            reports.push(reported);
        }
        let mut told = Vec::new();
        for report in reports {
            told.push(report.await.ok());
        }
        told
    });
    (reports, hired.load(SeqCst))
}

fn reports(workers: usize, mailbox: usize, mortal: bool, runs: Vec<Vec<i64>>) -> Vec<Report<i64>> {
    let (reports, _) = run(workers, mailbox, mortal, runs);
    reports
        .into_iter()
        .map(|report| report.expect("a report"))
        .collect()
}

#[test]
fn a_dead_coordinator_is_an_error_to_who_waits_for_a_report() {
    let (reports, hired) = run(2, 1, false, vec![vec![DEADLY; 2 * HIRED_MAX], vec![100]]);
    assert_eq!(hired, HIRED_MAX + 1);
    assert!(reports.iter().all(Option::is_none));
}

#[test]
fn ten_thousand_runs_that_are_over_at_once_need_no_deep_stack() {
    let mut runs = vec![vec![100]];
    runs.extend(std::iter::repeat_n(vec![], 10_000));
    assert_eq!(reports(1, 0, false, runs).len(), 10_001);
}

#[test]
fn a_dead_fetcher_is_replaced_and_costs_only_the_id_it_was_at() {
    for deadly in [DEADLY, POISON] {
        for mailbox in [0, 1, 5] {
            let ids: Vec<i64> = (100..200).chain([deadly]).chain(200..300).collect();
            let (reports, hired) = run(4, mailbox, false, vec![ids]);
            let report = reports[0].as_ref().expect("a report");
            let totals = &report.totals;
            assert_eq!(
                (totals.requested, totals.absent, totals.failed),
                (201, 200, 1)
            );
            assert_eq!(
                (report.failures[0].id, report.failures[0].kind),
                (deadly, "panic")
            );
            assert_eq!((hired, totals.fetchers_replaced), (5, 1));
        }
    }
}

#[test]
fn a_pool_whose_fetchers_all_die_goes_on_and_the_next_run_finds_it_whole() {
    let deadly = vec![DEADLY, POISON, DEADLY, POISON, DEADLY, POISON, DEADLY];
    let reports = reports(3, 1, false, vec![deadly, (100..200).collect()]);
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
    let reports = reports(3, 1, true, vec![(100..200).collect(), (200..300).collect()]);
    for report in reports {
        assert_eq!(
            (report.totals.requested, report.totals.not_attempted),
            (100, 100)
        );
        assert_eq!(report.storage_lost.as_deref(), Some(STORAGE_DIED));
    }
}

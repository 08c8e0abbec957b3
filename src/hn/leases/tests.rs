//! Random schedules of several runs on one database, against a model.

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    ExpressionMethods, QueryDsl, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
};
use proptest::prelude::*;

use super::{claim::*, hold::*, search::Search};
use crate::hn::{
    coverage::{self, Range},
    migrations::empty_database,
    plan::Refetch,
    process::Process,
    runs,
    schema::{absent, leases},
};

const LAST: i64 = 60;
const ALL: Range = Range { lo: 1, hi: LAST };
const RUNS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A run claims some ids.
    Claim { run: usize, count: u64 },
    /// A run commits the first of its ids, also if its lease has expired.
    Commit { run: usize, ids: usize },
    /// A run hears that the first of its ids is absent, which settles nothing.
    FindAbsent { run: usize },
    /// A run renews its leases.
    Renew { run: usize },
    /// A minute passes without a sign of a run.
    Expire { run: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let run = || 0..RUNS;
    let step = prop_oneof![
        4 => (run(), 1..15_u64).prop_map(|(run, count)| Step::Claim { run, count }),
        4 => (run(), 1..15_usize).prop_map(|(run, ids)| Step::Commit { run, ids }),
        1 => run().prop_map(|run| Step::FindAbsent { run }),
        2 => run().prop_map(|run| Step::Renew { run }),
        1 => run().prop_map(|run| Step::Expire { run }),
    ];
    prop::collection::vec(step, 0..40)
}

/// The processes that share the database. No one can see that another one has ended.
struct Runs {
    conn: SqliteConnection,
    runs: Vec<OneRun>,
    /// Ids with a committed outcome, absent ones included.
    answered: BTreeSet<i64>,
}

struct OneRun {
    row: i64,
    process: Process,
    search: Search,
    /// The ids of each lease that have no committed outcome.
    unanswered: BTreeMap<(i64, i64), Vec<i64>>,
    /// The leases that are known to hold.
    held: BTreeSet<(i64, i64)>,
}

impl Runs {
    fn new(newest_first: [bool; RUNS]) -> Self {
        let mut conn = empty_database();
        let runs = newest_first
            .into_iter()
            .enumerate()
            .map(|(number, newest_first)| {
                let process = Process {
                    machine: number.to_string(),
                    ..Process::this()
                };
                OneRun {
                    row: runs::begin(&mut conn, "backfill", &process, 0, Some(LAST)).unwrap(),
                    process,
                    search: Search::new(ALL, Refetch::default(), newest_first),
                    unanswered: BTreeMap::new(),
                    held: BTreeSet::new(),
                }
            });
        let runs = runs.collect();
        Self {
            conn,
            runs,
            answered: BTreeSet::new(),
        }
    }

    fn claim(&mut self, run: usize, count: u64) -> Claim {
        let OneRun {
            row,
            process,
            search,
            ..
        } = &mut self.runs[run];
        let own = leases::table.filter(leases::owner.eq(*row));
        let own: Vec<Range> = own
            .select((leases::lo, leases::hi))
            .load(&mut self.conn)
            .unwrap();
        let conn = &mut self.conn;
        claim(conn, search, *row, "backfill", process, &own, count).unwrap()
    }

    /// Claims, and checks that nobody else has these ids.
    fn claim_and_check(&mut self, run: usize, count: u64) -> bool {
        let Claim::Ids { lease, ids } = self.claim(run, count) else {
            return false;
        };
        let ids: Vec<i64> = ids.collect();
        assert!(!ids.is_empty() && ids.len() as u64 <= count);
        let held: BTreeSet<_> = self.runs.iter().flat_map(|run| &run.held).collect();
        for id in &ids {
            assert!(lease.lo <= *id && *id <= lease.hi);
            assert!(!self.answered.contains(id), "{id} was answered");
            assert!(
                !held.iter().any(|(lo, hi)| lo <= id && id <= hi),
                "{id} is held by another run"
            );
        }
        let key = (lease.lo, lease.hi);
        self.runs[run].held.insert(key);
        self.runs[run].unanswered.insert(key, ids);
        true
    }

    /// The next unanswered ids of a run, which count as answered now.
    fn answer(&mut self, run: usize, count: usize) -> Vec<i64> {
        let unanswered = &mut self.runs[run].unanswered;
        let Some(mut first) = unanswered.first_entry() else {
            return Vec::new();
        };
        let count = count.min(first.get().len());
        let ids: Vec<i64> = first.get_mut().drain(..count).collect();
        if first.get().is_empty() {
            first.remove();
        }
        self.answered.extend(&ids);
        ids
    }

    fn find_absent(&mut self, id: i64) {
        let now = crate::hn::clock::now();
        let row = (
            absent::id.eq(id),
            absent::checks.eq(1),
            absent::first_checked_at.eq(now),
            absent::last_checked_at.eq(now),
        );
        diesel::insert_or_ignore_into(absent::table)
            .values(row)
            .execute(&mut self.conn)
            .unwrap();
    }

    fn renew(&mut self, run: usize) {
        let one = &mut self.runs[run];
        let all_handed_out = Renewal {
            search: one.search.clone(),
            handed_out: one.held.iter().map(|&(lo, hi)| Range { lo, hi }).collect(),
            being_handed_out: Vec::new(),
        };
        let held = renew(&mut self.conn, one.row, "backfill", &all_handed_out).unwrap();
        one.held = held.iter().map(|range| (range.lo, range.hi)).collect();
    }

    fn expire(&mut self, run: usize) {
        diesel::update(leases::table)
            .filter(leases::owner.eq(self.runs[run].row))
            .set(leases::expires_at.eq(0))
            .execute(&mut self.conn)
            .unwrap();
        self.runs[run].held.clear();
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Claim { run, count } => _ = self.claim_and_check(run, count),
            Step::Commit { run, ids } => {
                let ids = self.answer(run, ids);
                coverage::record(&mut self.conn, ids).unwrap();
            }
            Step::FindAbsent { run } => {
                for id in self.answer(run, 1) {
                    self.find_absent(id);
                }
            }
            Step::Renew { run } => self.renew(run),
            Step::Expire { run } => self.expire(run),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn no_two_runs_hold_an_id_and_whoever_is_left_gets_all_that_is_unanswered(
        newest_first in any::<[bool; RUNS]>(), steps in steps(),
    ) {
        let mut runs = Runs::new(newest_first);
        for step in steps {
            runs.take(step);
        }
        // All processes but the first one die.
        for run in 0..RUNS {
            runs.expire(run);
            runs.runs[run].unanswered.clear();
        }
        runs.conn.batch_execute("DELETE FROM leases").unwrap();
        while runs.claim_and_check(0, 7) {
            let ids = runs.answer(0, usize::MAX);
            coverage::record(&mut runs.conn, ids).unwrap();
            runs.renew(0);
        }
        prop_assert!(matches!(runs.claim(0, 7), Claim::Nothing));
        prop_assert!((1..=LAST).all(|id| runs.answered.contains(&id)));
    }
}

#[test]
fn ids_that_another_run_holds_are_waited_for_until_they_are_settled() {
    let mut runs = Runs::new([false; RUNS]);
    assert!(runs.claim_and_check(0, 60));
    assert!(matches!(runs.claim(1, 60), Claim::HeldByOthers));
    let ids = runs.answer(0, 60);
    coverage::record(&mut runs.conn, ids).unwrap();
    assert!(matches!(runs.claim(1, 60), Claim::Nothing));
}

#[test]
fn the_ids_of_a_process_of_this_machine_that_has_ended_are_free_at_once() {
    let mut runs = Runs::new([false; RUNS]);
    assert!(runs.claim_and_check(0, 60));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let ended = i64::from(child.id());
    child.wait().unwrap();
    let machine = runs.runs[1].process.machine.clone();
    runs.conn
        .batch_execute(&format!(
            "UPDATE runs SET pid = {ended}, machine = '{machine}' WHERE id = 1"
        ))
        .unwrap();
    runs.runs[0].held.clear();
    assert!(runs.claim_and_check(1, 60));
}

#[test]
fn a_claim_among_a_million_random_holes_looks_at_a_few_thousand_rows() {
    let mut runs = Runs::new([false; RUNS]);
    runs.conn
        .batch_execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
             INSERT INTO coverage SELECT 50 * i, 50 * i + abs(random()) % 48 FROM n",
        )
        .unwrap();
    let all = Range {
        lo: 1,
        hi: 50_000_000,
    };
    let middle = Range {
        lo: 25_000_000,
        ..all
    };
    for within in [all, middle] {
        for newest_first in [false, true] {
            runs.runs[0].search = Search::new(within, Refetch::default(), newest_first);
            let Claim::Ids { lease, ids } = runs.claim(0, 5000) else {
                panic!("nothing to claim");
            };
            assert!(lease.count() <= 20_000);
            assert!(ids.count() > 0);
        }
    }
}

#[test]
fn a_claim_whose_commit_was_not_answered_is_made_again() {
    let mut runs = Runs::new([false; RUNS]);
    let search = runs.runs[0].search.clone();
    assert!(runs.claim_and_check(0, 60));
    let OneRun { row, process, .. } = &runs.runs[0];
    let mut search = search;
    let again = claim(
        &mut runs.conn,
        &mut search,
        *row,
        "backfill",
        process,
        &[],
        60,
    );
    assert!(matches!(again.unwrap(), Claim::Ids { lease, .. } if lease == ALL));
}

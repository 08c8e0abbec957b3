//! What an API in trouble is spared, and what an outage does not cost.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use hn_ingest::test_util::Reply;

use crate::world::World;

#[test]
fn nobody_asks_before_the_time_that_the_api_named() {
    // With a single attempt the id fails, and the others stay away all the same.
    for (status, attempts) in [(429, 4), (503, 4), (429, 1), (503, 1)] {
        let mut world = World::new();
        (world.config.workers, world.config.attempts) = (4, attempts);
        world.on(
            1,
            [
                Reply::status(status).header("retry-after", "1"),
                Reply::json("{}"),
            ],
        );
        let report = world.ingest(1..=2000);
        world.check(&report);
        let failed = u64::from(attempts == 1);
        assert_eq!(
            (report.totals.stored, report.totals.failed),
            (2000 - failed, failed)
        );
        let times = world.times();
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        let (before, longest) = gaps.enumerate().max_by_key(|(_, gap)| *gap).unwrap();
        assert!(
            longest >= Duration::from_millis(900),
            "{status}: {longest:?}"
        );
        // What was asked before that answer came is few; the rest waited.
        assert!(before < 1000, "{status}: {before} were asked before");
    }
}

#[test]
fn a_time_that_nobody_waits_for_costs_its_id_and_holds_up_nobody_else_for_long() {
    let world = World::new();
    world.on(1, [Reply::status(429).header("retry-after", "3600")]);
    let began = Instant::now();
    let report = world.ingest(1..=100);
    world.check(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (99, 1));
    assert_eq!(report.totals.retries, 0);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_503_without_a_time_holds_up_nobody_else() {
    let world = World::new();
    world.on(1, [Reply::status(503), Reply::json("{}")]);
    let report = world.ingest(1..=100);
    assert_eq!((report.totals.stored, report.totals.retries), (100, 1));
}

#[test]
fn while_the_api_fails_widely_retries_are_probes_and_none_is_dropped() {
    let mut world = World::new();
    (world.config.workers, world.config.attempts) = (32, 8);
    world.server.otherwise(|_| Reply::status(500));
    let report = world.ingest(1..=20);
    world.check(&report);
    assert_eq!((report.totals.failed, report.totals.attempts), (20, 160));
    // The first hundred are not enough to tell; the other sixty are retries, at a fifth of the recent rate at first.
    let times = world.times();
    let spaced = times[159] - times[100];
    assert!(spaced >= Duration::from_millis(200), "{spaced:?}");
}

/// Fails for so long from its first request on, then answers.
fn down_for(time: Duration) -> impl Fn(&str) -> Reply {
    let first = OnceLock::new();
    move |_| {
        let first: &Instant = first.get_or_init(Instant::now);
        if first.elapsed() < time {
            Reply::status(503)
        } else {
            Reply::json("{}")
        }
    }
}

#[test]
fn an_outage_is_waited_for_and_does_not_turn_the_list_into_failures() {
    let mut world = World::new();
    (world.config.attempts, world.config.backoff) = (3, Duration::from_secs(2));
    world.server.otherwise(down_for(Duration::from_secs(6)));
    let report = world.ingest(1..=2000);
    world.check(&report);
    assert_eq!((report.totals.not_attempted, report.outage), (0, None));
    assert!(report.totals.failed < 100, "{:?}", report.totals);
}

#[test]
fn an_outage_past_all_patience_ends_the_run_in_order() {
    let mut world = World::new();
    (world.config.attempts, world.config.backoff) = (2, Duration::from_secs(3));
    world.config.outage_patience = Duration::from_millis(200);
    world.server.otherwise(|_| Reply::status(502));
    let report = world.ingest(1..=2000);
    world.check(&report);
    assert!(report.outage.unwrap() >= Duration::from_secs(3));
    assert!(report.totals.not_attempted > 1900, "{:?}", report.totals);
}

#[test]
fn an_outage_is_noticed_while_every_id_is_still_being_tried_again() {
    let mut world = World::new();
    (world.config.attempts, world.config.backoff) = (100, Duration::from_secs(1));
    world.config.backoff_max = Duration::from_secs(1);
    world.config.outage_patience = Duration::from_millis(200);
    world.server.otherwise(|_| Reply::status(502));
    let began = Instant::now();
    let report = world.ingest(1..=2000);
    world.check(&report);
    assert_eq!(report.totals.not_attempted, 2000);
    assert!(report.outage.is_some() && began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_few_ids_against_a_dead_api_fail_as_fast_as_their_attempts_allow() {
    let world = World::new();
    world.server.go_down();
    let began = Instant::now();
    let report = world.ingest(1..=8);
    world.check(&report);
    assert_eq!((report.totals.failed, report.outage), (8, None));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

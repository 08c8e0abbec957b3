//! That an API is asked no more than it bears, and that this costs a small run nothing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use hn_ingest::{Config, test_util::Reply};

use crate::world::World;

const NOTE: &str = "{\"note\": 1}";

/// Many fetchers, and patience enough that no id fails for being refused now and then.
fn world(adaptive: bool) -> World {
    let mut world = World::new();
    world.config = Config {
        workers: 32,
        adaptive,
        attempts: 8,
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_millis(500),
        ..world.config
    };
    world
}

/// From now on requests past `most` at once get a 503. Returns how many did, and sees the largest number in flight.
fn refuse_past(world: &World, most: usize) -> Arc<AtomicUsize> {
    let refused = Arc::new(AtomicUsize::new(0));
    let (server, count) = (Arc::downgrade(&world.server), refused.clone());
    world.server.otherwise(move |_| {
        let in_flight = server
            .upgrade()
            .map_or(0, |server| server.stats().in_flight);
        if in_flight < most {
            return Reply::json(NOTE).latency(Duration::from_millis(10));
        }
        count.fetch_add(1, SeqCst);
        Reply::status(503)
    });
    refused
}

#[test]
fn a_server_that_refuses_past_eight_at_once_is_soon_asked_no_more() {
    let world = world(true);
    let refused = refuse_past(&world, 8);
    let report = world.ingest(1..=1500);
    world.check(&report);
    assert_eq!(report.totals.stored, 1500);
    // All 32 are refused at first, some once more; later one or two of each trial are.
    let refused = refused.load(SeqCst);
    assert!((8..150).contains(&refused), "{refused} refused");
}

#[test]
fn without_adapting_it_is_asked_by_all() {
    let world = world(false);
    let refused = refuse_past(&world, 8);
    let report = world.ingest(1..=300);
    assert_eq!(report.totals.stored + report.totals.failed, 300);
    let refused = refused.load(SeqCst);
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn after_429s_that_name_no_time_requests_come_at_the_rate_that_the_server_bears() {
    let world = world(true);
    let every = Duration::from_millis(5);
    let (next, refused) = (Mutex::new(None), Arc::new(AtomicUsize::new(0)));
    let count = refused.clone();
    world.server.otherwise(move |_| {
        let (now, mut next) = (Instant::now(), next.lock().unwrap());
        let at = next.unwrap_or(now).max(now);
        if at > now + every * 10 {
            count.fetch_add(1, SeqCst);
            return Reply::status(429);
        }
        *next = Some(at + every);
        Reply::json(NOTE)
    });
    let report = world.ingest(1..=500);
    world.check(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (500, 0));
    let refused = refused.load(SeqCst);
    assert!((20..200).contains(&refused), "{refused} refused");
}

#[test]
fn a_few_ids_are_not_slowed_by_a_few_refusals() {
    let took = [false, true].map(|adaptive| {
        let began = Instant::now();
        for _ in 0..20 {
            let mut world = world(adaptive);
            (world.config.workers, world.config.backoff) = (4, Duration::from_millis(1));
            for id in [1, 5, 9] {
                world.on(
                    id,
                    [503, 429]
                        .map(Reply::status)
                        .into_iter()
                        .chain([Reply::json(NOTE)]),
                );
            }
            assert_eq!(world.ingest(1..=15).totals.stored, 15);
        }
        began.elapsed()
    });
    let [off, on] = took;
    assert!(
        on < off * 2 + Duration::from_secs(1),
        "{off:?}, adapting {on:?}"
    );
}

//! With `adaptive` on, the engine finds out how many requests an API accepts. This costs a small run nothing.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hn_ingest::{Config, test_util::Reply};

use crate::fixture::Fixture;

const NOTE: &str = "{\"note\": 1}";

/// The share of requests up to which a server refuses few.
const FEW: f64 = 0.1;

/// Many fetchers, and enough attempts that no id fails because it is refused now and then.
fn fixture(adaptive: bool) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.config = Config {
        workers: 32,
        adaptive,
        attempts: 8,
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_millis(500),
        ..fixture.config
    };
    fixture
}

/// What a server that refuses did with each request, in their order: `true` is a refusal.
#[derive(Clone, Default)]
struct Refusals(Arc<Mutex<Vec<bool>>>);

impl Refusals {
    fn record(&self, refused: bool) {
        self.0.lock().unwrap().push(refused);
    }

    /// The share of refusals among the requests after the first third.
    ///
    /// A share instead of a number, because on a slow machine a run takes longer, so a higher limit is tried more often.
    fn later_share(&self) -> f64 {
        let refused = self.0.lock().unwrap();
        assert!(refused.contains(&true), "the server refused nothing");
        let later = &refused[refused.len() / 3..];
        let count = later.iter().filter(|refused| **refused).count();
        count as f64 / later.len() as f64
    }

    fn assert_few_later(&self) {
        let share = self.later_share();
        assert!(share < FEW, "{share:.3} of the later requests were refused");
    }
}

/// From now on requests that come while `most` others are in flight get a 503.
fn refuse_past(fixture: &Fixture, most: usize) -> Refusals {
    let refusals = Refusals::default();
    let recording = refusals.clone();
    // Weak, because the server owns this callback.
    let server = Arc::downgrade(&fixture.server);
    fixture.server.otherwise(move |_| {
        let in_flight = server
            .upgrade()
            .map_or(0, |server| server.stats().in_flight);
        recording.record(in_flight >= most);
        if in_flight < most {
            Reply::json(NOTE).latency(Duration::from_millis(10))
        } else {
            Reply::status(503)
        }
    });
    refusals
}

#[test]
fn a_server_that_refuses_past_eight_at_once_soon_gets_no_more_than_it_accepts() {
    let fixture = fixture(true);
    let refusals = refuse_past(&fixture, 8);
    let report = fixture.ingest(1..=1500);
    fixture.check_report(&report);
    assert_eq!(report.totals.stored, 1500);
    refusals.assert_few_later();
}

#[test]
fn without_adaptive_the_server_goes_on_refusing() {
    let fixture = fixture(false);
    let refusals = refuse_past(&fixture, 8);
    let report = fixture.ingest(1..=300);
    fixture.check_report(&report);
    assert_eq!(report.totals.stored + report.totals.failed, 300);
    let share = refusals.later_share();
    assert!(
        share > FEW,
        "only {share:.3} of the later requests were refused"
    );
}

#[test]
fn after_429s_without_a_retry_after_requests_come_at_the_rate_that_the_server_accepts() {
    let fixture = fixture(true);
    let spacing = Duration::from_millis(5);
    let refusals = Refusals::default();
    let recording = refusals.clone();
    // The server accepts a request every five milliseconds, and up to ten of them early.
    let next_accepted = Mutex::new(Instant::now());
    fixture.server.otherwise(move |_| {
        let now = Instant::now();
        let mut next_accepted = next_accepted.lock().unwrap();
        let accepted_at = now.max(*next_accepted);
        let refused = accepted_at > now + spacing * 10;
        recording.record(refused);
        if refused {
            return Reply::status(429);
        }
        *next_accepted = accepted_at + spacing;
        Reply::json(NOTE)
    });
    let report = fixture.ingest(1..=500);
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.failed), (500, 0));
    refusals.assert_few_later();
}

#[test]
fn a_few_refusals_do_not_slow_down_a_few_ids() {
    let [without, with] = [false, true].map(|adaptive| {
        let mut durations: Vec<_> = (0..20).map(|_| run_of_a_few_ids(adaptive)).collect();
        durations.sort_unstable();
        // The median, so that a pause of a busy machine does not count.
        durations[10]
    });
    assert!(
        with < without * 3 + Duration::from_millis(100),
        "{without:?}, with adaptive {with:?}"
    );
}

/// From the first to the last request of 15 ids, three of which are refused twice.
fn run_of_a_few_ids(adaptive: bool) -> Duration {
    let mut fixture = fixture(adaptive);
    fixture.config.workers = 4;
    fixture.config.backoff = Duration::from_millis(1);
    for id in [1, 5, 9] {
        fixture.on(
            id,
            [Reply::status(503), Reply::status(429), Reply::json(NOTE)],
        );
    }
    assert_eq!(fixture.ingest(1..=15).totals.stored, 15);
    let times = fixture.request_times();
    times[times.len() - 1] - times[0]
}

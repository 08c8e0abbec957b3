//! Tokens that expire: one refresh for all ids, and what happens if it does not help.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use hn_ingest::{
    Builder, Config, DecodeError, RefreshError, Report, Source,
    test_util::{Latch, Reply},
};

use crate::{
    fixture::{Fixture, NotesSink, failure},
    support::in_system,
};

/// What the source's refresh does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Renews,
    Fails,
    Panics,
    Hangs,
}

/// Sends the number of refreshes as a token.
struct TokenSource {
    base: String,
    refresh: Refresh,
    /// How many refreshes began.
    refreshes: Arc<AtomicUsize>,
}

impl Source for TokenSource {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        let token = self.refreshes.load(SeqCst);
        format!("{}/{id}?token={token}", self.base)
    }

    fn decode(&self, _: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        Ok(Some(String::from_utf8_lossy(body).into_owned()))
    }

    fn refreshes_after(&self, status: u16) -> bool {
        status == 401
    }

    async fn refresh(&self) -> Result<(), RefreshError> {
        // Others get their 401 meanwhile.
        tokio::time::sleep(Duration::from_millis(50)).await;
        match self.refresh {
            Refresh::Renews => {}
            Refresh::Fails => {
                self.refreshes.fetch_add(1, SeqCst);
                return Err(RefreshError::new("the password is wrong"));
            }
            Refresh::Panics => {
                self.refreshes.fetch_add(1, SeqCst);
                panic!("no password");
            }
            Refresh::Hangs => pending().await,
        }
        self.refreshes.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// A server that answers 401 to every token less than `good`.
fn fixture(good: usize) -> Fixture {
    let mut fixture = Fixture::new();
    fixture.config.workers = 50;
    fixture.server.otherwise(move |path| answer(path, good));
    fixture
}

fn answer(path: &str, good: usize) -> Reply {
    let token: usize = path.split('=').next_back().unwrap().parse().unwrap();
    if token < good {
        Reply::status(401)
    } else {
        Reply::json("{}")
    }
}

fn builder(
    fixture: &Fixture,
    refresh: Refresh,
) -> (Builder<TokenSource, NotesSink>, Arc<AtomicUsize>) {
    let refreshes = Arc::default();
    let source = TokenSource {
        base: fixture.server.url(),
        refresh,
        refreshes: Arc::clone(&refreshes),
    };
    (fixture.builder_of(source, NotesSink), refreshes)
}

/// Ingests these many ids. Returns the report and the number of refreshes.
fn ingest(fixture: &Fixture, refresh: Refresh, ids: i64) -> (Report<i64>, usize) {
    let (builder, refreshes) = builder(fixture, refresh);
    let ids: Vec<_> = (1..=ids).collect();
    let report = in_system(async { builder.start().await.unwrap().run(ids).await.unwrap() });
    fixture.check_report(&report);
    (report, refreshes.load(SeqCst))
}

#[test]
fn fifty_ids_that_wait_are_served_by_one_refresh() {
    let fixture = fixture(1);
    // All fifty requests have the old token before the first one is answered.
    let latch = Latch::new();
    let holding = latch.clone();
    fixture
        .server
        .otherwise(move |path| answer(path, 1).held_by(&holding));
    let (builder, refreshes) = builder(&fixture, Refresh::Renews);
    let report = in_system(async {
        let pipeline = builder.start().await.unwrap();
        let run = pipeline.run(1..=200);
        fixture.wait_in_flight(50).await;
        latch.open();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    let totals = &report.totals;
    assert_eq!((totals.stored, totals.failed), (200, 0));
    assert_eq!(refreshes.load(SeqCst), 1);
    assert_eq!((totals.attempts, totals.retries), (250, 50));
}

#[test]
fn attempts_bound_how_often_an_id_is_refreshed_and_the_api_is_not_blamed_meanwhile() {
    let fixture = fixture(3);
    let (report, refreshes) = ingest(&fixture, Refresh::Renews, 200);
    assert_eq!((report.totals.stored, refreshes), (200, 3));
    assert_eq!(report.gave_up, None);
}

#[test]
fn a_token_that_is_never_accepted_fails_with_the_status() {
    let mut fixture = fixture(usize::MAX);
    fixture.config.workers = 1;
    let (report, refreshes) = ingest(&fixture, Refresh::Renews, 1);
    assert_eq!(failure(&report, 1), ("status", 4));
    assert_eq!(report.failures[0].message, "HTTP status 401");
    assert!(refreshes >= 3);
}

#[test]
fn with_one_attempt_the_next_ids_still_get_a_new_token() {
    let mut fixture = fixture(1);
    fixture.config.workers = 1;
    fixture.config.attempts = 1;
    let (report, refreshes) = ingest(&fixture, Refresh::Renews, 3);
    assert_eq!(failure(&report, 1), ("status", 1));
    assert_eq!((report.totals.stored, refreshes), (2, 1));
}

#[test]
fn a_refresh_that_fails_or_hangs_fails_the_ids_that_wait_and_says_why() {
    for (refresh, why) in [
        (Refresh::Fails, "the password is wrong"),
        (Refresh::Hangs, "did not end within 300ms"),
    ] {
        let mut fixture = fixture(usize::MAX);
        fixture.config.timeout = Duration::from_millis(300);
        let (report, _) = ingest(&fixture, refresh, 20);
        assert_eq!((report.totals.stored, report.totals.failed), (0, 20));
        for failed in &report.failures {
            assert_eq!((failed.kind, failed.attempts), ("status", 1));
            let message = &failed.message;
            assert!(message.contains("HTTP status 401"), "{message}");
            assert!(message.contains(why), "{message}");
        }
    }
}

#[test]
fn a_refresh_that_fails_too_often_ends_the_run_and_leaves_its_ids_to_the_next_one() {
    let fixture = fixture(usize::MAX);
    let (report, _) = ingest(&fixture, Refresh::Fails, 500);
    let gave_up = report.gave_up.unwrap().to_string();
    assert!(gave_up.contains("the password is wrong"), "{gave_up}");
    assert_eq!(report.totals.stored + report.totals.failed, 0);
}

#[test]
fn a_refresh_that_panics_costs_only_the_ids_that_wait() {
    let fixture = fixture(1);
    let (report, _) = ingest(&fixture, Refresh::Panics, 200);
    let totals = &report.totals;
    // The panic came after the token had been renewed.
    assert!((1..=50).contains(&totals.failed), "{totals:?}");
    assert_eq!(totals.stored + totals.failed, 200);
    assert_eq!(totals.fetchers_replaced, 0);
    for failed in &report.failures {
        assert_eq!(failed.kind, "panic");
        assert!(failed.message.contains("no password"), "{}", failed.message);
    }
}

#[test]
fn cancelling_a_run_does_not_wait_for_a_refresh() {
    let mut fixture = fixture(usize::MAX);
    fixture.config = Config {
        workers: 4,
        timeout: Duration::from_secs(600),
        drain: Duration::from_secs(600),
        ..fixture.config.clone()
    };
    let (builder, _) = builder(&fixture, Refresh::Hangs);
    let report = in_system(async {
        let pipeline = builder.start().await.unwrap();
        let run = pipeline.run(1..=20);
        fixture.wait_for_requests(1).await;
        tokio::task::yield_now().await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(report.totals.not_attempted, 20);
    assert!(report.elapsed < Duration::from_secs(60));
}

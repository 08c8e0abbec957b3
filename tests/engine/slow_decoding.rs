//! A source whose `decode` is slow: several bodies are decoded at once, and a cancel does not wait for the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use hn_ingest::{DecodeError, Pipeline, Source};

use crate::{
    fixture::{Fixture, NotesSink},
    support::{eventually, in_system},
};

/// Notes that take some time to decode.
struct SlowSource {
    base: String,
    takes: Duration,
    /// How many bodies are being decoded, and the most that were at once.
    now: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl Source for SlowSource {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        format!("{}/{id}", self.base)
    }

    fn decode(&self, _: &i64, _: &[u8]) -> Result<Option<String>, DecodeError> {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(now, SeqCst);
        thread::sleep(self.takes);
        self.now.fetch_sub(1, SeqCst);
        Ok(Some("\"decoded\"".to_owned()))
    }
}

/// A pipeline of this source, and the most bodies that were decoded at once.
async fn slow_pipeline(fixture: &Fixture, takes: Duration) -> (Pipeline<i64>, Arc<AtomicUsize>) {
    let peak = Arc::new(AtomicUsize::new(0));
    let source = SlowSource {
        base: fixture.server.url(),
        takes,
        now: Arc::default(),
        peak: peak.clone(),
    };
    let builder = fixture.builder_of(source, NotesSink);
    (builder.start().await.unwrap(), peak)
}

#[test]
fn several_bodies_are_decoded_at_once_and_all_are_stored() {
    let fixture = Fixture::new();
    in_system(async {
        let (pipeline, peak) = slow_pipeline(&fixture, Duration::from_millis(20)).await;
        let report = pipeline.run(1..=200).await.unwrap();
        assert_eq!(report.totals.stored, 200);
        assert!(peak.load(SeqCst) >= 4, "{} at once", peak.load(SeqCst));
        assert!(report.totals.decode_time > report.totals.commit_time);
    });
}

#[test]
fn a_cancel_takes_no_longer_than_the_drain_and_the_bodies_that_are_being_decoded() {
    let mut fixture = Fixture::new();
    fixture.config.drain = Duration::from_millis(100);
    fixture.config.batch = 500;
    in_system(async {
        let (pipeline, peak) = slow_pipeline(&fixture, Duration::from_millis(500)).await;
        let mut run = pipeline.run(1..=100_000);
        eventually("bodies are being decoded", || peak.load(SeqCst) > 0).await;
        eventually("the backlog is full", || run.progress().attempts >= 1000).await;
        let cancelled_at = Instant::now();
        run.cancel();
        let report = (&mut run).await.unwrap();
        // To decode the whole backlog would take over a minute, or ten seconds with eight threads.
        assert!(cancelled_at.elapsed() < Duration::from_secs(5));
        fixture.check_report(&report);
        assert!(report.totals.not_attempted > 99_000);
    });
}

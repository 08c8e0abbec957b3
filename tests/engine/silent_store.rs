//! A store that takes a commit and never answers: the run ends in order, and nothing waits for the commit.

use std::{
    convert::Infallible,
    ffi::OsStr,
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use hn_ingest::{
    Builder, Config, GaveUp, Outcome, Pipeline, Settled, Sink,
    r2d2::{self, ManageConnection},
    store::{ErrorClass, Pool, StoreConnection, StoreError},
};

use crate::{
    fixture::{Fixture, storage_lost},
    support::{eventually, in_system},
};

/// No test takes so long.
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug)]
struct Store {
    silence_max: Duration,
    /// How many of the next commits are not answered.
    unanswered: Mutex<usize>,
    answers: Condvar,
    committed: Mutex<Vec<i64>>,
}

struct StoreManager(Arc<Store>);

struct Connection {
    store: Arc<Store>,
    written: Vec<i64>,
}

impl ManageConnection for StoreManager {
    type Connection = Connection;
    type Error = Infallible;

    fn connect(&self) -> Result<Connection, Infallible> {
        Ok(Connection {
            store: self.0.clone(),
            written: Vec::new(),
        })
    }
    fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }
    fn has_broken(&self, _: &mut Connection) -> bool {
        std::thread::panicking()
    }
}

impl StoreConnection for Connection {
    type Manager = StoreManager;
    type Error = String;
    type Identity = Arc<Store>;

    fn open(_: &OsStr) -> Result<Pool<Self>, StoreError> {
        unreachable!("the test makes the pool")
    }
    fn identify(&mut self) -> Result<Arc<Store>, StoreError> {
        Ok(self.store.clone())
    }
    fn check(_: &Arc<Store>) -> Result<(), String> {
        Ok(())
    }
    fn silence_max(store: &Arc<Store>) -> Option<Duration> {
        Some(store.silence_max)
    }
    fn name(_: &Arc<Store>) -> String {
        "the silent store".to_owned()
    }
    fn begin_write(&mut self) -> Result<(), String> {
        self.written.clear();
        Ok(())
    }
    fn commit(&mut self) -> Result<(), String> {
        let mut unanswered = self.store.unanswered.lock().unwrap();
        if *unanswered > 0 {
            *unanswered -= 1;
            // Nobody ever answers.
            let _ = self.store.answers.wait_timeout(unanswered, LONG).unwrap();
            unreachable!("the test is over by now");
        }
        drop(unanswered);
        self.store
            .committed
            .lock()
            .unwrap()
            .append(&mut self.written);
        Ok(())
    }
    fn roll_back(&mut self) -> Result<(), String> {
        Ok(())
    }
    fn classify(&self, _: &String) -> ErrorClass {
        ErrorClass::Lost
    }
}

struct IdSink;

impl Sink for IdSink {
    type Id = i64;
    type Record = String;
    type Connection = Connection;

    fn write(&self, conn: &mut Connection, batch: &[Settled<i64, String>]) -> Result<(), String> {
        let stored = batch
            .iter()
            .filter(|row| matches!(row.outcome, Outcome::Stored(_)));
        conn.written.extend(stored.map(|row| row.id));
        Ok(())
    }
}

async fn pipeline(fixture: &Fixture, silence_max: Duration) -> (Pipeline<i64>, Arc<Store>) {
    let store = Arc::new(Store {
        silence_max,
        unanswered: Mutex::new(1),
        answers: Condvar::new(),
        committed: Mutex::default(),
    });
    let pool = r2d2::Pool::builder()
        .max_size(2)
        .test_on_check_out(false)
        .build(StoreManager(store.clone()))
        .unwrap();
    let config = Config {
        drain: Duration::from_millis(50),
        ..fixture.config.clone()
    };
    let builder = Builder::new(fixture.source(), IdSink)
        .config(config)
        .pool(pool);
    (builder.start().await.unwrap(), store)
}

#[test]
fn a_store_that_does_not_answer_is_lost_after_its_bound_and_no_shutdown_waits_for_it() {
    let fixture = Fixture::new();
    in_system(async {
        let (pipeline, store) = pipeline(&fixture, Duration::from_millis(300)).await;
        let report = pipeline.run(1..=10).await.unwrap();
        let why = storage_lost(&report).unwrap();
        assert!(why.contains("the silent store has not answered"), "{why}");
        let totals = report.totals;
        assert_eq!((totals.stored, totals.not_attempted), (0, 10));
        let began = Instant::now();
        pipeline.shutdown(LONG).await.unwrap();
        assert!(began.elapsed() < LONG / 10);
        assert!(store.committed.lock().unwrap().is_empty());
    });
}

#[test]
fn a_cancelled_run_does_not_wait_for_an_answer_and_costs_other_runs_nothing() {
    let fixture = Fixture::new();
    in_system(async {
        let (pipeline, store) = pipeline(&fixture, LONG).await;
        let cancelled = pipeline.run(1..=4);
        let written = store.clone();
        eventually("the commit has begun", move || {
            *written.unanswered.lock().unwrap() == 0
        })
        .await;
        let other = pipeline.run(11..=20);
        cancelled.cancel();
        let report = cancelled.await.unwrap();
        let Some(GaveUp::StorageBusy(why)) = &report.gave_up else {
            panic!("{report:?}");
        };
        assert!(why.contains("the silent store has not answered"), "{why}");
        let totals = report.totals;
        assert_eq!(totals.stored + totals.not_attempted, 4);
        let other = other.await.unwrap();
        assert_eq!((other.totals.stored, other.gave_up), (10, None));
        let mut committed = store.committed.lock().unwrap().clone();
        committed.sort_unstable();
        assert_eq!(committed, Vec::from_iter(11..=20));
    });
}

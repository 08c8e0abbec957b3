//! Runs of one pipeline go on side by side: what one of them waits for holds up no other, and a higher priority comes first.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use diesel::{QueryResult, SqliteConnection, connection::SimpleConnection};
use futures_util::StreamExt;
use hn_ingest::{
    Client, DecodeError, GaveUp, Pipeline, Priority, Settled, Sink, Source, Start,
    test_util::{Latch, Reply},
};

use crate::{
    fixture::{Fixture, NotesSink, NotesSource, failure, pushed_ids, storage_lost},
    support::{eventually, in_system},
};

/// Ids from here on are those of the run that must not be held up.
const LIVE: i64 = 10_000;

fn is_live(path: &str) -> bool {
    path[1..].parse::<i64>().unwrap() >= LIVE
}

/// A server that never answers ids below [`LIVE`], and four fetchers.
fn hanging_backfill() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.config.timeout = Duration::from_secs(600);
    fixture.config.drain = Duration::from_millis(10);
    fixture.server.otherwise(|path| {
        if is_live(path) {
            Reply::json("{}")
        } else {
            Reply::hang()
        }
    });
    fixture
}

#[test]
fn an_id_that_is_pushed_is_committed_while_the_requests_of_a_backfill_hang() {
    let fixture = hanging_backfill();
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let (ids, stream) = pushed_ids();
        let live = pipeline.start(Start::stream(stream).priority(Priority::High));
        let backfill = pipeline.start(Start::list(1..=1000).priority(Priority::Low));
        fixture.wait_in_flight(3).await;
        for count in 1..=3 {
            ids.send(LIVE).unwrap();
            eventually("the id is committed", || live.progress().stored == count).await;
        }
        drop(ids);
        let live = live.await.unwrap();
        assert_eq!(live.totals.stored, 3);
        // Without the other run, all fetchers are the backfill's.
        fixture.wait_in_flight(4).await;
        backfill.cancel();
        [live, backfill.await.unwrap()]
    });
    fixture.check_reports(&reports);
    assert_eq!(reports[1].totals.not_attempted, 1000);
}

#[test]
fn with_one_fetcher_an_id_of_a_higher_priority_is_the_next() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    let latch = fixture.hold_answers();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let backfill = pipeline.start(Start::list(1..=10).priority(Priority::Low));
        fixture.wait_in_flight(1).await;
        let normal = pipeline.run([100]);
        let high = pipeline.start(Start::list([LIVE]).priority(Priority::High));
        latch.open();
        for run in [backfill, normal, high] {
            run.await.unwrap();
        }
    });
    let requests = fixture.server.requests();
    let paths = requests.iter().map(|request| request.path.as_str());
    assert_eq!(
        paths.take(4).collect::<Vec<_>>(),
        ["/1", "/10000", "/100", "/2"]
    );
}

#[test]
fn an_id_that_waits_for_its_next_attempt_gives_its_fetcher_to_one_of_a_higher_priority() {
    for (lower, higher) in [
        (Priority::Low, Priority::High),
        (Priority::Low, Priority::Normal),
        (Priority::Normal, Priority::High),
    ] {
        let mut fixture = failing_backfill();
        fixture.config.workers = 2;
        fixture.config.backoff = Duration::from_secs(600);
        fixture.config.backoff_max = Duration::from_secs(600);
        let reports = in_system(async {
            let pipeline = fixture.pipeline().await;
            let backfill = pipeline.start(Start::list(1..=100).priority(lower));
            eventually("both ids wait for their next attempts", || {
                backfill.progress().being_retried == 2
            })
            .await;
            let live = pipeline.start(Start::list(LIVE..LIVE + 10).priority(higher));
            let live = live.await.unwrap();
            assert_eq!(live.totals.stored, 10);
            // They go on waiting, and no other id is begun in their place.
            eventually("both ids are back", || {
                backfill.progress().being_retried == 2
            })
            .await;
            backfill.cancel();
            [live, backfill.await.unwrap()]
        });
        fixture.check_reports(&reports);
        assert_eq!(reports[1].totals.not_attempted, 100);
        assert_eq!(
            (fixture.hits(1), fixture.hits(2), fixture.hits(3)),
            (1, 1, 0)
        );
    }
}

/// A server that answers ids below [`LIVE`] with 503.
fn failing_backfill() -> Fixture {
    let fixture = Fixture::new();
    fixture.server.otherwise(|path| {
        if is_live(path) {
            Reply::json("{}")
        } else {
            Reply::status(503)
        }
    });
    fixture
}

#[test]
fn an_id_keeps_its_attempts_and_its_backoff_however_often_it_gives_way() {
    let mut fixture = failing_backfill();
    fixture.config.workers = 1;
    fixture.config.attempts = 3;
    fixture.config.backoff = Duration::from_millis(200);
    let (report, live_runs) = in_system(async {
        let pipeline = fixture.pipeline().await;
        let backfill = pipeline.start(Start::list([1]).priority(Priority::Low));
        let watch = backfill.watch();
        let mut live_runs = 0;
        while !watch.is_over() {
            let live = pipeline.start(Start::list([LIVE]).priority(Priority::High));
            assert_eq!(live.await.unwrap().totals.stored, 1);
            live_runs += 1;
        }
        (backfill.await.unwrap(), live_runs)
    });
    assert_eq!(failure(&report, 1), ("status", 3));
    assert_eq!((report.totals.attempts, report.totals.retries), (3, 2));
    assert_eq!((fixture.hits(1), fixture.hits(LIVE)), (3, live_runs));
}

#[test]
fn an_id_that_waits_for_the_rate_gives_its_fetcher_to_one_of_a_higher_priority() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    fixture.config.rate = 1;
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let backfill = pipeline.start(Start::list(1..=3).priority(Priority::Low));
        eventually("the second id waits", || backfill.progress().stored == 1).await;
        let live = pipeline.start(Start::list([LIVE]).priority(Priority::High));
        assert_eq!(live.await.unwrap().totals.stored, 1);
        backfill.cancel();
        assert_eq!(backfill.await.unwrap().totals.requested, 3);
    });
    let requests = fixture.server.requests();
    assert_eq!(requests[1].path, "/10000");
}

#[test]
fn runs_of_equal_priority_take_turns() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    let latch = fixture.hold_answers();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let runs = [
            pipeline.run(1..=100),
            pipeline.run(101..=200),
            pipeline.run(201..=300),
        ];
        fixture.wait_in_flight(1).await;
        latch.open();
        for run in runs {
            run.await.unwrap();
        }
    });
    // The first run had its first turn before the others began.
    let requests = fixture.server.requests();
    for (turn, request) in requests.iter().skip(1).take(200).enumerate() {
        let id = [2, 101, 201][turn % 3] + turn / 3;
        assert_eq!(request.path, format!("/{id}"));
    }
}

/// A backfill at a low rate, and an id of a high priority. Returns how many requests came between the push of that id and its
/// request.
async fn requests_before(
    fixture: &Fixture,
    backfill: &Pipeline<i64>,
    live: &Pipeline<i64>,
) -> usize {
    let backfill = backfill.start(Start::list(1..=1000).priority(Priority::Low));
    fixture.wait_for_requests(3).await;
    let before = fixture.server.requests().len();
    let live = live.start(Start::list([LIVE]).priority(Priority::High));
    assert_eq!(live.await.unwrap().totals.stored, 1);
    backfill.cancel();
    backfill.await.unwrap();
    let requests = fixture.server.requests();
    let place = requests.iter().position(|request| is_live(&request.path));
    place.unwrap() - before
}

#[test]
fn an_id_of_a_higher_priority_does_not_wait_for_the_rate_behind_a_backfill() {
    for shares_client in [false, true] {
        let mut fixture = Fixture::new();
        fixture.config.workers = 64;
        fixture.config.rate = 20;
        let between = in_system(async {
            let client = Client::new(&fixture.config);
            let builder = || fixture.builder().client(client.clone());
            let backfill = builder().start().await.unwrap();
            let live = if shares_client {
                builder().start().await.unwrap()
            } else {
                backfill.clone()
            };
            requests_before(&fixture, &backfill, &live).await
        });
        assert!(between <= 20, "{between} requests, of 63 that waited");
    }
}

#[test]
fn an_outage_of_one_run_holds_up_no_other() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 1;
    fixture.config.outage_patience = Duration::from_millis(500);
    fixture.server.otherwise(|path| {
        if is_live(path) {
            Reply::json("{}")
        } else {
            Reply::raw("HTTP/1.1 2")
        }
    });
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let (ids, stream) = pushed_ids();
        let live = pipeline.run_stream(stream);
        let out = pipeline.run(1..=2000);
        let out_watch = out.watch();
        let mut count = 0;
        while !out_watch.is_over() {
            count += 1;
            ids.send(LIVE).unwrap();
            eventually("the id is committed", || live.progress().stored == count).await;
            actix_rt::time::sleep(Duration::from_millis(20)).await;
        }
        drop(ids);
        [out.await.unwrap(), live.await.unwrap()]
    });
    fixture.check_reports(&reports);
    assert!(matches!(reports[0].gave_up, Some(GaveUp::ApiOut { .. })));
    assert_eq!((reports[0].totals.failed, reports[0].totals.stored), (0, 0));
    assert_eq!(reports[1].totals.stored, reports[1].totals.requested);
}

#[test]
fn a_reader_of_outcomes_that_does_not_read_holds_up_only_its_own_run() {
    let fixture = Fixture::new();
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let (unread, outcomes) = pipeline.run_with_outcomes(futures_util::stream::iter(1..=1000));
        let other = pipeline.run(LIVE..LIVE + 500).await.unwrap();
        assert_eq!(other.totals.stored, 500);
        assert!(!unread.watch().is_over());
        let (report, batches) = tokio::join!(unread, outcomes.collect::<Vec<_>>());
        assert_eq!(batches.concat().len(), 1000);
        [report.unwrap(), other]
    });
    fixture.check_reports(&reports);
}

#[test]
fn a_run_that_drains_holds_up_no_other_and_keeps_its_own_answers() {
    let mut fixture = Fixture::new();
    fixture.config.drain = Duration::from_secs(600);
    let latch = Latch::new();
    for id in 1..=2 {
        fixture.on(id, [Reply::json("{}").held_by(&latch)]);
    }
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let cancelled = pipeline.run(1..=2);
        fixture.wait_in_flight(2).await;
        cancelled.cancel();
        let other = pipeline.run(LIVE..LIVE + 500).await.unwrap();
        assert!(!cancelled.watch().is_over());
        latch.open();
        [cancelled.await.unwrap(), other]
    });
    fixture.check_reports(&reports);
    assert_eq!(
        (reports[0].totals.stored, reports[1].totals.stored),
        (2, 500)
    );
}

#[test]
fn a_run_ends_with_its_failures_while_another_has_all_fetchers() {
    let mut fixture = hanging_backfill();
    fixture.config.workers = 2;
    let latch = Latch::new();
    fixture.on(LIVE, [Reply::status(403).held_by(&latch)]);
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let last = pipeline.start(Start::list([LIVE]).priority(Priority::Low));
        fixture.wait_in_flight(1).await;
        let hangs = pipeline.run(1..=100);
        fixture.wait_in_flight(2).await;
        latch.open();
        let last = last.await.unwrap();
        assert_eq!(last.totals.failed, 1);
        hangs.cancel();
        [last, hangs.await.unwrap()]
    });
    fixture.check_reports(&reports);
}

#[test]
fn requests_in_flight_are_finished_when_the_api_asks_to_stay_away_for_long() {
    let fixture = Fixture::new();
    let latch = Latch::new();
    for id in 1..=3 {
        fixture.on(id, [Reply::json("{}").held_by(&latch)]);
    }
    fixture.on(4, [Reply::status(429).header("retry-after", "3600")]);
    let report = in_system(async {
        let run = fixture.pipeline().await.run(1..=1000);
        let watch = run.watch();
        fixture.wait_for_requests(4).await;
        eventually("the run gives up", || watch.progress().not_attempted > 0).await;
        latch.open();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert!(matches!(report.gave_up, Some(GaveUp::ApiAsksToWait { .. })));
    assert_eq!(
        (report.totals.stored, report.totals.not_attempted),
        (3, 997)
    );
}

#[test]
fn a_shutdown_ends_all_runs_and_its_report_is_their_sum() {
    let fixture = hanging_backfill();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let (ids, stream) = pushed_ids();
        let runs = [
            pipeline.start(Start::stream(stream).priority(Priority::High)),
            pipeline.run(1..=100),
            pipeline.start(Start::list(101..=150).priority(Priority::Low)),
        ];
        ids.send(LIVE).unwrap();
        eventually("the id is committed", || runs[0].progress().stored == 1).await;
        fixture.wait_in_flight(3).await;
        let shutdown = pipeline.shutdown(Duration::from_millis(200)).await.unwrap();
        assert_eq!((shutdown.runs, shutdown.requested), (3, 151));
        assert_eq!((shutdown.stored, shutdown.not_attempted), (1, 150));
        for run in runs {
            let report = run.await.unwrap();
            assert!(report.interrupted);
        }
    });
}

#[test]
fn a_cancel_of_one_run_while_the_database_is_locked_costs_the_other_nothing() {
    let mut fixture = Fixture::new();
    fixture.config.drain = Duration::ZERO;
    let mut locker = fixture.connection();
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let cancelled = pipeline.run(1..=10);
        fixture.wait_for_requests(10).await;
        let other = pipeline.run(LIVE..LIVE + 100);
        cancelled.cancel();
        let cancelled = cancelled.await.unwrap();
        assert!(storage_lost(&cancelled).is_some());
        locker.batch_execute("COMMIT").unwrap();
        [cancelled, other.await.unwrap()]
    });
    fixture.check_reports(&reports);
    assert_eq!(
        (reports[1].totals.stored, &reports[1].gave_up),
        (100, &None)
    );
}

#[test]
fn a_lost_database_ends_all_runs() {
    let fixture = Fixture::new();
    let reports = in_system(async {
        let pipeline = fixture.pipeline().await;
        let (_quiet_ids, quiet) = pushed_ids();
        let (ids, stream) = pushed_ids();
        let runs = [pipeline.run_stream(quiet), pipeline.run_stream(stream)];
        fs::remove_file(fixture.database_file()).unwrap();
        ids.send(1).unwrap();
        let [quiet, busy] = runs;
        [quiet.await.unwrap(), busy.await.unwrap()]
    });
    for report in &reports {
        assert!(storage_lost(report).unwrap().contains("is gone"));
    }
    assert_eq!(reports[1].totals.not_attempted, 1);
}

/// Decoding and writing of ids below [`LIVE`] wait until this is open, if they are gated.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    /// The first id of each batch, in the order in which the batches were written.
    written: Mutex<Vec<i64>>,
}

impl Gate {
    fn pass(&self, id: i64) {
        while id < LIVE && !self.is_open.load(SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct GatedSource(NotesSource, Option<Arc<Gate>>);

impl Source for GatedSource {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        self.0.url(id)
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        if let Some(gate) = &self.1 {
            gate.pass(*id);
        }
        self.0.decode(id, body)
    }
}

struct GatedSink(Option<Arc<Gate>>);

impl Sink for GatedSink {
    type Id = i64;
    type Record = String;
    type Connection = SqliteConnection;

    fn write(
        &self,
        conn: &mut SqliteConnection,
        batch: &[Settled<i64, String>],
    ) -> QueryResult<()> {
        if let Some(gate) = &self.0 {
            gate.written.lock().unwrap().push(batch[0].id);
            gate.pass(batch[0].id);
        }
        NotesSink.write(conn, batch)
    }
}

async fn gated(
    fixture: &Fixture,
    source: Option<Arc<Gate>>,
    sink: Option<Arc<Gate>>,
) -> Pipeline<i64> {
    let source = GatedSource(fixture.source(), source);
    let builder = fixture.builder_of(source, GatedSink(sink));
    builder.start().await.unwrap()
}

#[test]
fn a_row_of_a_quiet_run_waits_for_one_batch_of_another_and_not_for_its_backlog() {
    // The last one leaves answers without room at all fetchers that it may have.
    for (priority, ids) in [
        (Priority::Normal, 100),
        (Priority::High, 100),
        (Priority::High, 1000),
    ] {
        let mut fixture = Fixture::new();
        fixture.config.batch = 50;
        let gate = Arc::new(Gate::default());
        let reports = in_system(async {
            let pipeline = gated(&fixture, None, Some(gate.clone())).await;
            let (live_ids, stream) = pushed_ids();
            let live = pipeline.start(Start::stream(stream).priority(priority));
            let backfill = pipeline.run(1..=ids);
            fixture.wait_for_requests(ids.min(103) as usize).await;
            live_ids.send(LIVE).unwrap();
            drop(live_ids);
            eventually("the row is decoded", || {
                !live.progress().decode_time.is_zero()
            })
            .await;
            gate.is_open.store(true, SeqCst);
            [backfill.await.unwrap(), live.await.unwrap()]
        });
        fixture.check_reports(&reports);
        assert_eq!(reports[0].totals.stored, ids as u64);
        assert_eq!(gate.written.lock().unwrap()[1], LIVE);
    }
}

#[test]
fn a_run_whose_bodies_take_long_to_decode_holds_up_no_other() {
    let fixture = Fixture::new();
    let gate = Arc::new(Gate::default());
    let reports = in_system(async {
        let pipeline = gated(&fixture, Some(gate.clone()), None).await;
        let slow = pipeline.run(1..=3);
        fixture.wait_for_requests(3).await;
        let other = pipeline.run(LIVE..LIVE + 500).await.unwrap();
        assert!(!slow.watch().is_over());
        gate.is_open.store(true, SeqCst);
        [slow.await.unwrap(), other]
    });
    fixture.check_reports(&reports);
    assert_eq!(
        (reports[0].totals.stored, reports[1].totals.stored),
        (3, 500)
    );
}

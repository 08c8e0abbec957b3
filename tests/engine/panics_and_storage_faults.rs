//! Panics of the host's code, bad rows, and locked, full and deleted databases: what each costs.

use std::time::Duration;

use diesel::{
    SqliteConnection,
    connection::SimpleConnection,
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
};
use hn_ingest::test_util::Reply;

use crate::{
    fixture::{
        Fixture, PANICS_ALWAYS, PANICS_IN_DECODE, PANICS_IN_URL, PANICS_IN_WRITE,
        VIOLATES_A_CONSTRAINT, failure, storage_lost,
    },
    support::in_system,
};

/// Nineteen harmless ids and this one.
fn with_harmless_ids(id: i64) -> Vec<i64> {
    (1..=10).chain([id]).chain(11..=19).collect()
}

#[test]
fn a_panic_or_a_bad_row_costs_only_its_id() {
    for (id, kind) in [
        (PANICS_IN_URL, "panic"),
        (PANICS_IN_DECODE, "panic"),
        (PANICS_IN_WRITE, "storage"),
        (VIOLATES_A_CONSTRAINT, "storage"),
    ] {
        let fixture = Fixture::new();
        let report = fixture.ingest_list(with_harmless_ids(id));
        fixture.check_report(&report);
        assert_eq!(
            (report.totals.stored, report.totals.failed),
            (19, 1),
            "{id}"
        );
        assert_eq!(failure(&report, id), (kind, 1));
        assert_eq!(report.gave_up, None);
        assert_eq!(fixture.count_rows("notes"), 19);
    }
}

#[test]
fn an_id_whose_failure_cannot_be_written_is_not_attempted_and_costs_no_other() {
    let fixture = Fixture::new();
    let report = fixture.ingest_list(with_harmless_ids(PANICS_ALWAYS));
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.totals.not_attempted), (19, 1));
    assert_eq!(report.gave_up, None);
}

#[test]
fn after_panics_every_fetcher_works_in_the_next_run() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        let harm = [
            PANICS_IN_URL,
            PANICS_IN_DECODE,
            PANICS_IN_WRITE,
            PANICS_ALWAYS,
        ];
        pipeline
            .run(harm.into_iter().cycle().take(40))
            .await
            .unwrap();
        let latch = fixture.hold_answers();
        let run = pipeline.run(1..=8);
        fixture.wait_in_flight(4).await;
        latch.open();
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 8);
}

/// A host's pool, whose connections run these pragmas first.
fn pool(fixture: &Fixture, pragmas: &'static str) -> hn_ingest::store::sqlite::SqlitePool {
    #[derive(Debug)]
    struct Pragmas(&'static str);
    impl CustomizeConnection<SqliteConnection, diesel::r2d2::Error> for Pragmas {
        fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), diesel::r2d2::Error> {
            conn.batch_execute(self.0)
                .map_err(diesel::r2d2::Error::QueryError)
        }
    }
    Pool::builder()
        .max_size(2)
        .connection_customizer(Box::new(Pragmas(pragmas)))
        .build(ConnectionManager::new(
            fixture.database_file().to_str().unwrap(),
        ))
        .unwrap()
}

#[test]
fn the_writer_waits_for_a_locked_database_even_without_a_busy_timeout() {
    let fixture = Fixture::new();
    let mut locker = fixture.connection();
    let report = in_system(async {
        let pipeline = fixture
            .builder()
            .pool(pool(&fixture, "PRAGMA busy_timeout = 0"))
            .start()
            .await
            .unwrap();
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let run = pipeline.run(1..=50);
        fixture.wait_for_requests(50).await;
        locker.batch_execute("COMMIT").unwrap();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!((report.totals.stored, report.gave_up), (50, None));
}

#[test]
fn a_database_that_stays_locked_is_waited_for_as_long_as_the_host_says() {
    let fixture = Fixture::new();
    let mut locker = fixture.connection();
    locker.batch_execute("BEGIN IMMEDIATE").unwrap();
    let report = in_system(async {
        let builder = fixture.builder();
        let builder = builder.pool(pool(&fixture, "PRAGMA busy_timeout = 0"));
        let pipeline = builder
            .busy_wait_max(Duration::from_millis(100))
            .start()
            .await
            .unwrap();
        pipeline.run(1..=50).await.unwrap()
    });
    fixture.check_report(&report);
    let why = storage_lost(&report).unwrap();
    assert!(why.contains("locked"), "{why}");
    assert_eq!(report.totals.stored, 0);
}

#[test]
fn a_full_disk_ends_the_run_with_a_report_and_a_later_run_goes_on() {
    let mut fixture = Fixture::new();
    fixture.config.batch = 10;
    let body = format!("\"{}\"", "x".repeat(4000));
    fixture.server.otherwise(move |_| Reply::json(body.clone()));
    let report = in_system(async {
        let full = pool(&fixture, "PRAGMA max_page_count = 60");
        fixture
            .builder()
            .pool(full)
            .start()
            .await
            .unwrap()
            .run(1..=1000)
            .await
            .unwrap()
    });
    fixture.check_report(&report);
    let why = storage_lost(&report).unwrap();
    assert!(why.contains("full"), "{why}");
    assert!(
        report.totals.stored > 0 && report.totals.not_attempted > 900,
        "{:?}",
        report.totals
    );
    let rest = fixture.ingest(1..=1000);
    assert_eq!(
        (rest.totals.stored, fixture.count_rows("notes")),
        (1000, 1000)
    );
}

#[cfg(unix)]
#[test]
fn a_deleted_database_file_takes_no_more_records() {
    let mut fixture = Fixture::new();
    fixture.config.batch = 1;
    let report = in_system(async {
        let pipeline = fixture.pipeline().await;
        let first = pipeline.run(1..=5).await.unwrap();
        assert_eq!(first.totals.stored, 5);
        std::fs::remove_file(fixture.database_file()).unwrap();
        pipeline.run(6..=50).await.unwrap()
    });
    assert_eq!((report.totals.stored, report.totals.not_attempted), (0, 45));
    assert!(storage_lost(&report).unwrap().contains("is gone"));
}

#[test]
fn a_run_that_lost_its_storage_does_not_wait_for_hanging_requests() {
    let mut fixture = Fixture::new();
    fixture.config.timeout = Duration::from_secs(3600);
    fixture.config.batch = 1;
    fixture.on(1, [Reply::hang()]);
    let report = in_system(async {
        let broken = pool(&fixture, "PRAGMA query_only = ON");
        fixture
            .builder()
            .pool(broken)
            .start()
            .await
            .unwrap()
            .run(1..=20)
            .await
            .unwrap()
    });
    assert_eq!((report.totals.stored, report.totals.not_attempted), (0, 20));
    assert!(storage_lost(&report).is_some());
}

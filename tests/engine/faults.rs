//! Panics, bad rows, locked, full and vanished databases: what each costs, and what it does not.

use std::time::Duration;

use diesel::{
    SqliteConnection,
    connection::SimpleConnection,
    r2d2::{ConnectionManager, CustomizeConnection, Pool},
};
use hn_ingest::test_util::Reply;

use crate::world::{
    PANICS_ALWAYS, PANICS_IN_DECODE, PANICS_IN_URL, PANICS_IN_WRITE, VIOLATES_A_CONSTRAINT, World,
    failure, in_system,
};

/// Twenty ids, one of which does harm.
fn among_others(id: i64) -> Vec<i64> {
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
        let world = World::new();
        let report = world.ingest_list(among_others(id));
        world.check(&report);
        assert_eq!(
            (report.totals.stored, report.totals.failed),
            (19, 1),
            "{id}"
        );
        assert_eq!(failure(&report, id), (kind, 1));
        assert_eq!(report.storage_lost, None);
        assert_eq!(world.count("notes"), 19);
    }
}

#[test]
fn an_id_that_cannot_even_fail_is_not_attempted_and_costs_no_other() {
    let world = World::new();
    let report = world.ingest_list(among_others(PANICS_ALWAYS));
    world.check(&report);
    assert_eq!((report.totals.stored, report.totals.not_attempted), (19, 1));
    assert_eq!(report.storage_lost, None);
}

#[test]
fn a_pipeline_that_saw_panics_is_at_full_strength_for_its_next_run() {
    let world = World::new();
    let report = in_system(async {
        let pipeline = world.pipeline().await;
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
        let gate = world.hold_answers();
        let run = pipeline.run(1..=8);
        world.in_flight(4).await;
        gate.open();
        run.await.unwrap()
    });
    assert_eq!(report.totals.stored, 8);
}

/// A host's pool, with pragmas of the test's own.
fn pool(world: &World, pragmas: &'static str) -> hn_ingest::store::sqlite::SqlitePool {
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
        .build(ConnectionManager::new(world.file().to_str().unwrap()))
        .unwrap()
}

#[test]
fn a_locked_database_is_waited_for_even_without_a_busy_timeout() {
    let world = World::new();
    let mut locker = world.connection();
    let report = in_system(async {
        let pipeline = world
            .builder()
            .pool(pool(&world, "PRAGMA busy_timeout = 0"))
            .start()
            .await
            .unwrap();
        locker.batch_execute("BEGIN IMMEDIATE").unwrap();
        let run = pipeline.run(1..=50);
        world.requested(50).await;
        locker.batch_execute("COMMIT").unwrap();
        run.await.unwrap()
    });
    world.check(&report);
    assert_eq!((report.totals.stored, report.storage_lost), (50, None));
}

#[test]
fn a_full_disk_ends_the_run_in_order_and_a_later_run_goes_on() {
    let mut world = World::new();
    world.config.batch = 10;
    let body = format!("\"{}\"", "x".repeat(4000));
    world.server.otherwise(move |_| Reply::json(body.clone()));
    let report = in_system(async {
        let full = pool(&world, "PRAGMA max_page_count = 60");
        world
            .builder()
            .pool(full)
            .start()
            .await
            .unwrap()
            .run(1..=1000)
            .await
            .unwrap()
    });
    world.check(&report);
    let why = report.storage_lost.clone().unwrap();
    assert!(why.contains("full"), "{why}");
    assert!(
        report.totals.stored > 0 && report.totals.not_attempted > 900,
        "{:?}",
        report.totals
    );
    let rest = world.ingest(1..=1000);
    assert_eq!((rest.totals.stored, world.count("notes")), (1000, 1000));
}

#[cfg(unix)]
#[test]
fn a_database_file_that_vanished_takes_no_more_records() {
    let mut world = World::new();
    world.config.batch = 1;
    let report = in_system(async {
        let pipeline = world.pipeline().await;
        let first = pipeline.run(1..=5).await.unwrap();
        assert_eq!(first.totals.stored, 5);
        std::fs::remove_file(world.file()).unwrap();
        pipeline.run(6..=50).await.unwrap()
    });
    assert_eq!((report.totals.stored, report.totals.not_attempted), (0, 45));
    assert!(report.storage_lost.unwrap().contains("is gone"));
}

#[test]
fn a_lost_storage_does_not_wait_for_hanging_requests() {
    let mut world = World::new();
    (world.config.timeout, world.config.batch) = (Duration::from_secs(3600), 1);
    world.on(1, [Reply::hang()]);
    let report = in_system(async {
        let broken = pool(&world, "PRAGMA query_only = ON");
        world
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
    assert!(report.storage_lost.is_some());
}

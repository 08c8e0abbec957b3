//! An embedder's id whose `Clone` or `Display` panics costs itself, and nothing else.

use std::fmt;

use diesel::{QueryResult, SqliteConnection};
use hn_ingest::{DecodeError, Settled, Sink, Source};

use crate::{fixture::Fixture, support::in_system};

#[derive(Debug)]
enum OddId {
    Fine(u32),
    NoClone,
    NoDisplay,
}

impl Clone for OddId {
    fn clone(&self) -> Self {
        match self {
            Self::Fine(number) => Self::Fine(*number),
            Self::NoClone => panic!("this id cannot be copied"),
            Self::NoDisplay => Self::NoDisplay,
        }
    }
}

impl fmt::Display for OddId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine(number) => number.fmt(f),
            Self::NoClone => f.write_str("no clone"),
            Self::NoDisplay => panic!("this id cannot be shown"),
        }
    }
}

struct OddSource(String);

impl Source for OddSource {
    type Id = OddId;
    type Record = ();

    fn url(&self, id: &OddId) -> String {
        match id {
            OddId::Fine(number) => format!("{}/{number}", self.0),
            // It fails, which is logged with its name.
            _ => "not a URL".to_owned(),
        }
    }

    fn decode(&self, _: &OddId, _: &[u8]) -> Result<Option<()>, DecodeError> {
        Ok(Some(()))
    }
}

struct NullSink;

impl Sink for NullSink {
    type Id = OddId;
    type Record = ();
    type Connection = SqliteConnection;

    fn write(&self, _: &mut SqliteConnection, batch: &[Settled<OddId, ()>]) -> QueryResult<()> {
        // A batch with the odd one is refused, row by row too, which is logged with its name.
        let is_odd = |row: &Settled<OddId, ()>| matches!(row.id, OddId::NoDisplay);
        assert!(!batch.iter().any(is_odd), "this row cannot be written");
        Ok(())
    }
}

#[test]
fn an_id_whose_clone_or_display_panics_costs_only_itself() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let builder = fixture.builder_of(OddSource(fixture.server.url()), NullSink);
        let pipeline = builder.start().await.unwrap();
        let fine = |range: std::ops::Range<u32>| range.map(OddId::Fine);
        let ids: Vec<OddId> = fine(0..100)
            .chain([OddId::NoClone, OddId::NoDisplay])
            .chain(fine(100..200))
            .collect();
        pipeline.run(ids).await.unwrap()
    });
    let totals = &report.totals;
    assert_eq!(totals.requested, 202);
    assert_eq!(
        (totals.stored, totals.failed, totals.not_attempted),
        (200, 1, 1)
    );
    assert_eq!(report.failures[0].kind, "panic");
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        // A panic during another one would end the process.
        assert!(std::thread::panicking(), "it is not to be dropped");
    }
}

#[test]
fn a_list_that_panics_when_it_is_dropped_costs_no_other_run() {
    let fixture = Fixture::new();
    in_system(async {
        let pipeline = fixture.pipeline().await;
        let guard = PanicsWhenDropped;
        let odd = pipeline.run((1..=5).inspect(move |_| _ = &guard));
        let fine = pipeline.run(6..=100);
        let reports = [odd.await.unwrap(), fine.await.unwrap()];
        assert_eq!(
            reports.each_ref().map(|report| report.totals.stored),
            [5, 95]
        );
        fixture.check_reports(&reports);
        assert_eq!(pipeline.run([101]).await.unwrap().totals.stored, 1);
    });
}

struct DropSource(String);

impl Source for DropSource {
    type Id = u32;
    type Record = PanicsWhenDropped;

    fn url(&self, id: &u32) -> String {
        format!("{}/{id}", self.0)
    }

    fn decode(&self, _: &u32, _: &[u8]) -> Result<Option<PanicsWhenDropped>, DecodeError> {
        Ok(Some(PanicsWhenDropped))
    }
}

struct DropSink;

impl Sink for DropSink {
    type Id = u32;
    type Record = PanicsWhenDropped;
    type Connection = SqliteConnection;

    fn write(
        &self,
        _: &mut SqliteConnection,
        _: &[Settled<u32, PanicsWhenDropped>],
    ) -> QueryResult<()> {
        Ok(())
    }
}

#[test]
fn a_record_that_panics_when_it_is_dropped_is_stored_all_the_same() {
    let fixture = Fixture::new();
    let report = in_system(async {
        let builder = fixture.builder_of(DropSource(fixture.server.url()), DropSink);
        let pipeline = builder.start().await.unwrap();
        pipeline.run(1..=20).await.unwrap()
    });
    assert_eq!(report.totals.stored, 20);
}

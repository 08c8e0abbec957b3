//! Measures a whole run: from the mock API through the actors into a database file.
//!
//! Run it with `cargo bench --bench pipeline`. The mock API runs on the same machine, on a thread of its own, and takes a good part of
//! the measured time. `benches/compare/` compares this program with others, against a faster server.
#![allow(clippy::unwrap_used, missing_docs)]

use actix_rt::System;
use divan::{Bencher, counter::ItemsCount};
use hn_ingest::{Builder, Config, hn, mock_api::MockApi, store::sqlite};

fn main() {
    divan::main();
}

/// The items of one run.
const ITEMS: i64 = 20_000;

#[divan::bench(args = [64], sample_count = 10, sample_size = 1)]
fn into_a_file(bencher: Bencher<'_, '_>, workers: usize) {
    let system = System::new();
    let api = system.block_on(MockApi::default().start()).unwrap();
    let url = api.url();
    bencher
        .counter(ItemsCount::new(u64::try_from(ITEMS).unwrap()))
        .with_inputs(|| {
            let folder = tempfile::tempdir().unwrap();
            let pool = sqlite::open(&folder.path().join("bench.db")).unwrap();
            hn::migrations::run(&mut *pool.get().unwrap()).unwrap();
            (folder, pool)
        })
        .bench_local_values(|(folder, pool)| {
            system.block_on(async {
                let source = hn::HnSource::new(&url).unwrap();
                let pipeline = Builder::new(source, hn::HnSink::new())
                    .pool(pool)
                    .config(Config {
                        workers,
                        ..Config::default()
                    })
                    .start()
                    .await
                    .unwrap();
                let report = pipeline.run(1..=ITEMS).await.unwrap();
                assert_eq!(report.totals.failed, 0, "{report:?}");
                assert_eq!(report.totals.not_attempted, 0, "{report:?}");
            });
            // Returned, so that its deletion is not measured.
            folder
        });
    system.block_on(api.stop());
}

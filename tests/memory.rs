//! How much memory large bodies take. It has its own test program, because it measures the peak of the whole process.
#![allow(clippy::unwrap_used)]

#[path = "engine/fixture.rs"]
#[allow(dead_code)]
mod fixture;

#[allow(dead_code)]
mod support;

use std::time::Duration;

use hn_ingest::test_util::Reply;

use crate::fixture::Fixture;

/// The most memory that this process has used so far, in KiB. `None` on other systems than Linux.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn large_bodies_for_many_fetchers_at_once_stay_within_16_mib_and_a_little() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 32;
    fixture.config.timeout = Duration::from_secs(60);
    // The server makes this body while it sends it, so the server's own memory does not count.
    fixture.server.otherwise(|_| Reply::endless_body());
    let before = peak_memory();
    let report = fixture.ingest(1..=32);
    fixture.check_report(&report);
    assert_eq!(report.totals.failed, 32);
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let grown = (after - before) / 1024;
        // At most two bodies of up to 8 MiB are read at a time. Each takes twice its size while its buffer grows, and the
        // server takes some too. All 32 bodies at once would take 256 MiB.
        assert!(grown < 120, "the peak grew by {grown} MiB");
    }
}

//! Tests how much memory large bodies take. This is a test program of its own, because it measures the peak of its process.
#![allow(clippy::unwrap_used)]

#[path = "engine/fixture.rs"]
#[allow(dead_code)]
mod fixture;

#[allow(dead_code)]
mod support;

use std::time::Duration;

use hn_ingest::test_util::Reply;

use crate::fixture::Fixture;

/// The most memory that this process has used so far, in KiB. `None` on systems other than Linux.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn memory_is_bounded_while_many_fetchers_get_large_bodies_at_once() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 32;
    fixture.config.timeout = Duration::from_secs(60);
    // The server generates this body while it sends it, so that the server itself takes little memory.
    fixture.server.otherwise(|_| Reply::endless_body());
    let before = peak_memory();
    let report = fixture.ingest(1..=32);
    fixture.check_report(&report);
    assert_eq!(report.totals.failed, 32);
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let growth = (after - before) / 1024;
        // The backlog has room for two bodies of 8 MiB. Each takes twice its size while its buffer grows, and the server takes
        // some memory, too. All 32 bodies at once would take 256 MiB.
        assert!(growth < 120, "the peak grew by {growth} MiB");
    }
}

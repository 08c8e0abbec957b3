//! What large bodies cost, in a process of its own: the peak is that of the whole process.
#![allow(clippy::unwrap_used)]

#[path = "engine/world.rs"]
#[allow(dead_code)]
mod world;

use std::time::Duration;

use hn_ingest::test_util::Reply;

use crate::world::World;

/// The most memory that this process has used so far, in KiB; only Linux tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn large_bodies_for_many_fetchers_at_once_stay_within_16_mib_and_a_little() {
    let mut world = World::new();
    (world.config.workers, world.config.timeout) = (32, Duration::from_secs(60));
    // Sent as it is made, so that the server's own memory does not count.
    world.server.otherwise(|_| Reply::endless_body());
    let before = peak_memory();
    let report = world.ingest(1..=32);
    world.check(&report);
    assert_eq!(report.totals.failed, 32);
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let grown = (after - before) / 1024;
        // Two bodies of up to 8 MiB at a time, twice while their buffers grow, and what the server takes; all at once
        // would be 256 MiB.
        assert!(grown < 120, "{grown} MiB");
    }
}

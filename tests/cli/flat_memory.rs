//! Many items from an API with every fault switched on: every id is accounted for, and memory stays flat.
//!
//! `SOAK_ITEMS=1000000 cargo test --release --test cli flat_memory -- --nocapture` is the long one.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use crate::common::{Sandbox, words};

fn items() -> u64 {
    std::env::var("SOAK_ITEMS")
        .ok()
        .and_then(|items| items.parse().ok())
        .unwrap_or(20_000)
}

/// The most memory that a process has used so far, in KiB. `None` except on Linux.
fn peak_memory(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn every_id_is_accounted_for_and_memory_stays_flat_with_every_fault_switched_on() {
    let sandbox = Sandbox::new();
    let faults = words(
        "mock-api --max-item 2000000 --latency 0ms..2ms --fail-rate 0.05 --hang-rate 0.001 --reset-rate 0.02 --truncate-rate 0.02 --rate-limit 20000",
    );
    let mut api = sandbox.call(&faults).start();
    let mut url = String::new();
    BufReader::new(api.child().stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();

    let all = items();
    let args = [
        "items",
        "-",
        "--api-url",
        url.trim(),
        "--workers",
        "64",
        "--format",
        "json",
        "--progress",
        "never",
        "--timeout",
        "300ms",
        "--backoff",
        "2ms",
        "--attempts",
        "12",
    ];
    // A file, because the test reads no pipe while it writes the ids.
    let out = File::create(sandbox.path("report")).unwrap();
    let mut run = sandbox
        .call(&args)
        .stdin(Stdio::piped())
        .stdout(out)
        .start();
    let mut ids = run.child().stdin.take().unwrap();
    let id = run.id();
    let mut early = None;
    for item in 1..=all {
        // Padded with blanks, so that the pipe holds few ids, and half of the ids written is about half of them fetched.
        writeln!(ids, "{item:<64}").unwrap();
        if item == all / 2 {
            early = peak_memory(id);
        }
    }
    let late = peak_memory(id);
    drop(ids);
    let mut finished = run.wait_within(std::time::Duration::from_secs(3600));
    finished.stdout = std::fs::read_to_string(sandbox.path("report")).unwrap();
    let report = finished.report();
    eprintln!("{report}\npeak memory in KiB: {early:?} half way, {late:?} at the end");

    let mut db = sandbox.db("hn.db");
    let stored = ["items", "absent", "failures"]
        .map(|table| db.number(&format!("SELECT count(*) FROM {table}")));
    let reported = ["stored", "absent", "failed"].map(|key| report[key].as_u64().unwrap());
    assert_eq!(stored, reported);
    assert_eq!(report["requested"], all);
    assert_eq!(report["not_attempted"], 0);
    // Twelve attempts against one fault in ten: a failed id is next to impossible.
    assert_eq!(report["failed"], 0, "{report}");
    assert!(
        report["retries"].as_u64().unwrap() > all / 50,
        "the faults were on"
    );
    if let (Some(early), Some(late)) = (early, late) {
        assert!(
            late < early + 8192,
            "memory grew from {early} to {late} KiB"
        );
    }
}

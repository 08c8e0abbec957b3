//! What the dashboard shows, in the words of its page.

use std::time::Duration;

use askama::Template;

use super::{moment::when, picture::Picture};
use crate::{
    hn::{
        coverage::Range,
        status::{FollowRun, RunRow, Status, WorkingProcess},
    },
    serve::{
        status::{LatencyBucket, Snapshot},
        wording::{grouped, iso_seconds},
    },
    store::message::in_largest_units,
};

#[derive(Template)]
#[template(path = "board.html")]
pub(super) struct Board {
    as_of: String,
    /// What is counted, and how much there is of it.
    totals: Vec<(&'static str, String)>,
    types: Vec<(String, String)>,
    freshness: Vec<(&'static str, String)>,
    map: Option<Picture>,
    coverage: Vec<String>,
    holes: Vec<String>,
    more_holes: Option<String>,
    processes: Vec<Process>,
    estimate: Option<String>,
    latency: Vec<Bar>,
    failures: Vec<FailedKind>,
    runs: Vec<PastRun>,
}

struct Process {
    name: String,
    speed: String,
    heard: String,
    works_on: String,
}

/// A line of the histogram.
struct Bar {
    name: String,
    count: String,
    /// From 0 to 100.
    width: u64,
}

struct FailedKind {
    kind: String,
    count: String,
    examples: Vec<(i64, String)>,
}

struct PastRun {
    name: String,
    began: String,
    state: String,
    counts: String,
}

impl Board {
    pub(super) fn new(snapshot: &Snapshot, latency: &[LatencyBucket], now: i64) -> Self {
        let status = &snapshot.status;
        let coverage = &status.coverage;
        let more_holes = coverage
            .holes
            .count
            .saturating_sub(coverage.holes.listed.len() as u64);
        Self {
            as_of: when(snapshot.read_at, now),
            totals: totals(status),
            types: types(status),
            freshness: freshness(status, now),
            map: (coverage.ids > 0).then(|| Picture::new(&snapshot.map, status)),
            coverage: coverage_lines(status),
            holes: coverage
                .holes
                .listed
                .iter()
                .map(|hole| range(*hole))
                .collect(),
            more_holes: (more_holes > 0).then(|| format!("and {} more", grouped(more_holes))),
            processes: status
                .processes
                .iter()
                .map(|process| Process::new(process, now))
                .collect(),
            estimate: status.estimate.map(|estimate| {
                format!(
                    "At {} ids per second nothing is left in {}, at {}.",
                    grouped(estimate.ids_per_second),
                    seconds(estimate.seconds_left),
                    iso_seconds(estimate.ends_at).unwrap_or_default()
                )
            }),
            latency: bars(latency),
            failures: failures(status),
            runs: status
                .runs
                .iter()
                .map(|run| PastRun::new(status, run, now))
                .collect(),
        }
    }
}

fn totals(status: &Status) -> Vec<(&'static str, String)> {
    let speed: i64 = status
        .processes
        .iter()
        .map(|process| process.ids_per_second)
        .sum();
    vec![
        ("items", grouped(status.items.count)),
        ("users", grouped(status.users)),
        ("earlier versions", grouped(status.item_history)),
        ("absent ids", grouped(status.absent)),
        ("failed ids", grouped(status.failures.count)),
        ("ids per second", grouped(speed)),
    ]
}

fn types(status: &Status) -> Vec<(String, String)> {
    let types = status.items.by_type.iter().map(|of_type| {
        let name = of_type
            .type_
            .clone()
            .unwrap_or_else(|| "(no type)".to_owned());
        (name, grouped(of_type.count))
    });
    types.collect()
}

fn freshness(status: &Status, now: i64) -> Vec<(&'static str, String)> {
    let fresh = &status.freshness;
    let mut lines = Vec::new();
    if let Some(newest) = status.items.newest {
        let made = newest
            .time
            .map(|time| format!(", made {}", when(time, now)));
        lines.push((
            "Newest item",
            format!("{}{}", newest.id, made.unwrap_or_default()),
        ));
    }
    if let Some(read_at) = fresh.lists_read_at {
        lines.push(("Lists read", when(read_at, now)));
    }
    if let Some(follow) = &fresh.follow {
        lines.push(("Follow", follow_state(follow, now)));
    }
    if let Some(refreshes) = &fresh.refreshes {
        let more = if refreshes.is_at_least {
            " or more"
        } else {
            ""
        };
        let overdue = refreshes
            .overdue
            .map(|overdue| format!(", one for {}", seconds(overdue)));
        let due = grouped(refreshes.due);
        lines.push((
            "Refreshes due",
            format!("{due}{more}{}", overdue.unwrap_or_default()),
        ));
    }
    if let Some(ids) = fresh.newest_ids {
        let lack = format!(
            "{} absent, {} failed, {} never asked for, from {} on",
            grouped(ids.absent),
            grouped(ids.failed),
            grouped(ids.unknown),
            ids.first
        );
        lines.push(("Newest ids", lack));
    }
    lines
}

fn follow_state(follow: &FollowRun, now: i64) -> String {
    match follow.finished_at {
        _ if follow.under_way => format!("under way, heard of {}", when(follow.heartbeat_at, now)),
        Some(finished_at) => format!("not under way, ended {}", when(finished_at, now)),
        None => format!(
            "not under way, heard of last {}",
            when(follow.heartbeat_at, now)
        ),
    }
}

fn coverage_lines(status: &Status) -> Vec<String> {
    let coverage = &status.coverage;
    if coverage.ids == 0 {
        return vec!["No range of ids is settled yet: no backfill has worked here.".to_owned()];
    }
    let mut lines = Vec::new();
    if let Some(highest) = coverage.highest_known.filter(|highest| *highest > 0) {
        let tenths = u128::from(coverage.ids) * 1000 / u128::from(highest.unsigned_abs());
        let percent = format!("{}.{}", tenths / 10, tenths % 10);
        lines.push(format!(
            "{} of the ids up to {}, the highest known here, are settled: {percent}%.",
            grouped(coverage.ids),
            grouped(highest)
        ));
    }
    let of = |count: u64, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{} {many}", grouped(count)),
    };
    lines.push(format!(
        "{} with {}; {} left to fetch, {} of them absent before.",
        of(coverage.holes.count, "hole", "holes"),
        of(coverage.holes.ids, "id", "ids"),
        of(coverage.left, "id is", "ids are"),
        grouped(coverage.left_absent)
    ));
    lines
}

fn range(range: Range) -> String {
    match range.count() {
        1 => range.lo.to_string(),
        count => format!("{}–{} ({})", range.lo, range.hi, grouped(count)),
    }
}

/// Seconds in words, down to the two largest units.
fn seconds(seconds: i64) -> String {
    let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    in_largest_units(duration, 2)
}

fn bars(latency: &[LatencyBucket]) -> Vec<Bar> {
    let most = latency.iter().map(|bucket| bucket.count).max().unwrap_or(0);
    if most == 0 {
        return Vec::new();
    }
    let bars = latency.iter().map(|bucket| Bar {
        name: match bucket.up_to {
            up_to if up_to.is_infinite() => "longer".to_owned(),
            up_to if up_to < 1.0 => format!("up to {} ms", (up_to * 1e6).round() / 1e3),
            up_to => format!("up to {up_to} s"),
        },
        count: grouped(bucket.count),
        width: (bucket.count.saturating_mul(100)).div_ceil(most),
    });
    bars.collect()
}

fn failures(status: &Status) -> Vec<FailedKind> {
    let kinds = status.failures.by_kind.iter().map(|of_kind| FailedKind {
        kind: of_kind.kind.clone(),
        count: grouped(of_kind.count),
        // What a database says may name tables and files.
        examples: of_kind
            .examples
            .iter()
            .filter(|_| of_kind.kind != "storage")
            .map(|example| (example.id, example.message.chars().take(200).collect()))
            .collect(),
    });
    kinds.collect()
}

impl Process {
    fn new(process: &WorkingProcess, now: i64) -> Self {
        let leases: Vec<String> = process
            .leases
            .iter()
            .take(5)
            .map(|lease| range(*lease))
            .collect();
        Self {
            name: format!(
                "{} (run {}), process {} on {}",
                process.command, process.run, process.pid, process.host
            ),
            speed: format!("{} ids/s", grouped(process.ids_per_second)),
            heard: when(process.heartbeat_at, now),
            works_on: leases.join(", "),
        }
    }
}

impl PastRun {
    fn new(status: &Status, run: &RunRow, now: i64) -> Self {
        Self {
            name: format!("{} {}", run.id, run.command),
            began: when(run.started_at, now),
            state: match run.finished_at {
                Some(at) => format!("took {}", seconds(at.saturating_sub(run.started_at))),
                None => status.state_of_unfinished(run).to_owned(),
            },
            counts: format!(
                "{} stored, {} absent, {} failed, {} not attempted",
                grouped(run.stored),
                grouped(run.absent),
                grouped(run.failed),
                grouped(run.not_attempted)
            ),
        }
    }
}

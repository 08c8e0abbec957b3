//! `status`: shows what the database holds.

mod freshness;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use bytesize::ByteSize;
use clap::Command;
use serde::Serialize;

use self::freshness::write_freshness;
use super::{
    database::{self, location::Location},
    exit::{CommandError, ExitStatus},
    ids::format_range,
    options::Options,
    printable::{padded, printable},
    terminal::{counted, print_report},
};
use crate::{
    hn::status::{OutermostItem, RunRow, Status, WorkingProcess},
    serve::wording::iso_seconds,
    store::{
        locks::while_locked,
        message::in_words,
        sqlite::{LOG_SUFFIX, beside},
    },
};

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Show what the database holds and what is left to fetch")
        .long_about("Show what the database holds, what is left to fetch, and what failed. Needs no network.")
}

/// What the command prints. The keys of the JSON are part of the program's contract.
#[derive(Serialize)]
struct StatusReport {
    command: &'static str,
    /// The file's name.
    database: String,
    #[serde(flatten)]
    status: Status,
    size: DiskSize,
}

/// Sizes in bytes. A file that does not exist has none, and the log of a server belongs to all of its databases.
#[derive(Serialize)]
struct DiskSize {
    database: u64,
    /// The write-ahead log beside the database.
    wal: u64,
    /// Whether the database is on a server.
    #[serde(skip)]
    is_on_server: bool,
}

pub(super) async fn run(options: &Options) -> Result<ExitStatus, CommandError> {
    let (location, demo) = (options.database(), options.demo);
    let name = location.to_string();
    let (status, size) = database::blocking(move || {
        database::read_existing(&location, demo, |conn| {
            let failed = |error| CommandError(format!("the database cannot be read: {error}"));
            let status = while_locked(|| Status::read(conn)).map_err(failed)?;
            Ok((status, DiskSize::of(&location, conn.size_on_server())))
        })
    })
    .await?;
    let report = StatusReport {
        command: "status",
        database: name,
        status,
        size,
    };
    Ok(print_report(options.format, &report, |out| {
        report.write_text(out)
    }))
}

impl DiskSize {
    fn of(location: &Location, on_server: Option<u64>) -> Self {
        let (database, wal) = match location {
            Location::File(path) => (size_of_file(path), size_of_file(&beside(path, LOG_SUFFIX))),
            #[cfg(feature = "postgres")]
            Location::Server(_) => (0, 0),
        };
        Self {
            database: on_server.unwrap_or(database),
            wal,
            is_on_server: !matches!(location, Location::File(_)),
        }
    }
}

fn size_of_file(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

impl StatusReport {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let size = |bytes| ByteSize(bytes).display().iec();
        let (name, bytes) = (printable(&self.database), size(self.size.database));
        if self.size.is_on_server {
            writeln!(out, "{name}: {bytes}")?;
        } else {
            writeln!(out, "{name}: {bytes} and {} of log", size(self.size.wal))?;
        }
        self.write_items(out)?;
        write_freshness(&self.status.freshness, out)?;
        writeln!(out, "absent    {}", self.status.absent)?;
        writeln!(out, "users     {}", self.status.users)?;
        let versions = self.status.item_history;
        writeln!(out, "history   {versions} (earlier versions of items)")?;
        self.write_coverage(out)?;
        self.write_failures(out)?;
        self.write_search_index(out)?;
        self.write_processes(out)?;
        self.write_runs(out)
    }

    fn write_items(&self, out: &mut dyn Write) -> io::Result<()> {
        let items = &self.status.items;
        writeln!(out, "items     {}", items.count)?;
        for of_type in &items.by_type {
            let name = printable(of_type.type_.as_deref().unwrap_or("(no type)"));
            writeln!(out, "  {} {}", padded(&name, 10), of_type.count)?;
        }
        if let (Some(oldest), Some(newest)) = (&items.oldest, &items.newest) {
            writeln!(out, "oldest    {}", format_end(oldest))?;
            writeln!(out, "newest    {}", format_end(newest))?;
        }
        Ok(())
    }

    fn write_coverage(&self, out: &mut dyn Write) -> io::Result<()> {
        let coverage = &self.status.coverage;
        let ids = counted(coverage.ids, "id");
        let ranges = counted(coverage.ranges, "range");
        writeln!(out, "settled   {ids} in {ranges}")?;
        let holes = &coverage.holes;
        writeln!(
            out,
            "holes     {} of {}",
            holes.count,
            counted(holes.ids, "id")
        )?;
        for hole in &holes.listed {
            writeln!(out, "  {}", format_range(*hole))?;
        }
        let more = holes.count.saturating_sub(holes.listed.len() as u64);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
        if let Some(highest) = coverage.highest_known {
            writeln!(
                out,
                "left      {} up to {highest}, the highest id known here; {} of them were absent and will be fetched again",
                counted(coverage.left, "id"),
                coverage.left_absent
            )?;
        }
        Ok(())
    }

    fn write_failures(&self, out: &mut dyn Write) -> io::Result<()> {
        let failures = &self.status.failures;
        writeln!(out, "failed    {}", failures.count)?;
        for of_kind in &failures.by_kind {
            let kind = padded(&printable(&of_kind.kind), 10);
            writeln!(out, "  {kind} {}", of_kind.count)?;
            for example in &of_kind.examples {
                writeln!(out, "    {}: {}", example.id, printable(&example.message))?;
            }
        }
        Ok(())
    }

    fn write_search_index(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(index) = &self.status.search_index else {
            return writeln!(
                out,
                "search    no index; `hn-ingest search --build` makes one"
            );
        };
        write!(out, "search    index of {}", index.content)?;
        if !index.missing.is_empty() {
            let missing = index.missing.join(", ");
            return writeln!(
                out,
                ": {missing}; `hn-ingest search --rebuild` makes a new one"
            );
        }
        match index.built_up_to {
            Some(id) => writeln!(out, ", built up to id {id}"),
            None if index.is_complete => writeln!(out),
            None => writeln!(out, ", being built"),
        }
    }

    fn write_processes(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.status.processes.is_empty() {
            writeln!(out, "processes at work")?;
        }
        for process in &self.status.processes {
            write_process(process, out)?;
        }
        if let Some(estimate) = &self.status.estimate {
            let left = Duration::from_secs(estimate.seconds_left.try_into().unwrap_or(0));
            writeln!(
                out,
                "  at {} ids/s nothing is left in {}, at {}",
                estimate.ids_per_second,
                in_words(left),
                format_time(estimate.ends_at)
            )?;
        }
        Ok(())
    }

    fn write_runs(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.status.runs.is_empty() {
            writeln!(out, "last runs")?;
        }
        self.status
            .runs
            .iter()
            .try_for_each(|run| write_run(&self.status, run, out))
    }
}

fn write_process(process: &WorkingProcess, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "  {} (run {}): process {} on {}, {} ids/s, heard of at {}",
        printable(&process.command),
        process.run,
        process.pid,
        printable(&process.host),
        process.ids_per_second,
        format_time(process.heartbeat_at)
    )?;
    for (number, lease) in process.leases.iter().enumerate() {
        let before = if number == 0 { "; works on" } else { " and" };
        write!(out, "{before} {}", format_range(*lease))?;
    }
    writeln!(out)
}

fn write_run(status: &Status, run: &RunRow, out: &mut dyn Write) -> io::Result<()> {
    write!(
        out,
        "  {}: {} at {}",
        run.id,
        printable(&run.command),
        format_time(run.started_at)
    )?;
    let Some(finished_at) = run.finished_at else {
        return writeln!(out, ": {}", status.state_of_unfinished(run));
    };
    let seconds = finished_at.saturating_sub(run.started_at);
    let lasted = Duration::from_secs(seconds.try_into().unwrap_or(0));
    writeln!(
        out,
        ", {}: {} stored, {} absent, {} failed, {} not attempted, of {}",
        in_words(lasted),
        run.stored,
        run.absent,
        run.failed,
        run.not_attempted,
        run.requested
    )
}

/// The oldest or the newest item: its id, and its time if it has one.
fn format_end(end: &OutermostItem) -> String {
    match end.time {
        Some(time) => format!("{} of {}", end.id, format_time(time)),
        None => end.id.to_string(),
    }
}

/// A time as a date. A time that no date can be written for stays a number.
fn format_time(unix_seconds: i64) -> String {
    iso_seconds(unix_seconds).unwrap_or_else(|| unix_seconds.to_string())
}

//! `status`: what the database holds.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use bytesize::ByteSize;
use clap::Command;
use serde::Serialize;

use super::{
    Ending, Refusal,
    options::{Format, Options},
    output::{self, plain},
    session,
    signals::Signals,
};
use crate::hn::status::{OutermostItem, RunRow, Status};

pub(super) fn command() -> Command {
    Command::new("status")
        .about("Tell what the database holds, what is left, and what failed; needs no network")
}

#[derive(Serialize)]
struct Told {
    command: &'static str,
    database: String,
    #[serde(flatten)]
    status: Status,
    size: Size,
}

/// Bytes on disk.
#[derive(Serialize)]
struct Size {
    database: u64,
    wal: u64,
}

pub(super) async fn run(options: &Options) -> Result<Ending, Refusal> {
    let mut signals = Signals::listen()?;
    let (path, pool) = session::open_existing(options)?;
    let reading = actix_rt::task::spawn_blocking(move || {
        let mut conn = session::connection(&pool)?;
        Status::read(&mut conn)
            .map_err(|error| Refusal(format!("the database cannot be read: {error}")))
    });
    let status = signals.or_leave(reading).await.map_err(Refusal::new)??;
    let mut wal = path.clone().into_os_string();
    wal.push("-wal");
    let told = Told {
        command: "status",
        database: path.display().to_string(),
        status,
        size: Size {
            database: bytes(&path),
            wal: bytes(Path::new(&wal)),
        },
    };
    output::to_stdout(|out| match options.format {
        Format::Text => text(&told, out),
        Format::Json => {
            serde_json::to_writer(&mut *out, &told)?;
            writeln!(out)
        }
    });
    Ok(Ending::Complete)
}

/// A file that is not there has none.
fn bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

fn text(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    let Status {
        items,
        coverage,
        failures,
        absent,
        item_history,
        runs,
    } = &told.status;
    let size = |bytes| ByteSize(bytes).display().iec();
    let (database, wal) = (told.size.database, told.size.wal);
    let name = plain(&told.database);
    writeln!(out, "{name}: {} and {} of log", size(database), size(wal))?;
    writeln!(out, "items     {}", items.count)?;
    for of_type in &items.by_type {
        let name = plain(of_type.type_.as_deref().unwrap_or("(no type)"));
        writeln!(out, "  {name:<10} {}", of_type.count)?;
    }
    if let (Some(oldest), Some(newest)) = (&items.oldest, &items.newest) {
        writeln!(out, "oldest    {}", end(oldest))?;
        writeln!(out, "newest    {}", end(newest))?;
    }
    writeln!(out, "absent    {absent}")?;
    writeln!(out, "history   {item_history} earlier versions of items")?;
    let (ranges, ids, holes) = (coverage.ranges, coverage.ids, &coverage.holes);
    writeln!(out, "settled   {ids} ids, ranges: {ranges}")?;
    writeln!(out, "holes     {}, of {} ids", holes.count, holes.ids)?;
    for hole in &holes.listed {
        writeln!(out, "  {}", output::ids(*hole))?;
    }
    if holes.count > holes.listed.len() as u64 {
        writeln!(
            out,
            "  and {} more",
            holes.count - holes.listed.len() as u64
        )?;
    }
    if let Some(highest) = coverage.highest_known {
        let (left, absent) = (coverage.left, coverage.left_absent);
        writeln!(
            out,
            "left      {left} ids up to {highest}, the highest known here; {absent} of them were absent and are asked for again"
        )?;
    }
    writeln!(out, "failed    {}", failures.count)?;
    for of_kind in &failures.by_kind {
        writeln!(out, "  {:<10} {}", plain(&of_kind.kind), of_kind.count)?;
        for example in &of_kind.examples {
            writeln!(out, "    {}: {}", example.id, plain(&example.message))?;
        }
    }
    if !runs.is_empty() {
        writeln!(out, "last runs")?;
    }
    runs.iter().try_for_each(|run| run_line(run, out))
}

fn run_line(run: &RunRow, out: &mut dyn Write) -> io::Result<()> {
    let RunRow {
        id,
        requested,
        stored,
        absent,
        failed,
        ..
    } = run;
    let (began, command) = (time(run.started_at), plain(&run.command));
    match run.finished_at {
        Some(at) => {
            let lasted =
                Duration::from_secs(at.saturating_sub(run.started_at).try_into().unwrap_or(0));
            let lasted = humantime::format_duration(lasted);
            let rest = run.not_attempted;
            writeln!(
                out,
                "  {id}: {command} at {began}, {lasted}: {stored} saved, {absent} absent, {failed} failed, {rest} not attempted, of {requested}"
            )
        }
        None => writeln!(out, "  {id}: {command} at {began}: under way, or it died"),
    }
}

fn end(end: &OutermostItem) -> String {
    match end.time {
        Some(at) => format!("{} of {}", end.id, time(at)),
        None => end.id.to_string(),
    }
}

/// Seconds that no calendar holds are shown as they are.
fn time(unix_seconds: i64) -> String {
    const YEAR_9999: u64 = 253_402_300_799;
    match u64::try_from(unix_seconds) {
        Ok(seconds @ ..=YEAR_9999) => {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            humantime::format_rfc3339_seconds(at).to_string()
        }
        _ => unix_seconds.to_string(),
    }
}

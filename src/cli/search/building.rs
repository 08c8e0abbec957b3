//! Building and dropping the search index, from the command line and at the end of a backfill.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    cli::{
        database,
        exit::{CommandError, ExitStatus},
        options::{Options, ProgressMode},
        progress::{ProgressDisplay, ProgressView},
        terminal::print_report,
    },
    hn::{
        indexes,
        search::{
            content::Content,
            index::{self, SearchIndex, last_id, missing_parts},
            parts::IndexPart,
        },
    },
    serve::wording::grouped,
    store::{any::AnyConnection, locks::while_locked},
};

/// Between two steps, others that wait for the database get their turn.
const PAUSE: Duration = Duration::from_millis(20);

/// What the command prints. The keys of the JSON are part of the program's contract.
#[derive(Serialize)]
struct BuildReport {
    command: &'static str,
    /// The database's name.
    database: String,
    /// What the index holds now. `None` if there is none.
    index: Option<&'static str>,
    elapsed_ms: u64,
}

/// How far the building is.
#[derive(Default)]
pub(in crate::cli) struct BuildProgress {
    id: AtomicI64,
    last_id: AtomicI64,
}

/// Builds the index from the command line.
pub(super) async fn build(
    options: &Options,
    content: Content,
    anew: bool,
) -> Result<ExitStatus, CommandError> {
    let began = Instant::now();
    let (location, demo) = (options.database(), options.demo);
    let database = location.to_string();
    let progress = Arc::new(BuildProgress::default());
    let display = display(options.progress, progress.clone());
    let built = database::blocking(move || {
        database::change_existing(&location, demo, |conn| {
            if anew {
                while_locked(|| index::drop_index(conn)).map_err(failed)?;
            }
            // Searches by author, time and points need them.
            let missing = while_locked(|| indexes::missing(conn)).map_err(failed)?;
            while_locked(|| indexes::build(conn, &missing, |_| {})).map_err(failed)?;
            build_index(conn, content, &progress)
        })
    });
    let built = built.await;
    drop(display);
    let built = built?;
    if built.content != content {
        return Err(CommandError(format!(
            "there is an index of {} already; `hn-ingest search --rebuild` makes another in its place",
            built.content.name()
        )));
    }
    let report = BuildReport {
        command: "search",
        database,
        index: Some(built.content.name()),
        elapsed_ms: elapsed_ms(began),
    };
    Ok(print_report(options.format, &report, |out| {
        writeln!(
            out,
            "the search index is complete: {}",
            built.content.name()
        )
    }))
}

/// Drops the index from the command line.
pub(super) async fn drop_index(options: &Options) -> Result<ExitStatus, CommandError> {
    let began = Instant::now();
    let (location, demo) = (options.database(), options.demo);
    let report = BuildReport {
        command: "search",
        database: location.to_string(),
        index: None,
        elapsed_ms: 0,
    };
    database::blocking(move || {
        database::change_existing(&location, demo, |conn| {
            while_locked(|| index::drop_index(conn)).map_err(failed)
        })
    })
    .await?;
    let report = BuildReport {
        elapsed_ms: elapsed_ms(began),
        ..report
    };
    Ok(print_report(options.format, &report, |out| {
        writeln!(out, "there is no search index any more")
    }))
}

/// Builds the index, or goes on with one that was begun. Each step commits. To be called where blocking is allowed.
pub(in crate::cli) fn build_index(
    conn: &mut AnyConnection,
    content: Content,
    progress: &BuildProgress,
) -> Result<SearchIndex, CommandError> {
    let last_id = while_locked(|| last_id(conn)).map_err(failed)?;
    progress.last_id.store(last_id, Ordering::Relaxed);
    while_locked(|| index::begin(conn, content)).map_err(failed)?;
    let missing = while_locked(|| match SearchIndex::read(conn)? {
        Some(index) => missing_parts(conn, index),
        None => Ok(Vec::new()),
    });
    if let Some(part) = missing.map_err(failed)?.first() {
        return Err(broken(part));
    }
    loop {
        let index = while_locked(|| index::build_on(conn)).map_err(failed)?;
        let index = index.ok_or_else(|| {
            CommandError::new("another process has dropped the search index meanwhile")
        })?;
        match index.next_id {
            Some(id) => progress.id.store(id, Ordering::Relaxed),
            None => return Ok(index),
        }
        thread::sleep(PAUSE);
    }
}

/// The error of an index that lacks this part.
pub(super) fn broken(missing: &IndexPart) -> CommandError {
    CommandError(format!(
        "the search index is not whole: {missing}; `hn-ingest search --rebuild` makes a new one"
    ))
}

fn failed(error: diesel::result::Error) -> CommandError {
    CommandError(format!("the search index cannot be built: {error}"))
}

fn elapsed_ms(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Shows how far the building is. PostgreSQL does not say.
pub(in crate::cli) fn display(mode: ProgressMode, progress: Arc<BuildProgress>) -> ProgressDisplay {
    ProgressDisplay::start_timed(mode, move |elapsed| {
        let number =
            |number: &AtomicI64| u64::try_from(number.load(Ordering::Relaxed)).unwrap_or(0);
        let (id, last_id) = (number(&progress.id), number(&progress.last_id));
        ProgressView {
            position: id.min(last_id),
            length: Some(last_id.max(1)),
            parts: vec![
                format!(
                    "search index: id {} of {} done",
                    grouped(id),
                    grouped(last_id)
                ),
                elapsed,
            ],
        }
    })
}

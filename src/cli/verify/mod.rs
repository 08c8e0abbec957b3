//! `verify`: checks whether the database holds what it claims, and repairs the claim on request. With `--sample` it checks instead how
//! fresh the mirror is.

mod report;
mod sample;

use std::sync::Arc;

use clap::{ArgMatches, Command};

use self::{
    report::VerifyReport,
    sample::{COMMAND, SampleArgs},
};
use super::{
    database::{self, location::Location},
    exit::{CommandError, ExitStatus},
    options::{Options, ProgressMode},
    own_flags::switch,
    progress::{ProgressDisplay, ProgressView},
    scope::Scope,
    terminal::print_report,
};
use crate::{
    hn::{
        search::index,
        verify::{self, CheckProgress, CheckStep, Fault, Verified},
    },
    serve::wording::grouped,
    store::{any::AnyConnection, locks::while_locked},
};

pub(super) enum VerifyArgs {
    /// Check the database.
    Check { repair: bool },
    /// Compare a sample with the API.
    Sample(SampleArgs),
}

pub(super) fn command() -> Command {
    let repair = switch("repair", "Rebuild the table `coverage` from what is sound")
        .long_help("Rebuild the table `coverage` from what is there and sound; the next backfill fetches the rest. Not while a run is under way. With --sample: store what was read");
    Command::new(COMMAND)
        .about("Check that the database holds what it claims")
        .long_about(
            "Check that the database holds what it claims. The exit code is 1 if there is a fault. Needs no network.\n\n\
            With --sample it does not check the database, but compares a part of it with the API: differences are no faults, they show how stale the mirror is. Nothing is written without --repair. \
            The settings of the API, of the pipeline, and of retries and rate apply only with --sample, and so does --metrics.",
        )
        .arg(repair)
        .args(sample::flags())
}

impl VerifyArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let repair = matches.get_flag("repair");
        let sample = SampleArgs::read(matches, repair)?;
        Ok(sample.map_or(Self::Check { repair }, Self::Sample))
    }

    pub(super) fn takes_sample(&self) -> bool {
        matches!(self, Self::Sample(_))
    }

    /// The settings that apply.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Check { .. } => Scope::READ_ALL,
            Self::Sample(_) => Scope::FETCH,
        }
    }
}

pub(super) async fn run(options: &Options, args: VerifyArgs) -> Result<ExitStatus, CommandError> {
    match args {
        VerifyArgs::Check { repair } => check_database(options, repair).await,
        VerifyArgs::Sample(args) => sample::run(options, args).await,
    }
}

/// What a check of the database found and did.
struct CheckResult {
    verified: Verified,
    repaired: bool,
}

async fn check_database(options: &Options, repair: bool) -> Result<ExitStatus, CommandError> {
    let (location, demo) = (options.database(), options.demo);
    let name = location.to_string();
    let is_file = matches!(location, Location::File(_));
    let progress = Arc::new(CheckProgress::default());
    let display = display(options.progress, progress.clone());
    let checked = database::blocking(move || {
        if repair {
            database::change_existing(&location, demo, |conn| check(conn, true, &progress))
        } else {
            database::read_existing(&location, demo, |conn| check(conn, false, &progress))
        }
    });
    let checked = checked.await;
    drop(display);
    let result = checked.or_else(damage_as_fault)?;
    let report = VerifyReport {
        command: COMMAND,
        database: name,
        is_file,
        sound: result.repaired || result.verified.faults.is_empty(),
        verified: result.verified,
        repaired: result.repaired,
    };
    let printed = print_report(options.format, &report, |out| report.write_text(out));
    if report.sound {
        Ok(printed)
    } else {
        Ok(ExitStatus::Incomplete)
    }
}

/// Checks the database and repairs it on request. A damaged file is not repaired.
fn check(
    conn: &mut AnyConnection,
    repair: bool,
    progress: &CheckProgress,
) -> Result<CheckResult, CommandError> {
    let failed = |error| CommandError(format!("the database cannot be checked: {error}"));
    let verified = while_locked(|| verify::verify(conn, progress)).map_err(failed)?;
    let repaired = repair && verified.is_repairable();
    if repaired {
        let of_index = |fault: &Fault| matches!(fault, Fault::SearchIndex { .. });
        if verified.faults.iter().any(of_index) {
            // First, because the repair changes items, and a damaged index would not take that.
            while_locked(|| index::drop_index(conn)).map_err(failed)?;
        }
        while_locked(|| verify::repair(conn)).map_err(failed)?;
    }
    Ok(CheckResult { verified, repaired })
}

fn display(mode: ProgressMode, progress: Arc<CheckProgress>) -> ProgressDisplay {
    ProgressDisplay::start_timed(mode, move |elapsed| {
        let last_id = u64::try_from(progress.last_id()).unwrap_or(0).max(1);
        let (position, what) = match progress.step() {
            CheckStep::File => (0, "step 1 of 3: SQLite checks its file".to_owned()),
            CheckStep::Rows => {
                let id = u64::try_from(progress.id()).unwrap_or(0);
                let done = format!("id {} of {} done", grouped(id), grouped(last_id));
                (id, format!("step 2 of 3: {done}"))
            }
            CheckStep::Kids => (
                last_id,
                "step 3 of 3: comparing items with their kids".to_owned(),
            ),
        };
        ProgressView {
            position,
            length: Some(last_id),
            parts: vec![
                what,
                elapsed,
                format!("{} rows read", grouped(progress.rows())),
            ],
        }
    })
}

/// Makes an error that says that the file is damaged a fault. Damage can make even opening the file fail.
fn damage_as_fault(error: CommandError) -> Result<CheckResult, CommandError> {
    let CommandError(message) = error;
    if !verify::is_damage(&message) {
        return Err(CommandError(message));
    }
    let verified = Verified {
        faults: vec![Fault::Unreadable { message }],
        ..Verified::default()
    };
    Ok(CheckResult {
        verified,
        repaired: false,
    })
}

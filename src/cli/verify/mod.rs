//! `verify`: checks whether the database holds what it claims, and repairs the claim on request.

mod report;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::report::VerifyReport;
use super::{
    database::{self, location::Location},
    exit::{CommandError, ExitStatus},
    numbers::grouped,
    options::{Options, ProgressMode},
    progress::{ProgressDisplay, ProgressView},
    terminal::print_report,
};
use crate::{
    hn::verify::{self, CheckProgress, CheckStep, Fault, Verified},
    store::{any::AnyConnection, locks::while_locked},
};

pub(super) struct VerifyArgs {
    repair: bool,
}

pub(super) fn command() -> Command {
    let repair = Arg::new("repair")
        .long("repair")
        .action(ArgAction::SetTrue)
        .help("Rebuild the table `coverage` from what is sound")
        .long_help("Rebuild the table `coverage` from what is there and sound; the next backfill fetches the rest. Not while a run is under way");
    Command::new("verify")
        .about("Check that the database holds what it claims")
        .long_about("Check that the database holds what it claims. The exit code is 1 if there is a fault. Needs no network.")
        .arg(repair)
}

impl VerifyArgs {
    pub(super) fn read(matches: &ArgMatches) -> Self {
        Self {
            repair: matches.get_flag("repair"),
        }
    }
}

/// What a check of the database found and did.
struct CheckResult {
    verified: Verified,
    repaired: bool,
}

pub(super) async fn run(options: &Options, args: VerifyArgs) -> Result<ExitStatus, CommandError> {
    let location = options.database();
    let name = location.to_string();
    let is_file = matches!(location, Location::File(_));
    let progress = Arc::new(CheckProgress::default());
    let display = display(options.progress, progress.clone());
    let checked = database::blocking(move || {
        if args.repair {
            database::change_existing(&location, |conn| check(conn, true, &progress))
        } else {
            database::read_existing(&location, |conn| check(conn, false, &progress))
        }
    });
    let checked = checked.await;
    drop(display);
    let result = checked.or_else(damage_as_fault)?;
    let report = VerifyReport {
        command: "verify",
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
        while_locked(|| verify::repair(conn)).map_err(failed)?;
    }
    Ok(CheckResult { verified, repaired })
}

fn display(mode: ProgressMode, progress: Arc<CheckProgress>) -> ProgressDisplay {
    let started = Instant::now();
    ProgressDisplay::start(mode, move || {
        let seconds = Duration::from_secs(started.elapsed().as_secs());
        let elapsed = humantime::format_duration(seconds);
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
                elapsed.to_string(),
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

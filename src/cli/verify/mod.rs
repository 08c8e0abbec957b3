//! `verify`: checks whether the database holds what it claims, and repairs the claim on request.

mod report;

use clap::{Arg, ArgAction, ArgMatches, Command};
use diesel::SqliteConnection;

use self::report::VerifyReport;
use super::{
    database,
    exit::{CommandError, ExitStatus},
    options::Options,
    terminal::print_report,
};
use crate::{
    hn::verify::{self, Fault, Verified},
    store::sqlite::while_locked,
};

pub(super) struct VerifyArgs {
    repair: bool,
}

pub(super) fn command() -> Command {
    let repair = Arg::new("repair")
        .long("repair")
        .action(ArgAction::SetTrue)
        .help("Rebuild the table `coverage` from what is there and sound; the next backfill fetches the rest. Not while a run is under way");
    Command::new("verify")
        .about("Check that the database holds what it claims; the exit code is 1 if there is a fault. Needs no network")
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
    let path = options.database_path();
    let checked_path = path.clone();
    let checked = database::blocking(move || {
        if args.repair {
            check(&mut *database::open_existing(&checked_path)?, true)
        } else {
            check(&mut database::open_to_read(&checked_path)?, false)
        }
    });
    let result = checked.await.or_else(damage_as_fault)?;
    let report = VerifyReport {
        command: "verify",
        database: path.display().to_string(),
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
fn check(conn: &mut SqliteConnection, repair: bool) -> Result<CheckResult, CommandError> {
    let failed = |error| CommandError(format!("the database cannot be checked: {error}"));
    let verified = while_locked(|| verify::verify(conn)).map_err(failed)?;
    let repaired = repair && verified.is_repairable();
    if repaired {
        while_locked(|| verify::repair(conn)).map_err(failed)?;
    }
    Ok(CheckResult { verified, repaired })
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

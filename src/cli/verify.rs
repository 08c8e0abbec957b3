//! `verify`: whether the database holds what it claims, and `--repair`.

use std::io::{self, Write};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use super::{
    Ending, Refusal,
    options::{Format, Options},
    output::{self, ids, plain},
    session,
    signals::Signals,
};
use crate::{
    hn::verify::{self, Fault, Listed, Note, Verified},
    store::sqlite::SqlitePool,
};

/// Of the faults, all that are listed are shown; of the notes, some.
const ALL: usize = usize::MAX;
const SOME: usize = 10;

pub(super) struct VerifyArgs {
    repair: bool,
}

pub(super) fn command() -> Command {
    Command::new("verify")
        .about("Prove that the database holds what it claims; exits 1 on any fault, and needs no network")
        .arg(
            Arg::new("repair")
                .long("repair")
                .action(ArgAction::SetTrue)
                .help("Claim what is there and sound, and leave the rest to the next backfill; not beside another run"),
        )
}

impl VerifyArgs {
    pub(super) fn read(own: &ArgMatches) -> Self {
        let repair = own.get_flag("repair");
        Self { repair }
    }
}

#[derive(Serialize)]
struct Told {
    command: &'static str,
    database: String,
    #[serde(flatten)]
    verified: Verified,
    /// Whether the table `coverage` was rebuilt.
    repaired: bool,
    /// Whether faults remain.
    sound: bool,
}

pub(super) async fn run(options: &Options, args: VerifyArgs) -> Result<Ending, Refusal> {
    let mut signals = Signals::listen()?;
    let path = session::database(options);
    let checked = match session::open_existing(options) {
        Ok((_, pool)) => {
            let checking = actix_rt::task::spawn_blocking(move || check(&pool, args.repair));
            signals.or_leave(checking).await.map_err(Refusal::new)?
        }
        Err(refusal) => Err(refusal),
    };
    // Damage may show as early as in opening the file.
    let (verified, repaired) = match checked {
        Err(Refusal(message)) if verify::is_damage(&message) => {
            let faults = vec![Fault::Unreadable { message }];
            (
                Verified {
                    faults,
                    ..Verified::default()
                },
                false,
            )
        }
        checked => checked?,
    };
    let told = Told {
        command: "verify",
        database: path.display().to_string(),
        sound: repaired || verified.faults.is_empty(),
        verified,
        repaired,
    };
    output::to_stdout(|out| match options.format {
        Format::Text => text(&told, out),
        Format::Json => {
            serde_json::to_writer(&mut *out, &told)?;
            writeln!(out)
        }
    });
    Ok(match told.sound {
        true => Ending::Complete,
        false => Ending::Incomplete,
    })
}

/// What was found, and whether it was repaired. A file that is damaged itself is left as it is.
fn check(pool: &SqlitePool, repair: bool) -> Result<(Verified, bool), Refusal> {
    let failed = |error| Refusal(format!("the database cannot be checked: {error}"));
    let mut conn = session::connection(pool)?;
    let verified = verify::verify(&mut conn).map_err(failed)?;
    let repair = repair && verified.is_repairable();
    if repair {
        verify::repair(&mut conn).map_err(failed)?;
    }
    Ok((verified, repair))
}

fn text(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    let Verified {
        checked,
        faults,
        notes,
    } = &told.verified;
    writeln!(
        out,
        "checked: {} items, {} absent, {} failed; that all of {} covered ids are there; that {} ranges lie apart; \
         kids, parts and extra; SQLite's own check",
        checked.items, checked.absent, checked.failures, checked.covered, checked.ranges
    )?;
    for fault in faults {
        write!(out, "fault: ")?;
        write_fault(fault, out)?;
    }
    for note in notes {
        write!(out, "note: ")?;
        write_note(note, out)?;
    }
    let end = match (told.repaired, told.sound) {
        (true, _) => {
            "repaired: coverage claims what is there and sound, the next backfill fetches the rest; \
             what was no JSON is kept as text in extra"
        }
        (false, true) => "no fault",
        (false, false) if faults.iter().any(Fault::is_damage) => {
            "the file is damaged: restore a copy, or save what can be read with sqlite3's .recover"
        }
        (false, false) => "to repair: hn-ingest verify --repair, then hn-ingest backfill",
    };
    writeln!(out, "{end}")
}

fn write_fault(fault: &Fault, out: &mut dyn Write) -> io::Result<()> {
    match fault {
        Fault::Missing { ids: missing } => {
            let what = "ids are covered and in no table";
            list(out, what, missing, ALL, |range| ids(*range))
        }
        Fault::Ranges { ranges } => {
            let what = "ranges of coverage are empty, or overlap or touch another";
            list(out, what, ranges, ALL, |bad| match bad.meets {
                Some(other) => format!("{} (with {})", ids(bad.range), ids(other)),
                None => format!("{} to {}", bad.range.lo, bad.range.hi),
            })
        }
        Fault::Json { fields } => list(out, "fields are not their JSON", fields, ALL, |bad| {
            format!("{} {}: {}", bad.id, bad.column, plain(&bad.error))
        }),
        Fault::Integrity { messages } => {
            let messages: Vec<_> = messages.iter().map(|message| plain(message)).collect();
            writeln!(out, "SQLite's own check: {}", messages.join("; "))
        }
        Fault::Unreadable { message } => {
            let message = plain(message);
            writeln!(out, "not everything could be checked: {message}")
        }
    }
}

fn write_note(note: &Note, out: &mut dyn Write) -> io::Result<()> {
    match note {
        Note::Unclaimed { ids: unclaimed } => {
            let what = "ids have an outcome and are not in coverage; the next backfill asks for them again";
            list(out, what, unclaimed, SOME, |range| ids(*range))
        }
        Note::StoredAndFailed { ids } => {
            let what = "ids are stored, and a later fetch failed";
            list(out, what, ids, SOME, ToString::to_string)
        }
        Note::StoredAndAbsent { ids } => {
            let what = "ids are stored, and the API later had no item";
            list(out, what, ids, SOME, ToString::to_string)
        }
        Note::OtherParent { kids } => {
            let what = "kids name another parent than the item that lists them";
            list(out, what, kids, SOME, |kid| {
                format!(
                    "{} (listed by {}, names {})",
                    kid.id, kid.listed_by, kid.parent
                )
            })
        }
    }
}

fn list<T>(
    out: &mut dyn Write,
    what: &str,
    all: &Listed<T>,
    most: usize,
    show: impl Fn(&T) -> String,
) -> io::Result<()> {
    let shown: Vec<_> = all.listed.iter().take(most).map(show).collect();
    let more = match all.cut || all.listed.len() > most {
        true => ", and more",
        false => "",
    };
    writeln!(out, "{} {what}: {}{more}", all.count, shown.join(", "))
}

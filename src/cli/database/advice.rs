//! What SQLite's message about a file means on this machine, and what the user can do about it.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rustix::process::{Resource, getrlimit};

use crate::{
    cli::exit::CommandError,
    store::{message::in_one_line, sqlite::is_about_lock},
};

/// SQLite's messages about a file that cannot be written, and about one that cannot be made.
const NOT_WRITABLE: [&str; 3] = [
    "attempt to write a readonly database",
    "unable to open database file",
    "Unable to open the database file",
];

/// SQLite's messages about a write that failed.
const WRITE_FAILED: [&str; 2] = ["database or disk is full", "disk I/O error"];

const END_OTHER_PROGRAM: &str = "end the program that has locked it";

/// The error of a database that cannot be opened for writing, with the database's name, and with the cause as far as this machine
/// tells.
pub(super) fn explained(path: &Path, CommandError(message): CommandError) -> CommandError {
    let name = path.display().to_string();
    let find = |texts: &[&'static str]| texts.iter().find(|text| message.contains(**text)).copied();
    if find(&NOT_WRITABLE).is_some()
        && let Some(obstacle) = obstacle(path)
    {
        return CommandError(format!("cannot write to the database {name}: {obstacle}"));
    }
    if let Some(failure) = find(&WRITE_FAILED)
        && let Some(hint) = file_size_limit_hint()
    {
        return CommandError(format!(
            "cannot write to the database {name}: {failure}; {hint}"
        ));
    }
    if message.contains(&name) {
        CommandError(message)
    } else {
        CommandError(format!("{name}: {message}"))
    }
}

/// The error of any work with a database, with the next step if it does not name one.
pub(in crate::cli) fn with_next_step(CommandError(message): CommandError) -> CommandError {
    let message = in_one_line(&message);
    match next_step_after(&message) {
        Some(step) if !message.contains(&step) => CommandError(format!("{message}; {step}")),
        _ => CommandError(message),
    }
}

/// What can be done about a message of SQLite, as far as this machine shows.
pub(in crate::cli) fn next_step_after(message: &str) -> Option<String> {
    if is_about_lock(message) {
        return Some(END_OTHER_PROGRAM.to_owned());
    }
    if WRITE_FAILED.iter().any(|text| message.contains(text)) {
        return file_size_limit_hint();
    }
    None
}

/// What to say if this role may not build indexes.
pub(in crate::cli) fn indexes_are_owners(owner: &str) -> String {
    format!(
        "the indexes by parent, author, time, type and score are not built, because only {owner}, the owner of the table items, may do that; let {owner} run a backfill, or GRANT {owner} to this role"
    )
}

/// What keeps this process from writing to a file that exists, and the next step. `None` if nothing does.
fn obstacle(path: &Path) -> Option<String> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    if !path.exists() {
        return None;
    }
    let file = OpenOptions::new().append(true).open(path).map(drop);
    // SQLite makes its log beside the file.
    let beside = || tempfile::tempfile_in(&folder).map(drop);
    let (error, place) = match file {
        Err(error) => (error, "this file".to_owned()),
        Ok(()) => (
            beside().err()?,
            format!(
                "the folder {}, where SQLite makes files of its own",
                folder.display()
            ),
        ),
    };
    describe(&error, &place)
}

fn describe(error: &io::Error, place: &str) -> Option<String> {
    match error.kind() {
        ErrorKind::PermissionDenied => Some(format!(
            "this user may not write to {place}; run the command as its owner, let the owner give you the right to write, or name another file"
        )),
        ErrorKind::ReadOnlyFilesystem => Some(
            "its file system is mounted read-only; mount it for writing, or name a file on another one".to_owned(),
        ),
        _ => None,
    }
}

/// The limit of file sizes, if there is one, as the likely cause of a write that failed.
fn file_size_limit_hint() -> Option<String> {
    let limit = getrlimit(Resource::Fsize).current?;
    Some(format!(
        "files of this process may have at most {limit} bytes, so raise the limit of file sizes (ulimit -f)"
    ))
}

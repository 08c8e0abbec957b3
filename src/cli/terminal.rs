//! Writing to standard output and standard error. A closed stream ends the output, and never the program.

use std::{
    env,
    fmt::Display,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
};

use log::warn;
use serde::Serialize;

use super::{exit::ExitStatus, options::ReportFormat, printable::printable, status_line};

/// The width of a terminal that does not tell its width.
const USUAL_WIDTH: usize = 80;

/// Writes to stdout. If its reader has closed it, the output ends there without a message.
///
/// The status is for commands whose work is only to print: [`ExitStatus::Incomplete`] if the output cannot be written.
pub(super) fn write_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> ExitStatus {
    let mut out = io::stdout().lock();
    let written = write(&mut out).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            warn!("cannot write to standard output: {error}");
            ExitStatus::Incomplete
        }
        _ => ExitStatus::Complete,
    }
}

/// Prints a report to stdout: a line of JSON, or what `write_text` writes. The status is that of [`write_stdout`].
pub(super) fn print_report(
    format: ReportFormat,
    json: &impl Serialize,
    write_text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> ExitStatus {
    write_stdout(|out| match format {
        ReportFormat::Text => write_text(out),
        ReportFormat::Json => {
            serde_json::to_writer(&mut *out, json)?;
            writeln!(out)
        }
    })
}

/// Prints a line to stderr. Unlike `eprintln!` it does not panic if stderr is closed.
pub(super) fn print_stderr_line(line: impl Display) {
    status_line::erase();
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a message of the program to stderr. It may quote what an API said.
pub(super) fn print_message(message: impl Display) {
    let message = message.to_string().replace('\n', " ");
    let message = printable(&message);
    print_stderr_line(format_args!("hn-ingest: {message}"));
}

/// How many columns stderr has, if it is a terminal.
pub(super) fn stderr_width() -> usize {
    measured_width(io::stderr()).unwrap_or(USUAL_WIDTH)
}

/// How many columns stdout has. `None` if it is no terminal.
pub(super) fn stdout_terminal_width() -> Option<usize> {
    measured_width(io::stdout())
}

/// How many columns there are for text on stdout: what `COLUMNS` says, else what the terminal says. `None` if neither does.
pub(super) fn stdout_width() -> Option<usize> {
    let named = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let named = named.filter(|columns| *columns > 0);
    named.or_else(|| measured_width(io::stdout()))
}

fn measured_width(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// A number with what it counts, such as `1 id` or `2 ids`. `noun` takes an `s` in the plural.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

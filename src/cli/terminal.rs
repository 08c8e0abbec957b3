//! Writing to standard output and standard error. A closed stream ends the output, and never the program.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use log::warn;
use serde::Serialize;

use super::{exit::ExitStatus, options::ReportFormat};

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
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a message of the program to stderr.
pub(super) fn print_message(message: impl Display) {
    print_stderr_line(format_args!("hn-ingest: {message}"));
}

/// Replaces control characters, so that text from elsewhere cannot control the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A number with what it counts, such as `1 id` or `2 ids`. `noun` takes an `s` in the plural.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

//! The report of `copy`.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    cli::printable::printable,
    hn::{
        copy::{Refused, TableCount},
        verify::Listed,
    },
    serve::wording::grouped,
};

/// How many refused rows the text shows.
const REFUSED_SHOWN: usize = 10;

/// What the command prints. The keys of the JSON are part of the program's contract.
#[derive(Serialize)]
pub(super) struct CopyReport {
    pub(super) command: &'static str,
    /// The source.
    pub(super) from: String,
    /// The target.
    pub(super) to: String,
    pub(super) tables: Vec<Copied>,
    /// Rows that were not copied, because they would have been changed.
    pub(super) refused: Listed<Refused>,
    pub(super) elapsed_ms: u64,
    pub(super) interrupted: bool,
}

/// How much of a table was copied: rows, but ids for the table `coverage`.
#[derive(Serialize)]
pub(super) struct Copied {
    table: &'static str,
    /// Rows of the source that are now at the target, in this state or a newer one.
    rows: u64,
    /// How many of these rows were not there before.
    written: u64,
}

impl Copied {
    pub(super) fn from_count(count: &TableCount) -> Self {
        let TableCount {
            table,
            read,
            written,
        } = *count;
        Self {
            table,
            rows: read,
            written,
        }
    }
}

impl CopyReport {
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(
            out,
            "copied from {} to {} in {:.1} s:",
            printable(&self.from),
            printable(&self.to),
            self.elapsed_ms as f64 / 1000.0
        )?;
        for copied in &self.tables {
            let what = match copied.table {
                "coverage" => "ids",
                _ => "rows",
            };
            writeln!(
                out,
                "  {}: {} {what}, {} of them new",
                copied.table,
                grouped(copied.rows),
                grouped(copied.written)
            )?;
        }
        let Listed { count, listed, .. } = &self.refused;
        if *count > 0 {
            let shown = listed.iter().take(REFUSED_SHOWN).map(|refused| {
                let Refused {
                    table,
                    key,
                    column,
                    why,
                } = refused;
                format!("{table} {} {column}: {why}", printable(key))
            });
            let shown: Vec<_> = shown.collect();
            let more = if *count > shown.len() as u64 {
                "; and more"
            } else {
                ""
            };
            writeln!(
                out,
                "not copied, because that would change them ({}): {}{more}",
                grouped(*count),
                shown.join("; ")
            )?;
        }
        Ok(())
    }
}

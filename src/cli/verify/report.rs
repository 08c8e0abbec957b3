//! The report of `verify`.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    cli::{ids::format_range, printable::printable},
    hn::verify::{Fault, Listed, Note, Verified},
};

/// How many findings of one note are shown. Of a fault, all that are listed are shown.
const NOTE_FINDINGS_SHOWN: usize = 10;

/// What the command prints. The keys of the JSON are part of the program's contract.
#[derive(Serialize)]
pub(super) struct VerifyReport {
    pub(super) command: &'static str,
    /// The file's name.
    pub(super) database: String,
    #[serde(flatten)]
    pub(super) verified: Verified,
    /// Whether the database is a file, which SQLite checks by itself.
    #[serde(skip)]
    pub(super) is_file: bool,
    /// Whether the table `coverage` was rebuilt.
    pub(super) repaired: bool,
    /// Whether no fault remains.
    pub(super) sound: bool,
}

impl VerifyReport {
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let checked = &self.verified.checked;
        writeln!(
            out,
            "checked: items {}, absent {}, failed {}; that each covered id is there ({}); that the ranges of coverage lie apart ({}); \
             kids, parts and extra{}",
            checked.items,
            checked.absent,
            checked.failures,
            checked.covered,
            checked.ranges,
            if self.is_file {
                "; SQLite's own check"
            } else {
                ""
            }
        )?;
        for fault in &self.verified.faults {
            write!(out, "fault: ")?;
            write_fault(fault, out)?;
        }
        for note in &self.verified.notes {
            write!(out, "note: ")?;
            write_note(note, out)?;
        }
        writeln!(out, "{}", self.conclusion())
    }

    fn conclusion(&self) -> &'static str {
        if self.repaired {
            self.repaired_conclusion()
        } else if self.sound {
            "no fault"
        } else if self.verified.faults.iter().any(Fault::is_damage) {
            "the file is damaged: restore a copy, or save what can be read with sqlite3's .recover"
        } else {
            "to repair: hn-ingest verify --repair, then hn-ingest backfill"
        }
    }

    fn repaired_conclusion(&self) -> &'static str {
        let of_index = |fault: &Fault| matches!(fault, Fault::SearchIndex { .. });
        if self.verified.faults.iter().any(of_index) {
            "repaired: coverage claims what is there and sound, and the next backfill fetches the rest; the search index is dropped, and \
             hn-ingest search --build or the next backfill builds it again"
        } else {
            "repaired: coverage claims what is there and sound, and the next backfill fetches the rest; \
             fields that were no JSON are kept as text in extra"
        }
    }
}

fn write_fault(fault: &Fault, out: &mut dyn Write) -> io::Result<()> {
    match fault {
        Fault::Missing { ids } => {
            let what = "ids that are covered but in no table";
            write_findings(out, what, ids, usize::MAX, |range| format_range(*range))
        }
        Fault::Ranges { ranges } => {
            let what = "ranges of coverage that are empty, overlap or touch another";
            write_findings(out, what, ranges, usize::MAX, |bad| match bad.meets {
                Some(other) => {
                    format!("{} (with {})", format_range(bad.range), format_range(other))
                }
                None => format!("{} to {}", bad.range.lo, bad.range.hi),
            })
        }
        Fault::Json { fields } => {
            let what = "fields that are not the JSON that they should be";
            write_findings(out, what, fields, usize::MAX, |bad| {
                format!("{} {}: {}", bad.id, bad.column, printable(&bad.error))
            })
        }
        Fault::SearchIndex { ids, messages } => {
            let messages: Vec<_> = messages.iter().map(|message| printable(message)).collect();
            if !messages.is_empty() {
                return writeln!(out, "the search index: {}", messages.join("; "));
            }
            let what = "items that the search index lacks or should not hold";
            write_findings(out, what, ids, usize::MAX, ToString::to_string)
        }
        Fault::Integrity { messages } => {
            let messages: Vec<_> = messages.iter().map(|message| printable(message)).collect();
            writeln!(out, "SQLite's own check: {}", messages.join("; "))
        }
        Fault::Unreadable { message } => {
            let message = printable(message);
            writeln!(out, "not everything could be checked: {message}")
        }
    }
}

fn write_note(note: &Note, out: &mut dyn Write) -> io::Result<()> {
    match note {
        Note::Unclaimed { ids } => {
            let what = "ids that have an outcome but are not covered, so that the next backfill fetches them again";
            write_findings(out, what, ids, NOTE_FINDINGS_SHOWN, |range| {
                format_range(*range)
            })
        }
        Note::StoredAndFailed { ids } => {
            let what = "ids that are stored and failed in a later fetch";
            write_findings(out, what, ids, NOTE_FINDINGS_SHOWN, ToString::to_string)
        }
        Note::StoredAndAbsent { ids } => {
            let what = "ids that are stored and that the API later had no item for";
            write_findings(out, what, ids, NOTE_FINDINGS_SHOWN, ToString::to_string)
        }
        Note::OtherParent { kids } => {
            let what = "kids that name another parent than the item that lists them";
            write_findings(out, what, kids, NOTE_FINDINGS_SHOWN, |kid| {
                format!(
                    "{} (listed by {}, names {})",
                    kid.id, kid.listed_by, kid.parent
                )
            })
        }
    }
}

/// Writes a line such as `ids that … (3): 5, 7-8`.
fn write_findings<T>(
    out: &mut dyn Write,
    what: &str,
    findings: &Listed<T>,
    shown_max: usize,
    format: impl Fn(&T) -> String,
) -> io::Result<()> {
    let shown: Vec<_> = findings.listed.iter().take(shown_max).map(format).collect();
    let has_more = findings.cut || findings.listed.len() > shown_max;
    let more = if has_more { ", and more" } else { "" };
    writeln!(
        out,
        "{what} ({}): {}{more}",
        findings.count,
        shown.join(", ")
    )
}

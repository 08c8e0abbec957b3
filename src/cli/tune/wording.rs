//! How the text reports of a sweep write numbers and sentences.

use crate::cli::terminal::counted;

/// A rate, with a decimal place only where it matters.
pub(super) fn rate(rate: f64) -> String {
    if rate < 99.95 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

/// A count of workers, such as `1 worker`.
pub(super) fn workers(count: usize) -> String {
    counted(count as u64, "worker")
}

/// A text with a capital at its start.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

//! Values between their raw JSON text and a column.
//!
//! The raw texts are valid JSON, so no integer among them has a plus sign or a leading zero.

use serde_json::Value;

/// An integer that a column can hold.
pub(in crate::hn) fn integer(raw: &str) -> Option<i64> {
    // "-0" parses, but its column would return "0".
    raw.parse().ok().filter(|_| raw != "-0")
}

/// A list of integers, without whitespace.
pub(in crate::hn) fn integers(raw: &str) -> Option<String> {
    let list = raw.strip_prefix('[')?.strip_suffix(']')?.trim();
    let fits = list.is_empty() || list.split(',').all(|n| integer(n.trim()).is_some());
    fits.then(|| raw.split_ascii_whitespace().collect())
}

/// `true` or `false`.
pub(in crate::hn) fn boolean(raw: &str) -> Option<bool> {
    raw.parse().ok()
}

/// The text of a string. `None` if it has a lone surrogate, which no Rust text can hold.
pub(in crate::hn) fn string(raw: &str) -> Option<String> {
    let plain = unquoted(raw)?;
    if plain.contains('\\') {
        serde_json::from_str(raw).ok()
    } else {
        Some(plain.to_owned())
    }
}

/// A string without its quotes, but still escaped.
pub(in crate::hn) fn unquoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// A text as a JSON string.
pub(in crate::hn) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

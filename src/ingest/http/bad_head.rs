//! Heads of answers that are refused: the bounds, and which header is at fault.

use hyper::{
    HeaderMap,
    header::{self, HeaderValue},
};

use crate::ingest::http::error::with_causes;

/// The largest head of an answer, and the largest part of a body that hyper returns at once.
pub(super) const BUFFER_MAX: usize = 64 * 1024;

/// The most header lines of an answer. hyper's own limit is 100, and some servers and proxies send more.
pub(super) const HEADERS_MAX: usize = 256;

/// Why hyper could not parse a head. `unread` begins with that head, if it is still there.
pub(super) fn explain(error: &hyper::Error, unread: &[u8]) -> String {
    let text = with_causes(error);
    let more = if text.contains("head is too large") {
        format!(
            " (more than {HEADERS_MAX} lines or {} KiB)",
            BUFFER_MAX / 1024
        )
    } else if text.contains("content-length") {
        " (the header Content-Length is no number, or two of them differ)".to_owned()
    } else if text.contains("transfer-encoding") {
        " (the header Transfer-Encoding in an answer that cannot have it)".to_owned()
    } else if text.contains("invalid HTTP header") {
        let name = header_at_fault(unread).unwrap_or_else(|| "line".to_owned());
        format!(" (the header {name} holds a NUL, or a CR that ends no line)")
    } else {
        String::new()
    };
    text + &more
}

/// The name of the first header with a character that no line of a head may hold. hyper skips lines with other faults.
fn header_at_fault(head: &[u8]) -> Option<String> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let mut lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.find(|line| line.contains(&0) || line.contains(&b'\r'))?;
    let name = line.split(|byte| *byte == b':').next()?;
    let name = String::from_utf8_lossy(name);
    Some(name.trim().escape_debug().take(100).collect())
}

/// A Content-Length that is no number. hyper does not look at it if there is a Transfer-Encoding.
pub(super) fn bad_length(headers: &HeaderMap) -> Option<String> {
    let is_number = |value: &&HeaderValue| {
        let mut parts = value.as_bytes().split(|byte| *byte == b',');
        parts.all(|part| {
            let part = part.trim_ascii();
            !part.is_empty() && part.iter().all(u8::is_ascii_digit)
        })
    };
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let bad = lengths.find(|value| !is_number(value))?;
    Some(String::from_utf8_lossy(bad.as_bytes()).into_owned())
}

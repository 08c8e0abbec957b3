//! A record of the API, converted between its JSON and columns. Nothing is lost either way.
//!
//! A value that fits its column goes there. Everything else (unknown fields, explicit nulls, values of another type, numbers
//! past `i64`) is kept word for word in the column `extra`.

pub(super) mod fields;
pub(super) mod values;

use std::fmt;

use self::fields::{Column, Fields};
use super::document::compression;

/// Why a body is not the requested record. The last text of most variants is the beginning of the body: at most 80 printable
/// characters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There is no body.
    #[error("the body is empty")]
    Empty,
    /// Compressed, though `Content-Encoding` does not say so. The text is the format.
    #[error(
        "the body is compressed ({0}), which was not asked for; check what changes answers on the way (a proxy, a cache)"
    )]
    Compressed(&'static str),
    /// Not UTF-8, and therefore not JSON. The number is the offset of the first bad byte.
    #[error("not UTF-8 from byte {0} on: {1}")]
    Encoding(usize, String),
    /// Not JSON, or more than one JSON value. The error says what is wrong, and where.
    #[error("not JSON: {0}: {1}")]
    Syntax(serde_json::Error, String),
    /// JSON, but neither an object nor `null`.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// The object's `id` is another one, is of another type, or is missing. First the requested record, then what was found.
    #[error("asked for {0}, but the id of the answer is {1}: {2}")]
    WrongId(String, String, String),
}

/// Reads a body. `None` if it is the literal `null`: there is no such record, or not yet.
pub(super) fn decode<C: Column>(body: &[u8]) -> Result<Option<Fields<'_, C>>, RecordError> {
    if body.is_empty() {
        return Err(RecordError::Empty);
    }
    if let Some(format) = compression(body) {
        return Err(RecordError::Compressed(format));
    }
    // Checked once for the whole body; from bytes, serde_json would do it for each raw value.
    let json = std::str::from_utf8(body)
        .map_err(|e| RecordError::Encoding(e.valid_up_to(), excerpt(body)))?;
    match serde_json::from_str(json) {
        Ok(fields) => Ok(fields),
        // Without the text of the error, which can repeat the whole body.
        Err(e) if e.is_data() => Err(RecordError::NotAnObject(excerpt(body))),
        Err(e) => Err(RecordError::Syntax(e, excerpt(body))),
    }
}

impl<C: Column> Fields<'_, C> {
    /// Takes the id out. It must be the one that was asked for.
    pub(super) fn check_id<T: PartialEq>(
        &mut self,
        column: C,
        read: fn(&str) -> Option<T>,
        asked: &T,
        record: impl fmt::Display,
        body: &[u8],
    ) -> Result<(), RecordError> {
        let found = self.raw(column);
        if self.take(column, read).as_ref() == Some(asked) {
            return Ok(());
        }
        let found = found.map_or("missing".into(), |raw| excerpt(raw.as_bytes()));
        Err(RecordError::WrongId(
            record.to_string(),
            found,
            excerpt(body),
        ))
    }
}

/// The JSON object of these fields, which are JSON texts, and of those in `extra`.
pub(super) fn encode<const N: usize>(
    columns: [(&str, Option<String>); N],
    extra: Option<&str>,
) -> String {
    let mut json = String::from("{");
    for (name, value) in columns {
        if let Some(value) = value {
            let separator = if json.len() > 1 { "," } else { "" };
            json.extend([separator, "\"", name, "\":", &value]);
        }
    }
    let extra = extra.unwrap_or_default();
    // `decode` never makes an empty object, but a user's `json_remove` can leave `{}`.
    let fields = extra.strip_prefix('{').and_then(|f| f.strip_suffix('}'));
    if let Some(fields) = fields.filter(|f| !f.is_empty()) {
        json.extend([",", fields]);
    }
    json.push('}');
    json
}

/// A JSON object with one field more. Its text is extended, because parsing it would cost digits.
pub(super) fn add_to_extra(extra: Option<String>, name: &str, value: &str) -> String {
    let extra = extra.unwrap_or_default();
    let open = extra.trim_end().strip_suffix('}').unwrap_or("{").trim_end();
    let comma = if open.len() > 1 { "," } else { "" };
    format!("{open}{comma}\"{name}\":{value}}}")
}

/// Undoes [`add_to_extra`], if the field that was added last is a text of this name: what was there before, and the text.
#[cfg(all(feature = "cli", feature = "postgres"))]
pub(super) fn taken_from_extra(extra: &str, name: &str) -> Option<(Option<String>, String)> {
    let at = extra.rfind(&format!("\"{name}\":\""))?;
    let (before, field) = extra.split_at(at);
    let value = field[name.len() + 3..].strip_suffix('}')?;
    // Anything behind the text, or around the field, makes it no text.
    let text = serde_json::from_str(value).ok()?;
    match before {
        "{" => Some((None, text)),
        _ => Some((Some(format!("{}}}", before.strip_suffix(',')?)), text)),
    }
}

/// The beginning of `body`, fit for one line of a log or a terminal.
pub(super) fn excerpt(body: &[u8]) -> String {
    const CHARS: usize = 80;
    let head = String::from_utf8_lossy(&body[..body.len().min(4 * CHARS)]);
    let mut shown = String::new();
    for c in head.chars() {
        if "\"'\\".contains(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    shown.chars().take(CHARS).collect()
}

#[cfg(all(test, feature = "cli", feature = "postgres"))]
mod tests {
    use super::{add_to_extra, taken_from_extra, values::quoted};

    #[test]
    fn a_text_that_was_added_to_extra_is_taken_out_again_and_nothing_else_is() {
        for extra in [
            None,
            Some(r#"{"a":1.50}"#),
            Some(r#"{ "a" : {"text":"x"}}"#),
        ] {
            for text in ["", "\0", "a\"\\,}", "\"text\":\""] {
                let extra = extra.map(str::to_owned);
                let added = add_to_extra(extra.clone(), "text", &quoted(text));
                assert_eq!(
                    taken_from_extra(&added, "text"),
                    Some((extra, text.to_owned()))
                );
                assert_eq!(taken_from_extra(&added, "title"), None);
            }
        }
        for other in [
            r#"{"a":{"text":"x"}}"#,
            r#"{"text":"x","a":1}"#,
            r#"{"text":null}"#,
            r#"{"a":"\"text\":\"x"}"#,
        ] {
            assert_eq!(taken_from_extra(other, "text"), None, "{other}");
        }
    }
}

//! A Hacker News item between its JSON and the columns of table `items`, losing nothing either way.
//!
//! What fits its column goes there; everything else (unknown fields, explicit nulls, values of another type, numbers past
//! `i64`) is kept word for word in [`Item::extra`]. So an odd field never costs the item, and [`Item::encode`] gives back
//! every field that [`Item::decode`] read.
//!
//! Every key and value is taken as its raw text first. That keeps numbers to the last digit, and bounds a hostile body:
//! `serde_json` skips over a raw value without recursion, at one byte for each level of nesting.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// One item: story, comment, job, poll or poll option.
///
/// The fields are those of <https://github.com/HackerNews/API#items> under their own names. Only `id` is always there.
/// `None` means that the field was absent or is in `extra`; an empty text or list is not the same and stays empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The item's number.
    pub id: i64,
    /// `job`, `story`, `comment`, `poll` or `pollopt`, or what else the API comes to say.
    pub type_: Option<String>,
    /// Name of its author.
    pub by: Option<String>,
    /// When it was made, in Unix seconds.
    pub time: Option<i64>,
    /// Title of a story, poll or job, as HTML.
    pub title: Option<String>,
    /// Where a story or job points to.
    pub url: Option<String>,
    /// Text of a comment, story, poll or job, as HTML. May hold NULs.
    pub text: Option<String>,
    /// Points of a story or job, votes of a poll option.
    pub score: Option<i64>,
    /// How many comments a story or poll has.
    pub descendants: Option<i64>,
    /// Id of what a comment answers.
    pub parent: Option<i64>,
    /// Id of the poll that a poll option belongs to.
    pub poll: Option<i64>,
    /// Ids of its comments in display order, as a JSON array without whitespace.
    pub kids: Option<String>,
    /// Ids of a poll's options in display order, as a JSON array without whitespace.
    pub parts: Option<String>,
    /// Whether it was deleted.
    pub deleted: Option<bool>,
    /// Whether it was killed by software, moderators or flags.
    pub dead: Option<bool>,
    /// A JSON object of every field that has no column or does not fit it, each value as the API wrote it; never empty.
    /// It can be nested deeper than SQLite's JSON functions and most parsers go.
    pub extra: Option<String>,
}

/// Why a body is not the item that was asked for. The last text of each is how the body begins: at most 80 characters,
/// printable.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// There is no body.
    #[error("the body is empty")]
    Empty,
    /// Not UTF-8, so not JSON either; the offset of the first bad byte.
    #[error("not UTF-8 from byte {0} on: {1}")]
    Encoding(usize, String),
    /// Not JSON, or more than one JSON value; what was wrong and where.
    #[error("not JSON: {0}: {1}")]
    Syntax(serde_json::Error, String),
    /// JSON, but neither an object nor `null`.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// The object's `id` is another one, no integer, or missing; the id that was asked for, then what was found.
    #[error("asked for item {0}, but the id of the answer is {1}: {2}")]
    WrongId(i64, String, String),
}

impl Item {
    /// Reads the API's answer for `id`. `None` if it is the literal `null`: there is no such item, or not yet.
    ///
    /// Of a key that comes twice the last one counts, as in most parsers. Keys are the same if they decode to the same
    /// text. A key with a lone surrogate (`"\ud800"`) decodes to none: it is kept as it was spelled, and two of them are
    /// the same only if spelled the same.
    ///
    /// # Errors
    ///
    /// If the body is anything but `null` or one JSON object whose `id` is `id`.
    pub fn decode(id: i64, body: &[u8]) -> Result<Option<Item>, ItemError> {
        if body.is_empty() {
            return Err(ItemError::Empty);
        }
        // Checked once for the whole body; from bytes, serde_json would do it for each raw value.
        let json = std::str::from_utf8(body)
            .map_err(|e| ItemError::Encoding(e.valid_up_to(), excerpt(body)))?;
        let mut fields = match serde_json::from_str::<Option<Fields<'_>>>(json) {
            Ok(Some(fields)) => fields,
            Ok(None) => return Ok(None),
            // Without the error's own words: they can repeat the whole body.
            Err(e) if e.is_data() => return Err(ItemError::NotAnObject(excerpt(body))),
            Err(e) => return Err(ItemError::Syntax(e, excerpt(body))),
        };
        let found = fields.columns[Column::Id as usize];
        if fields.take(Column::Id, integer) != Some(id) {
            let found = found.map_or("missing".into(), |raw| excerpt(raw.as_bytes()));
            return Err(ItemError::WrongId(id, found, excerpt(body)));
        }
        Ok(Some(Item {
            id,
            type_: fields.take(Column::Type, string),
            by: fields.take(Column::By, string),
            time: fields.take(Column::Time, integer),
            title: fields.take(Column::Title, string),
            url: fields.take(Column::Url, string),
            text: fields.take(Column::Text, string),
            score: fields.take(Column::Score, integer),
            descendants: fields.take(Column::Descendants, integer),
            parent: fields.take(Column::Parent, integer),
            poll: fields.take(Column::Poll, integer),
            kids: fields.take(Column::Kids, integers),
            parts: fields.take(Column::Parts, integers),
            deleted: fields.take(Column::Deleted, boolean),
            dead: fields.take(Column::Dead, boolean),
            extra: fields.extra(),
        }))
    }

    /// The JSON object again that [`Item::decode`] read: the same fields with the same values, numbers to the last digit.
    /// Order of the fields, whitespace and the spelling of strings may differ.
    #[must_use]
    pub fn encode(&self) -> String {
        let text = |s: &Option<String>| s.as_deref().map(quote);
        let number = |n: Option<i64>| n.map(|n| n.to_string());
        let flag = |b: Option<bool>| b.map(|b| b.to_string());
        let columns = [
            ("type", text(&self.type_)),
            ("by", text(&self.by)),
            ("time", number(self.time)),
            ("title", text(&self.title)),
            ("url", text(&self.url)),
            ("text", text(&self.text)),
            ("score", number(self.score)),
            ("descendants", number(self.descendants)),
            ("parent", number(self.parent)),
            ("poll", number(self.poll)),
            ("kids", self.kids.clone()),
            ("parts", self.parts.clone()),
            ("deleted", flag(self.deleted)),
            ("dead", flag(self.dead)),
        ];
        let mut json = format!("{{\"id\":{}", self.id);
        for (name, value) in columns {
            if let Some(value) = value {
                json.extend([",\"", name, "\":", &value]);
            }
        }
        let extra = self.extra.as_deref().unwrap_or_default();
        // Never empty as `decode` makes it; but who deletes from it with `json_remove` leaves `{}`.
        let fields = extra.strip_prefix('{').and_then(|f| f.strip_suffix('}'));
        if let Some(fields) = fields.filter(|f| !f.is_empty()) {
            json.extend([",", fields]);
        }
        json.push('}');
        json
    }
}

/// Declares the fields that have a column: what to call each here, and what the API does.
macro_rules! columns {
    ($($column:ident $name:literal,)*) => {
        #[derive(Clone, Copy)]
        enum Column { $($column),* }

        impl Column {
            const NAMES: &[&str] = &[$($name),*];

            fn named(key: &str) -> Option<Self> {
                match key {
                    $($name => Some(Self::$column),)*
                    _ => None,
                }
            }
        }
    };
}

columns! {
    Id "id",
    Type "type",
    By "by",
    Time "time",
    Title "title",
    Url "url",
    Text "text",
    Score "score",
    Descendants "descendants",
    Parent "parent",
    Poll "poll",
    Kids "kids",
    Parts "parts",
    Deleted "deleted",
    Dead "dead",
}

/// The fields of a body as raw text, the last value under each key.
#[derive(Default)]
struct Fields<'a> {
    columns: [Option<&'a str>; Column::NAMES.len()],
    /// The others in the order they came: keys as `normal` spells them.
    others: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, key: Cow<'a, str>, raw: &'a str) {
        if let Some(column) = Column::named(&key) {
            self.columns[column as usize] = Some(raw);
        } else {
            self.others.push((key, raw));
        }
    }

    /// Takes the field's value out if it `fits`, and leaves it for `extra` if not.
    fn take<T>(&mut self, column: Column, fits: fn(&str) -> Option<T>) -> Option<T> {
        let raw = &mut self.columns[column as usize];
        let value = fits((*raw)?)?;
        *raw = None;
        Some(value)
    }

    /// What the columns left.
    fn extra(&self) -> Option<String> {
        let misfits = Column::NAMES.iter().zip(&self.columns);
        let misfits = misfits.filter_map(|(name, raw)| Some((*name, (*raw)?)));
        let mut seen = HashSet::new();
        let mut others: Vec<_> = self.others.iter().rev().collect();
        others.retain(|(key, _)| seen.insert(key));
        let others = others.into_iter().rev().map(|(key, raw)| (&**key, *raw));
        let mut json = String::new();
        for (key, raw) in others.chain(misfits) {
            let before = if json.is_empty() { "{\"" } else { ",\"" };
            json.extend([before, key, "\":", raw]);
        }
        (!json.is_empty()).then(|| json + "}")
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                // Keys raw as well: as strings, one with a lone surrogate would cost the item.
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.add(normal(key.get()), value.get());
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(All)
    }
}

// The raw texts below are valid JSON: no integer among them has a plus sign or a leading zero.

fn integer(raw: &str) -> Option<i64> {
    // "-0" parses, but would come back as "0".
    raw.parse().ok().filter(|_| raw != "-0")
}

fn integers(raw: &str) -> Option<String> {
    let list = raw.strip_prefix('[')?.strip_suffix(']')?.trim();
    let fits = list.is_empty() || list.split(',').all(|n| integer(n.trim()).is_some());
    fits.then(|| raw.split_ascii_whitespace().collect())
}

fn boolean(raw: &str) -> Option<bool> {
    raw.parse().ok()
}

fn string(raw: &str) -> Option<String> {
    let plain = unquoted(raw)?;
    if plain.contains('\\') {
        serde_json::from_str(raw).ok()
    } else {
        Some(plain.to_owned())
    }
}

/// A key without its quotes, but still escaped; one spelling for all keys that decode to the same text.
fn normal(key: &str) -> Cow<'_, str> {
    let plain = unquoted(key).unwrap_or(key);
    if plain.contains('\\')
        && let Ok(decoded) = serde_json::from_str::<String>(key)
    {
        let quoted = quote(&decoded);
        return unquoted(&quoted).unwrap_or(&quoted).to_owned().into();
    }
    plain.into()
}

fn unquoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// How `body` begins, fit for one line of a log or a terminal.
fn excerpt(body: &[u8]) -> String {
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

#[cfg(test)]
mod tests;

//! A Hacker News item, converted between its JSON and the columns of table `items`. Nothing is lost either way.
//!
//! A value that fits its column goes there. Everything else (unknown fields, explicit nulls, values of another type, numbers
//! past `i64`) is kept word for word in [`Item::extra`]. So an odd field never costs the item, and [`Item::encode`] returns
//! every field that [`Item::decode`] read.

use super::record::{
    RecordError, decode, encode,
    fields::columns,
    values::{boolean, integer, integers, quoted, string},
};

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

/// One item: story, comment, job, poll or poll option.
///
/// The fields are those of <https://github.com/HackerNews/API#items> under their own names. Only `id` is always there.
/// `None` means that the field was absent or is in `extra`; an empty text or list is not the same and stays empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The item's number.
    pub id: i64,
    /// `job`, `story`, `comment`, `poll`, `pollopt`, or a type that the API has added since.
    pub type_: Option<String>,
    /// Name of its author.
    pub by: Option<String>,
    /// When it was made, in Unix seconds.
    pub time: Option<i64>,
    /// Title of a story, poll or job, as HTML.
    pub title: Option<String>,
    /// Address that a story or job links to.
    pub url: Option<String>,
    /// Text of a comment, story, poll or job, as HTML. May hold NULs.
    pub text: Option<String>,
    /// Points of a story or job, votes of a poll option.
    pub score: Option<i64>,
    /// How many comments a story or poll has.
    pub descendants: Option<i64>,
    /// Id of the item that a comment answers.
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

impl Item {
    /// Reads the API's answer for `id`. `None` if it is the literal `null`: there is no such item, or not yet.
    ///
    /// When a key comes twice, the last one counts, as in most parsers. Keys are the same if they decode to the same text. A key
    /// with a lone surrogate (`"\ud800"`) does not decode to text: it keeps its spelling, and is the same only as a key of the
    /// same spelling.
    ///
    /// # Errors
    /// The body is anything but `null` or one JSON object whose `id` is `id`.
    pub fn decode(id: i64, body: &[u8]) -> Result<Option<Item>, RecordError> {
        let Some(mut fields) = decode(body)? else {
            return Ok(None);
        };
        fields.check_id(Column::Id, integer, &id, format_args!("item {id}"), body)?;
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

    /// The JSON object that [`Item::decode`] read: the same fields with the same values, numbers to the last digit. The order of
    /// the fields, whitespace and the spelling of strings may differ.
    #[must_use]
    pub fn encode(&self) -> String {
        encode(self.columns(), self.extra.as_deref())
    }

    /// The fields that are in a column, each with its JSON.
    pub(super) fn columns(&self) -> [(&'static str, Option<String>); 15] {
        let text = |s: &Option<String>| s.as_deref().map(quoted);
        let number = |n: Option<i64>| n.map(|n| n.to_string());
        let flag = |b: Option<bool>| b.map(|b| b.to_string());
        [
            ("id", number(Some(self.id))),
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
        ]
    }
}

#[cfg(test)]
mod tests;

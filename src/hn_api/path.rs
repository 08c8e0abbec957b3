//! Which document a path names: a record, and perhaps a value inside it.

use percent_encoding::percent_decode_str;

use crate::hn::{List, User};

/// What a single read gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    Item(i64),
    User(String),
    List(List),
    MaxItem,
    Updates,
    /// There is nothing at such a path.
    Nothing,
}

/// A path below `/v0/`. As in Firebase, every path into a record works, and a path to nothing is `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentPath {
    pub(crate) record: Record,
    /// The keys that lead into the record.
    pub(crate) keys: Vec<String>,
}

impl DocumentPath {
    /// Reads a path as it is on the wire, below `/v0/` and without `.json`. Slashes that separate nothing do not count.
    pub(crate) fn parse(path: &str) -> Self {
        let decoded = |key: &str| percent_decode_str(key).decode_utf8_lossy().into_owned();
        let keys = path.split('/').filter(|key| !key.is_empty()).map(decoded);
        let mut keys = keys.peekable();
        let first = keys.next().unwrap_or_default();
        let record = match first.as_str() {
            "maxitem" => Record::MaxItem,
            "updates" => Record::Updates,
            // These have an id.
            "item" => match keys.next() {
                Some(id) => parse_id(&id).map_or(Record::Nothing, Record::Item),
                None => Record::Nothing,
            },
            "user" => match keys.next() {
                Some(name) if name.len() <= User::NAME_MAX => Record::User(name),
                _ => Record::Nothing,
            },
            name => list(name).map_or(Record::Nothing, Record::List),
        };
        Self {
            record,
            keys: keys.collect(),
        }
    }
}

/// `None` if the key is not a plain number.
fn parse_id(key: &str) -> Option<i64> {
    let plain = key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0');
    key.parse().ok().filter(|_| plain)
}

fn list(name: &str) -> Option<List> {
    let name = name.strip_suffix("stories")?;
    List::ALL.into_iter().find(|list| list.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_names_a_record_or_nothing() {
        for (path, record, keys) in [
            ("item/8863", Record::Item(8863), &[][..]),
            ("item/8863/", Record::Item(8863), &[]),
            ("item/8863/kids/0", Record::Item(8863), &["kids", "0"]),
            ("item", Record::Nothing, &[]),
            ("item/08", Record::Nothing, &[]),
            ("item/-1", Record::Nothing, &[]),
            ("item/99999999999999999999", Record::Nothing, &[]),
            ("user/pg", Record::User("pg".into()), &[]),
            (
                "user/a%2Fb%20c/karma",
                Record::User("a/b c".into()),
                &["karma"],
            ),
            ("user/", Record::Nothing, &[]),
            ("topstories/0", Record::List(List::Top), &["0"]),
            ("jobstories", Record::List(List::Job), &[]),
            ("stories", Record::Nothing, &[]),
            ("maxitem", Record::MaxItem, &[]),
            ("updates//items/", Record::Updates, &["items"]),
            ("", Record::Nothing, &[]),
            ("x/y", Record::Nothing, &["y"]),
            (&format!("user/{}", "x".repeat(101)), Record::Nothing, &[]),
        ] {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(
                DocumentPath::parse(path),
                DocumentPath { record, keys },
                "{path}"
            );
        }
    }
}

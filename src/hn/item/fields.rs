//! The fields of a body, each as its raw text.
//!
//! Raw text keeps numbers to the last digit. It also bounds the cost of a hostile body: `serde_json` skips over a raw value
//! without recursion, at one byte for each level of nesting.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::values::{quoted, unquoted};

/// Declares the fields that have a column: the name of each in this file, and the API's.
macro_rules! columns {
    ($($column:ident $name:literal,)*) => {
        #[derive(Clone, Copy)]
        pub(super) enum Column { $($column),* }

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

/// The fields of a body as raw text. Of a key that comes twice, the last value.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// The fields that have a column, by [`Column`].
    columns: [Option<&'a str>; Column::NAMES.len()],
    /// The other fields, in the body's order, under their `normalized` keys.
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

    /// The raw text of a field that has a column.
    pub(super) fn raw(&self, column: Column) -> Option<&'a str> {
        self.columns[column as usize]
    }

    /// Takes the value out if it `fits` the column. Otherwise the value stays, and [`extra`](Self::extra) will hold it.
    pub(super) fn take<T>(&mut self, column: Column, fits: fn(&str) -> Option<T>) -> Option<T> {
        let raw = &mut self.columns[column as usize];
        let value = fits((*raw)?)?;
        *raw = None;
        Some(value)
    }

    /// A JSON object of everything that no column took.
    pub(super) fn extra(&self) -> Option<String> {
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
                // Keys are read as raw text too: a lone surrogate in a key that is read as a string would cost the item.
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.add(normalized(key.get()), value.get());
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// A key without its quotes, but still escaped. All keys that decode to the same text get the same spelling.
fn normalized(key: &str) -> Cow<'_, str> {
    let plain = unquoted(key).unwrap_or(key);
    if plain.contains('\\')
        && let Ok(decoded) = serde_json::from_str::<String>(key)
    {
        let quoted = quoted(&decoded);
        return unquoted(&quoted).unwrap_or(&quoted).to_owned().into();
    }
    plain.into()
}

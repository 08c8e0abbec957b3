//! The fields of a body, each as its raw text.
//!
//! Raw text keeps numbers to the last digit. It also bounds the cost of a hostile body: `serde_json` skips over a raw value
//! without recursion, at one byte for each level of nesting.

use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::values::{quoted, unquoted};

/// The fields that have a column in a record's table.
pub(in crate::hn) trait Column: Copy {
    /// The API's names of the fields.
    const NAMES: &'static [&'static str];

    /// The field of this name, if it has a column.
    fn named(key: &str) -> Option<Self>;

    /// Its position in [`Column::NAMES`].
    fn position(self) -> usize;
}

/// No record has more columns than this.
const MOST_COLUMNS: usize = 15;

/// Declares the fields that have a column: the name of each in this file, and the API's.
macro_rules! columns {
    ($($column:ident $name:literal,)*) => {
        #[derive(Clone, Copy)]
        enum Column { $($column),* }

        impl $crate::hn::record::fields::Column for Column {
            const NAMES: &'static [&'static str] = &[$($name),*];

            fn named(key: &str) -> Option<Self> {
                match key {
                    $($name => Some(Self::$column),)*
                    _ => None,
                }
            }

            fn position(self) -> usize {
                self as usize
            }
        }
    };
}
pub(in crate::hn) use columns;

/// The fields of a body as raw text. Of a key that comes twice, the last value.
pub(in crate::hn) struct Fields<'a, C> {
    /// The fields that have a column, by their position.
    columns: [Option<&'a str>; MOST_COLUMNS],
    /// The other fields, in the body's order, under their `normalized` keys.
    others: Vec<(Cow<'a, str>, &'a str)>,
    names: PhantomData<C>,
}

impl<'a, C: Column> Fields<'a, C> {
    fn new() -> Self {
        const { assert!(C::NAMES.len() <= MOST_COLUMNS) };
        Self {
            columns: [None; MOST_COLUMNS],
            others: Vec::new(),
            names: PhantomData,
        }
    }

    fn add(&mut self, key: Cow<'a, str>, raw: &'a str) {
        if let Some(column) = C::named(&key) {
            self.columns[column.position()] = Some(raw);
        } else {
            self.others.push((key, raw));
        }
    }

    /// The raw text of a field that has a column.
    pub(super) fn raw(&self, column: C) -> Option<&'a str> {
        self.columns[column.position()]
    }

    /// Takes the value out if it `fits` the column. Otherwise the value stays, and [`extra`](Self::extra) will hold it.
    pub(in crate::hn) fn take<T>(&mut self, column: C, fits: fn(&str) -> Option<T>) -> Option<T> {
        let raw = &mut self.columns[column.position()];
        let value = fits((*raw)?)?;
        *raw = None;
        Some(value)
    }

    /// A JSON object of everything that no column took.
    pub(in crate::hn) fn extra(&self) -> Option<String> {
        let misfits = C::NAMES.iter().zip(&self.columns);
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

impl<'de, C: Column> Deserialize<'de> for Fields<'de, C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<C>(PhantomData<C>);
        impl<'de, C: Column> Visitor<'de> for All<C> {
            type Value = Fields<'de, C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::new();
                // Keys are read as raw text too: a lone surrogate in a key that is read as a string would cost the record.
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    fields.add(normalized(key.get()), value.get());
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(All(PhantomData))
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

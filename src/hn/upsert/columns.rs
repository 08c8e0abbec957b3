//! Records as columns: the values of each column in one list.

/// The values of one column.
pub(in crate::hn) enum Values<'a> {
    BigInt(Vec<Option<i64>>),
    Integer(Vec<Option<i32>>),
    Text(Vec<Option<&'a str>>),
}

impl Values<'_> {
    pub(super) fn sql_type(&self) -> &'static str {
        match self {
            Self::BigInt(_) => "bigint[]",
            Self::Integer(_) => "integer[]",
            Self::Text(_) => "text[]",
        }
    }
}

/// A value of a record, as it is added to its column.
pub(in crate::hn) trait Cell<'a> {
    fn column(rows: usize) -> Values<'a>;
    fn add_to(self, column: &mut Values<'a>);
}

/// Implements [`Cell`]: the type of the value, its column, and how the one becomes an entry of the other.
macro_rules! cell {
    ($cell:ty, $values:ident, |$value:ident| $entry:expr) => {
        impl<'a> Cell<'a> for &'a $cell {
            fn column(rows: usize) -> Values<'a> {
                Values::$values(Vec::with_capacity(rows))
            }

            fn add_to(self, column: &mut Values<'a>) {
                let $value = self;
                if let Values::$values(entries) = column {
                    entries.push($entry);
                }
            }
        }
    };
}

cell!(i64, BigInt, |value| Some(*value));
cell!(Option<i64>, BigInt, |value| *value);
cell!(Option<i32>, Integer, |value| *value);
cell!(String, Text, |value| Some(value));
cell!(Option<String>, Text, |value| value.as_deref());

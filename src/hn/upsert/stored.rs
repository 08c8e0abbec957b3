//! The records that have a table, as the statements that store them see them.

use diesel::{
    Column, QueryResult, backend::Backend, dsl::SqlTypeOf, query_builder::AstPass, sqlite::Sqlite,
};

#[cfg(feature = "postgres")]
use super::columns::{Cell, Values};
#[cfg(feature = "postgres")]
use crate::hn::record::{add_to_extra, values::quoted};
use crate::hn::{
    item::Item,
    schema::{items, users},
    user::User,
};

/// A record, and when it was received, in Unix seconds.
pub(in crate::hn) struct Received<'a, R> {
    pub(in crate::hn) record: &'a R,
    pub(in crate::hn) fetched_at: i64,
}

/// A record that has a table.
pub(in crate::hn) trait Stored: Clone + 'static {
    const TABLE: &'static str;
    /// All columns but `fetched_at`, which a record does not have. In the table's order: any other makes SQLite copy each row
    /// once more.
    const COLUMNS: &'static [&'static str];

    /// Binds the values of one row, each followed by a comma.
    fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;

    /// Columns without rows.
    #[cfg(feature = "postgres")]
    fn empty_columns<'a>(rows: usize) -> Vec<Values<'a>>;

    /// Adds a row to the columns.
    #[cfg(feature = "postgres")]
    fn add_to_columns<'a>(&'a self, columns: &mut [Values<'a>]);

    /// The record with those texts in `extra` that do not fit their column, if there are any.
    #[cfg(feature = "postgres")]
    fn with_misfits_in_extra(&self, fits: impl Fn(&str, &str) -> bool) -> Option<Self>;
}

/// The beginning of every upsert.
pub(super) fn push_columns<R: Stored, DB: Backend>(
    out: &mut AstPass<'_, '_, DB>,
) -> QueryResult<()> {
    out.push_sql("INSERT INTO ");
    out.push_identifier(R::TABLE)?;
    out.push_sql(" (");
    for name in R::COLUMNS {
        out.push_identifier(name)?;
        out.push_sql(",");
    }
    out.push_sql("fetched_at) ");
    Ok(())
}

/// The end of every upsert.
pub(super) fn push_conflict_clause<R: Stored, DB: Backend>(
    out: &mut AstPass<'_, '_, DB>,
) -> QueryResult<()> {
    out.push_sql(" ON CONFLICT (id) DO UPDATE SET ");
    for name in R::COLUMNS {
        out.push_identifier(name)?;
        out.push_sql("=excluded.");
        out.push_identifier(name)?;
        out.push_sql(",");
    }
    out.push_sql("fetched_at=excluded.fetched_at WHERE excluded.fetched_at>=");
    out.push_identifier(R::TABLE)?;
    out.push_sql(".fetched_at");
    Ok(())
}

/// Lists the columns. A function in parentheses makes the column's value of the record's. Then come the texts that may not fit.
macro_rules! stored {
    ($record:ident in $table:ident: $($column:ident $(($value:ident))?)*; texts: $($text:ident)*) => {
        impl Stored for $record {
            const TABLE: &'static str = stringify!($table);
            const COLUMNS: &'static [&'static str] = &[$($table::$column::NAME),*];

            fn bind<'b>(&'b self, out: &mut AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                // A field that is missing here does not compile.
                let $record { $($column),* } = self;
                $(
                    $(let $column = $value($column);)?
                    out.push_bind_param::<SqlTypeOf<$table::$column>, _>($column)?;
                    out.push_sql(",");
                )*
                Ok(())
            }

            #[cfg(feature = "postgres")]
            fn empty_columns<'a>(rows: usize) -> Vec<Values<'a>> {
                fn column_of<'a, V: Cell<'a>>(_: impl Fn(&'a $record) -> V, rows: usize) -> Values<'a> {
                    V::column(rows)
                }
                vec![$(column_of(
                    |record: &'a $record| {
                        let $column = &record.$column;
                        $(let $column = $value($column);)?
                        $column
                    },
                    rows,
                )),*]
            }

            #[cfg(feature = "postgres")]
            fn add_to_columns<'a>(&'a self, columns: &mut [Values<'a>]) {
                let $record { $($column),* } = self;
                let mut columns = columns.iter_mut();
                $(
                    $(let $column = $value($column);)?
                    if let Some(values) = columns.next() {
                        $column.add_to(values);
                    }
                )*
            }

            #[cfg(feature = "postgres")]
            fn with_misfits_in_extra(&self, fits: impl Fn(&str, &str) -> bool) -> Option<Self> {
                let does_fit = |name, text: &Option<String>| text.as_deref().is_none_or(|text| fits(name, text));
                if $(does_fit($table::$text::NAME, &self.$text))&&* {
                    return None;
                }
                let mut changed = self.clone();
                $(
                    let name = $table::$text::NAME;
                    if !does_fit(name, &self.$text) {
                        let text = changed.$text.take().unwrap_or_default();
                        changed.extra = Some(add_to_extra(changed.extra.take(), name, &quoted(&text)));
                    }
                )*
                Some(changed)
            }
        }
    };
}

stored!(
    Item in items: id type_ by time title url text score descendants parent poll kids parts deleted(integer) dead(integer) extra;
    texts: type_ by title url text
);
stored!(User in users: id created karma about submitted extra; texts: about);

/// A bound value must outlive its statement, so each is a constant.
fn integer(flag: &Option<bool>) -> &'static Option<i32> {
    match flag {
        None => &None,
        Some(false) => &Some(0),
        Some(true) => &Some(1),
    }
}

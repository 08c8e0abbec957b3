//! Which statements differ between databases.

/// The statements of one database.
#[doc(hidden)]
#[derive(Debug)]
pub struct Dialect {
    /// A text that differs, on the same connection, after another connection has committed a change.
    #[cfg(feature = "serve")]
    pub(in crate::hn) data_version: &'static str,
    /// Begins a transaction that reads one state of the database.
    pub(in crate::hn) begin_snapshot: &'static str,
    /// Lets one transaction at a time settle ids. Empty if the database has only one writer anyway.
    pub(in crate::hn) lock_ledger: &'static str,
    /// Lets one transaction at a time build an index, likewise.
    #[cfg(feature = "serve")]
    pub(in crate::hn) lock_indexes: &'static str,
    /// Lets one transaction at a time claim ids, likewise.
    #[cfg(feature = "cli")]
    pub(in crate::hn) lock_claims: &'static str,
    /// Whether each value of a column has the column's type.
    #[cfg(feature = "cli")]
    pub(in crate::hn) has_typed_columns: bool,
    /// The new `checks` of an absent id that was checked before.
    pub(in crate::hn) checks_after_one_more: &'static str,
    /// Finds damage in the database's files, one message per row, or `ok`. `None` if the database offers no such check.
    pub(in crate::hn) integrity_check: Option<&'static str>,
    /// Whether there is a table of migrations, as a condition.
    pub(in crate::hn) has_migrations_table: &'static str,
    /// Whether there is a table of items, as a condition.
    pub(in crate::hn) has_items_table: &'static str,
    /// The indexes of the table `items` that can be used: `name`, and the statement that makes it as `definition`.
    pub(in crate::hn) indexes_of_items: &'static str,
    /// Whether there is a search index, complete or not, as a condition.
    #[cfg(feature = "serve")]
    pub(in crate::hn) has_search_index: &'static str,
    /// Whether the search must read each row with the words to see whether its title has them.
    #[cfg(feature = "serve")]
    pub(in crate::hn) reads_rows_for_titles: bool,
    /// This moment in Unix seconds.
    pub(in crate::hn) now: &'static str,
    /// This moment in milliseconds since 1970.
    #[cfg(feature = "cli")]
    pub(in crate::hn) now_ms: &'static str,
    /// The stored kids of a stored item that name another parent: kid, item, and the parent that the kid names. By item.
    pub(in crate::hn) moved_kids: &'static str,
}

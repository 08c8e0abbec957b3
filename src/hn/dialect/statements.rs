//! Which statements differ between databases.

/// The statements of one database.
#[doc(hidden)]
#[derive(Debug)]
pub struct Dialect {
    /// Whether there is a table of migrations, as a condition.
    pub(in crate::hn) has_migrations_table: &'static str,
    #[cfg(feature = "cli")]
    /// The names of the indexes of the table `items`, as `name`.
    pub(in crate::hn) indexes_of_items: &'static str,
    /// This moment in Unix seconds.
    pub(in crate::hn) now: &'static str,
    /// This moment in milliseconds since 1970.
    #[cfg(feature = "cli")]
    pub(in crate::hn) now_ms: &'static str,
    /// The stored kids of a stored item that name another parent: kid, item, and the parent that the kid names. By item.
    pub(in crate::hn) moved_kids: &'static str,
}

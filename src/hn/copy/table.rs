//! What each table says of itself: how its pages are read, and how they are written.

use diesel::QueryResult;

use super::page::Page;
use crate::store::any::AnyConnection;

/// A table that is copied.
pub(super) trait CopiedTable {
    const NAME: &'static str;
    /// The column of the key, if it is a number. It shows how far the copy is.
    const NUMBER: Option<&'static str>;
    type Key: Clone + Send;
    type Row;

    /// The rows behind a key, or the first ones.
    fn read(
        from: &mut AnyConnection,
        after: Option<&Self::Key>,
        target: Target,
    ) -> QueryResult<Page<Self::Row, Self::Key>>;

    /// Writes the rows that the target lacks or has in an older state. Returns how many. Runs in a transaction.
    fn write(to: &mut AnyConnection, rows: &[Self::Row]) -> QueryResult<u64>;

    /// A key that is a number.
    fn number(_: &Self::Key) -> i64 {
        0
    }
}

/// What the target can hold.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// Whether a text may hold a NUL.
    pub(super) holds_nul: bool,
}

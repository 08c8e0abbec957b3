//! The SQL that differs between databases. Each database has a file with its own.

mod statements;
mod sqlite;
#[cfg(feature = "postgres")]
mod postgres;

#[cfg(feature = "postgres")]
pub(super) use self::postgres::POSTGRES;
pub(super) use self::{sqlite::SQLITE, statements::Dialect};

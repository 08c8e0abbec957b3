//! The SQL that differs between databases. Each database has a file with its own.

mod statements;
mod sqlite;

pub(super) use self::{sqlite::SQLITE, statements::Dialect};

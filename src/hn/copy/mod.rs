//! Copies the tables of a mirror into another database, page by page. Each page is one transaction at the target.
//!
//! Nothing is remembered between two copies: each page is compared with what the target holds, and only what it lacks or has in an older
//! state is written. So a copy may end at any time, and the next one reads over what is there already. The claims of `coverage` come
//! last, and only those whose rows are there.

mod page;
mod table;
mod records;
mod items;
mod users;
mod outcomes;
mod history;
mod lists;
mod runs;
mod claims;
mod progress;

use std::sync::Arc;

use diesel::{QueryResult, RunQueryDsl, dsl::sql, sql_types::BigInt, sql_types::Nullable};

pub(in crate::hn) use self::items::{ItemRow, item_rows};
use self::{
    claims::Claims,
    history::History,
    items::Items,
    lists::Lists,
    outcomes::{Absences, Failures},
    runs::Runs,
    table::{CopiedTable, Target},
    users::Users,
};
pub(crate) use self::{
    page::Refused,
    progress::{CopyProgress, TABLES, TableCount},
};
use super::connection::on_backend;
use crate::store::{StoreConnection, any::AnyConnection, locks::while_locked};

/// A table, and how far its copy is.
trait Step: Send {
    fn table(&self) -> &'static str;
    /// The largest key of the table, if it is a number.
    fn last_number(&self, from: &mut AnyConnection) -> QueryResult<i64>;
    /// Copies a page. If it fails, the next call copies the same page.
    fn copy_page(
        &mut self,
        from: &mut AnyConnection,
        to: &mut AnyConnection,
    ) -> QueryResult<Copied>;
}

/// What became of a page.
struct Copied {
    read: u64,
    written: u64,
    refused: Vec<Refused>,
    /// The last key, if it is a number.
    number: i64,
    /// Whether there was nothing more to copy.
    is_end: bool,
}

struct Position<T: CopiedTable> {
    after: Option<T::Key>,
}

impl<T: CopiedTable> Step for Position<T> {
    fn table(&self) -> &'static str {
        T::NAME
    }

    fn last_number(&self, from: &mut AnyConnection) -> QueryResult<i64> {
        let Some(column) = T::NUMBER else {
            return Ok(0);
        };
        let query = sql::<Nullable<BigInt>>(&format!("SELECT max({column}) FROM {}", T::NAME));
        let last: Option<i64> = on_backend!(from, |conn| query.get_result(conn))?;
        Ok(last.unwrap_or(0))
    }

    fn copy_page(
        &mut self,
        from: &mut AnyConnection,
        to: &mut AnyConnection,
    ) -> QueryResult<Copied> {
        let target = Target {
            holds_nul: matches!(to, AnyConnection::Sqlite(_)),
        };
        let page = while_locked(|| T::read(from, self.after.as_ref(), target))?;
        let mut copied = Copied {
            read: page.read,
            written: 0,
            refused: page.refused,
            number: page.last.as_ref().map_or(0, T::number),
            is_end: page.last.is_none(),
        };
        if !page.rows.is_empty() {
            let write = |to: &mut AnyConnection| T::write(to, &page.rows);
            copied.written = while_locked(|| to.write_transaction(write))?;
        }
        if page.last.is_some() {
            self.after = page.last;
        }
        Ok(copied)
    }
}

fn step<T: CopiedTable + 'static>() -> Box<dyn Step> {
    Box::new(Position::<T> { after: None })
}

/// A copy under way.
pub(crate) struct Copy {
    steps: Vec<Box<dyn Step>>,
    progress: Arc<CopyProgress>,
    has_begun_table: bool,
}

impl Copy {
    pub(crate) fn new(progress: Arc<CopyProgress>) -> Self {
        Self {
            // Taken from the end. Claims come last, and the newest outcome of an id is settled after the older ones.
            steps: vec![
                step::<Claims>(),
                step::<Runs>(),
                step::<Lists>(),
                step::<History>(),
                step::<Failures>(),
                step::<Absences>(),
                step::<Users>(),
                step::<Items>(),
            ],
            progress,
            has_begun_table: false,
        }
    }

    /// Copies the next page. If that fails, the next call copies the same page. Returns whether there is more.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub(crate) fn copy_page(
        &mut self,
        from: &mut AnyConnection,
        to: &mut AnyConnection,
    ) -> QueryResult<bool> {
        let Some(step) = self.steps.last_mut() else {
            return Ok(false);
        };
        let table = step.table();
        if !self.has_begun_table {
            self.progress.begin(table, step.last_number(from)?);
            self.has_begun_table = true;
        }
        let copied = step.copy_page(from, to)?;
        let is_end = copied.is_end;
        self.progress
            .add(copied.read, copied.written, copied.refused, copied.number);
        if is_end {
            self.steps.pop();
            self.has_begun_table = false;
        }
        Ok(!self.steps.is_empty())
    }

    /// The table that is being copied.
    pub(crate) fn table(&self) -> &'static str {
        self.steps.last().map_or("", |step| step.table())
    }
}

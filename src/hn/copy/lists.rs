//! Copies the lists, each as a whole. They are small, so that all of them are one page.

use std::collections::BTreeMap;

use diesel::{ExpressionMethods, Insertable, QueryDsl, QueryResult, Queryable, RunQueryDsl};

use super::{
    page::Page,
    table::{CopiedTable, Target},
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        schema::lists,
        sink::outcomes::without_nul,
    },
    store::any::AnyConnection,
};

pub(super) struct Lists;

#[derive(Clone, Insertable, PartialEq, Queryable)]
#[diesel(table_name = lists, treat_none_as_default_value = false)]
pub(super) struct Entry {
    list: String,
    rank: i64,
    id: i64,
    fetched_at: i64,
}

/// Rows of one statement, well under SQLite's 32,766 bound values.
const INSERTED_ROWS: usize = 1000;

fn all(conn: &mut AnyConnection) -> QueryResult<Vec<Entry>> {
    let entries = lists::table.order((lists::list, lists::rank));
    on_backend!(conn, |conn| entries.load(conn))
}

fn by_list(entries: Vec<Entry>) -> BTreeMap<String, Vec<Entry>> {
    let mut lists = BTreeMap::<_, Vec<_>>::new();
    for entry in entries {
        lists.entry(entry.list.clone()).or_default().push(entry);
    }
    lists
}

/// When a list was read.
fn fetched_at(list: &[Entry]) -> Option<i64> {
    list.iter().map(|entry| entry.fetched_at).max()
}

impl CopiedTable for Lists {
    const NAME: &'static str = "lists";
    const NUMBER: Option<&'static str> = None;
    /// There is one page.
    type Key = ();
    type Row = Entry;

    fn read(
        from: &mut AnyConnection,
        after: Option<&()>,
        target: Target,
    ) -> QueryResult<Page<Entry, ()>> {
        let mut entries = match after {
            None => all(from)?,
            Some(()) => Vec::new(),
        };
        if !target.holds_nul {
            for entry in &mut entries {
                entry.list = without_nul(&entry.list).into_owned();
            }
        }
        Ok(Page {
            read: entries.len() as u64,
            last: (!entries.is_empty()).then_some(()),
            rows: entries,
            refused: Vec::new(),
        })
    }

    fn write(to: &mut AnyConnection, rows: &[Entry]) -> QueryResult<u64> {
        to.lock_ledger()?;
        let present = by_list(all(to)?);
        let mut written = 0;
        for (name, list) in by_list(rows.to_vec()) {
            let is_present = present
                .get(&name)
                .is_some_and(|present| *present == list || fetched_at(present) > fetched_at(&list));
            if is_present {
                continue;
            }
            let replaced = lists::table.filter(lists::list.eq(&name));
            on_backend!(to, |conn| diesel::delete(replaced).execute(conn))?;
            for rows in list.chunks(INSERTED_ROWS) {
                on_backend!(to, |conn| diesel::insert_into(lists::table)
                    .values(rows)
                    .execute(conn))?;
            }
            written += list.len() as u64;
        }
        Ok(written)
    }
}

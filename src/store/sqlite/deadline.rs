//! Reads that end at a deadline. Nothing outside can interrupt SQLite without unsafe code, so a query interrupts itself: it calls
//! `within_time` for each row that it looks at.

use std::{cell::Cell, time::Instant};

use diesel::{
    QueryResult, SqliteConnection, declare_sql_function,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{BigInt, Bool},
    sqlite::Sqlite,
};

#[declare_sql_function]
extern "SQL" {
    /// True until the deadline of the thread, and an error after it. With an argument, SQLite calls it for each row.
    fn within_time(id: BigInt) -> Bool;
}

const LATE: &str = "the deadline of the read has passed";

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work`. Its queries that call `within_time` end with an error after the deadline.
pub(crate) fn with_deadline<T>(deadline: Instant, work: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            DEADLINE.set(None);
        }
    }
    DEADLINE.set(Some(deadline));
    let _reset = Reset;
    work()
}

/// An error after the deadline of the thread. For work of several statements, which need not be long themselves.
pub(crate) fn check_deadline() -> QueryResult<()> {
    if is_late() {
        return Err(diesel::result::Error::QueryBuilderError(LATE.into()));
    }
    Ok(())
}

fn is_late() -> bool {
    let deadline = DEADLINE.get();
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Lets queries of this connection call `within_time`.
pub(crate) fn register_within_time(conn: &mut SqliteConnection) -> QueryResult<()> {
    within_time_utils::register_nondeterministic_impl(conn, |_: i64| WithinTime)
}

/// The answer of the function, which is looked up when SQLite takes it. Only that may fail.
#[derive(Debug)]
struct WithinTime;

impl ToSql<Bool, Sqlite> for WithinTime {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        if is_late() {
            return Err(LATE.into());
        }
        out.set_value(1_i32);
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_work_between_its_statements_and_only_on_its_thread() {
        assert_eq!(check_deadline(), Ok(()));
        with_deadline(Instant::now(), || {
            assert!(check_deadline().is_err());
            let other = std::thread::spawn(check_deadline);
            assert_eq!(other.join().ok(), Some(Ok(())));
        });
        assert_eq!(check_deadline(), Ok(()));
    }
}

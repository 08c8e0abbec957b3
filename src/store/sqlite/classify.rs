//! What SQLite's errors mean for a run. Pure.
//!
//! Diesel gives a full disk, a lock and an I/O error the same kind. Only SQLite's message tells them apart.

use std::path::Path;

use diesel::result::{DatabaseErrorKind, Error};

use crate::store::{ErrorClass, StoreError};

/// Messages of `sqlite3ErrStr` in SQLite's main.c: another connection has a lock.
const BUSY: [&str; 3] = [
    "database is locked",
    "database table is locked",
    "locking protocol",
];

/// Messages of `sqlite3ErrStr` in SQLite's main.c: the database itself is at fault.
const LOST: [&str; 10] = [
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
    "file is not a database",
    "database disk image is malformed",
    "out of memory",
    "access permission denied",
    "authorization denied",
    "large file support is disabled",
];

/// What an error of a transaction means for the run.
pub(super) fn classify(error: &Error) -> ErrorClass {
    match error {
        Error::DatabaseError(
            DatabaseErrorKind::Unknown
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | Error::BrokenTransactionManager
        | Error::AlreadyInTransaction
        | Error::NotInTransaction => classify_message(&error.to_string()),
        Error::RollbackErrorOnCommit { commit_error, .. } => classify(commit_error),
        _ => ErrorClass::Row,
    }
}

/// Compares whole messages, because a trigger may raise any text that resembles them. An unknown message is a row's fault.
fn classify_message(message: &str) -> ErrorClass {
    if BUSY.contains(&message) {
        ErrorClass::Busy
    } else if LOST.contains(&message) {
        ErrorClass::Lost
    } else {
        ErrorClass::Row
    }
}

/// Why a file that was opened cannot be used.
pub(super) fn unusable(path: &Path, source: Error) -> StoreError {
    let path = path.to_owned();
    if classify(&source) == ErrorClass::Busy {
        StoreError::Locked { path, source }
    } else {
        StoreError::Use { path, source }
    }
}

/// Whether a text contains SQLite's message about a lock.
#[cfg(feature = "cli")]
pub(crate) fn is_about_lock(text: &str) -> bool {
    BUSY.iter().any(|message| text.contains(message))
}

/// Whether an error's text is SQLite's message about a lock, or ends with it as the text of an error around it does.
pub(in crate::store) fn ends_with_lock_message(text: &str) -> bool {
    BUSY.iter()
        .any(|locked| text == *locked || text.ends_with(&format!(": {locked}")))
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind::*;

    use super::*;

    fn database_error(kind: DatabaseErrorKind, message: &str) -> Error {
        Error::DatabaseError(kind, Box::new(message.to_owned()))
    }

    #[test]
    fn each_error_is_classified_by_its_kind_and_its_whole_message() {
        use ErrorClass::{Busy, Lost, Row};
        for (kind, message, class) in [
            (Unknown, "database is locked", Busy),
            (Unknown, "database table is locked", Busy),
            (Unknown, "locking protocol", Busy),
            (Unknown, "database or disk is full", Lost),
            (Unknown, "disk I/O error", Lost),
            (Unknown, "attempt to write a readonly database", Lost),
            (Unknown, "unable to open database file", Lost),
            (Unknown, "file is not a database", Lost),
            (Unknown, "database disk image is malformed", Lost),
            (Unknown, "out of memory", Lost),
            // Text of a trigger or of a driver that only resembles SQLite's own.
            (Unknown, "no: database is locked", Row),
            (Unknown, "database is locked up", Row),
            (Unknown, "Database is locked", Row),
            (Unknown, "no such table: items", Row),
            // A constraint is a row's fault whatever its message says.
            (UniqueViolation, "UNIQUE constraint failed: t.x", Row),
            (CheckViolation, "database is locked", Row),
            (NotNullViolation, "disk I/O error", Row),
            (ForeignKeyViolation, "FOREIGN KEY constraint failed", Row),
        ] {
            let error = database_error(kind, message);
            assert_eq!(classify(&error), class, "{error:?}");
        }
    }

    #[test]
    fn an_error_of_diesel_itself_is_a_rows_fault() {
        for error in [
            Error::NotFound,
            Error::RollbackTransaction,
            Error::SerializationError("no such value".into()),
            Error::QueryBuilderError("too many values".into()),
            Error::AlreadyInTransaction,
            Error::NotInTransaction,
            Error::BrokenTransactionManager,
        ] {
            assert_eq!(classify(&error), ErrorClass::Row, "{error:?}");
        }
    }

    #[test]
    fn a_rollback_that_fails_after_a_commit_is_classified_by_the_commit() {
        for (message, class) in [
            ("database is locked", ErrorClass::Busy),
            ("database or disk is full", ErrorClass::Lost),
        ] {
            let error = Error::RollbackErrorOnCommit {
                rollback_error: Box::new(Error::NotInTransaction),
                commit_error: Box::new(database_error(Unknown, message)),
            };
            assert_eq!(classify(&error), class);
        }
    }

    #[test]
    fn a_lock_is_found_at_the_end_of_a_text_that_wraps_it() {
        for (text, locked) in [
            ("database is locked", true),
            ("cannot migrate: database is locked", true),
            ("Failed to run: x: database table is locked", true),
            ("cannot migrate, database is locked", false),
            ("database is locked: cannot migrate", false),
        ] {
            assert_eq!(ends_with_lock_message(text), locked, "{text}");
        }
    }
}

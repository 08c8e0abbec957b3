//! What PostgreSQL's errors mean for a run. Pure.
//!
//! Diesel tells the kind of few errors, and no SQLSTATE. So the others are told apart by the server's message. Sessions ask for
//! English messages, which only a superuser gets if the server's default is another language. An unknown message is a row's
//! fault: the rows are then written one by one, and if even a failure cannot be written, the run ends.

use diesel::result::{DatabaseErrorKind, Error};

use crate::store::ErrorClass;

/// Beginnings of messages after which the same transaction may commit over the same connection: another one is in the way, or the
/// server takes no connections at the moment. With their SQLSTATE.
const WAIT: [&str; 9] = [
    "deadlock detected",                       // 40P01
    "could not serialize access",              // 40001
    "restart transaction",                     // 40001 of CockroachDB
    "could not obtain lock on",                // 55P03
    "canceling statement due to",              // 55P03, 57014, 40001
    "the database system is",                  // 57P03
    "sorry, too many clients already",         // 53300
    "remaining connection slots are reserved", // 53300
    "too many connections for",                // 53300
];

/// Beginnings of messages about a connection that is lost. The same transaction may commit over another one. With their SQLSTATE,
/// or of libpq.
const DISCONNECTED: [&str; 7] = [
    "terminating connection", // 57P01, 57P02, 57P05, 25P03
    "server closed the connection unexpectedly",
    "no connection to the server",
    "SSL connection has been closed unexpectedly",
    "SSL SYSCALL error",
    "could not receive data from server",
    "could not send data to server",
];

/// Beginnings of messages about the database itself. With their SQLSTATE.
const LOST: [&str; 15] = [
    "could not extend file",              // 53100
    "could not write",                    // 53100, 58030
    "could not open file",                // 58P01, 58030
    "could not create file",              // 53100
    "could not read block",               // XX001
    "could not read file",                // 58030
    "could not access status",            // XX000
    "could not fsync file",               // 58030
    "invalid page in block",              // XX001
    "out of memory",                      // 53200
    "out of shared memory",               // 53200
    "permission denied for",              // 42501
    "must be owner of",                   // 42501
    "temporary file size exceeds",        // 53400
    "database is not accepting commands", // 54000
];

/// How the message of a missing table (42P01) ends.
const NO_TABLE: (&str, &str) = ("relation \"", "\" does not exist");

/// libpq's messages about a statement that it cannot send, although it is connected.
const NOT_SENT: [&str; 2] = ["number of parameters must be", "another command is already"];

/// What an error of a transaction means for the run.
pub(super) fn classify(error: &Error) -> ErrorClass {
    match error {
        Error::DatabaseError(kind, information) => classify_kind(kind, information.message()),
        // The connection broke before. The pool gives another one.
        Error::BrokenTransactionManager => ErrorClass::Busy,
        Error::RollbackErrorOnCommit { commit_error, .. } => classify(commit_error),
        _ => ErrorClass::Row,
    }
}

fn classify_kind(kind: &DatabaseErrorKind, message: &str) -> ErrorClass {
    match kind {
        DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::ClosedConnection => {
            ErrorClass::Busy
        }
        DatabaseErrorKind::UnableToSendCommand if !begins_with(&NOT_SENT, message) => {
            ErrorClass::Busy
        }
        DatabaseErrorKind::ReadOnlyTransaction => ErrorClass::Lost,
        DatabaseErrorKind::Unknown => classify_message(message),
        _ => ErrorClass::Row,
    }
}

fn classify_message(message: &str) -> ErrorClass {
    let (begin, end) = NO_TABLE;
    if begins_with(&WAIT, message) || begins_with(&DISCONNECTED, message) {
        ErrorClass::Busy
    } else if begins_with(&LOST, message) || message.starts_with(begin) && message.ends_with(end) {
        ErrorClass::Lost
    } else {
        ErrorClass::Row
    }
}

fn begins_with(beginnings: &[&str], message: &str) -> bool {
    beginnings.iter().any(|begin| message.starts_with(begin))
}

/// What it means that a database that was opened before gives no connection. It is waited for, unless the server itself refuses.
pub(super) fn classify_connecting(text: &str) -> ErrorClass {
    match text.split_once("FATAL: ") {
        Some((_, why)) if !begins_with(&WAIT, why) && !begins_with(&DISCONNECTED, why) => {
            ErrorClass::Lost
        }
        _ => ErrorClass::Busy,
    }
}

/// Whether an error's text is a message after which the same work may succeed, or ends with one as the text of an error around it
/// does.
pub(in crate::store) fn is_about_wait(text: &str) -> bool {
    contains_message(&WAIT, text)
}

/// Whether an error's text says that its connection is lost, or that the pool cannot get another one at the moment.
#[cfg(feature = "cli")]
pub(in crate::store) fn is_about_lost_connection(text: &str) -> bool {
    contains_message(&DISCONNECTED, text)
        || text.contains(&Error::BrokenTransactionManager.to_string())
        || text.split_once(OF_POOL).is_some_and(|(_, why)| {
            let is_ours = why.is_empty() || SERVER.iter().any(|begin| why.contains(begin));
            is_ours && classify_connecting(why) == ErrorClass::Busy
        })
}

/// How the error of a pool begins.
#[cfg(feature = "cli")]
const OF_POOL: &str = "timed out waiting for connection";

/// How libpq begins to say why it cannot connect.
#[cfg(feature = "cli")]
const SERVER: [&str; 2] = ["connection to server", "could not translate host name"];

fn contains_message(beginnings: &[&str], text: &str) -> bool {
    let after_cause = |begin: &&str| text.contains(&format!(": {begin}"));
    begins_with(beginnings, text) || beginnings.iter().any(after_cause)
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind::*;

    use super::*;

    #[test]
    fn each_error_is_classified_by_its_kind_and_the_beginning_of_its_message() {
        use ErrorClass::{Busy, Lost, Row};
        for (kind, message, class) in [
            (SerializationFailure, "whatever", Busy),
            (ClosedConnection, "whatever", Busy),
            (UnableToSendCommand, "no connection to the server", Busy),
            (
                UnableToSendCommand,
                "number of parameters must be between 0 and 65535",
                Row,
            ),
            (Unknown, "deadlock detected", Busy),
            (
                Unknown,
                "could not obtain lock on row in relation \"items\"",
                Busy,
            ),
            (Unknown, "canceling statement due to lock timeout", Busy),
            (
                Unknown,
                "terminating connection due to administrator command",
                Busy,
            ),
            (
                Unknown,
                "could not extend file \"base/5/16\": No space left on device",
                Lost,
            ),
            (
                ReadOnlyTransaction,
                "cannot execute INSERT in a read-only transaction",
                Lost,
            ),
            (Unknown, "permission denied for table items", Lost),
            (Unknown, "relation \"items\" does not exist", Lost),
            (Unknown, "value too long for type character varying(3)", Row),
            (Unknown, "a trigger says: deadlock detected", Row),
            (Unknown, "Verklemmung entdeckt", Row),
            (
                UniqueViolation,
                "duplicate key value violates unique constraint",
                Row,
            ),
            (CheckViolation, "deadlock detected", Row),
        ] {
            let error = Error::DatabaseError(kind, Box::new(message.to_owned()));
            assert_eq!(classify(&error), class, "{error:?}");
        }
        assert_eq!(classify(&Error::BrokenTransactionManager), Busy);
        assert_eq!(classify(&Error::NotFound), Row);
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_waited_for_and_one_that_refuses_is_not() {
        use ErrorClass::{Busy, Lost};
        let at = "timed out waiting for connection: connection to server at \"h\", port 1 failed: ";
        for (text, class) in [
            ("Connection refused Is the server running?", Busy),
            ("FATAL: the database system is starting up", Busy),
            ("FATAL: sorry, too many clients already", Busy),
            ("FATAL: password authentication failed for user \"u\"", Lost),
            ("FATAL: database \"d\" does not exist", Lost),
        ] {
            assert_eq!(classify_connecting(&format!("{at}{text}")), class, "{text}");
        }
    }
}

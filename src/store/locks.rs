//! Waiting for locks of other programs, and for a server that restarts.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

#[cfg(all(feature = "cli", feature = "postgres"))]
use super::postgres::classify::is_about_lost_connection;
#[cfg(feature = "postgres")]
use super::postgres::classify::is_about_wait;
use super::{
    BUSY_WAIT_MAX,
    message::{in_one_line, in_words},
    silence::{SILENT_WAIT, is_abandoned, note_answer, tell},
    sqlite::classify::ends_with_lock_message,
};

/// How long to wait before a locked statement is tried again.
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// A server takes this long to start after a crash, or to be replaced by another.
#[cfg(feature = "cli")]
const DISCONNECTED_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// Tries `work` again while the database is busy, for up to a minute. Blocks the thread meanwhile.
///
/// Warns once of a wait that takes some seconds. A connection's busy timeout does not cover every lock, and is shorter.
///
/// # Errors
/// The last error of `work`.
pub(crate) fn while_locked<T, E: Display>(work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    while_locked_and(|_| true, work)
}

/// As [`while_locked`], as long as `waits_on` returns true for the time that it has waited.
///
/// # Errors
/// The last error of `work`.
pub(crate) fn while_locked_and<T, E: Display>(
    waits_on: impl Fn(Duration) -> bool,
    work: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    while_locked_up_to(BUSY_WAIT_MAX, waits_on, work)
}

/// As [`while_locked_and`], for up to `wait_max`.
///
/// # Errors
/// The last error of `work`.
pub(crate) fn while_locked_up_to<T, E: Display>(
    wait_max: Duration,
    waits_on: impl Fn(Duration) -> bool,
    mut work: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let what = |_: &str| "another program has locked the database".to_owned();
    wait_while(what, is_busy, waits_on, wait_max, &mut work)
}

/// Tries `work` again while its error `may_pass`.
fn wait_while<T, E: Display>(
    what: impl Fn(&str) -> String,
    may_pass: impl Fn(&str) -> bool,
    waits_on: impl Fn(Duration) -> bool,
    wait_max: Duration,
    work: &mut dyn FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    let mut has_warned = false;
    loop {
        match work() {
            Err(error)
                if began.elapsed() < wait_max
                    && waits_on(began.elapsed())
                    && may_pass(&error.to_string())
                    && !is_abandoned() =>
            {
                note_answer();
                if !has_warned && began.elapsed() >= SILENT_WAIT {
                    has_warned = true;
                    let what = what(&in_one_line(&error.to_string()));
                    let time = in_words(wait_max);
                    tell(&format!("{what}; waiting for it for up to {time}"));
                }
                thread::sleep(LOCK_WAIT);
            }
            done => return done,
        }
    }
}

/// Whether an error's text says that the same work may succeed later.
fn is_busy(text: &str) -> bool {
    #[cfg(feature = "postgres")]
    if is_about_wait(text) {
        return true;
    }
    ends_with_lock_message(text)
}

/// Does `work` again, with a connection of its own each time, while the server closes connections or takes none, for up to five minutes
/// and as long as `waits_on` returns true for the time that it has waited.
///
/// # Errors
/// The last error of `work`.
#[cfg(feature = "cli")]
pub(crate) fn while_disconnected<T, E: Display>(
    waits_on: impl Fn(Duration) -> bool,
    mut work: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    wait_while(
        str::to_owned,
        is_disconnection,
        waits_on,
        DISCONNECTED_WAIT_MAX,
        &mut work,
    )
}

/// Whether an error's text says that the same work may succeed later, over another connection.
#[cfg(feature = "cli")]
fn is_disconnection(text: &str) -> bool {
    #[cfg(feature = "postgres")]
    return is_about_lost_connection(text);
    #[cfg(not(feature = "postgres"))]
    return {
        let _ = text;
        false
    };
}

//! Waiting for locks of other programs.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use log::warn;

use super::classify::ends_with_lock_message;
use crate::store::BUSY_WAIT_MAX;

/// How long to wait before a locked statement is tried again.
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// After this time the user is told what is waited for.
const SILENT_WAIT: Duration = Duration::from_secs(4);

/// Tries `work` again while another connection holds a lock, for up to a minute. Blocks the thread meanwhile.
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
    mut work: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    let mut has_warned = false;
    loop {
        match work() {
            Err(error)
                if began.elapsed() < BUSY_WAIT_MAX
                    && waits_on(began.elapsed())
                    && ends_with_lock_message(&error.to_string()) =>
            {
                if !has_warned && began.elapsed() >= SILENT_WAIT {
                    has_warned = true;
                    warn!(
                        "another program has locked the database; waiting for it for up to {} s",
                        BUSY_WAIT_MAX.as_secs()
                    );
                }
                thread::sleep(LOCK_WAIT);
            }
            done => return done,
        }
    }
}

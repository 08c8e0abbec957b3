//! Waiting for locks of other programs.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

use super::classify::ends_with_lock_message;
use crate::store::BUSY_WAIT_MAX;

/// How long to wait before a locked statement is tried again.
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// Tries `work` again while another connection holds a lock, for up to a minute. Blocks the thread meanwhile.
///
/// A connection's busy timeout does not cover every lock, and is shorter.
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
    loop {
        match work() {
            Err(error)
                if began.elapsed() < BUSY_WAIT_MAX
                    && waits_on(began.elapsed())
                    && ends_with_lock_message(&error.to_string()) =>
            {
                thread::sleep(LOCK_WAIT);
            }
            done => return done,
        }
    }
}

//! How a command ends: with an exit status, or with the error that kept it from starting.

use std::process::ExitCode;

use thiserror::Error;

/// The command could not start: exit code 2. The message says what is wrong, where, and what to do about it.
#[derive(Debug, Error)]
#[error("{0}")]
pub(super) struct CommandError(pub(super) String);

impl CommandError {
    pub(super) fn new(message: impl ToString) -> Self {
        Self(message.to_string())
    }
}

/// How a command that did start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// Every id is stored or absent, or a check found no fault.
    Complete,
    /// The command ended, but some ids failed, or a check found a fault.
    Incomplete,
    /// The command could not start, or standard input held something that is not an id.
    BadInput,
    /// The command started and could not go on.
    CouldNotGoOn,
    /// A signal ended the command.
    Interrupted {
        /// The number of the signal.
        signal: u8,
    },
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Complete => Self::SUCCESS,
            ExitStatus::Incomplete => Self::from(1),
            ExitStatus::BadInput => Self::from(2),
            ExitStatus::CouldNotGoOn => Self::from(3),
            ExitStatus::Interrupted { signal } => Self::from(128 + signal),
        }
    }
}

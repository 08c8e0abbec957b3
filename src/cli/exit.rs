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

impl ExitStatus {
    /// The exit code of the process.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Incomplete => 1,
            Self::BadInput => 2,
            Self::CouldNotGoOn => 3,
            Self::Interrupted { signal } => 128 + signal,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

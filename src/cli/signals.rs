//! SIGINT and SIGTERM. The first signal asks for an orderly end, the second ends the process at once.

use std::{future::Future, process};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::CommandError;

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CommandError(format!("this process cannot listen for signals: {error}"))
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and gives its number.
    pub(super) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }

    /// Does work that needs no orderly end: a signal ends the process.
    pub(super) async fn or_end_process<F: Future>(&mut self, work: F) -> F::Output {
        tokio::select! {
            output = work => output,
            signal = self.next() => end_process(signal),
        }
    }
}

/// Ends the process with the exit code that a shell gives to a process that died of this signal.
pub(super) fn end_process(signal: u8) -> ! {
    process::exit(128 + i32::from(signal))
}

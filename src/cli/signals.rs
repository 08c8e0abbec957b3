//! SIGINT and SIGTERM. The first asks for an orderly end, the second leaves at once.

use std::{future::Future, process};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Refusal;

pub(super) const SIGINT: u8 = 2;
pub(super) const SIGTERM: u8 = 15;

pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Refusal> {
        let listen = |kind| {
            signal(kind).map_err(|error| Refusal(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The number of the next signal.
    pub(super) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }

    /// Does what can simply be left when a signal comes.
    pub(super) async fn or_leave<F: Future>(&mut self, work: F) -> F::Output {
        tokio::select! {
            done = work => done,
            signal = self.next() => leave(signal),
        }
    }
}

/// Ends the process as a shell expects after this signal.
pub(super) fn leave(signal: u8) -> ! {
    process::exit(128 + i32::from(signal))
}

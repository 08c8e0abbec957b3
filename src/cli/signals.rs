//! SIGINT, SIGTERM and SIGHUP.
//!
//! As long as there is nothing to drain, the first signal ends the process. While a [`Drain`] is alive, the first signal is only
//! noted, so that its owner can end in order, and the second one ends the process.
//!
//! A thread of its own receives them. It waits for nothing else and writes nothing, so that a signal acts even if all other
//! threads wait: for a lock, for a name server, or for the reader of standard error.

use std::{
    fs, future,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ},
    flag,
    iterator::Signals,
    low_level,
};
use tokio::sync::watch;

use super::exit::CommandError;

/// If the same signal comes again within this time, it counts once: `timeout` sends its signal to the process and then to its
/// group, and a shell passes the SIGHUP of its terminal on to programs that have got it already.
const REPETITION: Duration = Duration::from_millis(100);

/// How often the deletion of a folder is tried while other threads still make files in it.
const DELETE_ATTEMPTS: u32 = 10;

static STATE: Mutex<State> = Mutex::new(State {
    drains: 0,
    first: None,
    temporary_folder: None,
});

/// The number of the first signal.
static NOTED: LazyLock<watch::Sender<Option<u8>>> = LazyLock::new(|| watch::Sender::new(None));

struct State {
    /// How many [`Drain`]s are alive.
    drains: u32,
    /// The signal that was noted.
    first: Option<FirstSignal>,
    /// Deleted when a signal ends the process.
    temporary_folder: Option<PathBuf>,
}

#[derive(Clone, Copy)]
struct FirstSignal {
    number: u8,
    received_at: Instant,
}

/// Receives signals from now on. To be called once, before anything that may block.
pub(super) fn listen() -> Result<(), CommandError> {
    let failed = |error| CommandError(format!("this process cannot listen for signals: {error}"));
    // A handler instead of the default, which kills the process: writing beyond RLIMIT_FSIZE is then an error like a full disk.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(failed)?;
    let mut numbers = vec![SIGINT, SIGTERM];
    // A program that is started by nohup outlives its terminal.
    if !is_ignored(SIGHUP) {
        numbers.push(SIGHUP);
    }
    let mut signals = Signals::new(numbers).map_err(failed)?;
    let receive = move || {
        for number in signals.forever() {
            receive(u8::try_from(number).unwrap_or(0));
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(receive).map(drop).map_err(failed)
}

fn receive(number: u8) {
    let mut state = state();
    match state.first {
        Some(first) if first.number == number && first.received_at.elapsed() < REPETITION => {}
        None if state.drains > 0 => {
            state.first = Some(FirstSignal {
                number,
                received_at: Instant::now(),
            });
            drop(state);
            NOTED.send_replace(Some(number));
        }
        _ => {
            if let Some(folder) = state.temporary_folder.take() {
                delete(&folder);
            }
            end_process(128 + number);
        }
    }
}

/// Ends the process at once. Nothing is cleaned up, because any clean-up may wait for another thread.
pub(super) fn end_process(exit_code: u8) -> ! {
    low_level::exit(exit_code.into())
}

fn delete(folder: &Path) {
    for _ in 0..DELETE_ATTEMPTS {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
    }
}

/// The first signal, if one was noted.
pub(super) fn noted() -> Option<u8> {
    *NOTED.borrow()
}

/// As long as this lives, the first signal does not end the process.
pub(super) struct Drain {
    noted: watch::Receiver<Option<u8>>,
}

impl Drain {
    pub(super) fn begin() -> Self {
        state().drains += 1;
        Self {
            noted: NOTED.subscribe(),
        }
    }

    /// Waits until a signal is noted, and gives its number.
    pub(super) async fn first_signal(&mut self) -> u8 {
        let noted = self.noted.wait_for(Option::is_some).await;
        match noted.ok().and_then(|number| *number) {
            Some(number) => number,
            // Never reached: the sender is never dropped.
            None => future::pending().await,
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        state().drains -= 1;
    }
}

/// Marks a folder for deletion if a signal ends the process. Dropping this removes the mark.
pub(super) struct DeletedAtEnd;

impl DeletedAtEnd {
    pub(super) fn order(folder: &Path) -> Self {
        state().temporary_folder = Some(folder.to_owned());
        Self
    }
}

impl Drop for DeletedAtEnd {
    fn drop(&mut self) {
        state().temporary_folder = None;
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process was started with this signal ignored. Only Linux says so without unsafe code.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

//! The binary's own: arguments, one file per command, what the terminal shows.

mod args;
mod backfill;
mod fetch;
mod id;
mod metrics;
mod mock_api;
mod open_files;
mod options;
mod origin;
mod output;
mod progress;
mod retry;
mod session;
mod signals;
mod status;
mod stdin_ids;
mod tune;
mod verify;

use std::{env, panic, process::ExitCode};

use log::{error, warn};
use thiserror::Error;

use self::args::{Command, Invocation};
use crate::ingest::panic_message;

/// Could not start; exit code 2. The message names the culprit and what would be right.
#[derive(Debug, Error)]
#[error("{0}")]
struct Refusal(String);

impl Refusal {
    fn new(why: impl ToString) -> Self {
        Self(why.to_string())
    }
}

/// How a command ended, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Every id is stored or absent; or no fault was found.
    Complete,
    /// The run ended and some ids have no record; or a fault was found.
    Incomplete,
    /// It could not start, or an id on standard input was none.
    Refused,
    /// It could not go on.
    Broken,
    /// By this signal.
    Interrupted(u8),
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Complete => Self::SUCCESS,
            Ending::Incomplete => Self::from(1),
            Ending::Refused => Self::from(2),
            Ending::Broken => Self::from(3),
            Ending::Interrupted(signal) => Self::from(128 + signal),
        }
    }
}

/// The whole program, from its arguments to its exit code.
pub fn main() -> ExitCode {
    let invocation = match args::parse() {
        Ok(invocation) => invocation,
        Err(stop) => return stop,
    };
    start_logger();
    options::warn_of_unknown_variables();
    actix_rt::System::new().block_on(run_as_task(invocation))
}

/// Runs the command in a task of its own.
///
/// Every wake-up of any task of this thread polls the future that `block_on` drives. A command waits for a run and for
/// signals, which is costly to poll, so the driven future is only the handle of the task.
async fn run_as_task(invocation: Invocation) -> ExitCode {
    match actix_rt::spawn(run(invocation)).await {
        Ok(exit) => exit,
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

async fn run(Invocation { command, options }: Invocation) -> ExitCode {
    let ending = match command {
        Command::List(list) => fetch::list(&options, list).await,
        Command::Items(ids) => fetch::items(&options, ids).await,
        Command::Backfill(args) => backfill::run(&options, args).await,
        Command::Retry(args) => retry::run(&options, args).await,
        Command::Verify(args) => verify::run(&options, args).await,
        Command::Status => status::run(&options).await,
        Command::Tune(args) => tune::run(&options, args).await,
        Command::MockApi(api) => mock_api::serve(api).await,
    };
    ending
        .unwrap_or_else(|Refusal(why)| {
            output::complain(why);
            Ending::Refused
        })
        .into()
}

/// Logs go to stderr, and so do panics, as a line of log: the engine catches them and goes on.
fn start_logger() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let what = panic_message(panic.payload());
        if env::var_os("RUST_BACKTRACE").is_some() {
            error!(
                "internal error at {place}: {what}\n{}",
                std::backtrace::Backtrace::capture()
            );
        } else {
            warn!("internal error at {place}: {what}; please report it");
        }
    }));
}

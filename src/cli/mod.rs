//! The binary: its arguments, one file per command, and what it shows on the terminal.
//!
//! `args` turns the command line into an `Invocation`. A command such as `list` opens a `session` and starts a `run` in it.
//! `run_report` prints what the run did.

// The command line: which command, with which settings.
mod args;
mod command_line;
mod flags;
mod own_flags;
mod scope;
mod setting_flags;
mod options;
mod not_utf8;
mod suggestions;

// The commands.
mod list;
mod items;
mod users;
mod named_ids;
mod tree;
mod backfill;
mod follow;
mod retry;
mod verify;
mod copy;
mod status;
mod search;
mod serve;
mod demo_mirror;
mod tune;
mod mock_api;
mod completions;
mod man;

// What the commands work with.
mod session;
mod run;
mod runs_under_way;
mod presence;
mod onlooker;
mod held_leases;
mod shared_ids;
mod database;
mod ids;
mod stdin_ids;
mod id_stream_error;
mod open_file_limit;
mod signals;
mod test_clock;
mod exit;

// What the program shows.
mod run_report;
mod milliseconds;
mod printable;
mod terminal;
mod status_line;
mod progress;
mod health;
mod metrics_server;
mod follow_metrics;
mod service_manager;
mod logger;

use std::{
    io::{self, Write},
    panic,
    process::ExitCode,
};

use tokio::runtime::Builder;

use self::{
    args::{Invocation, Subcommand},
    command_line::described,
    exit::{CommandError, ExitStatus},
    health::Health,
};
use crate::ingest::config::WORKERS_MAX;

/// Threads for work that blocks, made when they are needed. Every worker may keep one busy for as long as a name server does not
/// answer, and the database must still find one.
const BLOCKING_THREADS: usize = WORKERS_MAX + 64;

/// The whole program, from its arguments to its exit code.
pub fn main() -> ExitCode {
    if let Err(CommandError(message)) = signals::listen() {
        terminal::print_message(message);
        return ExitStatus::BadInput.into();
    }
    logger::install();
    let invocation = match args::parse() {
        Ok(invocation) => invocation,
        Err(exit_code) => return exit_code,
    };
    if let Err(CommandError(message)) = test_clock::set() {
        terminal::print_message(message);
        return ExitStatus::BadInput.into();
    }
    suggestions::warn_of_unknown_variables();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::print_message(format_args!("the program cannot start: {error}"));
            return ExitStatus::BadInput.into();
        }
    };
    let system = actix_rt::System::with_tokio_rt(|| runtime);
    let status = system.block_on(run_in_a_task(invocation));
    // Dropping the runtime would wait for its blocking threads, and one of them may still wait for a name server that does not answer.
    // An ordinary exit would take apart OpenSSL while one of them is connecting to a PostgreSQL server. Every command closes by itself
    // what must be closed.
    let _ = io::stdout().flush();
    signals::end_process(status.code())
}

/// Runs the command in a task of its own.
///
/// Every wake-up of any task of this thread polls the future that `block_on` drives. A command waits for a run and for
/// signals, which is costly to poll, so the driven future is only the handle of the task.
async fn run_in_a_task(invocation: Invocation) -> ExitStatus {
    match actix_rt::spawn(run_command(invocation)).await {
        Ok(status) => status,
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

async fn run_command(invocation: Invocation) -> ExitStatus {
    let options = invocation.options;
    let ended = match invocation.subcommand {
        Subcommand::List(list) => list::run(&options, list).await,
        Subcommand::Items(args) => items::run(&options, args).await,
        Subcommand::Users(args) => users::run(&options, args).await,
        Subcommand::Backfill(args) => backfill::run(&options, args).await,
        Subcommand::Follow(args) => follow::run(&options, args, Health::default()).await,
        Subcommand::Retry(args) => retry::run(&options, args).await,
        Subcommand::Verify(args) => verify::run(&options, args).await,
        Subcommand::Copy(args) => copy::run(&options, args).await,
        Subcommand::Status => status::run(&options).await,
        Subcommand::Search(args) => search::run(&options, args).await,
        Subcommand::Serve(args) => serve::run(&options, args).await,
        Subcommand::Tune(args) => tune::run(&options, args).await,
        Subcommand::MockApi(args) => mock_api::run(args).await,
        Subcommand::Completions(shell) => completions::run(shell, described()),
        Subcommand::Man(page) => man::run(page, described()),
    };
    ended.unwrap_or_else(|CommandError(message)| {
        terminal::print_message(message);
        ExitStatus::BadInput
    })
}

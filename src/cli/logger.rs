//! The logger and the panic hook of the process.

use std::{backtrace::Backtrace, env, panic};

use log::{error, warn};

use crate::ingest::panic_message;

/// Sends logs to stderr. A panic becomes a line of log, because the engine catches panics and goes on.
pub(super) fn install() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let message = panic_message(panic.payload());
        if env::var_os("RUST_BACKTRACE").is_some() {
            let backtrace = Backtrace::capture();
            error!("internal error at {place}: {message}\n{backtrace}");
        } else {
            warn!("internal error at {place}: {message}; please report it");
        }
    }));
}

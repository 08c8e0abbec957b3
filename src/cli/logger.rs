//! The logger and the panic hook of the process.

use std::{backtrace::Backtrace, env, panic};

use log::{Log, Metadata, Record, error, warn};

use super::{
    printable::{is_printable, printable_lines},
    status_line,
};
use crate::ingest::panic_message;

/// A stream of `mock-api` that is cut on demand is an error for actix.
const DEFAULT_FILTER: &str = "warn,actix_http::h1::dispatcher=off";

/// Passes logs on to env_logger, so that neither the line of progress nor text from an API spoils them.
struct TerminalLogger(env_logger::Logger);

impl Log for TerminalLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        status_line::erase();
        let text = record.args().to_string();
        if text.chars().all(|c| is_printable(c) || c == '\n') {
            self.0.log(record);
        } else {
            let text = printable_lines(&text);
            let args = format_args!("{text}");
            let printable = Record::builder()
                .metadata(record.metadata().clone())
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .args(args)
                .build();
            self.0.log(&printable);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Sends logs to stderr. A panic becomes a line of log, because the engine catches panics and goes on.
pub(super) fn install() {
    let filter = env::var("RUST_LOG").unwrap_or_default();
    let filter = if filter.is_empty() {
        DEFAULT_FILTER
    } else {
        &filter
    };
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filter);
    if let Ok(style) = env::var("RUST_LOG_STYLE") {
        builder.parse_write_style(&style);
    }
    let logger = builder.build();
    log::set_max_level(logger.filter());
    // It fails only if there is a logger already, and this is the only place that installs one.
    let _ = log::set_boxed_logger(Box::new(TerminalLogger(logger)));
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

//! Why a stream of ids ended early. A stream can only end, so the reason travels beside it.

use std::sync::{Arc, OnceLock};

/// Shared by the stream, which sets the message, and the command, which reads it after the run.
#[derive(Clone, Default)]
pub(super) struct IdStreamError(Arc<OnceLock<String>>);

impl IdStreamError {
    /// The stream ends here. Only the first message is kept.
    pub(super) fn set(&self, message: String) {
        let _ = self.0.set(message);
    }

    /// `None` if the stream ended because there were no more ids.
    pub(super) fn message(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

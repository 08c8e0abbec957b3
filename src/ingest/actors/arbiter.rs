//! The arbiter that a pipeline's actors run on: the arbiter that starts the pipeline, or one of its own.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use crate::ingest::outcome::panics::panic_message;

/// Dropping this stops the pipeline's own arbiter, if it has one.
pub(crate) struct PipelineArbiter(Option<ArbiterHandle>);

/// Why a pipeline with an arbiter of its own was not built.
#[derive(Debug)]
pub(crate) enum BuildError {
    /// The arbiter's thread cannot be started.
    NoThread(io::Error),
    /// The code that builds panicked, with this message.
    Panicked(String),
    /// The System stopped before the code ran.
    SystemStopped,
}

impl PipelineArbiter {
    /// The pipeline runs on the current arbiter, which is not its own.
    pub(crate) fn current() -> Self {
        Self(None)
    }

    /// Starts an arbiter and runs `build` on it, because actors and clients cannot move between arbiters. If the caller stops
    /// waiting, the result is dropped, which stops the arbiter.
    pub(crate) async fn build_on_its_own<T: Send + 'static>(
        build: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Result<T, BuildError> {
        let arbiter = Arbiter::try_new().map_err(BuildError::NoThread)?;
        let this = Self(Some(arbiter.handle()));
        let (sender, built) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let built = catch_unwind(AssertUnwindSafe(|| build(this)));
            let _ = sender.send(built.map_err(|panic| panic_message(&*panic)));
        });
        built
            .await
            .map_err(|_| BuildError::SystemStopped)?
            .map_err(BuildError::Panicked)
    }
}

impl Drop for PipelineArbiter {
    fn drop(&mut self) {
        if let Some(arbiter) = self.0.take() {
            let handle = arbiter.clone();
            // Spawned, so that it runs after the tasks that already wait there, such as the answer to a last message.
            arbiter.spawn(async move {
                handle.stop();
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_rt::System;

    use super::*;

    #[test]
    fn code_that_panics_while_it_builds_is_named_as_the_reason() {
        let built = System::new().block_on(PipelineArbiter::build_on_its_own(|_| -> () {
            panic!("no such thing")
        }));
        assert!(
            matches!(&built, Err(BuildError::Panicked(message)) if message == "no such thing"),
            "{built:?}"
        );
    }

    #[test]
    fn what_was_built_lives_on_another_thread() {
        let here = std::thread::current().id();
        let there = System::new().block_on(PipelineArbiter::build_on_its_own(|_| {
            std::thread::current().id()
        }));
        assert_ne!(there.expect("a thread"), here);
    }
}

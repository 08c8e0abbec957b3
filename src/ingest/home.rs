//! Where a pipeline lives: on the arbiter that starts it, or on one of its own.

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::sync::oneshot;

use super::StartError;

/// An arbiter of the pipeline's own, if it has one; it ends when this is dropped.
pub(crate) struct Home(Option<ArbiterHandle>);

impl Home {
    /// The arbiter that this is called on.
    pub(crate) fn here() -> Self {
        Self(None)
    }

    /// Starts an arbiter, and builds there what must not leave it.
    pub(crate) async fn of_its_own<T: Send + 'static>(
        build: impl FnOnce(Self) -> T + Send + 'static,
    ) -> Result<T, StartError> {
        let arbiter = Arbiter::try_new().map_err(StartError::Arbiter)?;
        let home = Self(Some(arbiter.handle()));
        let (sender, built) = oneshot::channel();
        arbiter.spawn_fn(move || {
            let _ = sender.send(build(home));
        });
        // The System may be about to stop, and its arbiters with it.
        built.await.map_err(|_| StartError::NoSystem)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(arbiter) = self.0.take() {
            let handle = arbiter.clone();
            // Behind what waits there to be polled: answers to a last message are among it.
            arbiter.spawn(async move {
                handle.stop();
            });
        }
    }
}

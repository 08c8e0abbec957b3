//! Helpers that several test programs share.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How long [`eventually`] waits. Long enough for a busy machine.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Runs async code inside an actix System.
pub(crate) fn in_system<F: Future>(work: F) -> F::Output {
    actix_rt::System::new().block_on(work)
}

/// Waits until the condition holds. Other tasks run in the meantime.
///
/// `what` says what the test waits for. It is the message of the panic that ends a wait in vain.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < WAIT_LIMIT,
            "not within {WAIT_LIMIT:?}: {what}"
        );
        actix_rt::time::sleep(Duration::from_millis(1)).await;
    }
}

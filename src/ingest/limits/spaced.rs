//! A line whose first may go a certain time after the one before.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::sleep};

/// Who waits looks up so often, since the API may have recovered.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A timer that ticks in milliseconds oversleeps; so much is made up for, and no more, or there were bursts.
const OVERSLEPT: Duration = Duration::from_millis(3);

#[derive(Debug, Default)]
pub(crate) struct Spaced {
    line: Mutex<()>,
    last: Cell<Option<Instant>>,
}

impl Spaced {
    /// Resolves when the caller's turn is at least `spacing` after that of the one before; without a spacing it is now.
    pub(crate) async fn turn(&self, spacing: impl Fn(Instant) -> Option<Duration>) {
        if spacing(Instant::now()).is_none() {
            return;
        }
        let _first_in_line = self.line.lock().await;
        loop {
            let now = Instant::now();
            let next = spacing(now)
                .zip(self.last.get())
                .map(|(spacing, last)| last + spacing);
            match next.filter(|next| *next > now) {
                Some(next) => sleep((next - now).min(LOOK_AGAIN)).await,
                None => {
                    let made_up = next.max(now.checked_sub(OVERSLEPT));
                    self.last.set(Some(made_up.unwrap_or(now)));
                    return;
                }
            }
        }
    }
}

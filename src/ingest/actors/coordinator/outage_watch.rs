//! The outage under way, the timers that belong to it, and when the next probe may be handed out.

use std::time::Duration;

use actix::SpawnHandle;
use tokio::time::Instant;

/// The time between the first two probes. It grows by half from probe to probe, up to [`PROBE_WAIT_MAX`].
const PROBE_WAIT_MIN: Duration = Duration::from_millis(250);

/// The longest time between two probes: a recovery is noticed so soon.
const PROBE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The outage under way, and the timers that belong to it.
#[derive(Debug, Default)]
pub(super) struct OutageWatch {
    /// How long all attempts had failed when the run began to wait for the API. `None` if no outage is under way.
    pub(super) failing_before: Option<Duration>,
    /// Ends the run at the outage timeout. `None` during a pause.
    pub(super) timer: Option<SpawnHandle>,
    /// No probe is handed out before this time.
    pub(super) next_probe: Option<Instant>,
    /// The time from the last probe to the next one. Zero before the first.
    probe_wait: Duration,
    /// Hands out the next probe at that time.
    pub(super) probe_timer: Option<SpawnHandle>,
}

impl OutageWatch {
    pub(super) fn is_under_way(&self) -> bool {
        self.failing_before.is_some()
    }

    /// A probe is handed out now. The next one must wait.
    pub(super) fn schedule_next_probe(&mut self, now: Instant) {
        self.probe_wait = (self.probe_wait * 3 / 2).clamp(PROBE_WAIT_MIN, PROBE_WAIT_MAX);
        self.next_probe = Some(now + self.probe_wait);
    }
}

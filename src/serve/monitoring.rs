//! What the host of a server adds to `/health` and `/metrics`.

use std::{fmt, sync::Arc};

/// What a host says of its own health, beside the database. If all is well: what there is to say, if anything. Otherwise: what is wrong.
pub type Health = Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>;

/// What the host adds. Both may be missing.
#[derive(Clone, Default)]
pub(super) struct Monitoring {
    pub(super) health: Option<Health>,
    /// Gives the metrics as Prometheus text.
    pub(super) metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl fmt::Debug for Monitoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitoring").finish_non_exhaustive()
    }
}

//! The settings of the pools that this crate opens.

use std::time::Duration;

use diesel::r2d2::{Builder, ManageConnection, NopErrorHandler, Pool};

/// One connection writes; the others read beside it.
const CONNECTIONS_MAX: u32 = 4;

/// A pool whose checkouts wait for a connection for up to this time.
pub(super) fn pool_builder<M: ManageConnection>(checkout_timeout: Duration) -> Builder<M> {
    Pool::builder()
        .max_size(CONNECTIONS_MAX)
        .min_idle(Some(0))
        // No periodic work: a pool that has some keeps its threads for up to half a minute after it is dropped.
        .idle_timeout(None)
        .max_lifetime(None)
        // A connection that broke while it was idle fails its next transaction, which is then tried again on another one.
        .test_on_check_out(false)
        .connection_timeout(checkout_timeout)
        // The caller gets the error. r2d2 would log each of its tries as well.
        .error_handler(Box::new(NopErrorHandler))
}

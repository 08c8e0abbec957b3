//! "May one more request start now?", answered in one place: the throttle of a client.
//!
//! Every request takes a permit first: retries, redirects and resends too. Requests wait for permits in one queue, first come,
//! first served. The request at its head waits for all of these:
//!
//! - A **cool-down**: the API answered 429, or 503 with `Retry-After`. No request starts before the time it named.
//! - The **rate** of the settings and, with `adaptive`, the [learned rate](adaptive): a [token bucket](rate).
//! - The **in-flight limit**, with `adaptive`: no more requests are in flight than the API was [found to bear](adaptive).
//!
//! A retry waits for the [retry budget](retry_budget) before it joins the queue, so that it holds up no first attempt.
//!
//! What the end of an attempt says about the API is one [`Signal`]. The throttle, the [retry policy](backoff), the
//! [circuit breaker](breaker) of the run and the metrics all read that signal. There is no timer: everything is updated when an
//! attempt ends.

pub(crate) mod signal;
pub(crate) mod throttle;
pub(crate) mod rate;
pub(crate) mod adaptive;
pub(crate) mod retry_budget;
pub(crate) mod backoff;
pub(crate) mod breaker;

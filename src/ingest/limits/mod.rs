//! Decides when a client may start its next request. The throttle of the client decides it; the other files help.
//!
//! Every request takes a permit from the [throttle] first: first attempts, retries, redirects and resends. Requests wait for
//! permits by the priority of their run, and first come, first served within one. The request that is next waits for all of
//! these:
//!
//! - The end of a [**cool-down**](cool_down). A cool-down begins when the API answers 429, or 503 with `Retry-After`. It lasts as
//!   long as the API asked for, or as the backoff of the id. A run waits for it up to its setting `outage_patience`, or ten
//!   seconds if that is longer. If the API asks for more, the run ends.
//! - The **rate** of the settings and, with `adaptive`, the [learned rate](adaptive). A [token bucket](rate) keeps both.
//! - The **in-flight limit**, with `adaptive`: the number of requests at once that the API was [found to accept](adaptive).
//!
//! A retry first waits for the [retry budget](retry_budget) and then joins the queue, so that it delays no first attempt.
//!
//! When an attempt ends, one function turns its result into a [`Signal`](signal::Signal). The throttle, the
//! [retry policy](backoff), the [circuit breaker](breaker) of the run and the metrics read that signal. No timer runs: the limits
//! change only when an attempt ends.

pub(crate) mod signal;
pub(crate) mod throttle;
pub(crate) mod cool_down;
pub(crate) mod rate;
pub(crate) mod adaptive;
pub(crate) mod retry_budget;
pub(crate) mod backoff;
pub(crate) mod breaker;

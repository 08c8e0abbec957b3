//! The handles that a host holds of a pipeline and of its runs, and how runs are stopped.

pub(crate) mod pipeline;
pub(crate) mod run;
pub(crate) mod outcomes;
pub(crate) mod event_watch;
pub(crate) mod control;
pub(crate) mod stop;

//! What a host holds: the pipeline, its runs, and the signals that stop them.

pub(crate) mod pipeline;

pub(crate) mod run;

pub(crate) mod stop;

//! The three actors of a pipeline, which know each other only through messages, and the arbiter that they run on.

pub(crate) mod coordinator;
pub(crate) mod fetcher;
pub(crate) mod storage;
pub(crate) mod arbiter;

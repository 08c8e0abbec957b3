//! The three actors of a pipeline. They know each other only through messages.

pub(crate) mod coordinator;
pub(crate) mod fetcher;
pub(crate) mod storage;
pub(crate) mod arbiter;

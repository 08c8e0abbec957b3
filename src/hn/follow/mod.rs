//! Following the API: what its streams announce, and which ids wait to be read. Pure; the command `follow` does the reading.

pub(crate) mod announcement;
pub(crate) mod id_queue;
pub(crate) mod reread;
pub(crate) mod watermark;

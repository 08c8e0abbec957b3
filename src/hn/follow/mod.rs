//! Following the API: what its streams announce, which ids wait to be read, and whether all is well. Pure; the command `follow` does
//! the reading.

pub(crate) mod announcement;
pub(crate) mod id_queue;
pub(crate) mod reread;
pub(crate) mod watermark;
pub(crate) mod health;

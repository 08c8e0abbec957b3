//! Following the API: what its streams announce, in which order that is read, and where it begins. The command `follow` does the
//! reading.

pub(crate) mod announcement;
pub(crate) mod intake;
pub(crate) mod id_queue;
pub(crate) mod reread;
pub(crate) mod watermark;
pub(crate) mod starting_point;
pub(crate) mod stories;
pub(crate) mod counting_sink;

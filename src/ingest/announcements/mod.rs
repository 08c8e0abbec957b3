//! Ids that a server announces: a task reads the source's event stream, and the ids wait until the coordinator reads them as the
//! list of a run.

pub(crate) mod waiting_ids;
pub(crate) mod reader;

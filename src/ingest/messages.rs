//! Every message between the actors.
//!
//! | message | who → whom | what follows |
//! |---|---|---|
//! | [`Start`] | `Pipeline` → Coordinator | the run's report, once, through the channel in the message |
//! | [`Cancel`] | `Run` → Coordinator | the run drains and reports |
//! | [`Close`] | last `Pipeline` handle → Coordinator | all actors stop |
//! | [`Fetch`] | Coordinator → Fetcher | one [`Fetched`], or [`FetcherGone`] |
//! | [`Fetched`] | Fetcher → Coordinator | one [`Save`], and the fetcher's next id |
//! | [`FetcherGone`] | a dying Fetcher → Coordinator | another fetcher in its place |
//! | [`Save`] | Coordinator → Storage | counted in one [`Committed`], after the commit |
//! | [`Flush`] | Coordinator → Storage | what waits is written without lingering |
//! | [`StorageGone`] | a dying Storage → Coordinator | the run ends, nothing more being committed |
//! | [`Committed`] | Storage → Coordinator | counts, and the report when it was the last |
//!
//! Data travels by `do_send`: the sender counts what it has outstanding (a mailbox alone bounds nothing), and who dies says so
//! while it is dropped, so that nothing is lost in a closed mailbox unnoticed.

use std::sync::Arc;

use actix::Message;
use tokio::sync::oneshot;

use super::{
    client::Answer, control::Control, feed::Feed, outcome::Failure, report::Report,
    unsaved::RowRoom,
};

/// Tells the runs of a pipeline apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunId(pub(crate) u64);

/// Ingest these ids when the runs before are over.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Start<I> {
    pub(crate) run: RunId,
    pub(crate) feed: Feed<I>,
    pub(crate) control: Arc<Control>,
    pub(crate) report: oneshot::Sender<Report<I>>,
}

/// Stop handing out ids of a run, and end it when what is in flight is settled or the drain is over.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Cancel(pub(crate) RunId);

/// Nobody can start another run.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Close;

/// Fetch this id.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetch<I> {
    pub(crate) id: I,
    pub(crate) control: Arc<Control>,
}

/// What came of the id that a fetcher held longest.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetched {
    pub(crate) slot: usize,
    pub(crate) answer: Answer,
    pub(crate) attempts: u32,
    pub(crate) room: Option<RowRoom>,
}

/// A fetcher is no more; what it held has no answer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FetcherGone {
    pub(crate) slot: usize,
}

/// Commit what came of an id.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Save<I> {
    pub(crate) run: RunId,
    pub(crate) id: I,
    pub(crate) answer: Answer,
    pub(crate) attempts: u32,
    pub(crate) control: Arc<Control>,
    pub(crate) room: Option<RowRoom>,
}

/// Nothing more comes before this is written.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Flush;

/// Storage is no more; nothing can be committed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StorageGone;

/// What one batch came to.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Committed<I> {
    pub(crate) run: RunId,
    pub(crate) stored: usize,
    pub(crate) absent: usize,
    pub(crate) failed: Vec<(I, Failure)>,
    /// Ids of which not even the failure could be recorded.
    pub(crate) refused: usize,
    /// Why nothing more can be committed; what else waits in Storage is dropped.
    pub(crate) lost: Option<String>,
}

impl<I> Committed<I> {
    pub(crate) fn nothing(run: RunId) -> Self {
        Self {
            run,
            stored: 0,
            absent: 0,
            failed: Vec::new(),
            refused: 0,
            lost: None,
        }
    }
}

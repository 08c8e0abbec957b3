//! Every message between the actors.
//!
//! [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) send the public ones; who would rather hold the coordinator's address
//! ([`Pipeline::coordinator`](crate::Pipeline::coordinator)) sends them itself:
//!
//! ```no_run
//! # async fn example(pipeline: hn_ingest::Pipeline<i64>) -> Result<(), Box<dyn std::error::Error>> {
//! use hn_ingest::ingest::messages::{Cancel, Pause, Progressed, Resume, Start};
//!
//! let coordinator = pipeline.coordinator();
//! let start = Start::list([8863, 121003]);
//! let run = start.run();
//! let report = coordinator.send(start); // resolves when the run is over
//! coordinator.send(Pause).await?;
//! println!("{:?}", coordinator.send(Progressed(run)).await?);
//! coordinator.send(Resume).await?;
//! coordinator.send(Cancel(run)).await?;
//! println!("{} stored", report.await??.totals.stored);
//! # Ok(()) }
//! ```
//!
//! | message | who → whom | what follows |
//! |---|---|---|
//! | [`Start`] | anybody → Coordinator | the run's report, once, as the answer |
//! | `Begin` | `Pipeline` → Coordinator | the same, through the channel in the message |
//! | [`Cancel`] | anybody → Coordinator | the run drains and reports |
//! | [`Progressed`] | anybody → Coordinator | the run's counters |
//! | [`Pause`], [`Resume`] | anybody → Coordinator | no id is handed out in between |
//! | [`Shutdown`] | anybody → Coordinator | all runs drain, all actors stop, and what they came to as the answer |
//! | `Close` | last `Pipeline` handle → Coordinator | all actors stop |
//! | `Fetch` | Coordinator → Fetcher | one `Fetched`, or `FetcherGone` |
//! | `Fetched` | Fetcher → Coordinator | one `Save`, and the fetcher's next id |
//! | `FetcherGone` | a dying Fetcher → Coordinator | another fetcher in its place |
//! | `Save` | Coordinator → Storage | counted in one `Committed`, after the commit |
//! | `Flush` | Coordinator → Storage | what waits is written without lingering |
//! | `StorageGone` | a dying Storage → Coordinator | the run ends, nothing more being committed |
//! | `Committed` | Storage → Coordinator | counts, and the report when it was the last |
//!
//! Data travels by `do_send`: the sender counts what it has outstanding (a mailbox alone bounds nothing), and who dies says so
//! while it is dropped, so that nothing is lost in a closed mailbox unnoticed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use actix::Message;
use futures_util::{Stream, stream};
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::ingest::{
    actors::coordinator::drain::ShutdownReport, actors::coordinator::id_stream::Feed,
    backlog::RowRoom, handle::run::PipelineStopped, handle::stop::Control, outcome::Answer,
    outcome::Failure, outcome::report::Report, stats::recorder::Progress,
};

/// Tells runs apart, those of other pipelines of this process too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

/// Ingest these ids when the runs before are over. The answer is the report; it comes when the run is over.
///
/// A coordinator stops when the last [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) are dropped, whoever holds its address.
#[derive(Message, Debug)]
#[rtype(result = "Result<Report<I>, PipelineStopped>")]
pub struct Start<I: Send + 'static> {
    pub(crate) run: RunId,
    pub(crate) feed: Feed<I>,
    pub(crate) control: Arc<Control>,
    /// Whatever becomes of this message, who watches the run learns of its end.
    pub(crate) ended: DropGuard,
}

impl<I: Send + 'static> Start<I> {
    /// A run of a list, which is read as fast as its ids are fetched.
    pub fn list<L>(ids: L) -> Self
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        Self::stream(stream::iter(ids))
    }

    /// A run of a stream, which is polled only when there is room for another id.
    pub fn stream(ids: impl Stream<Item = I> + Send + 'static) -> Self {
        let control = Arc::new(Control::default());
        Self {
            run: RunId::next(),
            feed: Feed::new(ids),
            ended: control.end_guard(),
            control,
        }
    }

    /// What the run that this starts is to be called.
    pub fn run(&self) -> RunId {
        self.run
    }
}

/// A [`Start`] whose report goes elsewhere: a message that waits for its answer is delivered only once the answer is waited for.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Begin<I: Send + 'static> {
    pub(crate) start: Start<I>,
    pub(crate) report: oneshot::Sender<Report<I>>,
}

/// Stop handing out ids of a run, and end it when what is in flight is settled or [`Config::drain`](crate::Config::drain) is
/// over. Of a run that is over, or another pipeline's, this does nothing.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Cancel(pub RunId);

/// The counters of a run that is under way or waiting; `None` of any other.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Option<Progress>")]
pub struct Progressed(pub RunId);

/// Hand out no more ids, of any run, until [`Resume`]. What fetchers hold goes on, its retries included.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Pause;

/// Hand out ids again.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Resume;

/// Cancel every run, drain within a bound, and stop. See [`Pipeline::shutdown`](crate::Pipeline::shutdown).
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Result<ShutdownReport, PipelineStopped>")]
pub struct Shutdown {
    /// How long all of it may take.
    pub within: Duration,
}

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
    /// When the answer was complete. An older answer must not overwrite a newer one.
    pub(crate) received_at: SystemTime,
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
    /// When the answer was complete.
    pub(crate) received_at: SystemTime,
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

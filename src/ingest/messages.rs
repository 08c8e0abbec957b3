//! Every message between the actors, and who sends it to whom.
//!
//! [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) send the public ones for a host. A host that holds the coordinator's
//! address ([`Pipeline::coordinator`](crate::Pipeline::coordinator)) can send them itself:
//!
//! ```no_run
//! # async fn example(pipeline: hn_ingest::Pipeline<i64>) -> Result<(), Box<dyn std::error::Error>> {
//! use hn_ingest::ingest::messages::{Cancel, GetProgress, Pause, Resume, Start};
//!
//! let coordinator = pipeline.coordinator();
//! let start = Start::list([8863, 121003]);
//! let run = start.run();
//! let report = coordinator.send(start); // resolves when the run has ended
//! coordinator.send(Pause).await?;
//! println!("{:?}", coordinator.send(GetProgress(run)).await?);
//! coordinator.send(Resume).await?;
//! coordinator.send(Cancel(run)).await?;
//! println!("{} stored", report.await??.totals.stored);
//! # Ok(()) }
//! ```
//!
//! | message | from → to | what follows |
//! |---|---|---|
//! | [`Start`] | host → Coordinator | the run's report, as the answer |
//! | `StartRun` | `Pipeline` → Coordinator | the run's report, through the channel in the message |
//! | [`Cancel`] | host → Coordinator | the run drains and reports |
//! | [`GetProgress`] | host → Coordinator | the run's counters, as the answer |
//! | [`Pause`], [`Resume`] | host → Coordinator | no id is handed out in between |
//! | [`Shutdown`] | host → Coordinator | all runs drain, all actors stop; a report, as the answer |
//! | `HandlesDropped` | last `Pipeline` handle → Coordinator | all actors stop |
//! | `Fetch` | Coordinator → Fetcher | one `Fetched`, or `FetcherGone` |
//! | `Fetched` | Fetcher → Coordinator | one `Save`, and the fetcher's next id |
//! | `FetcherGone` | dying Fetcher → Coordinator | another fetcher takes its place |
//! | `Save` | Coordinator → Storage | counted in one `Committed`, after the commit |
//! | `Flush` | Coordinator → Storage | waiting rows are written without lingering |
//! | `StorageGone` | dying Storage → Coordinator | the run ends, since nothing more can be committed |
//! | `Committed` | Storage → Coordinator | ids are counted; the last one ends the run |
//!
//! Messages that carry data are sent with `do_send`, which never waits and never refuses. That is safe for two reasons. The
//! sender counts what it has outstanding, so no mailbox grows without bound; actix's own mailbox limits would not help, since
//! they count per copy of an address. And an actor that dies says so while it is dropped, so what was sent to it is not lost
//! unnoticed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use actix::Message;
use futures_util::{Stream, stream};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::ingest::{
    actors::coordinator::id_stream::IdStream,
    backlog::RowPermit,
    handle::control::RunControl,
    limits::breaker::StreakLength,
    outcome::{
        answer::Answer, failure::Failure, progress::Progress, report::Report,
        shutdown_report::ShutdownReport,
    },
};

/// Identifies a run among all runs of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

/// The pipeline's actors stopped before the run ended. What was committed stays committed; nothing else was saved.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the pipeline stopped before the run was over; what was committed is in the database, so run the rest again"
)]
pub struct PipelineStopped;

/// Starts a run, which begins when the runs before it have ended. The answer is the run's report.
///
/// The coordinator stops when the last [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) are dropped. Its address does not
/// keep it alive.
#[derive(Message, Debug)]
#[rtype(result = "Result<Report<I>, PipelineStopped>")]
pub struct Start<I: Send + 'static> {
    pub(crate) run: RunId,
    pub(crate) ids: IdStream<I>,
    pub(crate) control: Arc<RunControl>,
    /// Tells whoever watches the run that it has ended, even if this message is dropped unread.
    pub(crate) ended: DropGuard,
}

impl<I: Send + 'static> Start<I> {
    /// A run of a list. It is read only as fast as its ids are fetched.
    pub fn list<L>(ids: L) -> Self
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        Self::stream(stream::iter(ids))
    }

    /// A run of a stream. It is polled only when there is room for another id.
    pub fn stream(ids: impl Stream<Item = I> + Send + 'static) -> Self {
        let control = Arc::new(RunControl::default());
        Self {
            run: RunId::next(),
            ids: IdStream::new(ids),
            ended: control.end_guard(),
            control,
        }
    }

    /// The id of the run that this starts.
    pub fn run(&self) -> RunId {
        self.run
    }
}

/// A [`Start`] whose report goes through a channel. actix delivers a message with an answer only once the answer is awaited, and a
/// run must start whether or not its handle is awaited.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StartRun<I: Send + 'static> {
    pub(crate) start: Start<I>,
    pub(crate) report: oneshot::Sender<Report<I>>,
}

/// Hands out no more ids of a run. The run ends when its requests in flight are settled, or when
/// [`Config::drain`](crate::Config::drain) is over. Has no effect on a run that has ended or belongs to another pipeline.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Cancel(pub RunId);

/// Asks for the counters of a run that is under way or in the queue; the answer is `None` for any other.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Option<Progress>")]
pub struct GetProgress(pub RunId);

/// Hands out no more ids, of any run, until [`Resume`]. Ids that fetchers hold go on, and so do their retries.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Pause;

/// Hands out ids again.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Resume;

/// Cancels every run, drains within a bound, and stops. See [`Pipeline::shutdown`](crate::Pipeline::shutdown).
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Result<ShutdownReport, PipelineStopped>")]
pub struct Shutdown {
    /// How long all of it may take.
    pub within: Duration,
}

/// No handle is left, so nobody can start another run.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HandlesDropped;

/// Fetch this id.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetch<I> {
    pub(crate) id: I,
    pub(crate) control: Arc<RunControl>,
}

/// A fetcher is done with an id.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetched<I> {
    pub(crate) slot: usize,
    pub(crate) id: I,
    /// `None` if the run was stopped before there was an answer.
    pub(crate) answer: Option<Answer>,
    /// Attempts made.
    pub(crate) attempts: u32,
    /// When the answer was received.
    pub(crate) received_at: SystemTime,
    /// How many attempts had failed in a row when this id's last one ended.
    pub(crate) streak: StreakLength,
    /// The row's share of the backlog.
    pub(crate) permit: RowPermit,
}

/// A fetcher is dead; the ids that it held have no answer.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FetcherGone {
    pub(crate) slot: usize,
}

/// Commit the answer for an id.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Save<I> {
    pub(crate) run: RunId,
    pub(crate) id: I,
    pub(crate) answer: Answer,
    pub(crate) attempts: u32,
    pub(crate) received_at: SystemTime,
    pub(crate) control: Arc<RunControl>,
    /// The row's share of the backlog, given back after the commit.
    pub(crate) permit: RowPermit,
}

impl<I> Save<I> {
    /// The same without its share of the backlog, which is given back.
    pub(crate) fn without_permit(self) -> Self {
        Self {
            permit: RowPermit::default(),
            ..self
        }
    }
}

/// No more rows are coming before the waiting ones are written.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Flush;

/// Storage is dead; nothing more can be committed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StorageGone;

/// How the rows of one batch ended.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Committed<I> {
    pub(crate) run: RunId,
    pub(crate) stored: usize,
    pub(crate) absent: usize,
    pub(crate) failed: Vec<(I, Failure)>,
    /// Ids of which not even the failure could be recorded.
    pub(crate) refused: usize,
    /// Why nothing more can be committed. Storage has dropped all other rows of the run.
    pub(crate) lost: Option<String>,
}

impl<I> Committed<I> {
    /// Nothing is committed yet.
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

    /// The rows that this accounts for.
    pub(crate) fn rows(&self) -> usize {
        self.stored + self.absent + self.failed.len() + self.refused
    }
}

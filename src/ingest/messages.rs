//! All messages of the engine, with their senders and receivers.
//!
//! A host need not send messages: [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) send them. A host that has the coordinator's
//! address ([`Pipeline::coordinator`](crate::Pipeline::coordinator)) can send the public ones itself:
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
//! | [`Start`] | host → Coordinator | the run; its report is the response |
//! | `StartRun` | `Pipeline` → Coordinator | the run; its report goes through the channel in the message |
//! | [`Cancel`] | host → Coordinator | the run drains and reports |
//! | [`GetProgress`] | host → Coordinator | the run's counters are the response |
//! | [`Pause`], [`Resume`] | host → Coordinator | no id is handed out in between |
//! | [`SetRate`], [`SetWorkers`] | host → Coordinator | the limit counts from now on |
//! | [`Shutdown`] | host → Coordinator | all runs drain, all actors stop; a report is the response |
//! | `HandlesDropped` | last `Pipeline` or `Run` → Coordinator | all actors stop |
//! | `Fetch` | Coordinator → Fetcher | one `Fetched`, or `FetcherGone` |
//! | `Fetched` | Fetcher → Coordinator | at most one `Save`, now or later (a second one if its body does not decode); the fetcher gets its next id |
//! | `FetcherGone` | dying Fetcher → Coordinator | a new fetcher replaces it |
//! | `ToStorage::Save` | Coordinator → Storage | one `Committed` that counts it, unless Storage dies |
//! | `ToStorage::Flush` | Coordinator → Storage | waiting rows of the run are written without lingering |
//! | `StorageGone` | dying Storage → Coordinator | all runs end, because nothing more can be committed |
//! | `Committed` | Storage → Coordinator | ids are counted, and room in the backlog is given back; the last `Committed` ends its run |
//!
//! Messages that carry data are sent with `do_send`, which ignores the limit of a mailbox. Two rules make that safe:
//!
//! - The sender counts the messages that are not answered yet, and bounds them. (actix's own mailbox limits would not bound them:
//!   they count per copy of an address.)
//! - An actor that dies sends a message while it is dropped. So the coordinator knows that messages to it are lost.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::Message;
use futures_util::Stream;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use crate::ingest::{
    actors::coordinator::id_stream::IdStream,
    announcements::waiting_ids::{EventFeed, WaitingIds},
    backlog::{Backlog, BatchPermit, RowPermit},
    handle::{
        control::RunControl,
        event_watch::{EventWatch, event_watch},
        outcomes::{OutcomeSender, Outcomes, outcomes},
    },
    limits::breaker::BreakerState,
    outcome::{
        answer::{AnsweredId, AttemptsSoFar, NotAnswered},
        failure::Failure,
        progress::Progress,
        report::{GaveUp, Report},
        shutdown_report::ShutdownReport,
    },
    priority::Priority,
    source::Id,
};

/// Identifies a run among all runs of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

impl RunId {
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

/// The pipeline's actors stopped before the run ended. Committed records stay committed; no others were saved.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the pipeline stopped before the run was over; what was committed is in the database, so run the rest again"
)]
pub struct PipelineStopped;

/// Starts a run. All runs of a pipeline go on side by side. The response is the run's report.
///
/// [`Pipeline::start`](crate::Pipeline::start) sends it, too.
///
/// The coordinator stops when the last [`Pipeline`](crate::Pipeline) and [`Run`](crate::Run) are dropped, even if its address is
/// still held.
#[derive(Message, Debug)]
#[rtype(result = "Result<Report<I>, PipelineStopped>")]
pub struct Start<I: Send + 'static> {
    pub(crate) run: RunId,
    pub(crate) ids: IdStream<I>,
    pub(crate) control: Arc<RunControl>,
    /// Sends what became of each id, if the host wants to know.
    pub(crate) outcomes: Option<OutcomeSender<I>>,
    /// When this is dropped, the run's handles learn that the run has ended, even if no actor reads this message.
    pub(crate) ended: DropGuard,
    /// Where the events go that announce the ids, if that is how they come.
    pub(crate) feed: Option<EventFeed<I>>,
}

impl<I: Id + Eq + Hash> Start<I> {
    /// A run of the ids that the source's event stream announces. See [`Pipeline::run_events`](crate::Pipeline::run_events).
    pub fn events() -> (Self, EventWatch) {
        let waiting = Arc::new(WaitingIds::new());
        let (recorder, watch) = event_watch();
        let start = Self {
            feed: Some(EventFeed {
                waiting: waiting.clone(),
                recorder,
            }),
            ..Self::new(IdStream::that_may_fail(waiting.read()))
        };
        (start, watch)
    }
}

impl<I: Send + 'static> Start<I> {
    /// A run of a list of ids. The list is read only as fast as its ids are fetched.
    pub fn list<L>(ids: L) -> Self
    where
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
    {
        Self::new(IdStream::list(ids))
    }

    /// A run of a stream of ids. The stream is polled only while a fetcher is idle or fewer ids are read ahead than
    /// [`mailbox`](crate::Config::mailbox) allows.
    pub fn stream(ids: impl Stream<Item = I> + Send + 'static) -> Self {
        Self::new(IdStream::new(ids))
    }

    fn new(ids: IdStream<I>) -> Self {
        let control = Arc::new(RunControl::default());
        Self {
            run: RunId::next(),
            ids,
            outcomes: None,
            ended: control.ended.clone().drop_guard(),
            control,
            feed: None,
        }
    }

    /// Sets the run's priority, which is [`Normal`](Priority::Normal) otherwise. See
    /// [runs side by side](crate::guide::streams#runs-side-by-side).
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        // Only this message has the control so far.
        if let Some(control) = Arc::get_mut(&mut self.control) {
            control.priority = priority;
        }
        self
    }

    /// Also returns what becomes of each id. See [`Pipeline::run_with_outcomes`](crate::Pipeline::run_with_outcomes).
    pub fn with_outcomes(mut self) -> (Self, Outcomes<I>) {
        let (sender, outcomes) = outcomes();
        self.outcomes = Some(sender);
        (self, outcomes)
    }

    /// Identifies the run that this message starts.
    pub fn run(&self) -> RunId {
        self.run
    }
}

/// A [`Start`] whose report goes through a channel. With `send`, actix delivers a message only when its response is awaited, but a
/// run must start even if its handle is never awaited.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StartRun<I: Send + 'static> {
    pub(crate) start: Start<I>,
    pub(crate) report: oneshot::Sender<Report<I>>,
}

/// Cancels a run: no more of its ids are handed out. It ends when its requests in flight are settled, or when
/// [`Config::drain`](crate::Config::drain) is over. It has no effect on a run that has ended or belongs to another pipeline.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Cancel(pub RunId);

/// Gets the counters of a run that is under way. The response is `None` for any other run.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Option<Progress>")]
pub struct GetProgress(pub RunId);

/// Pauses the pipeline: no ids are handed out until [`Resume`]. Fetchers finish the ids that they hold, retries included.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Pause;

/// Ends a pause.
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct Resume;

/// Changes [`Config::rate`](crate::Config::rate). See [`Pipeline::set_rate`](crate::Pipeline::set_rate).
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct SetRate(pub u32);

/// Changes [`Config::workers`](crate::Config::workers). See [`Pipeline::set_workers`](crate::Pipeline::set_workers).
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct SetWorkers(pub usize);

/// Cancels all runs, drains them within a time, and stops the actors. See [`Pipeline::shutdown`](crate::Pipeline::shutdown).
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "Result<ShutdownReport, PipelineStopped>")]
pub struct Shutdown {
    /// How long the whole shutdown may take.
    pub within: Duration,
}

/// All handles are dropped, so no other run can be started and no result can be read.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HandlesDropped;

/// Gives an id to a fetcher.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetch<I> {
    pub(crate) id: I,
    /// What was done for the id before it gave way to another one.
    pub(crate) so_far: AttemptsSoFar,
    pub(crate) control: Arc<RunControl>,
    /// The fetcher waits for room in it before it gives an answer to the coordinator.
    pub(crate) backlog: Backlog,
}

/// A fetcher is done with an id.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fetched<I> {
    /// The number of the fetcher.
    pub(crate) slot: usize,
    pub(crate) result: Result<AnsweredId<I>, NotAnswered>,
    /// The state of the run's circuit breaker when the last attempt of this id ended.
    pub(crate) breaker: BreakerState,
}

/// A fetcher died. There is no answer for the id that it worked on.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FetcherGone {
    /// The number of the fetcher.
    pub(crate) slot: usize,
}

/// What the coordinator sends to Storage.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) enum ToStorage<I> {
    /// An answer is to be committed.
    Save(Save<I>),
    /// No more rows of this run come until its waiting ones are committed.
    Flush(RunId),
}

/// An answer that is to be committed.
#[derive(Debug)]
pub(crate) struct Save<I> {
    pub(crate) run: RunId,
    pub(crate) control: Arc<RunControl>,
    pub(crate) row: NumberedRow<I>,
}

/// An answered id with its place among the answers of the run.
#[derive(Debug)]
pub(crate) struct NumberedRow<I> {
    /// The place of this answer among those of the run that the coordinator got, from 1.
    pub(crate) number: u64,
    pub(crate) answered: AnsweredId<I>,
}

impl<I> NumberedRow<I> {
    /// The same row without its room in the backlog, which is given back.
    pub(crate) fn without_permit(mut self) -> Self {
        self.answered.permit = RowPermit::default();
        self
    }
}

/// Storage died. Nothing more can be committed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct StorageGone;

/// Reports how rows of one run ended: those of a batch, or those that Storage dropped because nothing more can be committed.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Committed<I> {
    pub(crate) run: RunId,
    /// Rows that are stored or absent.
    pub(crate) served: Vec<ServedRow>,
    /// How many records the stored rows have.
    pub(crate) records: u64,
    pub(crate) failed: Vec<FailedRow<I>>,
    /// Bodies that the source could not decode, as failures. They are not committed: the coordinator decides what becomes of them.
    pub(crate) undecodable: Vec<NumberedRow<I>>,
    /// Ids without an outcome: their bodies were not decoded before the run was aborted, or even their failure could not be committed.
    pub(crate) not_attempted: usize,
    /// Why nothing more can be committed. Rows that were dropped for that reason count as not attempted here.
    pub(crate) lost: Option<GaveUp>,
    /// The room of the batch in the backlog, given back when the coordinator has counted the rows.
    pub(crate) _permit: BatchPermit,
}

/// A row that is committed as stored or absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServedRow {
    /// The number of the answer in its run.
    pub(crate) number: u64,
    pub(crate) is_stored: bool,
}

/// A row that is committed as failed.
#[derive(Debug)]
pub(crate) struct FailedRow<I> {
    /// The number of the answer in its run.
    pub(crate) number: u64,
    pub(crate) id: I,
    pub(crate) failure: Failure,
}

impl<I> Committed<I> {
    /// A report of no rows, to be filled in.
    pub(crate) fn nothing(run: RunId) -> Self {
        Self {
            run,
            served: Vec::new(),
            records: 0,
            failed: Vec::new(),
            undecodable: Vec::new(),
            not_attempted: 0,
            lost: None,
            _permit: BatchPermit::default(),
        }
    }

    /// How many rows this reports.
    pub(crate) fn rows(&self) -> usize {
        self.served.len() + self.failed.len() + self.undecodable.len() + self.not_attempted
    }
}

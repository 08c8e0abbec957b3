//! Storage: collects answers into batches, has each written on a blocking thread, and says so only after the commit.

pub(crate) mod writer;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, SpawnHandle, WrapFuture,
};
use actix_rt::task::spawn_blocking;
use log::warn;
use tokio::runtime::Handle;

use crate::ingest::{
    actors::storage::writer::Writer,
    backlog::{BATCH_BYTES, BatchRoom},
    messages::{Committed, Flush, RunId, Save, StorageGone},
    outcome::Answer,
    sink::Sink,
    source::Source,
    stats::recorder::Trigger,
};

/// While nothing is written, so many rows are worth a transaction; what comes meanwhile makes the next one, so that a slow disk
/// gets larger ones.
///
/// Larger ones from the start are slower where all cores are busy: the thread that writes takes one from the arbiter or from the
/// API's server for longer than what is in flight keeps the other busy.
const ROWS_WORTH: usize = 100;

pub(crate) struct Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Taken only when this actor ends.
    writer: Option<Arc<Writer<S, K>>>,
    rows_max: usize,
    linger: Duration,
    coordinator: Recipient<Committed<S::Id>>,
    /// Told when this actor is dropped.
    death: Recipient<StorageGone>,
    waiting: VecDeque<Save<S::Id>>,
    waiting_bytes: usize,
    lingering: Option<SpawnHandle>,
    /// Rows of the batch that is written now; one at a time, since SQLite has one writer.
    being_written: usize,
    /// Nothing more comes before what waits is committed.
    flushing: bool,
    /// The run that lost its storage: what still comes of it can't be committed.
    lost: Option<RunId>,
}

impl<S, K> Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    pub(crate) fn new(
        writer: Writer<S, K>,
        rows_max: usize,
        linger: Duration,
        coordinator: Recipient<Committed<S::Id>>,
        death: Recipient<StorageGone>,
    ) -> Self {
        Self {
            writer: Some(Arc::new(writer)),
            rows_max,
            linger,
            coordinator,
            death,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            lingering: None,
            being_written: 0,
            flushing: false,
            lost: None,
        }
    }

    fn write_if_due(&mut self, ctx: &mut Context<Self>) {
        if self.being_written > 0 || self.waiting.is_empty() {
            return;
        }
        if self.waiting.len() >= self.rows_max.min(ROWS_WORTH) {
            self.write(Trigger::Rows, ctx);
        } else if self.waiting_bytes >= BATCH_BYTES {
            self.write(Trigger::Bytes, ctx);
        } else if self.flushing {
            self.write(Trigger::End, ctx);
        } else if self.lingering.is_none() {
            self.lingering = Some(ctx.run_later(self.linger, |storage, ctx| {
                storage.lingering = None;
                if storage.being_written == 0 && !storage.waiting.is_empty() {
                    storage.write(Trigger::Linger, ctx);
                }
            }));
        }
    }

    fn write(&mut self, trigger: Trigger, ctx: &mut Context<Self>) {
        if let Some(lingering) = self.lingering.take() {
            ctx.cancel_future(lingering);
        }
        let Some(first) = self.waiting.front() else {
            return;
        };
        let Some(writer) = self.writer.clone() else {
            return;
        };
        let (run, control) = (first.run, first.control.clone());
        let batch = self.next_batch();
        let rows = batch.len();
        self.being_written = rows;
        control.counters.waiting(self.waiting.len());
        let began = Instant::now();
        let held = control.clone();
        let written = spawn_blocking(move || writer.write(run, &held, batch));
        ctx.spawn(written.into_actor(self).map(move |written, storage, ctx| {
            storage.being_written = 0;
            control.counters.batch(trigger, rows, began.elapsed());
            let (committed, _room) = written.unwrap_or_else(|error| {
                let lost = Some(format!("writing a batch panicked: {error}"));
                (
                    Committed {
                        lost,
                        ..Committed::nothing(run)
                    },
                    BatchRoom::default(),
                )
            });
            storage.committed(committed);
            storage.write_if_due(ctx);
        }));
    }

    /// Takes from what waits as much as one batch may hold.
    fn next_batch(&mut self) -> Vec<Save<S::Id>> {
        let mut rows = 0;
        let mut bytes = 0;
        for save in self.waiting.iter().take(self.rows_max) {
            if bytes >= BATCH_BYTES {
                break;
            }
            rows += 1;
            bytes += save.bytes();
        }
        self.waiting_bytes -= bytes;
        self.waiting.drain(..rows).collect()
    }

    fn committed(&mut self, committed: Committed<S::Id>) {
        if let Some(why) = &committed.lost {
            warn!("storage is lost: {why}");
            self.lost = Some(committed.run);
            self.waiting.clear();
            self.waiting_bytes = 0;
        }
        self.coordinator.do_send(committed);
    }
}

impl<S, K> Drop for Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    fn drop(&mut self) {
        self.death.do_send(StorageGone);
        let writer = self.writer.take();
        // The last connection to close writes the log back into the file, which is no work for an arbiter.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(writer));
        }
    }
}

impl<I> Save<I> {
    fn bytes(&self) -> usize {
        match &self.answer {
            Answer::Body(body, _) => body.len(),
            _ => 0,
        }
    }
}

impl<S, K> Actor for Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    type Context = Context<Self>;
}

impl<S, K> Handler<Save<S::Id>> for Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    type Result = ();

    fn handle(&mut self, save: Save<S::Id>, ctx: &mut Self::Context) {
        if self.lost == Some(save.run) {
            return;
        }
        self.flushing = false;
        self.waiting_bytes += save.bytes();
        let control = save.control.clone();
        control.counters.waiting(self.waiting.len() + 1);
        self.waiting.push_back(save);
        control
            .counters
            .unsaved(self.waiting.len() + self.being_written);
        self.write_if_due(ctx);
    }
}

impl<S, K> Handler<Flush> for Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flushing = true;
        self.write_if_due(ctx);
    }
}

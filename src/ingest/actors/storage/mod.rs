//! Storage: collects answers into batches, writes each batch on a blocking thread, and reports it after the commit.

pub(crate) mod writer;

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, SpawnHandle, WrapFuture,
};
use actix_rt::task::spawn_blocking;
use log::warn;
use tokio::{runtime::Handle, time::Instant};

use self::writer::Writer;
use crate::ingest::{
    backlog::{BATCH_BYTES, BatchPermit},
    messages::{Committed, Flush, RunId, Save, StorageGone},
    outcome::answer::Answer,
    sink::Sink,
    source::Source,
    stats::event::BatchTrigger,
};

/// While no batch is being written, this many rows are written at once. Rows that come meanwhile make the next batch, so a slow disk
/// gets larger batches.
///
/// A larger number is slower where all cores are busy. A batch that takes long keeps a core from the arbiter, or from an API on the
/// same machine, until the requests in flight run out.
const ROWS_WORTH_WRITING: usize = 100;

/// The actor.
pub(crate) struct Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Writes batches; shared with the blocking thread. `None` only while this actor is dropped.
    writer: Option<Arc<Writer<S, K>>>,
    /// The most rows of one batch.
    rows_max: usize,
    /// How long a batch with few rows waits for more.
    linger: Duration,
    /// The coordinator, for reports of commits.
    coordinator: Recipient<Committed<S::Id>>,
    /// The coordinator. It gets this message when the actor is dropped.
    death: Recipient<StorageGone>,
    /// Rows that wait for their batch, oldest first.
    waiting: VecDeque<Save<S::Id>>,
    /// The bytes of the bodies of these rows.
    waiting_bytes: usize,
    /// Writes the waiting rows at the end of the linger time.
    linger_timer: Option<SpawnHandle>,
    /// Whether the waiting rows have lingered, and are only waiting for the batch that is being written.
    has_lingered: bool,
    /// Rows of the batch that is being written. There is one batch at a time, since SQLite has one writer.
    being_written: usize,
    /// Whether no more rows are coming before the waiting ones are committed.
    is_flushing: bool,
    /// A run for which nothing more can be committed. Its rows are dropped.
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
            linger_timer: None,
            has_lingered: false,
            being_written: 0,
            is_flushing: false,
            lost: None,
        }
    }

    /// Writes a batch if there is a reason to and none is being written. Otherwise the waiting rows linger.
    fn write_if_due(&mut self, ctx: &mut Context<Self>) {
        if self.waiting.is_empty() {
            return;
        }
        if let Some(trigger) = self.due_trigger().filter(|_| self.being_written == 0) {
            self.write(trigger, ctx);
        } else if self.linger_timer.is_none() && !self.has_lingered {
            self.linger_timer = Some(ctx.run_later(self.linger, |storage, ctx| {
                storage.linger_timer = None;
                storage.has_lingered = true;
                storage.write_if_due(ctx);
            }));
        }
    }

    /// The reason to write the waiting rows, if there is one.
    fn due_trigger(&self) -> Option<BatchTrigger> {
        if self.waiting.len() >= self.rows_max.min(ROWS_WORTH_WRITING) {
            Some(BatchTrigger::Rows)
        } else if self.waiting_bytes >= BATCH_BYTES {
            Some(BatchTrigger::Bytes)
        } else if self.is_flushing {
            Some(BatchTrigger::End)
        } else if self.has_lingered {
            Some(BatchTrigger::Linger)
        } else {
            None
        }
    }

    /// Writes the next batch on a blocking thread, and reports it afterwards.
    fn write(&mut self, trigger: BatchTrigger, ctx: &mut Context<Self>) {
        self.has_lingered = false;
        if let Some(timer) = self.linger_timer.take() {
            ctx.cancel_future(timer);
        }
        let (Some(first), Some(writer)) = (self.waiting.front(), self.writer.clone()) else {
            return;
        };
        let run = first.run;
        let control = first.control.clone();
        let batch = self.next_batch();
        let rows = batch.len();
        self.being_written = rows;
        control
            .recorder
            .record_backlog(self.waiting.len(), self.waiting.len() + rows);
        let began = Instant::now();
        let writers_control = control.clone();
        let written = spawn_blocking(move || writer.write(run, &writers_control, batch));
        ctx.spawn(written.into_actor(self).map(move |written, storage, ctx| {
            storage.being_written = 0;
            control
                .recorder
                .record_batch(trigger, rows, began.elapsed());
            // The permits are given back here, on the arbiter, because the fetchers that wait for them run here.
            let (committed, _permit) = written.unwrap_or_else(|error| {
                let committed = Committed {
                    lost: Some(format!("writing a batch panicked: {error}")),
                    ..Committed::nothing(run)
                };
                (committed, BatchPermit::default())
            });
            storage.report(committed);
            storage.write_if_due(ctx);
        }));
    }

    /// Takes as many of the waiting rows as one batch may hold.
    fn next_batch(&mut self) -> Vec<Save<S::Id>> {
        let mut rows = 0;
        let mut bytes = 0;
        for save in self.waiting.iter().take(self.rows_max) {
            if bytes >= BATCH_BYTES {
                break;
            }
            rows += 1;
            bytes += body_bytes(save);
        }
        self.waiting_bytes -= bytes;
        self.waiting.drain(..rows).collect()
    }

    /// Reports a batch to the coordinator. If the database is lost, drops the rows that wait.
    fn report(&mut self, committed: Committed<S::Id>) {
        if let Some(why) = &committed.lost {
            warn!("storage is lost, nothing more is committed: {why}");
            self.lost = Some(committed.run);
            self.waiting.clear();
            self.waiting_bytes = 0;
        }
        self.coordinator.do_send(committed);
    }
}

fn body_bytes<I>(save: &Save<I>) -> usize {
    match &save.row.answered.answer {
        Answer::Body(body, _) => body.len(),
        Answer::Absent | Answer::Failed { .. } => 0,
    }
}

impl<S, K> Drop for Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    fn drop(&mut self) {
        self.death.do_send(StorageGone);
        let writer = mem::take(&mut self.writer);
        // The last connection that closes writes SQLite's log back into the database file. That would block the arbiter.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(writer));
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
        self.is_flushing = false;
        self.waiting_bytes += body_bytes(&save);
        let control = save.control.clone();
        self.waiting.push_back(save);
        let waiting = self.waiting.len();
        control
            .recorder
            .record_backlog(waiting, waiting + self.being_written);
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
        self.is_flushing = true;
        self.write_if_due(ctx);
    }
}

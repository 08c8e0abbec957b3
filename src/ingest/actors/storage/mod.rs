//! Storage: collects answers into batches, decodes and then writes each batch on blocking threads, and reports it after the commit.
//!
//! While one batch is being written, the next one is decoded as soon as it is full.

pub(crate) mod decoder;
pub(crate) mod writer;

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, SpawnHandle, WrapFuture,
};
use actix_rt::task::spawn_blocking;
use log::warn;
use tokio::{runtime::Handle, time::Instant};

use self::{
    decoder::{DecodedBatch, Decoder},
    writer::Writer,
};
use crate::ingest::{
    backlog::{BATCH_BYTES, BatchPermit},
    handle::control::RunControl,
    messages::{Committed, Flush, RunId, Save, StorageGone},
    sink::Sink,
    source::Source,
    stats::event::BatchTrigger,
};

/// While no batch is being written, this many rows are written at once. Rows that come meanwhile make the next batch, so a slow disk
/// gets larger batches. Only a full batch is decoded before the write is over.
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
    /// Decodes batches; shared with the blocking thread.
    decoder: Arc<Decoder<S>>,
    /// Writes batches; shared with the blocking thread. `None` only while this actor is dropped.
    writer: Option<Arc<Writer<K>>>,
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
    /// Rows of the batch that is being decoded.
    being_decoded: usize,
    /// A decoded batch that waits until the batch before it is written.
    // In a box, because an actor must be `Unpin` and a record need not be.
    decoded: Option<Box<NextBatch<S>>>,
    /// Rows of the batch that is being written. There is one batch at a time, since SQLite has one writer.
    being_written: usize,
    /// Whether no more rows are coming before the waiting ones are committed.
    is_flushing: bool,
    /// A run for which nothing more can be committed. Its rows are dropped.
    lost: Option<RunId>,
}

/// A decoded batch.
struct NextBatch<S: Source> {
    run: RunId,
    control: Arc<RunControl>,
    trigger: BatchTrigger,
    batch: DecodedBatch<S::Id, S::Record>,
}

impl<S, K> Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    pub(crate) fn new(
        decoder: Decoder<S>,
        writer: Writer<K>,
        rows_max: usize,
        linger: Duration,
        coordinator: Recipient<Committed<S::Id>>,
        death: Recipient<StorageGone>,
    ) -> Self {
        Self {
            decoder: Arc::new(decoder),
            writer: Some(Arc::new(writer)),
            rows_max,
            linger,
            coordinator,
            death,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            linger_timer: None,
            has_lingered: false,
            being_decoded: 0,
            decoded: None,
            being_written: 0,
            is_flushing: false,
            lost: None,
        }
    }

    /// Begins a batch if there is a reason to and none is ahead of it. Otherwise the waiting rows linger.
    fn begin_if_due(&mut self, ctx: &mut Context<Self>) {
        if self.waiting.is_empty() {
            return;
        }
        let is_free = self.being_decoded == 0 && self.decoded.is_none();
        if let Some(trigger) = self.due_trigger().filter(|_| is_free) {
            self.decode(trigger, ctx);
        } else if self.linger_timer.is_none() && !self.has_lingered {
            self.linger_timer = Some(ctx.run_later(self.linger, |storage, ctx| {
                storage.linger_timer = None;
                storage.has_lingered = !storage.waiting.is_empty();
                storage.begin_if_due(ctx);
            }));
        }
    }

    /// The reason to write the waiting rows, if there is one.
    fn due_trigger(&self) -> Option<BatchTrigger> {
        let is_writing = self.being_written > 0;
        let rows_worth_a_batch = if is_writing {
            self.rows_max
        } else {
            self.rows_max.min(ROWS_WORTH_WRITING)
        };
        if self.waiting.len() >= rows_worth_a_batch {
            Some(BatchTrigger::Rows)
        } else if self.waiting_bytes >= BATCH_BYTES {
            Some(BatchTrigger::Bytes)
        } else if is_writing {
            None
        } else if self.is_flushing {
            Some(BatchTrigger::End)
        } else if self.has_lingered {
            Some(BatchTrigger::Linger)
        } else {
            None
        }
    }

    /// Decodes the next batch on blocking threads, and writes it afterwards.
    fn decode(&mut self, trigger: BatchTrigger, ctx: &mut Context<Self>) {
        self.has_lingered = false;
        if let Some(timer) = self.linger_timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(first) = self.waiting.front() else {
            return;
        };
        let run = first.run;
        let control = first.control.clone();
        let batch = self.next_batch();
        self.being_decoded = batch.len();
        self.record_backlog(&control);
        let decoder = self.decoder.clone();
        let decoders_control = control.clone();
        let began = Instant::now();
        let decoding = spawn_blocking(move || decoder.decode(&decoders_control, batch));
        ctx.spawn(decoding.into_actor(self).map(move |decoded, storage, ctx| {
            storage.being_decoded = 0;
            control.recorder.record_decoding(began.elapsed());
            match decoded {
                Ok(batch) => {
                    storage.decoded = Some(Box::new(NextBatch {
                        run,
                        control,
                        trigger,
                        batch,
                    }));
                    storage.write_if_free(ctx);
                }
                Err(error) => storage.report(Committed {
                    lost: Some(format!("decoding a batch panicked: {error}")),
                    ..Committed::nothing(run)
                }),
            }
            storage.begin_if_due(ctx);
        }));
    }

    /// Writes the decoded batch on a blocking thread if no other one is being written, and reports it afterwards.
    fn write_if_free(&mut self, ctx: &mut Context<Self>) {
        let Some(writer) = self.writer.clone().filter(|_| self.being_written == 0) else {
            return;
        };
        let Some(next) = self.decoded.take() else {
            return;
        };
        let NextBatch {
            run,
            control,
            trigger,
            batch,
        } = *next;
        if self.lost == Some(run) {
            return;
        }
        let rows = batch.len();
        self.being_written = rows;
        let began = Instant::now();
        let writers_control = control.clone();
        let written = spawn_blocking(move || writer.write(run, &writers_control, batch));
        ctx.spawn(written.into_actor(self).map(move |written, storage, ctx| {
            storage.being_written = 0;
            control
                .recorder
                .record_batch(trigger, rows, began.elapsed());
            let (committed, _permit) = written.unwrap_or_else(|error| {
                let committed = Committed {
                    lost: Some(format!("writing a batch panicked: {error}")),
                    ..Committed::nothing(run)
                };
                (committed, BatchPermit::default())
            });
            storage.report(committed);
            storage.write_if_free(ctx);
            storage.begin_if_due(ctx);
        }));
    }

    fn record_backlog(&self, control: &RunControl) {
        let waiting = self.waiting.len();
        let decoded = self.decoded.as_ref().map_or(0, |next| next.batch.len());
        let in_batches = self.being_decoded + decoded + self.being_written;
        control
            .recorder
            .record_backlog(waiting, waiting + in_batches);
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
            self.decoded = None;
        }
        self.coordinator.do_send(committed);
    }
}

fn body_bytes<I>(save: &Save<I>) -> usize {
    save.row.answered.answer.len()
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
        self.record_backlog(&control);
        self.begin_if_due(ctx);
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
        self.begin_if_due(ctx);
    }
}

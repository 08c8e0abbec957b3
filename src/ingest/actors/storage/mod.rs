//! Storage: collects the answers of each run into batches, decodes and then writes each batch on blocking threads, and reports it
//! after the commit.
//!
//! A batch has rows of one run. While one batch is being written, the next ones are decoded. The batch of the run with the
//! highest priority is written first, and runs of equal priority take turns. So a row waits for one batch of other runs, not for
//! all their rows.

pub(crate) mod decoder;
mod run_rows;
pub(crate) mod writer;

use std::{cmp::Reverse, mem, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, WrapFuture};
use actix_rt::task::spawn_blocking;
use log::warn;
use tokio::{runtime::Handle, task::JoinError, time::Instant};

use self::{
    decoder::{DecodedBatch, Decoder},
    run_rows::{NextBatch, RunRows},
    writer::Writer,
};
use crate::ingest::{
    messages::{Committed, RunId, Save, StorageGone, ToStorage},
    outcome::report::GaveUp,
    priority::Priority,
    sink::Sink,
    source::Source,
    stats::event::BatchTrigger,
};

/// The most batches that are decoded at once. Those of lower priorities do not count.
const DECODED_AT_ONCE: usize = 4;

/// The actor.
pub(crate) struct Storage<S: Source, K: Sink> {
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
    /// The runs that have rows here. The one whose batch was written last is at the back.
    runs: Vec<RunRows<S>>,
    /// The run whose batch is being written, or was written last. There is one batch at a time, since SQLite has one writer.
    last_written: Option<RunId>,
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
            runs: Vec::new(),
            last_written: None,
        }
    }

    fn find(&mut self, run: RunId) -> Option<&mut RunRows<S>> {
        self.runs.iter_mut().find(|rows| rows.run == run)
    }

    /// Adds a row to those of its run. It is decoded at once, or waits.
    fn save(&mut self, save: Save<S::Id>, ctx: &mut Context<Self>) {
        let known = self.runs.iter().position(|rows| rows.run == save.run);
        let place = known.unwrap_or_else(|| {
            let rows = RunRows::new(save.run, save.control.clone());
            self.runs.push(rows);
            self.runs.len() - 1
        });
        let rows = &mut self.runs[place];
        if rows.lost.is_some() {
            return self.coordinator.do_send(rows.report_dropped(1));
        }
        rows.add(save);
        self.record_backlog(place);
        let is_writing = self.is_writing();
        let rows = &mut self.runs[place];
        if rows.due_trigger(self.rows_max, is_writing).is_some() {
            self.begin_due(ctx);
        } else {
            Self::linger(rows, self.linger, ctx);
        }
    }

    fn is_writing(&self) -> bool {
        self.runs.iter().any(|rows| rows.being_written > 0)
    }

    /// Begins the batches that are due. The other waiting rows linger.
    fn begin_due(&mut self, ctx: &mut Context<Self>) {
        while let Some((place, trigger)) = self.next_due() {
            self.decode(place, trigger, ctx);
        }
        self.runs.retain(|rows| rows.unsaved() > 0);
        for rows in &mut self.runs {
            Self::linger(rows, self.linger, ctx);
        }
    }

    /// The place of the run whose batch is decoded next, and the reason.
    fn next_due(&self) -> Option<(usize, BatchTrigger)> {
        let is_writing = self.is_writing();
        let due = self.runs.iter().enumerate().filter_map(|(place, rows)| {
            let trigger = rows.due_trigger(self.rows_max, is_writing)?;
            Some((place, trigger, rows.priority()))
        });
        let (place, trigger, priority) = due.max_by_key(|due| (due.2, Reverse(due.0)))?;
        (self.decoding(priority) < DECODED_AT_ONCE).then_some((place, trigger))
    }

    /// How many batches of this or a higher priority are being decoded.
    fn decoding(&self, priority: Priority) -> usize {
        let decoding = |rows: &&RunRows<S>| rows.being_decoded > 0 && rows.priority() >= priority;
        self.runs.iter().filter(decoding).count()
    }

    /// Lets the waiting rows of a run linger.
    fn linger(rows: &mut RunRows<S>, linger: Duration, ctx: &mut Context<Self>) {
        if rows.waiting() > 0 && rows.linger_timer.is_none() && !rows.has_lingered {
            let run = rows.run;
            rows.linger_timer = Some(ctx.run_later(linger, move |storage, ctx| {
                if let Some(rows) = storage.find(run) {
                    rows.linger_timer = None;
                    rows.has_lingered = rows.waiting() > 0;
                }
                storage.begin_due(ctx);
            }));
        }
    }

    /// Decodes the next batch of a run on blocking threads, and writes it afterwards.
    fn decode(&mut self, place: usize, trigger: BatchTrigger, ctx: &mut Context<Self>) {
        let rows = &mut self.runs[place];
        if let Some(timer) = rows.linger_timer.take() {
            ctx.cancel_future(timer);
        }
        let batch = rows.begin_batch(self.rows_max);
        let (run, control) = (rows.run, rows.control.clone());
        self.record_backlog(place);
        let decoder = self.decoder.clone();
        let began = Instant::now();
        let decoding = spawn_blocking(move || decoder.decode(&control, batch));
        ctx.spawn(decoding.into_actor(self).map(move |decoded, storage, ctx| {
            storage.take_decoded(run, trigger, began.elapsed(), decoded);
            storage.write_next(ctx);
            storage.begin_due(ctx);
        }));
    }

    /// A batch is decoded.
    fn take_decoded(
        &mut self,
        run: RunId,
        trigger: BatchTrigger,
        took: Duration,
        decoded: Result<DecodedBatch<S::Id, S::Record>, JoinError>,
    ) {
        let Some(rows) = self.find(run) else { return };
        rows.control.recorder.record_decoding(took);
        let count = mem::take(&mut rows.being_decoded);
        match decoded {
            Ok(batch) if rows.lost.is_none() => {
                rows.decoded = Some(Box::new(NextBatch { trigger, batch }));
            }
            Ok(_) => {
                let dropped = rows.report_dropped(count);
                self.coordinator.do_send(dropped);
            }
            Err(error) => {
                let why = format!("decoding a batch panicked: {error}");
                self.report(run, count, Err(GaveUp::StorageLost(why)));
            }
        }
    }

    /// Writes the next decoded batch on a blocking thread if no other one is being written, and reports it afterwards.
    fn write_next(&mut self, ctx: &mut Context<Self>) {
        if self.is_writing() {
            return;
        }
        let decoded = self.runs.iter().enumerate();
        let decoded = decoded.filter(|(_, rows)| rows.decoded.is_some());
        let next = decoded.max_by_key(|(place, rows)| {
            let is_its_turn = Some(rows.run) != self.last_written;
            (rows.priority(), is_its_turn, Reverse(*place))
        });
        let Some((place, _)) = next else { return };
        let mut rows = self.runs.remove(place);
        let next = rows.decoded.take();
        if let Some((next, writer)) = next.zip(self.writer.clone()) {
            let NextBatch { trigger, batch } = *next;
            let (run, control, count) = (rows.run, rows.control.clone(), batch.len());
            rows.being_written = count;
            self.last_written = Some(run);
            let began = Instant::now();
            let written = writer.write_aside(run, control, batch);
            ctx.spawn(written.into_actor(self).map(move |written, storage, ctx| {
                if let Some(rows) = storage.find(run) {
                    rows.being_written = 0;
                    let recorder = &rows.control.recorder;
                    recorder.record_batch(trigger, count, began.elapsed());
                }
                storage.report(run, count, written);
                storage.write_next(ctx);
                storage.begin_due(ctx);
            }));
        }
        self.runs.push(rows);
    }

    fn record_backlog(&self, place: usize) {
        let waiting = self.runs.iter().map(RunRows::waiting).sum();
        let rows = &self.runs[place];
        let recorder = &rows.control.recorder;
        recorder.record_backlog(waiting, rows.unsaved());
    }

    /// Reports a batch of `count` rows to the coordinator, or why it is not known what of it is committed. If nothing more can be
    /// committed, drops the rows that wait: those of all runs, because they share the database. If the run was only stopped while
    /// it waited for the database, those of other runs stay.
    fn report(&mut self, run: RunId, count: usize, written: Result<Committed<S::Id>, GaveUp>) {
        let mut committed = written.unwrap_or_else(|why| Committed {
            lost: Some(why),
            ..Committed::nothing(run)
        });
        if let Some(why) = committed.lost.clone() {
            committed.not_attempted += count - committed.rows();
            let is_everyones = matches!(why, GaveUp::StorageLost(_));
            let lost = self.runs.iter_mut();
            for rows in lost.filter(|rows| rows.run == run || is_everyones) {
                if let (None, GaveUp::StorageLost(why)) = (&rows.lost, &why) {
                    warn!("storage is lost, nothing more is committed: {why}");
                }
                self.coordinator.do_send(rows.lose(why.clone()));
            }
        }
        self.coordinator.do_send(committed);
    }
}

impl<S: Source, K: Sink> Drop for Storage<S, K> {
    fn drop(&mut self) {
        self.death.do_send(StorageGone);
        let writer = self.writer.take();
        // The last connection that closes writes SQLite's log back into the database file. That would block the arbiter.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(writer));
        }
    }
}

impl<S: Source, K: Sink> Actor for Storage<S, K> {
    type Context = Context<Self>;
}

impl<S, K> Handler<ToStorage<S::Id>> for Storage<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    type Result = ();

    fn handle(&mut self, message: ToStorage<S::Id>, ctx: &mut Self::Context) {
        match message {
            ToStorage::Save(save) => self.save(save, ctx),
            ToStorage::Flush(run) => {
                if let Some(rows) = self.find(run) {
                    rows.is_flushing = true;
                    self.begin_due(ctx);
                }
            }
        }
    }
}

//! The decoder: decodes the bodies of a batch on blocking threads. A batch that takes long is shared by several threads.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use crate::ingest::{
    backlog::BatchPermit,
    handle::control::RunControl,
    limits::signal::Blame,
    messages::{NumberedRow, Save},
    outcome::{
        answer::{Answer, AnsweredId, Outcome},
        failure::{Failure, FailureKind},
        panics::catch,
    },
    response::Response,
    sink::Settled,
    source::Source,
};

/// One thread decodes this long before others help: starting them for less would cost more than it saves.
const ALONE_FOR: Duration = Duration::from_millis(5);

/// While bodies are decoded quickly, the clock is looked at after this many of them.
const ROWS_PER_LOOK_MAX: usize = 16;

/// At least this many threads decode a batch that takes long. A decoder may also wait, for example for a lock, so this may be
/// more than there are cores.
const THREADS_MIN: usize = 8;

/// After an abort, bodies are still decoded for this long: they are here, and only slow ones would hold up the end of the run.
const AFTER_ABORT: Duration = Duration::from_secs(1);

/// Decodes batches.
pub(crate) struct Decoder<S> {
    source: Arc<S>,
    /// How long bodies are decoded after an abort.
    after_abort: Duration,
    /// How many threads may decode at once.
    threads: usize,
}

/// What is remembered of an answer besides its row.
#[derive(Clone, Copy)]
pub(crate) struct RowOrigin {
    /// The number of the answer in its run.
    pub(super) number: u64,
    /// How many attempts it took.
    pub(super) attempts: u32,
    /// How many records it has, if it has any.
    pub(super) records: u64,
}

/// A batch that can be written.
pub(crate) struct DecodedBatch<I, R> {
    pub(super) rows: Vec<Settled<I, R>>,
    /// For each of the rows, in the same order.
    pub(super) origins: Vec<RowOrigin>,
    /// Bodies that could not be decoded, as failures.
    pub(super) undecodable: Vec<NumberedRow<I>>,
    /// Answers that were dropped after an abort.
    pub(super) dropped: usize,
    /// The room of the batch in the backlog.
    pub(super) permit: BatchPermit,
}

/// The result for one answer.
enum Decoded<I, R> {
    Row(RowOrigin, Settled<I, R>),
    Undecodable(NumberedRow<I>),
    /// It was dropped after an abort.
    Dropped,
}

impl<S: Source> Decoder<S> {
    pub(crate) fn new(source: Arc<S>) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            source,
            after_abort: AFTER_ABORT,
            threads: (2 * cores).max(THREADS_MIN),
        }
    }

    /// Decodes a batch, on the blocking thread that calls this and, if it takes long, on others. Bodies that are not decoded
    /// within [`AFTER_ABORT`] of an abort are dropped, but for those that are being decoded.
    pub(super) fn decode(
        &self,
        control: &RunControl,
        mut batch: Vec<Save<S::Id>>,
    ) -> DecodedBatch<S::Id, S::Record> {
        let mut decoded = DecodedBatch {
            rows: Vec::with_capacity(batch.len()),
            origins: Vec::with_capacity(batch.len()),
            undecodable: Vec::new(),
            dropped: 0,
            permit: take_permits(&mut batch),
        };
        let began = Instant::now();
        let mut rows = batch.into_iter().map(|save| save.row);
        let mut rows_per_look = 1;
        while rows.len() > 0 && began.elapsed() < ALONE_FOR {
            let quick = rows.by_ref().take(rows_per_look);
            quick.for_each(|row| decoded.add(self.decode_unless_aborted(control, row)));
            rows_per_look = (2 * rows_per_look).min(ROWS_PER_LOOK_MAX);
        }
        let rest: Vec<_> = rows.collect();
        if !rest.is_empty() {
            let rest = self.decode_together(control, rest);
            rest.into_iter().for_each(|row| decoded.add(row));
        }
        decoded
    }

    /// Decodes rows on several threads. The results come in the order of the rows.
    fn decode_together(
        &self,
        control: &RunControl,
        rows: Vec<NumberedRow<S::Id>>,
    ) -> Vec<Decoded<S::Id, S::Record>> {
        let threads = self.threads.min(rows.len());
        let rows = Mutex::new(rows.into_iter().enumerate());
        let next = || rows.lock().unwrap_or_else(PoisonError::into_inner).next();
        // The threads of the runtime know it, so code of the source may rely on that.
        let runtime = Handle::try_current().ok();
        let work = || {
            let _runtime = runtime.as_ref().map(Handle::enter);
            let mut results = Vec::new();
            while let Some((place, row)) = next() {
                results.push((place, self.decode_unless_aborted(control, row)));
            }
            results
        };
        let mut results = thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads)
                .filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut results = work();
            for helper in helpers {
                // A helper does not panic: panics of the source are caught.
                results.extend(helper.join().unwrap_or_default());
            }
            results
        });
        results.sort_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn decode_unless_aborted(
        &self,
        control: &RunControl,
        row: NumberedRow<S::Id>,
    ) -> Decoded<S::Id, S::Record> {
        let NumberedRow { number, answered } = row;
        let attempts = answered.attempts;
        let mut origin = RowOrigin {
            number,
            attempts,
            records: 0,
        };
        let outcome = match answered.answer {
            Answer::Absent => Outcome::Absent,
            Answer::Failed(failure, _) => Outcome::Failed(failure),
            Answer::Body(..) if control.stop.aborted_for() > Some(self.after_abort) => {
                return Decoded::Dropped;
            }
            // The embedder's code also makes the text of a `DecodeError`, so that may panic, too.
            Answer::Body(body) => match catch(|| {
                let response = Response::new(body.status, &body.headers, &body.bytes);
                let decoded = self.source.decode_response(&answered.id, &response);
                let record = decoded.map_err(|error| error.to_string())?;
                let records = record.as_ref().map(|record| self.source.records_in(record));
                origin.records = records.unwrap_or_default();
                Ok::<_, String>(record)
            }) {
                Ok(Ok(Some(record))) => Outcome::Stored(record),
                Ok(Ok(None)) => Outcome::Absent,
                Ok(Err(message)) => {
                    // The coordinator decides about it: the body may come from something else than the API, such as the login
                    // page of a network.
                    let failure = Failure::new(FailureKind::Decode, message, attempts);
                    let answer = Answer::Failed(failure, Blame::Refusal);
                    let answered = AnsweredId { answer, ..answered };
                    return Decoded::Undecodable(NumberedRow { number, answered });
                }
                Err(panic) => {
                    let message = format!("decoding panicked: {panic}");
                    Outcome::Failed(Failure::new(FailureKind::Panic, message, attempts))
                }
            },
        };
        Decoded::Row(
            origin,
            Settled::new(answered.id, outcome, answered.received_at),
        )
    }
}

impl<I, R> DecodedBatch<I, R> {
    fn add(&mut self, decoded: Decoded<I, R>) {
        match decoded {
            Decoded::Row(origin, row) => {
                self.origins.push(origin);
                self.rows.push(row);
            }
            Decoded::Undecodable(row) => self.undecodable.push(row),
            Decoded::Dropped => self.dropped += 1,
        }
    }

    /// How many answers it was made from.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.undecodable.len() + self.dropped
    }
}

/// Takes the room in the backlog from the answers of a batch.
fn take_permits<I>(batch: &mut [Save<I>]) -> BatchPermit {
    let mut permit = BatchPermit::default();
    for Save { row, .. } in batch {
        permit.add_row(mem::take(&mut row.answered.permit));
        if let Answer::Body(body) = &mut row.answered.answer {
            permit.add_bytes(mem::take(&mut body.room));
        }
    }
    permit
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Barrier, atomic::AtomicUsize, atomic::Ordering::SeqCst},
        time::SystemTime,
    };

    use bytes::Bytes;

    use super::*;
    use crate::ingest::{
        backlog::{BytesPermit, RowPermit},
        messages::Start,
        outcome::answer::ReceivedBody,
        source::DecodeError,
    };

    /// A source whose `decode` is the given function.
    struct TestSource<F>(F);

    impl<F> Source for TestSource<F>
    where
        F: Fn(u64) -> Result<Option<u64>, DecodeError> + Send + Sync + 'static,
    {
        type Id = u64;
        type Record = u64;

        fn url(&self, id: &u64) -> String {
            format!("http://localhost/{id}")
        }

        fn decode(&self, id: &u64, _: &[u8]) -> Result<Option<u64>, DecodeError> {
            (self.0)(*id)
        }
    }

    /// A batch of bodies for the ids from 0.
    fn batch(rows: u64) -> Vec<Save<u64>> {
        let start = Start::list([0_u64]);
        let save = |id| Save {
            run: start.run,
            control: start.control.clone(),
            row: NumberedRow {
                number: id,
                answered: AnsweredId {
                    id,
                    answer: Answer::Body(ReceivedBody {
                        status: 200,
                        headers: Box::default(),
                        bytes: Bytes::new(),
                        room: BytesPermit::default(),
                    }),
                    attempts: 1,
                    received_at: SystemTime::now(),
                    permit: RowPermit::default(),
                },
            },
        };
        (0..rows).map(save).collect()
    }

    #[test]
    fn slow_bodies_are_decoded_side_by_side_and_stay_in_order() {
        // The first body makes the batch slow. The barrier opens when enough of the others are being decoded at once.
        let together = Barrier::new(THREADS_MIN);
        let decoder = Decoder::new(Arc::new(TestSource(move |id| {
            if id == 0 {
                thread::sleep(ALONE_FOR);
            } else {
                together.wait();
            }
            Ok(Some(id))
        })));
        let rows = 1 + 10 * THREADS_MIN as u64;
        let decoded = decoder.decode(&RunControl::default(), batch(rows));
        let ids: Vec<_> = decoded.rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, (0..rows).collect::<Vec<_>>());
    }

    #[test]
    fn after_an_abort_bodies_are_still_decoded_but_slow_ones_are_dropped() {
        let control = Arc::new(RunControl::default());
        control.stop.abort();
        let decoder = Decoder::new(Arc::new(TestSource(|id| Ok(Some(id)))));
        assert_eq!(decoder.decode(&control, batch(1000)).rows.len(), 1000);
        let count = AtomicUsize::new(0);
        let control = Arc::new(RunControl::default());
        let aborting = control.clone();
        let mut decoder = Decoder::new(Arc::new(TestSource(move |id| {
            if count.fetch_add(1, SeqCst) == 4 {
                aborting.stop.abort();
            }
            Ok(Some(id))
        })));
        decoder.after_abort = Duration::ZERO;
        let decoded = decoder.decode(&control, batch(1000));
        assert_eq!((decoded.rows.len(), decoded.dropped), (5, 995));
        assert_eq!(decoded.len(), 1000);
    }

    #[test]
    fn a_body_that_does_not_decode_or_panics_costs_only_its_own_row() {
        let decoder = Decoder::new(Arc::new(TestSource(|id| match id {
            1 => Err(DecodeError::new("no record")),
            2 => panic!("a bug"),
            3 => Ok(None),
            _ => Ok(Some(id)),
        })));
        let decoded = decoder.decode(&RunControl::default(), batch(5));
        let outcomes: Vec<_> = decoded.rows.iter().map(|row| &row.outcome).collect();
        let panicked = Failure::new(FailureKind::Panic, "decoding panicked: a bug", 1);
        assert_eq!(
            outcomes,
            [
                &Outcome::Stored(0),
                &Outcome::Failed(panicked),
                &Outcome::Absent,
                &Outcome::Stored(4)
            ]
        );
        assert_eq!(decoded.undecodable.len(), 1);
        assert_eq!(decoded.undecodable[0].number, 1);
    }
}

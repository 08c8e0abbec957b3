//! The writer: commits all rows of a batch in one transaction, on a blocking thread. If a row is at fault, it commits row by row.

use std::{
    fmt::Display,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix_rt::task::spawn_blocking;
use log::{debug, warn};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    ingest::{
        actors::storage::decoder::{DecodedBatch, RowOrigin},
        handle::control::RunControl,
        messages::{Committed, FailedRow, RunId, ServedRow},
        outcome::{
            answer::Outcome,
            failure::{Failure, FailureKind},
            panics::{DisplayId, catch},
            report::GaveUp,
        },
        sink::{Settled, Sink},
    },
    store::{
        ErrorClass, Pool, StoreConnection,
        message::{in_one_line, in_words},
        silence::{is_abandoned, note_answer, unless_silent},
    },
};

/// The first wait for a busy database. Each further wait is twice as long, up to [`BUSY_WAIT_STEP_MAX`].
const BUSY_WAIT_FIRST: Duration = Duration::from_millis(10);

/// The longest single wait for a busy database. After each wait, the writer checks whether the run was aborted.
const BUSY_WAIT_STEP_MAX: Duration = Duration::from_secs(1);

/// After this time a message says what the writer waits for.
const BUSY_WAIT_UNTOLD: Duration = Duration::from_secs(4);

/// How long the writer waits for an answer of the database after the run was aborted, if there is a bound at all.
const SILENCE_AFTER_ABORT: Duration = Duration::from_secs(3);

/// Writes batches.
pub(crate) struct Writer<K: Sink> {
    /// The database.
    pub(crate) pool: Pool<K::Connection>,
    /// Identifies the database that was opened. Each commit first checks that no other database has taken its place.
    pub(crate) identity: <K::Connection as StoreConnection>::Identity,
    /// How long a busy database is waited for.
    pub(crate) busy_wait_max: Duration,
    /// Writes the tables.
    pub(crate) sink: Arc<K>,
    /// Tells the pipeline's handle not to wait for the pool.
    pub(crate) closed: CancellationToken,
    /// Tells the same when the pool is closed. Fields are dropped in order, so this must be the last one.
    pub(crate) _closed: DropGuard,
}

/// Why rows were not committed.
#[derive(Debug, PartialEq, Eq)]
enum CommitError {
    /// One of the rows is at fault, or the sink's code panicked on it. The other rows may commit without it.
    Row(String),
    /// No row can be committed.
    Lost(GaveUp),
}

/// Why one transaction did not commit.
struct TransactionError {
    /// What the writer does about it.
    class: ErrorClass,
    message: String,
}

impl TransactionError {
    fn new(class: ErrorClass, error: &impl Display) -> Self {
        let message = in_one_line(&error.to_string());
        Self { class, message }
    }
}

impl<K: Sink> Writer<K> {
    /// Writes a batch on another thread.
    ///
    /// # Errors
    /// It is not known whether anything of the batch is committed: the database does not answer, or the thread panicked.
    pub(crate) fn write_aside(
        self: Arc<Self>,
        run: RunId,
        control: Arc<RunControl>,
        batch: DecodedBatch<K::Id, K::Record>,
    ) -> impl Future<Output = Result<Committed<K::Id>, GaveUp>> {
        let silence_max = K::Connection::silence_max(&self.identity);
        let name = K::Connection::name(&self.identity);
        let closed = self.closed.clone();
        let of_run = control.clone();
        let write = move || self.write(run, &of_run, batch);
        async move {
            let Some(silence_max) = silence_max else {
                return spawn_blocking(write).await.map_err(|error| {
                    GaveUp::StorageLost(format!("writing a batch panicked: {error}"))
                });
            };
            let after_abort = SILENCE_AFTER_ABORT.min(silence_max);
            let waits_on = |silent_for: Duration| match control.stop.aborted_for() {
                Some(aborted_for) => silent_for.min(aborted_for) < after_abort,
                None => silent_for < silence_max,
            };
            let written = unless_silent(&name, waits_on, write).await;
            written.map_err(|no_answer| {
                // The thread keeps the pool.
                closed.cancel();
                gave_up(&control, no_answer.to_string())
            })
        }
    }

    /// Writes a batch. When this returns, all rows that it counts are committed.
    pub(crate) fn write(
        &self,
        run: RunId,
        control: &RunControl,
        batch: DecodedBatch<K::Id, K::Record>,
    ) -> Committed<K::Id> {
        let DecodedBatch {
            rows,
            origins,
            undecodable,
            dropped,
            permit,
        } = batch;
        let mut committed = Committed {
            undecodable,
            not_attempted: dropped,
            _permit: permit,
            ..Committed::nothing(run)
        };
        if rows.is_empty() {
            return committed;
        }
        match self.commit(&rows, control) {
            Ok(()) => {
                for (row, origin) in rows.into_iter().zip(origins) {
                    committed.count(row, origin);
                }
            }
            Err(CommitError::Lost(why)) => committed.lost = Some(why),
            Err(CommitError::Row(why)) => {
                debug!("a batch of {} is written row by row: {why}", rows.len());
                self.write_one_by_one(rows, &origins, control, &mut committed);
            }
        }
        committed
    }

    /// Commits each row in a transaction of its own. A row that is at fault is committed as failed. If that fails, too, its id
    /// has no outcome.
    fn write_one_by_one(
        &self,
        rows: Vec<Settled<K::Id, K::Record>>,
        origins: &[RowOrigin],
        control: &RunControl,
        committed: &mut Committed<K::Id>,
    ) {
        let count = rows.len();
        let mut refused = 0;
        let mut last_refusal = String::new();
        for (mut row, &origin) in rows.into_iter().zip(origins) {
            let mut result = self.commit(std::slice::from_ref(&row), control);
            if let Err(CommitError::Row(message)) = result {
                let failure = Failure::new(FailureKind::Storage, message, origin.attempts);
                row.outcome = Outcome::Failed(failure);
                result = self.commit(std::slice::from_ref(&row), control);
            }
            match result {
                Ok(()) => committed.count(row, origin),
                Err(CommitError::Row(why)) => {
                    warn!(
                        "{}: its failure cannot be recorded either: {why}",
                        DisplayId(&row.id)
                    );
                    refused += 1;
                    last_refusal = why;
                }
                Err(CommitError::Lost(why)) => {
                    committed.lost = Some(why);
                    return;
                }
            }
        }
        // If the database refuses even the failure of every id, the rows are not at fault.
        committed.not_attempted += refused;
        if count > 1 && refused == count {
            let why = format!("nothing can be written: {last_refusal}");
            committed.lost = Some(GaveUp::StorageLost(why));
        }
    }

    /// Commits all rows or none. Waits for a busy database until its time is over, or until the run is aborted.
    fn commit(
        &self,
        rows: &[Settled<K::Id, K::Record>],
        control: &RunControl,
    ) -> Result<(), CommitError> {
        let began = Instant::now();
        let wait_max = self.busy_wait_max;
        let mut wait = BUSY_WAIT_FIRST;
        let mut has_told = false;
        loop {
            note_answer();
            if is_abandoned() {
                let why = "its batch was abandoned".to_owned();
                return Err(CommitError::Lost(GaveUp::StorageLost(why)));
            }
            // A panic leaves its connection inside a transaction. The connection is dropped during the panic, so the pool
            // discards it.
            let result = catch(|| self.try_commit(rows));
            let TransactionError { class, message } = match result {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(panic) => return Err(CommitError::Row(format!("the sink panicked: {panic}"))),
            };
            match class {
                ErrorClass::Row => return Err(CommitError::Row(message)),
                ErrorClass::Lost => return Err(CommitError::Lost(GaveUp::StorageLost(message))),
                ErrorClass::Busy => {
                    let waited = began.elapsed();
                    if waited >= wait_max || control.stop.is_aborted() {
                        let why = format!("{message}, and stayed so for {waited:.0?}");
                        return Err(CommitError::Lost(gave_up(control, why)));
                    }
                    if waited >= BUSY_WAIT_UNTOLD && !has_told {
                        has_told = true;
                        let name = K::Connection::name(&self.identity);
                        let time = in_words(wait_max);
                        warn!("{name} is busy: {message}; waiting for it for up to {time}");
                    }
                }
            }
            thread::sleep(wait);
            wait = (wait * 2).min(BUSY_WAIT_STEP_MAX);
        }
    }

    /// One transaction of all rows.
    fn try_commit(&self, rows: &[Settled<K::Id, K::Record>]) -> Result<(), TransactionError> {
        K::Connection::check(&self.identity).map_err(|message| TransactionError {
            class: ErrorClass::Lost,
            message,
        })?;
        let mut conn = self.pool.get().map_err(|error| {
            let class = K::Connection::classify_checkout(&self.identity, &error);
            TransactionError::new(class, &error)
        })?;
        conn.write_transaction(|conn| self.sink.write(conn, rows))
            .map_err(|error| TransactionError::new(conn.classify(&error), &error))
    }
}

/// Why a run ends whose rows could not be committed within the time that the database is waited for.
fn gave_up(control: &RunControl, why: String) -> GaveUp {
    if control.stop.is_aborted() {
        GaveUp::StorageBusy(why)
    } else {
        GaveUp::StorageLost(why)
    }
}

impl<I> Committed<I> {
    fn count<R>(&mut self, row: Settled<I, R>, origin: RowOrigin) {
        let number = origin.number;
        let is_stored = match row.outcome {
            Outcome::Stored(record) => {
                // The row is committed, whatever the host's code does now.
                if catch(|| drop(record)).is_err() {
                    warn!("dropping a record that was stored panicked");
                }
                true
            }
            Outcome::Absent => false,
            Outcome::Failed(failure) => {
                let id = row.id;
                self.failed.push(FailedRow {
                    number,
                    id,
                    failure,
                });
                return;
            }
        };
        self.records += origin.records;
        self.served.push(ServedRow { number, is_stored });
    }
}

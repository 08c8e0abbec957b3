//! One batch on a blocking thread: decode, then one transaction; row by row only when a row is at fault.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use diesel::result::{DatabaseErrorKind, Error};
use log::{debug, warn};
use tokio_util::sync::DropGuard;

use crate::db::{self, FileIdentity, Pool};
use crate::ingest::{
    backlog::BatchRoom,
    handle::stop::Control,
    messages::{Committed, RunId, Save},
    outcome::{Answer, Failure, FailureKind, Outcome, display_id::DisplayId, panic_message},
    sink::Sink,
    source::Source,
};

const LOCK_WAIT_FIRST: Duration = Duration::from_millis(10);
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Writer<S, K> {
    pub(crate) pool: Pool,
    pub(crate) file: Option<FileIdentity>,
    pub(crate) source: Arc<S>,
    pub(crate) sink: Arc<K>,
    /// Tells that the pool is given up; so it comes last.
    pub(crate) _closed: DropGuard,
}

type Row<S> = (<S as Source>::Id, Outcome<<S as Source>::Record>);

/// Why a transaction did not commit.
enum Trouble {
    /// One of the rows, or the sink's code on it: the others may well be written.
    Row(String),
    /// The database itself: no row can be written.
    Lost(String),
}

impl<S, K> Writer<S, K>
where
    S: Source,
    K: Sink<Id = S::Id, Record = S::Record>,
{
    /// Writes a batch; when this returns, what it counts is committed. Gives the batch's room too, to be given back on the
    /// arbiter: from here, each fetcher that waits for some would wake it once.
    pub(crate) fn write(
        &self,
        run: RunId,
        control: &Control,
        batch: Vec<Save<S::Id>>,
    ) -> (Committed<S::Id>, BatchRoom) {
        let mut room = BatchRoom::default();
        let (rows, attempts): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .filter_map(|save| self.decode(save, &mut room))
            .unzip();
        let mut committed = Committed::nothing(run);
        match self.commit(&rows, control) {
            Ok(()) => rows.into_iter().for_each(|row| committed.count(row)),
            Err(Trouble::Lost(why)) => committed.lost = Some(why),
            Err(Trouble::Row(why)) => {
                debug!("a batch of {} is written row by row: {why}", rows.len());
                self.write_one_by_one(rows, &attempts, control, &mut committed);
            }
        }
        (committed, room)
    }

    /// The row of an answer, and how many attempts that took.
    fn decode(&self, save: Save<S::Id>, batch_room: &mut BatchRoom) -> Option<(Row<S>, u32)> {
        let Save {
            id,
            answer,
            attempts,
            room,
            ..
        } = save;
        let failed = |kind, message| {
            Outcome::Failed(Failure {
                kind,
                message,
                attempts,
            })
        };
        if let Some(room) = room {
            batch_room.add_row(room);
        }
        let outcome = match answer {
            Answer::NotAttempted => return None,
            Answer::Absent => Outcome::Absent,
            Answer::Failed(kind, message) => failed(kind, message),
            Answer::Body(body, room) => {
                batch_room.add_bytes(room);
                // The text of a `DecodeError` is the embedder's code too.
                let decoded = catch_unwind(AssertUnwindSafe(|| {
                    self.source
                        .decode(&id, &body)
                        .map_err(|error| error.to_string())
                }));
                match decoded {
                    Ok(Ok(Some(record))) => Outcome::Stored(record),
                    Ok(Ok(None)) => Outcome::Absent,
                    Ok(Err(message)) => failed(FailureKind::Decode, message),
                    Err(panic) => failed(
                        FailureKind::Panic,
                        format!("decoding panicked: {}", panic_message(&*panic)),
                    ),
                }
            }
        };
        Some(((id, outcome), attempts))
    }

    /// A row that is at fault is settled as failed; where not even that can be written, it has no outcome.
    fn write_one_by_one(
        &self,
        rows: Vec<Row<S>>,
        attempts: &[u32],
        control: &Control,
        committed: &mut Committed<S::Id>,
    ) {
        let count = rows.len();
        let mut last_refusal = String::new();
        for (mut row, attempts) in rows.into_iter().zip(attempts) {
            let mut tried = self.commit(std::slice::from_ref(&row), control);
            if let Err(Trouble::Row(message)) = tried {
                let kind = FailureKind::Storage;
                row.1 = Outcome::Failed(Failure {
                    kind,
                    message,
                    attempts: *attempts,
                });
                tried = self.commit(std::slice::from_ref(&row), control);
            }
            match tried {
                Ok(()) => committed.count(row),
                Err(Trouble::Row(why)) => {
                    warn!(
                        "{}: its failure cannot be recorded either: {why}",
                        DisplayId(&row.0)
                    );
                    committed.refused += 1;
                    last_refusal = why;
                }
                Err(Trouble::Lost(why)) => {
                    committed.lost = Some(why);
                    return;
                }
            }
        }
        if count > 1 && committed.refused == count {
            committed.lost = Some(format!("nothing can be written: {last_refusal}"));
        }
    }

    /// Commits all rows or none, waiting for a locked database within bounds.
    fn commit(&self, rows: &[Row<S>], control: &Control) -> Result<(), Trouble> {
        let began = Instant::now();
        let mut wait = LOCK_WAIT_FIRST;
        loop {
            // A panic leaves a connection inside its transaction; so the closure owns it, and the pool drops it.
            let tried = catch_unwind(AssertUnwindSafe(|| self.transact(rows)));
            let error = match tried {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(panic) => {
                    let panic = panic_message(&*panic);
                    return Err(Trouble::Row(format!("the sink panicked: {panic}")));
                }
            };
            match error {
                TransactError::Locked(_)
                    if began.elapsed() < db::LOCK_PATIENCE && !control.is_aborted() =>
                {
                    thread::sleep(wait);
                    wait = (wait * 2).min(LOCK_WAIT_MAX);
                }
                TransactError::Locked(why) => {
                    return Err(Trouble::Lost(format!(
                        "{why}, and stayed so for {:.0?}",
                        began.elapsed()
                    )));
                }
                TransactError::Row(why) => return Err(Trouble::Row(why)),
                TransactError::Lost(why) => return Err(Trouble::Lost(why)),
            }
        }
    }

    fn transact(&self, rows: &[Row<S>]) -> Result<(), TransactError> {
        if let Some(file) = &self.file {
            file.check().map_err(TransactError::Lost)?;
        }
        let mut conn = self
            .pool
            .get()
            .map_err(|error| TransactError::Lost(error.to_string()))?;
        // SQLite may roll back by itself, and Diesel then tells of the second rollback's failure instead of the cause.
        let mut cause = None;
        conn.immediate_transaction(|conn| {
            self.sink
                .write(conn, rows)
                .inspect_err(|error| cause = Some(classify(error)))
        })
        .map_err(|error| cause.unwrap_or_else(|| classify(&error)))
    }
}

enum TransactError {
    Locked(String),
    Row(String),
    Lost(String),
}

/// Tells whose fault an error is. SQLite's FULL, BUSY and IOERR all come as one kind; only the message tells them apart.
fn classify(error: &Error) -> TransactError {
    let text = error.to_string();
    match error {
        Error::DatabaseError(
            DatabaseErrorKind::Unknown
            | DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | Error::BrokenTransactionManager
        | Error::AlreadyInTransaction
        | Error::NotInTransaction => classify_text(text),
        Error::RollbackErrorOnCommit { commit_error, .. } => classify(commit_error),
        _ => TransactError::Row(text),
    }
}

/// SQLite's own messages (`sqlite3ErrStr` in its main.c), word for word: a trigger may say anything that resembles them. What is
/// not among them is taken for a row's.
fn classify_text(text: String) -> TransactError {
    const LOST: [&str; 10] = [
        "database or disk is full",
        "disk I/O error",
        "attempt to write a readonly database",
        "unable to open database file",
        "file is not a database",
        "database disk image is malformed",
        "out of memory",
        "access permission denied",
        "authorization denied",
        "large file support is disabled",
    ];
    if db::is_locked(&text) {
        TransactError::Locked(text)
    } else if LOST.contains(&text.as_str()) {
        TransactError::Lost(text)
    } else {
        TransactError::Row(text)
    }
}

impl<I> Committed<I> {
    fn count<R>(&mut self, (id, outcome): (I, Outcome<R>)) {
        match outcome {
            Outcome::Stored(_) => self.stored += 1,
            Outcome::Absent => self.absent += 1,
            Outcome::Failed(failure) => self.failed.push((id, failure)),
        }
    }
}

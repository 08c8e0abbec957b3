//! Reading a database from async code: a bounded number of reads at once, each on a blocking thread and within a time.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use diesel::QueryResult;
use log::warn;
use thiserror::Error as ThisError;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{ErrorClass, StoreConnection, StoreError, any::AnyConnection, sqlite::with_deadline};

/// How many reads of a database there may be, and how long they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// Reads at once, which is also the most connections. At least 1.
    pub at_once: usize,
    /// Reads that may wait for their turn. The next one is refused.
    pub waiting: usize,
    /// How long a read may take, with its wait.
    pub time: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            at_once: 8,
            waiting: 1024,
            time: Duration::from_secs(5),
        }
    }
}

/// How long a read may take for which nobody waits.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a read gave nothing. Says nothing of the database, so that it can be shown to anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ReadError {
    /// Too many other reads are under way.
    #[error("too many requests are being answered at the moment")]
    Busy,
    /// It took too long.
    #[error("the answer took too long to find")]
    TooSlow,
    /// The database failed. The reason is in the log.
    #[error("the database cannot be read at the moment")]
    Failed,
}

/// Connections that only read. They are made when they are needed. Clones share them.
#[derive(Clone)]
pub struct Readers(Arc<Shared>);

struct Shared {
    location: OsString,
    limits: ReadLimits,
    /// Those that nobody uses.
    idle: Mutex<Vec<AnyConnection>>,
    /// One permit for each read that may go on or wait.
    places: Semaphore,
    /// One permit for each connection.
    turns: Arc<Semaphore>,
}

impl Readers {
    /// Opens a database once, to see whether it can be read. To be called where blocking is allowed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(location: &OsStr, limits: ReadLimits) -> Result<Self, StoreError> {
        let at_once = limits.at_once.max(1);
        let first = AnyConnection::open_read_only(location, limits.time)?;
        Ok(Self(Arc::new(Shared {
            location: location.to_owned(),
            limits,
            idle: Mutex::new(vec![first]),
            places: Semaphore::new(at_once + limits.waiting),
            turns: Arc::new(Semaphore::new(at_once)),
        })))
    }

    /// Runs `work`, which only reads, on a blocking thread.
    ///
    /// # Errors
    /// There are too many reads, it took too long, or the database failed.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let shared = &self.0;
        let deadline = Instant::now() + shared.limits.time;
        let _place: SemaphorePermit<'_> =
            shared.places.try_acquire().map_err(|_| ReadError::Busy)?;
        let turn = timeout_at(deadline, shared.turns.clone().acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(ReadError::Busy);
        };
        let shared = shared.clone();
        let reading = spawn_blocking(move || {
            let done = shared.read_now(deadline, work);
            // Only now, so that a read that nobody waits for any more still counts.
            drop(turn);
            done
        });
        match timeout_at(deadline, reading).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => {
                warn!("a read of the database panicked: {panic}");
                Err(ReadError::Failed)
            }
            Err(_) => Err(ReadError::TooSlow),
        }
    }

    /// A connection beside those for reads, for one that may take long.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub(crate) fn patient_connection(&self) -> Result<AnyConnection, StoreError> {
        AnyConnection::open_read_only(&self.0.location, PATIENCE)
    }

    /// Closes the connections, and gives no more.
    pub(crate) fn close(&self) {
        self.0.turns.close();
        self.0.lock().clear();
    }

    /// A connection beside those for reads.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub(crate) fn another_connection(&self) -> Result<AnyConnection, StoreError> {
        AnyConnection::open_read_only(&self.0.location, self.0.limits.time)
    }
}

impl Shared {
    fn read_now<T>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<T>,
    ) -> Result<T, ReadError> {
        // A read that waited for a thread until its time was over.
        if Instant::now() >= deadline {
            return Err(ReadError::TooSlow);
        }
        let idle = self.lock().pop();
        let mut conn = match idle {
            Some(conn) => conn,
            None => {
                AnyConnection::open_read_only(&self.location, self.limits.time).map_err(failed)?
            }
        };
        let done = with_deadline(deadline.into_std(), || work(&mut conn));
        let is_late = Instant::now() >= deadline;
        let done = done.map_err(|error| match conn.classify(&error) {
            _ if is_late => ReadError::TooSlow,
            ErrorClass::Busy => ReadError::Busy,
            _ => failed(error),
        });
        // A connection that failed or hung is not used again.
        if done.is_ok() && !is_late {
            let mut idle = self.lock();
            if !self.turns.is_closed() {
                idle.push(conn);
            }
        }
        done
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<AnyConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: impl fmt::Display) -> ReadError {
    warn!("the database cannot be read: {error}");
    ReadError::Failed
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers")
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::{
        Connection, RunQueryDsl, SqliteConnection, connection::SimpleConnection, sql_query,
    };

    use super::*;

    #[actix_rt::test]
    async fn a_read_that_would_never_end_gives_its_turn_back_at_its_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hn.db");
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("CREATE TABLE t (x)").unwrap();
        let limits = ReadLimits {
            at_once: 1,
            time: Duration::from_millis(300),
            ..ReadLimits::default()
        };
        let readers = Readers::open(path.as_os_str(), limits).unwrap();
        let endless = readers.read(|conn| {
            let AnyConnection::Sqlite(conn) = conn else {
                unreachable!("it is a file");
            };
            sql_query(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE within_time(i) AND i < 0",
            )
            .execute(conn)
        });
        assert_eq!(endless.await, Err(ReadError::TooSlow));
        let next = readers.read(|_| Ok(7)).await;
        assert_eq!(next, Ok(7));
    }
}

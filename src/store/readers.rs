//! Reading a database from async code: a bounded number of reads at once, each on a blocking thread and within a time.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use diesel::QueryResult;
use log::{debug, warn};
use thiserror::Error as ThisError;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::{
    ErrorClass, StoreConnection, StoreError,
    any::AnyConnection,
    sqlite::{FrozenFile, with_deadline},
};

/// How many reads of a database there may be, and how long they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// Reads at once, which is also the most connections. At least 1. Searches have at most half of them.
    pub at_once: usize,
    /// Reads that may wait for their turn. The next one is refused. Searches have at most half of the places.
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

/// Connections that only read. One that fails is replaced when it is needed. Clones share them.
#[derive(Clone)]
pub struct Readers(Arc<Shared>);

struct Shared {
    location: OsString,
    limits: ReadLimits,
    idle: Mutex<Idle>,
    reads: Bounds,
    /// A search takes a place here first, so that short reads have the rest of the connections.
    searches: Bounds,
}

/// The connections that nobody uses.
#[derive(Default)]
struct Idle {
    connections: Vec<AnyConnection>,
    /// Another number after the database was opened anew. Connections from before are not used again.
    generation: u64,
}

/// How many reads of a kind there may be.
struct Bounds {
    /// One permit for each that may go on or wait.
    places: Semaphore,
    /// One permit for each that may go on.
    turns: Arc<Semaphore>,
}

impl Bounds {
    fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            places: Semaphore::new(at_once + waiting),
            turns: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Waits for a turn. The place is only held meanwhile and while the caller waits for the read.
    async fn enter(
        &self,
        deadline: Instant,
    ) -> Result<(SemaphorePermit<'_>, OwnedSemaphorePermit), ReadError> {
        let place = self.places.try_acquire().map_err(|_| ReadError::Busy)?;
        match timeout_at(deadline, self.turns.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok((place, turn)),
            _ => Err(ReadError::Busy),
        }
    }
}

impl Readers {
    /// Opens all connections to a database: later there may be no more files that this process may open. To be called where blocking is
    /// allowed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(location: &OsStr, limits: ReadLimits) -> Result<Self, StoreError> {
        let at_once = limits.at_once.max(1);
        let (first, frozen) = AnyConnection::open_watched(location, limits.time)?;
        if let Some(file) = frozen {
            warn!(
                "{file} cannot be locked by this user, so it is read as it is, and opened again after it was written"
            );
        }
        let mut connections = vec![first];
        for _ in 1..at_once {
            match AnyConnection::open_read_only(location, limits.time) {
                Ok(conn) => connections.push(conn),
                // A server may allow fewer. Those that are missing are opened when they are needed.
                Err(error) => {
                    debug!(
                        "{} connections are open at first: {error}",
                        connections.len()
                    );
                    break;
                }
            }
        }
        Ok(Self(Arc::new(Shared {
            location: location.to_owned(),
            limits,
            idle: Mutex::new(Idle {
                connections,
                generation: 0,
            }),
            reads: Bounds::new(at_once, limits.waiting),
            searches: Bounds::new((at_once / 2).max(1), limits.waiting / 2),
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
        let deadline = Instant::now() + self.0.limits.time;
        self.read_until(deadline, (), work).await
    }

    /// The same for work that may take long. It leaves half of the connections to other reads.
    ///
    /// # Errors
    /// As [`read`](Self::read), or there are too many searches.
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let deadline = Instant::now() + self.0.limits.time;
        let (_place, turn) = self.0.searches.enter(deadline).await?;
        self.read_until(deadline, turn, work).await
    }

    /// `held` is dropped when the read is over, even if nobody waits for it any more.
    async fn read_until<T: Send + 'static>(
        &self,
        deadline: Instant,
        held: impl Send + 'static,
        work: impl FnOnce(&mut AnyConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let shared = &self.0;
        let (_place, turn) = shared.reads.enter(deadline).await?;
        let shared = shared.clone();
        let reading = spawn_blocking(move || {
            let done = shared.read_now(deadline, work);
            // Only now, so that a read that nobody waits for any more still counts.
            drop((turn, held));
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
        self.0.reads.turns.close();
        self.0.lock().connections.clear();
    }

    /// Another number after the present connections were forgotten.
    pub(crate) fn generation(&self) -> u64 {
        self.0.lock().generation
    }

    /// Uses none of the present connections again, because they may be to a file that is gone.
    pub(crate) fn forget_connections(&self) {
        let mut idle = self.0.lock();
        idle.generation += 1;
        idle.connections.clear();
    }

    /// A connection beside those for reads, and the file if it is read as it is.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub(crate) fn watched_connection(
        &self,
    ) -> Result<(AnyConnection, Option<FrozenFile>), StoreError> {
        AnyConnection::open_watched(&self.0.location, self.0.limits.time)
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
        let (idle, generation) = {
            let mut idle = self.lock();
            (idle.connections.pop(), idle.generation)
        };
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
            if !self.reads.turns.is_closed() && idle.generation == generation {
                idle.connections.push(conn);
            }
        }
        done
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
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
    use std::sync::mpsc;

    use diesel::{
        Connection, RunQueryDsl, SqliteConnection, connection::SimpleConnection, sql_query,
    };

    use super::*;

    #[actix_rt::test]
    async fn searches_leave_half_of_the_connections_to_other_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hn.db");
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("CREATE TABLE t (x)").unwrap();
        let limits = ReadLimits {
            at_once: 2,
            waiting: 2,
            ..ReadLimits::default()
        };
        let readers = Readers::open(path.as_os_str(), limits).unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let search = |work: Box<dyn FnOnce() -> bool + Send>| {
            let readers = readers.clone();
            actix_rt::spawn(async move { readers.search(move |_| Ok(work())).await })
        };
        let under_way = search(Box::new(move || ended.recv().is_err()));
        let waits = search(Box::new(|| true));
        // Both have their places when this is over, and the second connection is free.
        assert_eq!(readers.read(|_| Ok(7)).await, Ok(7));
        let too_many = readers.search(|_| Ok(7)).await;
        assert_eq!(too_many, Err(ReadError::Busy));
        drop(end);
        assert_eq!(under_way.await.unwrap(), Ok(true));
        assert_eq!(waits.await.unwrap(), Ok(true));
    }

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
            let endless = sql_query(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE within_time(i) AND i < 0",
            );
            match conn {
                AnyConnection::Sqlite(conn) => endless.execute(conn),
                #[cfg(feature = "postgres")]
                AnyConnection::Postgres(_) => unreachable!("it is a file"),
            }
        });
        assert_eq!(endless.await, Err(ReadError::TooSlow));
        let next = readers.read(|_| Ok(7)).await;
        assert_eq!(next, Ok(7));
    }
}

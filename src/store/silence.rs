//! Waiting for a database that may never answer, such as a server whose machine is frozen.
//!
//! libpq has no deadline for a statement. So the work is done on a thread of its own, which the caller may abandon. Nothing
//! waits for an abandoned thread, not even the end of the runtime. If the database answers after all, the thread commits nothing more,
//! and its connection is closed instead of going back to its pool.

use std::{
    cell::RefCell,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use log::warn;
use thiserror::Error;
use tokio::{sync::oneshot, time::timeout};

/// After this time a message says what the program waits for.
pub(super) const SILENT_WAIT: Duration = Duration::from_secs(4);

/// How often to look whether to wait on.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// If more time has passed since the last look, this process was stopped meanwhile, and the database may have answered.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Several threads usually wait for the same database. So one message speaks for all of them, for this long.
const ONE_MESSAGE_FOR: Duration = Duration::from_secs(60);

thread_local! {
    /// The work that this thread does, if it may be abandoned.
    static WORK: RefCell<Option<Arc<Work>>> = const { RefCell::new(None) };
}

/// When the last such message was.
static TOLD_AT: Mutex<Option<Instant>> = Mutex::new(None);

#[derive(Default)]
struct Work {
    /// How often the database has answered.
    answers: AtomicU64,
    is_abandoned: AtomicBool,
}

/// How long a database has been silent while this process was running.
struct Silence {
    lasted: Duration,
    last_look: Instant,
    /// How often the database had answered then.
    answers: u64,
}

impl Silence {
    fn begin() -> Self {
        Self {
            lasted: Duration::ZERO,
            last_look: Instant::now(),
            answers: 0,
        }
    }

    fn look(&mut self, answers: u64) -> Duration {
        let since_last_look = self.last_look.elapsed().min(LOOK_INTERVAL_MAX);
        self.last_look = Instant::now();
        if answers == self.answers {
            self.lasted += since_last_look;
        } else {
            self.lasted = Duration::ZERO;
            self.answers = answers;
        }
        self.lasted
    }
}

/// Why there is no result of the work.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    #[error("{database} has not answered for {} s", .silent_for.as_secs().max(1))]
    Silent {
        database: String,
        silent_for: Duration,
    },
    #[error("the work with {database} panicked")]
    Panicked { database: String },
    #[error("no thread can be started: {0}")]
    NoThread(#[from] io::Error),
}

/// Does `work` on a thread of its own. Abandons it as soon as `waits_on` is false for the time that the database has been silent.
pub(crate) async fn unless_silent<T: Send + 'static>(
    database: &str,
    waits_on: impl Fn(Duration) -> bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let (result, mut done) = oneshot::channel();
    let state = Arc::new(Work::default());
    let of_thread = state.clone();
    thread::Builder::new()
        .name("database".to_owned())
        .spawn(move || {
            WORK.set(Some(of_thread));
            // If it is abandoned, the result is dropped here.
            let _ = result.send(work());
        })?;
    let mut silence = Silence::begin();
    loop {
        if let Ok(done) = timeout(LOOK_INTERVAL, &mut done).await {
            return done.map_err(|_| NoAnswer::Panicked {
                database: database.to_owned(),
            });
        }
        let silent_for = silence.look(state.answers.load(Relaxed));
        if !waits_on(silent_for) {
            state.is_abandoned.store(true, Relaxed);
            return Err(NoAnswer::Silent {
                database: database.to_owned(),
                silent_for,
            });
        }
        if silent_for >= SILENT_WAIT {
            let seconds = silent_for.as_secs();
            tell(&format!(
                "{database} has not answered for {seconds} s; waiting for it"
            ));
        }
    }
}

/// Warns of a wait for a database.
pub(super) fn tell(message: &str) {
    let mut told_at = TOLD_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if told_at.is_none_or(|at| at.elapsed() >= ONE_MESSAGE_FOR) {
        *told_at = Some(Instant::now());
        warn!("{message}");
    }
}

/// To be called between two attempts: the database has answered, although what it said may be an error.
pub(crate) fn note_answer() {
    WORK.with_borrow(|work| {
        if let Some(work) = work {
            work.answers.fetch_add(1, Relaxed);
        }
    });
}

/// Whether the work of this thread was abandoned.
pub(crate) fn is_abandoned() -> bool {
    WORK.with_borrow(|work| {
        work.as_ref()
            .is_some_and(|work| work.is_abandoned.load(Relaxed))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn work_that_answers_gives_its_result() {
        let done = unless_silent("it", |_| true, || 7).await;
        assert!(matches!(done, Ok(7)), "{done:?}");
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let done = unless_silent("it", |_| true, || -> () { panic!("no") }).await;
        assert!(matches!(done, Err(NoAnswer::Panicked { .. })), "{done:?}");
    }

    #[tokio::test]
    async fn silent_work_is_abandoned_and_learns_of_it_when_it_goes_on() {
        let (answer, answers) = mpsc::channel();
        let (seen, sees) = mpsc::channel();
        let work = move || {
            let _ = answers.recv();
            let _ = seen.send(is_abandoned());
        };
        let done = unless_silent("the server", |silent| silent < SHORT, work).await;
        let Err(error) = done else {
            panic!("it did not answer");
        };
        assert!(error.to_string().starts_with("the server has not answered"));
        assert!(answer.send(()).is_ok());
        assert_eq!(sees.recv(), Ok(true));
        assert!(!is_abandoned(), "that was another thread");
    }

    #[test]
    fn the_time_in_which_this_process_was_stopped_is_no_silence() {
        let mut silence = Silence::begin();
        let Some(long_ago) = Instant::now().checked_sub(Duration::from_secs(30)) else {
            return;
        };
        silence.last_look = long_ago;
        assert_eq!(silence.look(0), LOOK_INTERVAL_MAX);
        assert_eq!(silence.look(1), Duration::ZERO);
    }

    #[tokio::test]
    async fn work_whose_attempts_fail_is_not_silent() {
        let work = || {
            for _ in 0..20 {
                thread::sleep(SHORT);
                note_answer();
            }
        };
        let waits_on = |silent| silent < 8 * SHORT;
        let done = unless_silent("the server", waits_on, work).await;
        assert!(done.is_ok(), "{done:?}");
    }
}

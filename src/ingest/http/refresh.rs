//! The refresher of a pipeline: renews what requests need (a token) once for all ids that wait for it.
//!
//! Refreshes are counted. An attempt remembers how many had ended when its request was made. If the number has risen when the
//! attempt is answered with 401, its token was old, and no other refresh is needed.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::{sync::Notify, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::ingest::{
    limits::signal::Blame,
    outcome::{failure::FailureKind, panics::catch_async},
    source::Source,
};

/// Renews what the requests of a pipeline need.
pub(crate) struct Refresher {
    /// Whether a refresh may help against a status.
    helps_after: Box<dyn Fn(u16) -> bool>,
    /// Begins a refresh by the source.
    begin: Box<dyn Fn() -> LocalBoxFuture<'static, Result<(), RefreshFailure>>>,
    state: Rc<RefreshState>,
    /// The task of the last refresh. It ends with the pipeline.
    task: RefCell<Option<AbortOnDropHandle<()>>>,
}

/// What the refresher shares with the task of a refresh.
#[derive(Default)]
struct RefreshState {
    is_under_way: Cell<bool>,
    /// How many refreshes have ended.
    ended: Cell<u64>,
    /// How the last one failed; `None` if it did not.
    failure: RefCell<Option<RefreshFailure>>,
    /// Wakes all that wait for the end of a refresh.
    has_ended: Notify,
}

/// How many refreshes had ended when a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

/// Why a refresh brought nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshFailure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    pub(crate) blame: Blame,
}

impl Refresher {
    /// A refresh may take as long as `limit`.
    pub(crate) fn new<S: Source>(source: Arc<S>, limit: Duration) -> Self {
        let refreshing = source.clone();
        Self {
            helps_after: Box::new(move |status| source.refreshes_after(status)),
            begin: Box::new(move || refresh(refreshing.clone(), limit).boxed_local()),
            state: Rc::default(),
            task: RefCell::default(),
        }
    }

    /// Whether a refresh may help against this status.
    pub(super) fn helps_after(&self, status: u16) -> bool {
        (self.helps_after)(status)
    }

    /// What a request remembers that is made now.
    pub(super) fn generation(&self) -> Generation {
        Generation(self.state.ended.get())
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.state.is_under_way.get()
    }

    /// Waits while a refresh is under way.
    pub(super) async fn wait_while_under_way(&self) {
        while self.is_under_way() {
            self.state.has_ended.notified().await;
        }
    }

    /// Starts a refresh for a request of this generation, unless one is under way or has ended since.
    pub(super) fn start(&self, generation: Generation) {
        let state = self.state.clone();
        if self.generation() != generation || state.is_under_way.replace(true) {
            return;
        }
        let refreshing = (self.begin)();
        let task = actix_rt::spawn(async move {
            state.failure.replace(refreshing.await.err());
            state.ended.set(state.ended.get() + 1);
            state.is_under_way.set(false);
            state.has_ended.notify_waiters();
        });
        self.task.replace(Some(AbortOnDropHandle::new(task)));
    }

    /// Waits while a refresh is under way, and returns the result of the last one.
    pub(super) async fn result(&self) -> Result<(), RefreshFailure> {
        self.wait_while_under_way().await;
        match &*self.state.failure.borrow() {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }
}

/// Refreshes within a time. The source's code may panic.
async fn refresh<S: Source>(source: Arc<S>, limit: Duration) -> Result<(), RefreshFailure> {
    let refreshing = async {
        let refreshed = source.refresh().await;
        refreshed.map_err(|error| error.to_string())
    };
    let message = match timeout(limit, catch_async(refreshing)).await {
        Ok(Ok(Ok(()))) => return Ok(()),
        Ok(Ok(Err(message))) => format!("the refresh failed: {message}"),
        Ok(Err(panic)) => {
            return Err(RefreshFailure {
                kind: FailureKind::Panic,
                message: format!("the refresh panicked: {panic}"),
                blame: Blame::Id,
            });
        }
        Err(_) => {
            let limit = humantime::format_duration(limit);
            format!("the refresh did not end within {limit}")
        }
    };
    Err(RefreshFailure {
        kind: FailureKind::Status,
        message,
        blame: Blame::Refusal,
    })
}

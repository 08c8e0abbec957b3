//! The arbiter that a pipeline's actors run on: the one that starts the pipeline, or that of a System of its own on its own
//! thread.

use std::{io, sync::Arc, thread};

use actix_rt::{System, SystemRunner};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ingest::outcome::panics::catch;

/// Dropping the last copy of this ends the pipeline's own thread, if it has one.
#[derive(Clone)]
pub(crate) struct PipelineArbiter {
    _own_thread: Option<Arc<DropGuard>>,
}

/// Why a pipeline with a thread of its own was not built.
#[derive(Debug)]
pub(crate) enum BuildError<E> {
    /// The thread or its event loop cannot be started.
    NoThread(io::Error),
    /// The code that prepares returned this error.
    NotPrepared(E),
    /// The code that prepares or builds panicked, with this message.
    Panicked(String),
}

impl PipelineArbiter {
    /// The pipeline runs on the current arbiter, which is not its own.
    pub(crate) fn current() -> Self {
        Self { _own_thread: None }
    }

    /// Starts a thread. There `prepare` runs, which may block, and then `build` inside a new System, because actors and clients
    /// cannot move between threads. If the caller stops waiting, the result is dropped, which ends the thread.
    ///
    /// The System is another one than the host's, because a System that stops takes all its arbiters with it.
    pub(crate) async fn build_on_its_own<P, T, E>(
        prepare: impl FnOnce() -> Result<P, E> + Send + 'static,
        build: impl FnOnce(P, Self) -> T + Send + 'static,
    ) -> Result<T, BuildError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (sender, built) = oneshot::channel();
        let live = move || match prepare_system(prepare) {
            Ok((system, prepared)) => {
                let dropped = CancellationToken::new();
                let arbiter = Self {
                    _own_thread: Some(Arc::new(dropped.clone().drop_guard())),
                };
                system.block_on(async move {
                    let built = catch(|| build(prepared, arbiter)).map_err(BuildError::Panicked);
                    // If the caller has stopped waiting, the result is dropped here, and the arbiter with it.
                    drop(sender.send(built));
                    dropped.cancelled().await;
                    // Lets the tasks run that are ready now, such as the answer to a last message.
                    let _ = actix_rt::spawn(async {}).await;
                });
            }
            // The caller may have stopped waiting.
            Err(error) => _ = sender.send(Err(error)),
        };
        // The thread is not joined: the last handle may be dropped on this very thread.
        thread::Builder::new()
            .name("hn-ingest".to_owned())
            .spawn(live)
            .map_err(BuildError::NoThread)?;
        built.await.unwrap_or_else(|_| {
            let message = "the pipeline's thread ended too early".to_owned();
            Err(BuildError::Panicked(message))
        })
    }
}

/// Prepares outside the event loop, where code may block, and makes the System.
fn prepare_system<P, E>(
    prepare: impl FnOnce() -> Result<P, E>,
) -> Result<(SystemRunner, P), BuildError<E>> {
    let prepared = catch(prepare)
        .map_err(BuildError::Panicked)?
        .map_err(BuildError::NotPrepared)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BuildError::NoThread)?;
    Ok((System::with_tokio_rt(|| runtime), prepared))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    type Built<T> = Result<T, BuildError<&'static str>>;

    fn block_on<T>(built: impl Future<Output = Built<T>>) -> Built<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(built)
    }

    #[test]
    fn code_that_panics_while_it_prepares_or_builds_is_named_as_the_reason() {
        let prepared = block_on(PipelineArbiter::build_on_its_own(
            || panic!("no such thing"),
            |(), _| (),
        ));
        let built = block_on(PipelineArbiter::build_on_its_own(
            || Ok(()),
            |(), _| -> () { panic!("no such thing") },
        ));
        for ended in [prepared, built] {
            assert!(
                matches!(&ended, Err(BuildError::Panicked(message)) if message == "no such thing"),
                "{ended:?}"
            );
        }
    }

    #[test]
    fn an_error_while_it_prepares_is_handed_back() {
        let built = block_on(PipelineArbiter::build_on_its_own(
            || Err("closed"),
            |(), _| (),
        ));
        assert!(
            matches!(built, Err(BuildError::NotPrepared("closed"))),
            "{built:?}"
        );
    }

    #[test]
    fn what_was_built_lives_on_another_thread_and_in_another_system() {
        let place = || (thread::current().id(), System::current().id());
        let host = System::new();
        let built = PipelineArbiter::build_on_its_own(|| Ok(()), move |(), _| place());
        let there: Built<_> = host.block_on(built);
        let here = place();
        let there = there.expect("a thread");
        assert_ne!(there.0, here.0);
        assert_ne!(there.1, here.1);
    }

    #[test]
    fn the_thread_ends_when_the_arbiter_is_dropped_after_the_tasks_that_are_ready() {
        let (ended, has_ended) = std::sync::mpsc::channel();
        let built = PipelineArbiter::build_on_its_own(
            || Ok(()),
            move |(), arbiter| {
                actix_rt::spawn(async move { ended.send(()) });
                arbiter
            },
        );
        drop(block_on(built).expect("a thread"));
        assert_eq!(has_ended.recv(), Ok(()), "the task ran");
        assert!(has_ended.recv().is_err(), "the thread dropped its tasks");
    }

    #[test]
    fn a_result_that_nobody_waits_for_is_dropped() {
        let (built, was_built) = std::sync::mpsc::channel::<()>();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let building = PipelineArbiter::build_on_its_own(
            move || {
                let _ = may_go_on.recv();
                Ok::<_, ()>(())
            },
            move |(), arbiter| (arbiter, built),
        );
        assert!(building.now_or_never().is_none(), "it is not built yet");
        drop(go_on);
        assert!(was_built.recv().is_err(), "the result was dropped");
    }
}

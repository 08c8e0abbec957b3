//! A fetcher: works on one id at a time, from its URL to an answer.

use std::{cell::Cell, panic::AssertUnwindSafe, pin::pin, rc::Rc, sync::Arc, time::SystemTime};

use actix::{Actor, AtomicResponse, Context, Handler, Recipient, WrapFuture};
use futures_util::FutureExt;

use crate::ingest::{
    backlog::{Backlog, RowPermit},
    handle::control::RunControl,
    http::client::{Client, Request, RequestSettings},
    limits::breaker::StreakLength,
    messages::{Fetch, Fetched, FetcherGone},
    outcome::{answer::Answer, failure::FailureKind, panics::panic_message},
    source::Source,
};

/// What the fetchers of a pipeline share.
pub(crate) struct Shared<S> {
    pub(crate) source: Arc<S>,
    pub(crate) client: Client,
    /// Deadline, retries and size limit of this pipeline's requests.
    pub(crate) settings: RequestSettings,
    /// An answer needs room in it before it is given to the coordinator.
    pub(crate) backlog: Backlog,
}

pub(crate) struct Fetcher<S: Source> {
    /// This fetcher's place among the coordinator's fetchers.
    slot: usize,
    shared: Rc<Shared<S>>,
    answers: Rc<Recipient<Fetched<S::Id>>>,
    /// Told when this actor is dropped, so that its death, by a panic or otherwise, does not go unnoticed.
    death: Recipient<FetcherGone>,
}

impl<S: Source> Fetcher<S> {
    pub(crate) fn new(
        slot: usize,
        shared: Rc<Shared<S>>,
        answers: Recipient<Fetched<S::Id>>,
        death: Recipient<FetcherGone>,
    ) -> Self {
        Self {
            slot,
            shared,
            answers: Rc::new(answers),
            death,
        }
    }
}

impl<S: Source> Actor for Fetcher<S> {
    type Context = Context<Self>;
}

impl<S: Source> Drop for Fetcher<S> {
    fn drop(&mut self) {
        self.death.do_send(FetcherGone { slot: self.slot });
    }
}

impl<S: Source> Handler<Fetch<S::Id>> for Fetcher<S> {
    /// The actor takes no other message before this response is complete. So the next id stays in the mailbox, whose length the
    /// coordinator bounds: it sends no more ids than the setting `mailbox` allows.
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, fetch: Fetch<S::Id>, _: &mut Self::Context) -> Self::Result {
        let Fetch { id, control } = fetch;
        let slot = self.slot;
        let shared = self.shared.clone();
        let answers = self.answers.clone();
        let work = async move {
            let Done {
                answer,
                attempts,
                received_at,
                streak,
                permit,
            } = work_on(&shared, &id, &control).await;
            answers.do_send(Fetched {
                slot,
                id,
                answer,
                attempts,
                received_at,
                streak,
                permit,
            });
        };
        AtomicResponse::new(Box::pin(work.into_actor(self)))
    }
}

/// What a fetcher has when it is done with an id.
struct Done {
    /// `None` if the run was stopped before.
    answer: Option<Answer>,
    attempts: u32,
    received_at: SystemTime,
    streak: StreakLength,
    permit: RowPermit,
}

/// Gets the answer for an id, and room for it in the backlog. A panic in the source's code is an answer, too.
async fn work_on<S: Source>(shared: &Shared<S>, id: &S::Id, control: &RunControl) -> Done {
    let attempts_begun = Cell::new(0);
    let fetching = pin!(async {
        let headers = shared.source.headers();
        let request = Request {
            id,
            url: shared.source.url(id),
            headers: &headers,
            is_absent: &|status| shared.source.is_absent(status),
        };
        let backlog = &shared.backlog;
        shared
            .client
            .fetch(request, &shared.settings, backlog, control, &attempts_begun)
            .await
    });
    let fetched = AssertUnwindSafe(fetching).catch_unwind().await;
    let mut answer = fetched.unwrap_or_else(|panic| {
        attempts_begun.set(attempts_begun.get().max(1));
        let message = format!("the source panicked: {}", panic_message(&*panic));
        Some(Answer::Failed(FailureKind::Panic, message))
    });
    // Both are as of now: the wait for room may be long.
    let received_at = SystemTime::now();
    let streak = control.breaker().streak();
    let mut permit = RowPermit::default();
    if answer.is_some() {
        match control
            .stop
            .unless_aborted(pin!(shared.backlog.acquire_row()))
            .await
        {
            Some(acquired) => permit = acquired,
            None => answer = None,
        }
    }
    Done {
        answer,
        attempts: attempts_begun.get(),
        received_at,
        streak,
        permit,
    }
}

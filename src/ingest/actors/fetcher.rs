//! A fetcher: gets the answer for one id at a time.

use std::{cell::Cell, panic::AssertUnwindSafe, pin::pin, rc::Rc, sync::Arc, time::SystemTime};

use actix::{Actor, AtomicResponse, Context, Handler, Recipient, WrapFuture};
use futures_util::FutureExt;

use crate::ingest::{
    backlog::{Backlog, RowPermit},
    handle::control::RunControl,
    http::client::{Client, FetchRequest, RequestSettings},
    limits::breaker::StreakLength,
    messages::{Fetch, Fetched, FetcherGone},
    outcome::{answer::Answer, failure::FailureKind, panics::panic_message},
    source::Source,
};

/// What all fetchers of a pipeline share.
pub(crate) struct FetcherResources<S> {
    /// Makes the URL and the headers for an id.
    pub(crate) source: Arc<S>,
    /// Sends the requests.
    pub(crate) client: Client,
    /// Deadline, retries and size limit of this pipeline's requests.
    pub(crate) settings: RequestSettings,
    /// A fetcher waits for room in it before it gives an answer to the coordinator.
    pub(crate) backlog: Backlog,
}

/// The actor.
pub(crate) struct Fetcher<S: Source> {
    /// The number of this fetcher in the coordinator's list.
    slot: usize,
    shared: Rc<FetcherResources<S>>,
    /// The coordinator, for answers.
    answers: Rc<Recipient<Fetched<S::Id>>>,
    /// The coordinator. It gets this message when the actor is dropped, so that it learns of a death by a panic, too.
    death: Recipient<FetcherGone>,
}

impl<S: Source> Fetcher<S> {
    pub(crate) fn new(
        slot: usize,
        shared: Rc<FetcherResources<S>>,
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
    /// The actor handles no other message before this response is complete. So the next ids wait in the mailbox. The coordinator
    /// bounds their number: it sends no more than the setting `mailbox` allows.
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, fetch: Fetch<S::Id>, _: &mut Self::Context) -> Self::Result {
        let Fetch { id, control } = fetch;
        let slot = self.slot;
        let shared = self.shared.clone();
        let answers = self.answers.clone();
        let work = async move {
            let FetchResult {
                answer,
                attempts,
                received_at,
                streak,
                permit,
            } = fetch_answer(&shared, &id, &control).await;
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

/// The fields of [`Fetched`] that depend on the request.
struct FetchResult {
    answer: Option<Answer>,
    attempts: u32,
    received_at: SystemTime,
    streak: StreakLength,
    permit: RowPermit,
}

/// Gets the answer for an id, and room for it in the backlog. A panic in the source's code becomes the answer `Failed`.
async fn fetch_answer<S: Source>(
    shared: &FetcherResources<S>,
    id: &S::Id,
    control: &RunControl,
) -> FetchResult {
    let attempts_begun = Cell::new(0);
    let fetching = pin!(async {
        let headers = shared.source.headers();
        let request = FetchRequest {
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
    // Taken before the wait for room, which may be long.
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
    FetchResult {
        answer,
        attempts: attempts_begun.get(),
        received_at,
        streak,
        permit,
    }
}

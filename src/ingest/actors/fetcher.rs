//! A fetcher: gets the answer for one id at a time.

use std::{cell::Cell, pin::pin, rc::Rc, sync::Arc, time::SystemTime};

use actix::{Actor, AtomicResponse, Context, Handler, Recipient, WrapFuture};

use crate::ingest::{
    config::Config,
    http::{client::Client, fetch::FetchRequest, refresh::Refresher},
    limits::breaker::BreakerState,
    messages::{Fetch, Fetched, FetcherGone},
    outcome::{
        answer::{Answer, AnsweredId, NotAnswered},
        panics::catch_async,
    },
    source::Source,
};

/// What all fetchers of a pipeline share.
pub(crate) struct FetcherResources<S> {
    /// Makes the requests for an id.
    pub(crate) source: Arc<S>,
    /// Sends the requests.
    pub(crate) client: Client,
    /// The settings of the pipeline.
    pub(crate) config: Config,
    /// Renews what the source's requests need.
    pub(crate) refresher: Refresher,
}

/// The actor.
pub(crate) struct Fetcher<S: Source> {
    /// The number of this fetcher in the coordinator's list.
    pub(crate) slot: usize,
    pub(crate) shared: Rc<FetcherResources<S>>,
    /// The coordinator, for answers.
    pub(crate) answers: Rc<Recipient<Fetched<S::Id>>>,
    /// The coordinator. It gets this message when the actor is dropped, so that it learns of a death by a panic, too.
    pub(crate) death: Recipient<FetcherGone>,
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
    /// The actor handles no other message before this response is complete. The coordinator sends the next id after that.
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, fetch: Fetch<S::Id>, _: &mut Self::Context) -> Self::Result {
        let slot = self.slot;
        let shared = self.shared.clone();
        let answers = self.answers.clone();
        let work = async move {
            let (result, breaker) = fetch_answer(&shared, fetch).await;
            answers.do_send(Fetched {
                slot,
                result,
                breaker,
            });
        };
        AtomicResponse::new(Box::pin(work.into_actor(self)))
    }
}

/// Gets the answer for an id, and room for it in the backlog. A panic in the source's code becomes the answer `Failed`. Also
/// returns the state of the run's circuit breaker after the last attempt for this id.
async fn fetch_answer<S: Source>(
    shared: &FetcherResources<S>,
    fetch: Fetch<S::Id>,
) -> (Result<AnsweredId<S::Id>, NotAnswered>, BreakerState) {
    let Fetch {
        id,
        so_far,
        control,
        backlog,
    } = fetch;
    let attempts_begun = Cell::new(so_far.begun);
    let fetched = catch_async(pin!(async {
        let source = &shared.source;
        let request = FetchRequest {
            id: &id,
            next_at: so_far.next_at,
            request: &|| source.request(&id),
            is_answer: &|status| source.is_answer(status),
            wants_headers: source.wants_headers(),
            is_absent: &|status| source.is_absent(status),
            refresher: Some(&shared.refresher),
        };
        shared
            .client
            .fetch(request, &shared.config, &backlog, &control, &attempts_begun)
            .await
    }))
    .await;
    let fetched = fetched.unwrap_or_else(|panic| {
        attempts_begun.set(attempts_begun.get().max(1));
        let message = format!("the source panicked: {panic}");
        Ok(Answer::panicked(message, attempts_begun.get()))
    });
    // Both are taken before the wait for room, which may be long.
    let received_at = SystemTime::now();
    let breaker = control.breaker().state();
    let attempts = attempts_begun.get();
    let answer = match fetched {
        Ok(answer) => answer,
        Err(why) => return (Err(why), breaker),
    };
    let acquiring = pin!(backlog.acquire_row());
    let acquired = control.stop.unless_aborted(acquiring).await;
    let answered = acquired.map(|permit| AnsweredId {
        id,
        answer,
        attempts,
        received_at,
        permit,
    });
    (answered.ok_or(NotAnswered::Stopped), breaker)
}

//! A fetcher: one id at a time, from its URL to an answer, with its own timeout and its own retries.

use std::{panic::AssertUnwindSafe, pin::pin, rc::Rc, sync::Arc, time::SystemTime};

use actix::{Actor, AtomicResponse, Context, Handler, Recipient, WrapFuture};
use futures_util::FutureExt;

use crate::ingest::{
    backlog::Unsaved,
    handle::stop::Control,
    http::Client,
    messages::{Fetch, Fetched, FetcherGone},
    outcome::Answer,
    outcome::FailureKind,
    outcome::panic_message,
    source::Source,
};

/// What the fetchers of a pipeline share.
pub(crate) struct Shared<S> {
    pub(crate) source: Arc<S>,
    pub(crate) client: Client,
    pub(crate) unsaved: Unsaved,
}

pub(crate) struct Fetcher<S> {
    slot: usize,
    shared: Rc<Shared<S>>,
    answers: Rc<Recipient<Fetched>>,
    /// Told when this actor is dropped: its death, by a panic or by an order, must not go unnoticed.
    death: Recipient<FetcherGone>,
    mailbox: usize,
}

impl<S: Source> Fetcher<S> {
    pub(crate) fn new(
        slot: usize,
        mailbox: usize,
        shared: Rc<Shared<S>>,
        answers: Recipient<Fetched>,
        death: Recipient<FetcherGone>,
    ) -> Self {
        Self {
            slot,
            shared,
            answers: Rc::new(answers),
            death,
            mailbox,
        }
    }
}

impl<S: Source> Actor for Fetcher<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // 0 would be no bound at all in actix.
        ctx.set_mailbox_capacity(self.mailbox.max(1));
    }
}

impl<S> Drop for Fetcher<S> {
    fn drop(&mut self) {
        self.death.do_send(FetcherGone { slot: self.slot });
    }
}

impl<S: Source> Handler<Fetch<S::Id>> for Fetcher<S> {
    /// Exclusive: the next id stays in the mailbox until this one has its answer.
    type Result = AtomicResponse<Self, ()>;

    fn handle(
        &mut self,
        Fetch { id, control }: Fetch<S::Id>,
        _: &mut Self::Context,
    ) -> Self::Result {
        let slot = self.slot;
        let shared = self.shared.clone();
        let answers = self.answers.clone();
        let work = async move {
            answers.do_send(fetch(slot, &shared, &id, &control).await);
        };
        AtomicResponse::new(Box::pin(work.into_actor(self)))
    }
}

/// The answer for an id, and the room that it has in Storage. A panic in the source's code is an answer too.
async fn fetch<S: Source>(
    slot: usize,
    Shared {
        source,
        client,
        unsaved,
    }: &Shared<S>,
    id: &S::Id,
    control: &Control,
) -> Fetched {
    let asking = pin!(async {
        let (url, headers) = (source.url(id), source.headers());
        client
            .fetch(
                id,
                url,
                &headers,
                |status| source.is_absent(status),
                unsaved,
                control,
            )
            .await
    });
    let (answer, attempts) = AssertUnwindSafe(asking)
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| {
            let message = format!("the source panicked: {}", panic_message(&*panic));
            (Answer::Failed(FailureKind::Panic, message), 1)
        });
    // Before the wait for room in Storage, which says nothing of the answer's age.
    let received_at = SystemTime::now();
    let fetched = |answer, room| Fetched {
        slot,
        answer,
        received_at,
        attempts,
        room,
    };
    if matches!(answer, Answer::NotAttempted) {
        return fetched(answer, None);
    }
    match control.unless_aborted(pin!(unsaved.row())).await {
        Some(room) => fetched(answer, Some(room)),
        None => fetched(Answer::NotAttempted, None),
    }
}

//! Reads the source's event stream for a run, and adds the ids that it announces to those that wait.

use std::sync::Arc;

use log::{debug, warn};

use super::waiting_ids::EventFeed;
use crate::ingest::{
    handle::control::RunControl,
    http::{
        client::Client,
        events::{parser::ServerEvent, stream::EventStreamItem},
    },
    outcome::panics::{catch, catch_async},
    source::Source,
};

/// Reads until the run stops. If the stream ends before that, or a panic ends it, the list of the run ends, too.
pub(crate) async fn read_events<S: Source>(
    source: Arc<S>,
    client: Client,
    feed: EventFeed<S::Id>,
    control: Arc<RunControl>,
) {
    let reading = catch_async(read(source, client, &feed, &control));
    if let Some(ended) = control.stop.unless_stopping(reading).await {
        let why = ended.unwrap_or_else(|panic| format!("the source panicked: {panic}"));
        feed.waiting.end(why);
    }
}

/// Returns why there will be no more events.
async fn read<S: Source>(
    source: Arc<S>,
    client: Client,
    feed: &EventFeed<S::Id>,
    control: &RunControl,
) -> String {
    let Some(first) = source.events() else {
        return "the source has no event stream".to_owned();
    };
    let named = source.clone();
    // The source is asked before each connect, because a token may have been renewed.
    let request = move || named.events().unwrap_or_else(|| first.clone());
    let events = client.events_of(request);
    let mut events = events.priority(control.priority);
    loop {
        feed.waiting.room().await;
        match events.next().await {
            Ok(EventStreamItem::Opened) => feed.recorder.record_opened(),
            Ok(EventStreamItem::Event(event)) => add_announced(&*source, &event, feed),
            Ok(EventStreamItem::Interrupted { failure, wait, .. }) => {
                debug!("the event stream broke: {failure}; connecting again in {wait:.1?}");
                feed.recorder.record_closed(failure);
            }
            Err(error) => {
                feed.recorder.record_closed(error.failure().clone());
                return error.to_string();
            }
        }
    }
}

/// Adds the ids that an event announces. An error or a panic of the source costs this event only.
fn add_announced<S: Source>(source: &S, event: &ServerEvent, feed: &EventFeed<S::Id>) {
    feed.recorder.record_event();
    let added = catch(|| {
        let ids = source.announced(event).map_err(|error| error.to_string())?;
        ids.into_iter().for_each(|id| feed.waiting.add(id));
        Ok(())
    });
    let added = added.unwrap_or_else(|panic| Err(format!("the source panicked: {panic}")));
    if let Err(why) = added {
        feed.recorder.record_unreadable();
        warn!("an event of the stream announces no ids: {why}");
    }
}

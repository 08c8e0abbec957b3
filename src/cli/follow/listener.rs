//! Listens to one document of the API: by an event stream, or by polling where there is none.

use std::time::Duration;

use log::{debug, info};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{feed::Feed, monitor::Monitor};
use crate::{
    hn::{
        HnSource, List,
        clock::{now, on_machine},
        follow::announcement::{ListDocument, Put, Updates, max_item, puts},
    },
    ingest::{Client, EventStreamItem, Priority},
};

/// How long to poll before looking for a stream again.
const POLLING: Duration = Duration::from_secs(3600);

/// Streams send something every 30 seconds, so this much silence means that the connection is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// In a test whose clock runs fast, connections still need some time.
const IDLE_TIMEOUT_LEAST: Duration = Duration::from_secs(1);

/// A list of 500 ids takes 5 KiB. Without a bound, a faulty server could make eight streams take much memory.
const EVENT_MAX: usize = 1024 * 1024;

/// The first wait after the server has ended a stream by an event; it doubles each time that this happens soon again.
const CANCELLED_WAIT: Duration = Duration::from_secs(1);
const CANCELLED_WAIT_MAX: Duration = Duration::from_secs(300);
/// A stream that lasted for this long was not ended soon.
const LASTED: Duration = Duration::from_secs(60);

/// What was not heard of `updates` for longer than this may have been missed by polling.
const POLL_GAP: Duration = Duration::from_secs(45);

/// What a listener has heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The largest id.
    MaxItem(i64),
    /// Items and profiles that have changed.
    Updates(Updates),
    /// A list is another one now.
    List(List, Vec<i64>),
    /// What changed since this time, in Unix seconds, may not have been told.
    Missed { since: i64 },
}

pub(super) struct Listener {
    pub(super) feed: Feed,
    pub(super) client: Client,
    pub(super) source: HnSource,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) monitor: Monitor,
    /// When the last word of this document was heard, in Unix seconds. `None` if none ever was.
    pub(super) last_heard: Option<i64>,
    /// The list as it is put together, if this document is one.
    pub(super) list: ListDocument,
}

impl Listener {
    /// Listens until it is dropped, or nobody wants to hear more.
    pub(super) async fn listen(mut self) {
        while !self.heard.is_closed() {
            self.read_stream().await;
            self.poll().await;
        }
    }

    /// Returns when the server turns out to have no stream.
    async fn read_stream(&mut self) {
        let url = self.source.document(self.feed.document());
        let mut events = self
            .client
            .events(&url, &[])
            .priority(Priority::High)
            .idle_timeout(on_machine(IDLE_TIMEOUT).max(IDLE_TIMEOUT_LEAST))
            .max_event(EVENT_MAX);
        let (mut opened_at, mut wait) = (Instant::now(), CANCELLED_WAIT);
        while !self.heard.is_closed() {
            match events.next().await {
                Ok(EventStreamItem::Opened) => {
                    opened_at = Instant::now();
                    self.monitor.is_streaming(self.feed);
                    self.note_gap().await;
                }
                Ok(EventStreamItem::Event(event)) => {
                    self.note_heard();
                    if matches!(event.name.as_str(), "cancel" | "auth_revoked") {
                        if opened_at.elapsed() > LASTED {
                            wait = CANCELLED_WAIT;
                        }
                        let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
                        debug!("{url}: the server ended the stream by {}", event.name);
                        self.monitor.is_interrupted(self.feed);
                        events.close_for(jittered);
                        wait = (wait * 2).min(CANCELLED_WAIT_MAX);
                    } else {
                        self.take(puts(&event.name, &event.data)).await;
                    }
                }
                Ok(EventStreamItem::Interrupted { failure, wait, .. }) => {
                    debug!("{url}: {failure}; connecting again in {wait:.1?}");
                    self.monitor.is_interrupted(self.feed);
                }
                Err(error) => {
                    info!("{url} is polled: {error}");
                    return;
                }
            }
        }
    }

    /// Polls for a while.
    async fn poll(&mut self) {
        self.monitor.is_polling(self.feed);
        let url = self.source.document(self.feed.document());
        let until = Instant::now() + on_machine(POLLING);
        while Instant::now() < until && !self.heard.is_closed() {
            match self.client.get(&url, &[]).await {
                Ok(body) => {
                    let gap = self.last_heard.map_or(0, |last| now() - last);
                    if gap > POLL_GAP.as_secs() as i64 {
                        self.note_gap().await;
                    }
                    self.note_heard();
                    match serde_json::from_slice::<Value>(&body) {
                        Ok(value) => self.take(vec![Put::whole(value)]).await,
                        Err(error) => debug!("{url} is not JSON: {error}"),
                    }
                }
                Err(failure) => debug!("{url}: {failure}"),
            }
            sleep(self.feed.poll_interval()).await;
        }
    }

    fn note_heard(&mut self) {
        self.last_heard = Some(now());
        self.monitor.note_heard();
    }

    /// Nothing was heard for a while. Only of `updates` that loses anything: the other documents say the whole at once.
    async fn note_gap(&mut self) {
        if let (Feed::Updates, Some(since)) = (self.feed, self.last_heard) {
            self.send(Heard::Missed { since }).await;
        }
    }

    async fn take(&mut self, puts: Vec<Put>) {
        match self.feed {
            Feed::MaxItem => {
                if let Some(id) = max_item(&puts) {
                    self.send(Heard::MaxItem(id)).await;
                }
            }
            Feed::Updates => {
                let updates = Updates::named(puts);
                if updates != Updates::default() {
                    self.send(Heard::Updates(updates)).await;
                }
            }
            Feed::List(list) => {
                if self.list.apply(puts) {
                    self.send(Heard::List(list, self.list.ids())).await;
                }
            }
        }
    }

    async fn send(&self, heard: Heard) {
        // It fails only when nobody listens any more.
        let _ = self.heard.send(heard).await;
    }
}

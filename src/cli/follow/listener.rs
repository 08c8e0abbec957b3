//! Listens to the documents of the API: by event streams, or by polling where there are none.

use std::time::Duration;

use actix_rt::task::JoinHandle;
use log::{debug, info};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{feed::Feed, monitor::Monitor};
use crate::{
    cli::session::Session,
    hn::{
        HnSource, List,
        clock::{now, on_machine},
        follow::announcement::{ListDocument, Put, Updates, max_item, puts},
    },
    ingest::{Client, EventStreamItem, Priority},
};

/// How long to poll before looking for a stream again; it doubles each time that there is none.
const POLLING: Duration = Duration::from_secs(60);
const POLLING_MAX: Duration = Duration::from_secs(3600);
/// A stream that says nothing for this long may be held back by a proxy. So its document is polled until it says something.
const MUTE: Duration = Duration::from_secs(5);

/// Streams send something every 30 seconds, so this much silence means that the connection is dead.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// In a test whose clock runs fast, connections still need some time.
const IDLE_TIMEOUT_LEAST: Duration = Duration::from_secs(1);

/// A list of 500 ids takes 5 KiB. Without a bound, a faulty server could make eight streams take much memory.
const EVENT_MAX: usize = 1024 * 1024;

/// The first wait after a stream has ended; it doubles each time that this happens soon again.
const ENDED_WAIT: Duration = Duration::from_secs(1);
const ENDED_WAIT_MAX: Duration = Duration::from_secs(300);
/// A stream that lasted for this long was not ended soon.
const LASTED: Duration = Duration::from_secs(60);

/// Polling `updates` less often than this may miss changes.
const POLL_GAP: Duration = Duration::from_secs(45);

/// The listeners wait when this much was heard and is not taken in yet.
const HEARD_MAX: usize = 64;

/// What a listener has heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// The largest id.
    MaxItem(i64),
    /// Items and profiles that have changed.
    Updates(Updates),
    /// A list has changed, and these are its ids now.
    List(List, Vec<i64>),
    /// Changes since this time, in Unix seconds, may have been missed.
    Missed { since: i64 },
}

/// A listener for each document. They stop when this is dropped.
pub(super) struct Listeners {
    heard: mpsc::Receiver<Heard>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listeners {
    /// `left_at` is the time since which nothing has followed the changes, in Unix seconds.
    pub(super) fn start(session: &Session<'_>, monitor: &Monitor, left_at: Option<i64>) -> Self {
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let tasks = Feed::all().map(|feed| {
            let listener = Listener {
                feed,
                client: session.client.clone(),
                source: session.source.clone(),
                heard: sender.clone(),
                monitor: monitor.clone(),
                last_heard: left_at,
                list: ListDocument::default(),
            };
            actix_rt::spawn(listener.listen())
        });
        Self {
            tasks: tasks.collect(),
            heard,
        }
    }

    /// Waits until something is heard. If the future is dropped, nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    pub(super) fn stop(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Listens to one document.
struct Listener {
    feed: Feed,
    client: Client,
    source: HnSource,
    heard: mpsc::Sender<Heard>,
    monitor: Monitor,
    /// When this document was heard last, in Unix seconds. `None` if it never was.
    last_heard: Option<i64>,
    /// The list as it is put together, if this document is one.
    list: ListDocument,
}

impl Listener {
    /// Listens until it is dropped, or the receiver is gone.
    async fn listen(mut self) {
        let mut polling = POLLING;
        while !self.heard.is_closed() {
            if self.read_stream().await {
                polling = POLLING;
            }
            self.poll(polling).await;
            polling = (polling * 2).min(POLLING_MAX);
        }
    }

    /// Returns when the server turns out to have no stream: whether it had one before.
    async fn read_stream(&mut self) -> bool {
        let url = self.source.document(self.feed.document());
        let mut events = self
            .client
            .events(&url, &[])
            .priority(Priority::High)
            .idle_timeout(on_machine(IDLE_TIMEOUT).max(IDLE_TIMEOUT_LEAST))
            .max_event(EVENT_MAX);
        let (mut opened_at, mut wait, mut had_one) = (Instant::now(), ENDED_WAIT, false);
        let (mut next_poll, mut poll_interval) = self.polls_of_new_stream();
        while !self.heard.is_closed() {
            let next = tokio::select! {
                next = events.next() => next,
                () = sleep_until(next_poll) => {
                    self.poll_once(&url).await;
                    next_poll = Instant::now() + poll_interval;
                    continue;
                }
            };
            match next {
                Ok(EventStreamItem::Opened) => {
                    opened_at = Instant::now();
                    self.monitor.is_streaming(self.feed);
                    self.note_gap().await;
                }
                Ok(EventStreamItem::Event(event)) => {
                    had_one = true;
                    self.note_heard();
                    if !matches!(event.name.as_str(), "cancel" | "auth_revoked") {
                        let puts = puts(&event.name, &event.data);
                        // A sign that the connection is alive does not show that the server tells of changes.
                        if !puts.is_empty() {
                            poll_interval = self.feed.quiet_time();
                            next_poll = Instant::now() + poll_interval;
                            self.take(puts).await;
                        }
                        continue;
                    }
                    debug!("{url}: the server ended the stream by {}", event.name);
                    self.monitor.is_interrupted(self.feed);
                    events.close_for(jittered(wait));
                    wait = next_wait(opened_at, wait);
                    (next_poll, poll_interval) = self.polls_of_new_stream();
                }
                Ok(EventStreamItem::Interrupted {
                    failure,
                    wait: own_wait,
                    ..
                }) => {
                    debug!("{url}: {failure}");
                    if self.monitor.is_interrupted(self.feed) {
                        // It was open. The event at the beginning of each connection says nothing of how long one lasts.
                        events.close_for(own_wait.max(jittered(wait)));
                        wait = next_wait(opened_at, wait);
                        (next_poll, poll_interval) = self.polls_of_new_stream();
                    }
                }
                Err(error) => {
                    info!("{url} is polled: {error}");
                    break;
                }
            }
        }
        had_one
    }

    /// When a stream that is to be opened is first polled beside, and how often after that, as long as it tells nothing.
    fn polls_of_new_stream(&self) -> (Instant, Duration) {
        let first = Instant::now() + on_machine(MUTE);
        (first, self.feed.poll_interval())
    }

    /// Polls for a while.
    async fn poll(&mut self, time: Duration) {
        self.monitor.is_polling(self.feed);
        let url = self.source.document(self.feed.document());
        let until = Instant::now() + on_machine(time);
        while Instant::now() < until && !self.heard.is_closed() {
            self.poll_once(&url).await;
            sleep(self.feed.poll_interval()).await;
        }
    }

    async fn poll_once(&mut self, url: &str) {
        match self.client.get(url, &[]).await {
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
    }

    fn note_heard(&mut self) {
        self.last_heard = Some(now());
        self.monitor.note_heard();
    }

    /// Nothing was heard for a while. Only `updates` loses changes by that: any other document is sent as a whole.
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
        // It fails only when the receiver is gone.
        let _ = self.heard.send(heard).await;
    }
}

/// The wait after the next end of a stream, where `wait` is the one after this end.
fn next_wait(opened_at: Instant, wait: Duration) -> Duration {
    if opened_at.elapsed() > on_machine(LASTED) {
        ENDED_WAIT
    } else {
        (wait * 2).min(ENDED_WAIT_MAX)
    }
}

/// Between half of it and all of it, in the machine's time.
fn jittered(wait: Duration) -> Duration {
    on_machine(wait).mul_f64(0.5 + fastrand::f64() / 2.0)
}

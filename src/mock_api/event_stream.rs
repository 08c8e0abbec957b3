//! A stream of events about one document, which reports changes in many ways and has faults on demand.

use std::{
    collections::VecDeque,
    future::pending,
    io::{Error, ErrorKind},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    future::{Either, select},
    stream::{self, Stream},
};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep_until},
};

use super::{
    mock_data::{FollowClock, MockData},
    streams::{ChangeFault, StreamEnd, Streams},
    ways_to_tell::events,
};
use crate::hn_api::{DocumentPath, Event, HnData, Seen, Watch};

/// Every such event goes out in two parts, so that a client sees events that are cut in two.
const SPLIT_EVERY: usize = 3;

/// Orders to all open streams.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(watch::Sender<Order>);

/// The order given last.
#[derive(Clone, Copy, Debug, Default)]
struct Order {
    /// How many orders there were. A stream obeys those that were given after its start.
    number: u64,
    end: Option<StreamEnd>,
}

impl Orders {
    pub(super) fn end_all(&self, how: StreamEnd) {
        self.0.send_modify(|order| {
            order.number += 1;
            order.end = Some(how);
        });
    }

    pub(super) fn open_streams(&self) -> usize {
        self.0.receiver_count()
    }
}

/// An open stream.
pub(super) struct EventStream {
    watch: Watch<FollowClock>,
    settings: Streams,
    orders: watch::Receiver<Order>,
    /// The number of the order before the stream.
    last_order: u64,
    line_end: &'static str,
    /// How many changes there were, which decides how the next one is reported.
    changes: usize,
    events: usize,
    /// What is still to be sent.
    queue: VecDeque<Bytes>,
    /// What happens when the queue is empty.
    ending: Option<Ending>,
    stall_at: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Ending {
    Close,
    Cut,
    Stall,
}

impl EventStream {
    pub(super) fn new(
        data: &MockData,
        path: DocumentPath,
        settings: Streams,
        orders: &Orders,
        line_end: &'static str,
    ) -> Self {
        let orders = orders.0.subscribe();
        let last_order = orders.borrow().number;
        let stall_after: Option<Duration> = settings.stall_after;
        EventStream {
            watch: Watch::new(data.follow(&path.record), path.keys, settings.keep_alive),
            settings,
            orders,
            last_order,
            line_end,
            changes: 0,
            events: 0,
            queue: VecDeque::new(),
            ending: None,
            stall_at: stall_after.map(|after| Instant::now() + after),
        }
    }

    /// The bytes on the wire.
    pub(super) fn into_chunks(self) -> impl Stream<Item = Result<Bytes, Error>> {
        stream::unfold(self, async |mut stream| {
            let chunk = stream.next_chunk().await?;
            Some((chunk, stream))
        })
    }

    async fn next_chunk(&mut self) -> Option<Result<Bytes, Error>> {
        // The server writes what it has got, and then asks again. So the parts of an event do not arrive together.
        yield_now().await;
        loop {
            if let Some(chunk) = self.queue.pop_front() {
                return Some(Ok(chunk));
            }
            match self.ending {
                None => self.wait_and_tell().await,
                Some(Ending::Close) => return None,
                Some(Ending::Cut) => {
                    return Some(Err(Error::new(ErrorKind::ConnectionAborted, "cut")));
                }
                Some(Ending::Stall) => pending().await,
            }
        }
    }

    /// Waits until there is something to send or a reason to end, and queues it.
    async fn wait_and_tell(&mut self) {
        // The first event is always sent.
        let stall_at = self.stall_at.filter(|_| self.events > 0);
        let stall = async {
            match stall_at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        let seen = {
            let last_order = self.last_order;
            let ordered = pin!(self.orders.wait_for(|order| order.number > last_order));
            let stall = pin!(stall);
            let next = pin!(self.watch.next());
            // An end comes before what changed at the same time.
            match select(select(stall, ordered), next).await {
                Either::Left((Either::Left(_), _)) => Err(Some(StreamEnd::Stall)),
                Either::Left((Either::Right((order, _)), _)) => {
                    Err(order.ok().and_then(|order| order.end))
                }
                Either::Right((seen, _)) => Ok(seen),
            }
        };
        match seen {
            Ok(Ok(Seen::First)) => self.send(&Event::put("/", self.watch.value())),
            Ok(Ok(Seen::Changed { old })) => self.tell_change(&old),
            Ok(Ok(Seen::Quiet)) => self.send(&Event::keep_alive()),
            // The data of the mock API is never unavailable.
            Ok(Err(_)) => self.ending = Some(Ending::Close),
            Err(how) => self.end(how.unwrap_or(StreamEnd::Cut)),
        }
    }

    fn tell_change(&mut self, old: &Value) {
        match self.settings.fault_for(fastrand::f64()) {
            Some(ChangeFault::Lost) => return,
            Some(ChangeFault::Ended(how)) => return self.end(how),
            None => {}
        }
        for event in events(old, self.watch.value(), self.changes) {
            self.send(&event);
        }
        self.changes += 1;
    }

    fn send(&mut self, event: &Event) {
        let mut bytes = Bytes::from(event.encode(self.line_end));
        self.events += 1;
        if self.events.is_multiple_of(SPLIT_EVERY) {
            self.queue.push_back(bytes.split_to(bytes.len() / 2));
        }
        self.queue.push_back(bytes);
    }

    fn end(&mut self, how: StreamEnd) {
        let ending = match how {
            StreamEnd::Cancel => {
                self.send(&Event::of_the_stream("cancel", Value::Null));
                Ending::Close
            }
            StreamEnd::AuthRevoked => {
                let why = "credential is no longer valid";
                self.send(&Event::of_the_stream("auth_revoked", why.into()));
                Ending::Close
            }
            StreamEnd::Cut => {
                let whole = Event::put("/", self.watch.value()).encode(self.line_end);
                let mut half = Bytes::from(whole);
                half.truncate(half.len() / 2);
                self.queue.push_back(half);
                Ending::Cut
            }
            StreamEnd::Stall => Ending::Stall,
        };
        self.ending = Some(ending);
    }
}

//! A stream of events about one document: its value at first, and then what changes.

use std::{
    collections::VecDeque,
    future::pending,
    io::{Error, ErrorKind},
    mem,
    pin::pin,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    future::select,
    stream::{self, Stream},
};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, timeout_at},
};

use super::{
    change_events::{Event, events},
    changes::{REACH, TICK},
    clock::{Clock, micros},
    documents::Documents,
    streams::{ChangeFault, StreamEnd, Streams},
};

/// How often a stream looks at a clock that runs.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Every such event goes out in two parts, so that a client sees events that are cut in two.
const SPLIT_EVERY: usize = 3;
/// How many updates a stream catches up with at most after its clock was moved.
const UPDATES_AT_ONCE: i64 = 2_000;

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
    documents: Rc<Documents>,
    path: String,
    clock: Clock,
    settings: Streams,
    clock_moves: watch::Receiver<Duration>,
    orders: watch::Receiver<Order>,
    /// The number of the order before the stream.
    last_order: u64,
    line_end: &'static str,
    /// The value that the client knows if no event was lost, as it was served and parsed.
    json: Bytes,
    value: Value,
    /// The moment of that value.
    seen: i64,
    /// How many changes there were, for the way to tell the next one.
    changes: usize,
    events: usize,
    /// What is still to be sent.
    queue: VecDeque<Bytes>,
    /// What happens when the queue is empty.
    ending: Option<Ending>,
    keep_alive_at: Instant,
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
        documents: Rc<Documents>,
        path: &str,
        clock: Clock,
        settings: Streams,
        orders: &Orders,
        line_end: &'static str,
    ) -> Self {
        let now = Instant::now();
        let orders = orders.0.subscribe();
        let last_order = orders.borrow().number;
        let clock_moves = clock.moves();
        let seen = micros(clock.now());
        let json = documents.json(path, seen);
        let mut stream = EventStream {
            documents,
            path: path.to_owned(),
            clock,
            settings,
            clock_moves,
            orders,
            last_order,
            line_end,
            value: parse(&json),
            json,
            seen,
            changes: 0,
            events: 0,
            queue: VecDeque::new(),
            ending: None,
            keep_alive_at: now + settings.keep_alive,
            stall_at: settings.stall_after.map(|after| now + after),
        };
        stream.send(&Event::put("/", &stream.value.clone()));
        stream
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
                None => self.wait_and_look().await,
                Some(Ending::Close) => return None,
                Some(Ending::Cut) => {
                    return Some(Err(Error::new(ErrorKind::ConnectionAborted, "cut")));
                }
                Some(Ending::Stall) => pending().await,
            }
        }
    }

    /// Waits until there may be something to send, and queues it.
    async fn wait_and_look(&mut self) {
        let next_look = self.clock.is_running().then(|| Instant::now() + LOOK_EVERY);
        let mut wake_at = self.keep_alive_at;
        for at in [next_look, self.stall_at].into_iter().flatten() {
            wake_at = wake_at.min(at);
        }
        {
            let moved = pin!(self.clock_moves.changed());
            let ordered = pin!(self.orders.changed());
            // What it was that ended the wait is seen below.
            let _ = timeout_at(wake_at, select(moved, ordered)).await;
        }
        let now = Instant::now();
        if self.stall_at.is_some_and(|at| at <= now) {
            return self.end(StreamEnd::Stall);
        }
        let order = *self.orders.borrow();
        if let Some(how) = order.end.filter(|_| order.number > self.last_order) {
            return self.end(how);
        }
        self.look();
        if self.keep_alive_at <= now && self.ending.is_none() {
            self.keep_alive_at = now + self.settings.keep_alive;
            self.send(&Event::of_the_stream("keep-alive", Value::Null));
        }
    }

    /// Queues what has changed.
    fn look(&mut self) {
        let now = micros(self.clock.now());
        if self.path == "updates" {
            // They name the changes of a minute only. So a clock that goes fast or is moved far must not leave any out.
            let passed = now - self.seen;
            let step = if passed > 10 * REACH { REACH } else { TICK };
            for steps_left in (1..=(passed / step).min(UPDATES_AT_ONCE)).rev() {
                self.look_at(now - steps_left * step);
            }
        }
        self.look_at(now);
        self.seen = now;
    }

    fn look_at(&mut self, moment: i64) {
        let json = self.documents.json(&self.path, moment);
        if json == self.json || self.ending.is_some() {
            return;
        }
        let new = parse(&json);
        let old = mem::replace(&mut self.value, new);
        self.json = json;
        match self.settings.fault_for(fastrand::f64()) {
            Some(ChangeFault::Lost) => return,
            Some(ChangeFault::Ended(how)) => return self.end(how),
            None => {}
        }
        for event in events(&old, &self.value, self.changes) {
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
                let whole = Event::put("/", &self.value).encode(self.line_end);
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

fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}

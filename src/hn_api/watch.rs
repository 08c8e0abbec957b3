//! Watching one value: what it is at first, when it changes, and when it has been quiet for a while.

use std::{mem, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    change_events::Event,
    data::{Follow, Unavailable},
    tree::{parse, value_at},
};

/// A value that is watched: a record, or a part of it.
pub(crate) struct Watch<F> {
    record: F,
    /// The keys that lead into the record.
    keys: Vec<String>,
    /// The record as it was seen last.
    json: Option<Bytes>,
    value: Value,
    /// The value as JSON, if it is what a [`Value`] cannot be.
    unreadable: Option<Bytes>,
    keep_alive: Duration,
    keep_alive_at: Instant,
}

/// What was seen.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    /// The value as it is at first.
    First,
    Changed {
        old: Value,
    },
    /// It is time for a sign of life.
    Quiet,
}

impl<F: Follow> Watch<F> {
    pub(crate) fn new(record: F, keys: Vec<String>, keep_alive: Duration) -> Self {
        Self {
            record,
            keys,
            json: None,
            value: Value::Null,
            unreadable: None,
            keep_alive,
            keep_alive_at: Instant::now() + keep_alive,
        }
    }

    /// The value as it was seen last.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The event that tells the whole value.
    pub(super) fn whole(&self) -> Event {
        match &self.unreadable {
            Some(json) => Event::put_json(json),
            None => Event::put("/", &self.value),
        }
    }

    /// The event that turns `old` into the value.
    pub(super) fn change_from(&self, old: &Value) -> Event {
        if self.unreadable.is_some() {
            return self.whole();
        }
        Event::of_change(old, &self.value)
    }

    /// Waits until there is something to send. Dropping the future loses no change.
    pub(crate) async fn next(&mut self) -> Result<Seen, Unavailable> {
        loop {
            let Ok(read) = timeout_at(self.keep_alive_at, self.record.next()).await else {
                self.keep_alive_at = Instant::now() + self.keep_alive;
                return Ok(Seen::Quiet);
            };
            let json = read?.json;
            if self.json.as_ref() == Some(&json) {
                continue;
            }
            let new_json = value_at(json.clone(), &self.keys);
            let parsed = parse(&new_json);
            let is_readable = parsed.is_some();
            let new = parsed.unwrap_or_default();
            let unreadable = (!is_readable).then_some(new_json);
            let is_first = self.json.replace(json).is_none();
            let differs = new != self.value || unreadable != self.unreadable;
            self.unreadable = unreadable;
            if is_first {
                self.value = new;
                return Ok(Seen::First);
            }
            if differs {
                let old = mem::replace(&mut self.value, new);
                return Ok(Seen::Changed { old });
            }
        }
    }
}

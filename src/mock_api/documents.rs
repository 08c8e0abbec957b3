//! The tree of JSON below `/v0`. As in Firebase, every path into it works, and a path to nothing is `null`.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;
use serde_json::Value;

use super::{
    changes::{TICK, updates_at},
    generate::Generator,
    life::Moment,
    lists::{Lists, Updates, User},
    timeline::Timeline,
};

/// All documents, at any moment.
pub(super) struct Documents {
    items: Generator,
    /// When the items of a live API appear. An API that stands still has none.
    timeline: Option<Timeline>,
    /// The lists made last, and their moment. They are made by the first request for one.
    lists: RefCell<Option<(i64, Rc<Lists>)>>,
    /// The updates made last, and their moment.
    updates: RefCell<Option<(i64, Bytes)>>,
}

impl Documents {
    pub(super) fn new(seed: u64, max_item: i64, timeline: Option<Timeline>) -> Self {
        Documents {
            items: Generator::new(seed, max_item),
            timeline,
            lists: RefCell::new(None),
            updates: RefCell::new(None),
        }
    }

    /// The JSON at `path` (below `/v0/`, without `.json`) at the moment `now`, which means nothing to an API that stands still.
    pub(super) fn json(&self, path: &str, now: i64) -> Bytes {
        let mut keys = path.split('/');
        let first = keys.next().unwrap_or_default();
        let root = match (first, keys.next()) {
            ("item", Some(id)) => self.items_at(now).body(parse_id(id)),
            ("user", Some(name)) => to_json(&User::new(&self.items_at(now), name)),
            // A list or another single record has no id, so the next key leads into it.
            (_, key) => {
                return value_at(self.named_record(first, now), key.into_iter().chain(keys));
            }
        };
        value_at(root, keys)
    }

    fn named_record(&self, name: &str, now: i64) -> Bytes {
        match name {
            "maxitem" => to_json(&self.items_at(now).max_item()),
            "updates" => self.updates(now),
            "topstories" => to_json(&self.lists(now).top),
            "newstories" => to_json(&self.lists(now).new),
            "beststories" => to_json(&self.lists(now).best),
            "askstories" => to_json(&self.lists(now).ask),
            "showstories" => to_json(&self.lists(now).show),
            "jobstories" => to_json(&self.lists(now).job),
            _ => Bytes::from_static(b"null"),
        }
    }

    fn moment(&self, now: i64) -> Option<Moment> {
        let timeline = self.timeline?;
        Some(Moment { timeline, now })
    }

    fn items_at(&self, now: i64) -> Generator {
        self.items.at(self.moment(now))
    }

    fn lists(&self, now: i64) -> Rc<Lists> {
        let tick = self.tick(now);
        let mut made = self.lists.borrow_mut();
        if let Some((_, lists)) = made.as_ref().filter(|(at, _)| *at == tick) {
            return lists.clone();
        }
        let lists = Rc::new(Lists::new(&self.items_at(tick)));
        *made = Some((tick, lists.clone()));
        lists
    }

    fn updates(&self, now: i64) -> Bytes {
        let tick = self.tick(now);
        let mut made = self.updates.borrow_mut();
        if let Some((_, updates)) = made.as_ref().filter(|(at, _)| *at == tick) {
            return updates.clone();
        }
        let updates = to_json(&match self.moment(tick) {
            Some(moment) => updates_at(&self.items, moment),
            None => Updates::new(&self.items),
        });
        *made = Some((tick, updates.clone()));
        updates
    }

    /// When the lists and the updates that are seen at `now` were written.
    fn tick(&self, now: i64) -> i64 {
        match self.timeline {
            Some(_) => now.div_euclid(TICK) * TICK,
            None => 0,
        }
    }
}

/// The id that a path names. It is 0, which no item has, if the key is not a plain number.
fn parse_id(key: &str) -> i64 {
    let plain = key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0');
    key.parse().ok().filter(|_| plain).unwrap_or_default()
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Bytes {
    // It cannot fail: records have only numbers, strings and lists of them.
    serde_json::to_vec(value).map_or(Bytes::from_static(b"null"), Bytes::from)
}

/// The value inside `root` to which the keys lead. A number leads into a list.
fn value_at<'a>(root: Bytes, keys: impl Iterator<Item = &'a str>) -> Bytes {
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        return root;
    }
    let root: Value = serde_json::from_slice(&root).unwrap_or_default();
    let found = keys.try_fold(&root, |at, key| match at {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        at => at.get(key),
    });
    to_json(&found)
}

//! All records, at any moment.

use std::{cell::RefCell, rc::Rc};

use bytes::Bytes;

use super::{
    changes::{TICK, updates_at},
    generate::Generator,
    life::Moment,
    lists::{Lists, Updates, User},
    timeline::Timeline,
};
use crate::hn_api::{DocumentPath, Record, to_json, value_at};

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
        let DocumentPath { record, keys } = DocumentPath::parse(path);
        value_at(self.record(&record, now), &keys)
    }

    /// The JSON of a record at the moment `now`.
    pub(super) fn record(&self, record: &Record, now: i64) -> Bytes {
        match record {
            Record::Item(id) => self.items_at(now).body(*id),
            Record::User(name) => to_json(&User::new(&self.items_at(now), name)),
            Record::List(list) => to_json(&self.lists(now).of(*list)),
            Record::MaxItem => to_json(&self.items_at(now).max_item()),
            Record::Updates => self.updates(now),
            Record::Nothing => Bytes::from_static(b"null"),
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

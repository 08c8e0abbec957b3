//! A cache of records as JSON. A change of the database empties it.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Mutex, PoisonError},
};

use crate::hn_api::{Document, Record};

/// The cache has this many parts, each with a lock of its own. So threads seldom wait for each other.
const SHARDS: usize = 16;

/// About how much memory an entry takes beside its JSON and its name.
const ENTRY_BYTES: usize = 200;

/// Records of one version of the database.
pub(super) struct RecordCache {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    /// The younger half of a shard is full when it has this many bytes.
    half_bytes: usize,
}

/// Two halves: what was asked for lately, and what was before. Every entry of the older half that is asked for moves to the younger one.
/// When that is full, the older half is dropped.
#[derive(Default)]
struct Shard {
    version: u64,
    young: HashMap<Record, Document>,
    old: HashMap<Record, Document>,
    young_bytes: usize,
}

impl RecordCache {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            half_bytes: bytes / SHARDS / 2,
        }
    }

    /// The record as it was in this version of the database.
    pub(super) fn get(&self, version: u64, record: &Record) -> Option<Document> {
        self.with_shard(record, |shard, half_bytes| {
            shard.move_to(version)?;
            if let Some(document) = shard.young.get(record) {
                return Some(document.clone());
            }
            let document = shard.old.remove(record)?;
            shard.add(record.clone(), document.clone(), half_bytes);
            Some(document)
        })
    }

    /// Keeps a record that was read when this was the version of the database, or later.
    pub(super) fn put(&self, version: u64, record: Record, document: Document) {
        self.with_shard(&record.clone(), |shard, half_bytes| {
            if shard.move_to(version).is_some() {
                shard.add(record, document, half_bytes);
            }
        });
    }

    fn with_shard<T>(&self, record: &Record, work: impl FnOnce(&mut Shard, usize) -> T) -> T {
        let number = self.hasher.hash_one(record) as usize % self.shards.len();
        let mut shard = self.shards[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut shard, self.half_bytes)
    }
}

impl Shard {
    /// Forgets what is of an earlier version. `None` if there is something of a later version already.
    fn move_to(&mut self, version: u64) -> Option<()> {
        if version > self.version {
            *self = Self {
                version,
                ..Self::default()
            };
        }
        (version == self.version).then_some(())
    }

    fn add(&mut self, record: Record, document: Document, half_bytes: usize) {
        let name_bytes = match &record {
            Record::User(name) => name.len(),
            _ => 0,
        };
        let bytes = document.json.len() + name_bytes + ENTRY_BYTES;
        if self.young_bytes + bytes > half_bytes {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes <= half_bytes {
            self.young_bytes += bytes;
            self.young.insert(record, document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(bytes: usize) -> Document {
        Document::new(vec![b'1'; bytes])
    }

    #[test]
    fn a_record_of_another_version_is_not_given() {
        let cache = RecordCache::new(1 << 20);
        cache.put(1, Record::MaxItem, document(1));
        assert_eq!(cache.get(1, &Record::MaxItem), Some(document(1)));
        assert_eq!(cache.get(2, &Record::MaxItem), None);
        cache.put(1, Record::MaxItem, document(1));
        assert_eq!(cache.get(2, &Record::MaxItem), None, "it was read before");
    }

    #[test]
    fn it_takes_no_more_than_it_may_and_keeps_what_is_asked_for() {
        let bytes = 1 << 20;
        let cache = RecordCache::new(bytes);
        for id in 0..10_000 {
            cache.put(0, Record::Item(id), document(1000));
            assert_eq!(cache.get(0, &Record::Item(0)), Some(document(1000)), "{id}");
        }
        let kept = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        };
        let kept: usize = cache.shards.iter().map(kept).sum();
        assert!((200..=bytes / 1000).contains(&kept), "{kept}");
    }

    #[test]
    fn long_names_count_as_well() {
        let bytes = 1 << 20;
        let cache = RecordCache::new(bytes);
        for number in 0..4_000 {
            let name = format!("{number:01000}");
            cache.put(0, Record::User(name), Document::NULL);
        }
        let kept = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        };
        let kept: usize = cache.shards.iter().map(kept).sum();
        assert!((200..=bytes / 1000).contains(&kept), "{kept}");
    }

    #[test]
    fn a_record_that_is_too_large_is_not_kept() {
        let cache = RecordCache::new(1 << 10);
        cache.put(0, Record::Updates, document(1 << 20));
        assert_eq!(cache.get(0, &Record::Updates), None);
    }
}

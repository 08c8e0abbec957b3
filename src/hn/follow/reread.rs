//! When what `updates` names is read again. Each thing is named several times for one change, so it is read at once and then, if
//! it is named again, once more after a while.

use std::{collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// A flood of names takes no more memory than this many.
const REMEMBERED_MAX: usize = 100_000;

/// What was read because it was named, for as long as naming it again may mean the same change.
#[derive(Debug)]
pub(crate) struct Reread<I> {
    /// A thing that is named again within this time after it was read is read once more at the end of that time.
    pause: Duration,
    read: HashMap<I, LastRead>,
}

/// When a thing was read last, and whether it was named since.
#[derive(Debug)]
struct LastRead {
    at: Instant,
    named_since: bool,
}

impl<I: Clone + Eq + Hash> Reread<I> {
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            read: HashMap::new(),
        }
    }

    /// A thing is named. Returns whether it is to be read now.
    pub(crate) fn is_named(&mut self, id: &I, now: Instant) -> bool {
        if let Some(read) = self.read.get_mut(id) {
            read.named_since = true;
            return false;
        }
        if self.read.len() < REMEMBERED_MAX {
            let read = LastRead {
                at: now,
                named_since: false,
            };
            self.read.insert(id.clone(), read);
        }
        true
    }

    /// The things whose pause is over and that are to be read once more.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<I> {
        let mut due = Vec::new();
        let pause = self.pause;
        self.read.retain(|id, read| {
            if now.saturating_duration_since(read.at) < pause {
                return true;
            }
            if read.named_since {
                due.push(id.clone());
                *read = LastRead {
                    at: now,
                    named_since: false,
                };
                return true;
            }
            false
        });
        due
    }

    /// All things that were named lately.
    pub(crate) fn named_lately(&self) -> impl Iterator<Item = &I> {
        self.read.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_again_and_again_is_read_at_once_and_then_once_in_a_pause() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut reread = Reread::new(Duration::from_secs(60));
        let mut read = Vec::new();
        for second in 0..200 {
            read.extend(reread.due(at(second)).iter().map(|_: &i64| second));
            if second < 70 && second % 10 == 0 && reread.is_named(&1, at(second)) {
                read.push(second);
            }
        }
        assert_eq!(read, [0, 60, 120]);
        assert_eq!(reread.named_lately().count(), 0);
    }

    #[test]
    fn what_is_named_once_is_read_once() {
        let start = Instant::now();
        let mut reread = Reread::new(Duration::from_secs(60));
        assert!(reread.is_named(&1, start));
        assert!(reread.due(start + Duration::from_secs(61)).is_empty());
        assert!(reread.is_named(&1, start + Duration::from_secs(62)));
    }
}

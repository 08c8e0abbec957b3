//! Up to which id all new ids are settled. A process that is killed leaves this mark, and the next one begins behind it.

use std::collections::BTreeSet;

/// Follows the new ids from their announcement to their commit.
#[derive(Debug)]
pub(crate) struct Watermark {
    /// The largest id that was announced.
    announced: i64,
    /// Announced ids that are being read, or are about to be.
    unsettled: BTreeSet<i64>,
    /// The first of the announced ids that are still far from being read.
    backlog: Option<i64>,
}

impl Watermark {
    /// Everything up to `settled` is settled, or is not to be followed.
    pub(crate) fn new(settled: i64) -> Self {
        Self {
            announced: settled,
            unsettled: BTreeSet::new(),
            backlog: None,
        }
    }

    /// The largest id that was announced.
    pub(crate) fn announced(&self) -> i64 {
        self.announced
    }

    /// Ids up to this one are announced.
    pub(crate) fn announce(&mut self, up_to: i64) {
        self.announced = self.announced.max(up_to);
    }

    /// An announced id is about to be read.
    pub(crate) fn read(&mut self, id: i64) {
        self.unsettled.insert(id);
    }

    /// An id has an outcome.
    pub(crate) fn settle(&mut self, id: i64) {
        self.unsettled.remove(&id);
    }

    /// The first announced id that is neither settled nor about to be read.
    pub(crate) fn set_backlog(&mut self, first: Option<i64>) {
        self.backlog = first;
    }

    /// Every id up to this one is settled.
    pub(crate) fn settled(&self) -> i64 {
        let first = self.unsettled.first().copied();
        let first = first.into_iter().chain(self.backlog).min();
        first.map_or(self.announced, |first| first - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stays_below_the_first_id_without_an_outcome() {
        let mut mark = Watermark::new(10);
        assert_eq!(mark.settled(), 10);
        mark.announce(13);
        (11..=13).for_each(|id| mark.read(id));
        assert_eq!((mark.settled(), mark.announced()), (10, 13));
        mark.settle(12);
        assert_eq!(mark.settled(), 10);
        mark.settle(11);
        assert_eq!(mark.settled(), 12);
        mark.settle(13);
        assert_eq!(mark.settled(), 13);
        mark.announce(500);
        mark.set_backlog(Some(14));
        assert_eq!(mark.settled(), 13);
        mark.set_backlog(None);
        assert_eq!(mark.settled(), 500);
    }
}

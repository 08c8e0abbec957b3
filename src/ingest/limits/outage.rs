//! Whether the API is out, so that ids are kept instead of spent. Pure.
//!
//! An outage begins when for some seconds nothing but connect errors, timeouts and 5xx came, while there are ids that were not
//! handed out yet; it ends with the first other answer. Meanwhile one id at a time is tried, and ids that fail are kept for
//! later. A run whose ids are all handed out is left to end as fast as its attempts allow.

use std::time::Duration;

/// Nothing but failures for so long is an outage.
const BEGINS_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(crate) struct Outage {
    out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Begins,
    Ends,
}

impl Outage {
    pub(crate) fn is_on(&self) -> bool {
        self.out
    }

    /// Looks at how the API does; `down_for` is how long nothing but such failures came.
    pub(crate) fn look(
        &mut self,
        down_for: Option<Duration>,
        ids_to_spare: bool,
    ) -> Option<Change> {
        match (self.out, down_for) {
            (false, Some(down)) if down >= BEGINS_AFTER && ids_to_spare => {
                self.out = true;
                Some(Change::Begins)
            }
            (true, None) => {
                self.out = false;
                Some(Change::Ends)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_begins_after_three_seconds_of_nothing_else_and_ends_with_any_answer() {
        let mut outage = Outage::default();
        assert_eq!(outage.look(None, true), None);
        assert_eq!(outage.look(Some(2 * SECOND), true), None);
        assert_eq!(outage.look(Some(3 * SECOND), true), Some(Change::Begins));
        assert_eq!(outage.look(Some(6 * SECOND), true), None);
        assert_eq!(outage.look(None, true), Some(Change::Ends));
        assert!(!outage.is_on());
    }

    #[test]
    fn without_ids_to_spare_there_is_no_outage() {
        let mut outage = Outage::default();
        assert_eq!(outage.look(Some(3600 * SECOND), false), None);
    }
}

//! The checks that are under way: which rows the mirror had, when the API was asked, and what was found and not yet counted.
//!
//! The ids, the source and the sink of a run note what they know, on threads of their own. The sink may be called twice for an id, so
//! a finding counts only when the run says that the id is settled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{difference::Difference, held::Version};

/// The checks that are under way. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenChecks(Arc<Mutex<HashMap<i64, Check>>>);

#[derive(Clone, Debug, Default)]
struct Check {
    begin: CheckBegin,
    finding: Option<Finding>,
}

/// What is known of an id before its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CheckBegin {
    /// What the mirror held before the id was asked for.
    pub(super) version: Version,
    /// When the last request for it began, in Unix seconds.
    pub(super) asked_at: Option<i64>,
}

/// What was found out about an id.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// `None` if the mirror says what the API says.
    pub(super) difference: Option<Difference>,
    /// When the answer was received. All times are Unix seconds.
    pub(super) answered_at: i64,
    /// The item's `time`.
    pub(super) made_at: Option<i64>,
    /// When the answer was received that the mirror holds.
    pub(super) copied_at: Option<i64>,
}

impl OpenChecks {
    pub(super) fn begin(&self, id: i64, version: Version) {
        let begin = CheckBegin {
            version,
            asked_at: None,
        };
        let check = Check {
            begin,
            finding: None,
        };
        self.lock().insert(id, check);
    }

    pub(super) fn note_request(&self, id: i64, now: i64) {
        self.lock().entry(id).or_default().begin.asked_at = Some(now);
    }

    pub(super) fn begin_of(&self, id: i64) -> CheckBegin {
        self.lock()
            .get(&id)
            .map(|check| check.begin)
            .unwrap_or_default()
    }

    pub(super) fn note_finding(&self, id: i64, finding: Finding) {
        self.lock().entry(id).or_default().finding = Some(finding);
    }

    /// Ends the check of an id. Returns what was found.
    pub(crate) fn end(&self, id: i64) -> Option<Finding> {
        self.lock().remove(&id)?.finding
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What a verification found. Pure data.

use diesel::Queryable;
use serde::Serialize;

use crate::hn::coverage::Range;

/// Findings of each kind that are listed. All are counted.
const LISTED: usize = 100;

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// How much was checked.
    pub checked: Checked,
    /// What must not be. At most one of each kind.
    pub faults: Vec<Fault>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<Note>,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Checked {
    /// Rows in the table `items`.
    pub items: u64,
    /// Rows in the table `absent`.
    pub absent: u64,
    /// Rows in the table `failures`.
    pub failures: u64,
    /// Rows in the table `coverage`.
    pub ranges: u64,
    /// Ids in these ranges.
    pub covered: u64,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Ids that are covered, but in no table.
    Missing {
        /// The ids, as ranges.
        ids: Listed<Range>,
    },
    /// Ranges that end before they begin, or that overlap or touch an earlier one.
    Ranges {
        /// The ranges.
        ranges: Listed<BadRange>,
    },
    /// Fields that are not the JSON that their column holds.
    Json {
        /// The fields.
        fields: Listed<BadField>,
    },
    /// The search index is damaged, or does not hold what it should.
    SearchIndex {
        /// Items that it lacks, or holds although they are gone, dead or deleted.
        ids: Listed<i64>,
        /// What SQLite says of it.
        messages: Vec<String>,
    },
    /// SQLite's own check found damage.
    Integrity {
        /// What SQLite says.
        messages: Vec<String>,
    },
    /// The file is damaged and could not be read to its end, so not everything was checked.
    Unreadable {
        /// What SQLite says.
        message: String,
    },
}

/// What is worth knowing and not wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// Stored or failed, but not covered. The next backfill fetches these ids again.
    Unclaimed {
        /// The ids, as ranges.
        ids: Listed<Range>,
    },
    /// Stored, and a later fetch failed.
    StoredAndFailed {
        /// The ids.
        ids: Listed<i64>,
    },
    /// Stored, and later the API said that there is no such item.
    StoredAndAbsent {
        /// The ids.
        ids: Listed<i64>,
    },
    /// Comments that name another parent than the item that lists them. Moderators move comments, and one of the two items was
    /// fetched before the move.
    OtherParent {
        /// The comments.
        kids: Listed<MovedKid>,
    },
}

/// A range that is empty, or that overlaps or touches an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BadRange {
    /// The range as it is stored.
    #[serde(flatten)]
    pub range: Range,
    /// The earlier range that it overlaps or touches.
    pub meets: Option<Range>,
}

/// A field that is not the JSON that its column holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BadField {
    /// The item's number.
    pub id: i64,
    /// `kids`, `parts` or `extra`.
    pub column: &'static str,
    /// What is wrong with the field.
    pub error: String,
}

/// A comment whose parent is not the item that lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable, Serialize)]
#[non_exhaustive]
pub struct MovedKid {
    /// The comment's number.
    pub id: i64,
    /// The item that has it among its kids.
    pub listed_by: i64,
    /// The parent that the comment names.
    pub parent: i64,
}

/// The first hundred findings of a kind, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listed<T> {
    /// How many there are. For ranges of ids, the number of ids.
    pub count: u64,
    /// The first of them.
    pub listed: Vec<T>,
    /// Whether there are more than the listed ones.
    pub cut: bool,
}

impl<T> Listed<T> {
    pub(super) fn add(&mut self, one: T) {
        self.add_counting(one, 1);
    }

    pub(super) fn add_counting(&mut self, one: T, count: u64) {
        self.count = self.count.saturating_add(count);
        self.cut = self.listed.len() == LISTED;
        if !self.cut {
            self.listed.push(one);
        }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            count: 0,
            listed: Vec::new(),
            cut: false,
        }
    }
}

impl<T> Extend<T> for Listed<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| self.add(one));
    }
}

impl<T> FromIterator<T> for Listed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut listed = Self::default();
        listed.extend(all);
        listed
    }
}

impl Verified {
    /// Whether [`repair`](super::repair()) has something to do, and leaves no fault but that of a search index, which is dropped and
    /// built again.
    pub fn is_repairable(&self) -> bool {
        let unclaimed = |note: &Note| matches!(note, Note::Unclaimed { .. });
        let work = !self.faults.is_empty() || self.notes.iter().any(unclaimed);
        work && !self.faults.iter().any(Fault::is_damage)
    }
}

impl Fault {
    /// Whether the file itself is damaged, which [`repair`](super::repair()) cannot mend.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Integrity { .. } | Self::Unreadable { .. })
    }
}

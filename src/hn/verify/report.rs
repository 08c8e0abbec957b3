//! What a verification says. Pure data.

use diesel::Queryable;
use serde::Serialize;

use crate::hn::coverage::Range;

/// So many of each sort of finding are listed; all are counted.
const LISTED: usize = 100;

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verified {
    /// How much there was to check.
    pub checked: Checked,
    /// What must not be, one of each sort at most.
    pub faults: Vec<Fault>,
    /// What may well be, and is worth knowing.
    pub notes: Vec<Note>,
}

/// How much there was to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Rows in the table `items`.
    pub items: u64,
    /// Rows in the table `absent`.
    pub absent: u64,
    /// Rows in the table `failures`.
    pub failures: u64,
    /// Rows in the table `coverage`.
    pub ranges: u64,
    /// Ids in them.
    pub covered: u64,
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Ids that are covered, and in no table.
    Missing {
        /// The ids, as ranges.
        ids: Listed<Range>,
    },
    /// Ranges that end before they begin, or overlap or touch another.
    Ranges {
        /// Which.
        ranges: Listed<BadRange>,
    },
    /// Fields that are not the JSON that their column holds.
    Json {
        /// Which.
        fields: Listed<BadField>,
    },
    /// What SQLite's own check of the file says.
    Integrity {
        /// In its words.
        messages: Vec<String>,
    },
    /// A damaged file could not be read to its end, so not everything was checked.
    Unreadable {
        /// What SQLite says.
        message: String,
    },
}

/// What may well be, and is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Stored or failed, and not covered: the next backfill asks for them again.
    Unclaimed {
        /// The ids, as ranges.
        ids: Listed<Range>,
    },
    /// Stored, and a later fetch failed.
    StoredAndFailed {
        /// Which.
        ids: Listed<i64>,
    },
    /// Stored, and later the API said that there is no such item.
    StoredAndAbsent {
        /// Which.
        ids: Listed<i64>,
    },
    /// Moderators move comments; one side was fetched before, the other after.
    OtherParent {
        /// Which.
        kids: Listed<MovedKid>,
    },
}

/// A range of the table `coverage` that lies wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BadRange {
    /// As it stands.
    #[serde(flatten)]
    pub range: Range,
    /// The one before that it overlaps or touches.
    pub meets: Option<Range>,
}

/// A field that is not the JSON that its column holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadField {
    /// The item.
    pub id: i64,
    /// `kids`, `parts` or `extra`.
    pub column: &'static str,
    /// What is wrong with it.
    pub error: String,
}

/// A comment whose parent is not the item that lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Queryable, Serialize)]
pub struct MovedKid {
    /// The comment.
    pub id: i64,
    /// The item that has it among its kids.
    pub listed_by: i64,
    /// What it names as its parent.
    pub parent: i64,
}

/// The first hundred of something, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// How many there are; of ranges, how many ids.
    pub count: u64,
    /// The first of them.
    pub listed: Vec<T>,
    /// Whether there are more than are listed.
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

impl<T> FromIterator<T> for Listed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut listed = Self::default();
        all.into_iter().for_each(|one| listed.add(one));
        listed
    }
}

impl Verified {
    /// Whether [`repair`](super::repair) has something to do, and leaves no fault.
    pub fn is_repairable(&self) -> bool {
        let unclaimed = |note: &Note| matches!(note, Note::Unclaimed { .. });
        let work = !self.faults.is_empty() || self.notes.iter().any(unclaimed);
        work && !self.faults.iter().any(Fault::is_damage)
    }
}

impl Fault {
    /// Whether the file itself is damaged, which [`repair`](super::repair) does not mend.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Integrity { .. } | Self::Unreadable { .. })
    }
}

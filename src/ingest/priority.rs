//! The priority of a run.

/// The priority of a run: which of the runs that are under way gets what they share first.
///
/// See [runs side by side](crate::guide::streams#runs-side-by-side) in the guide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Priority {
    /// For work that can wait, such as a backfill.
    Low,
    /// The default.
    #[default]
    Normal,
    /// For work that should not wait for any other, such as ids that come live.
    High,
}

impl Priority {
    /// All priorities, the lowest first.
    pub(crate) const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// The place of this priority in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

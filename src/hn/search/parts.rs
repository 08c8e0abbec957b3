//! What a search index is made of. Pure data.

use std::fmt;

/// What a search reads must be there. Without the others the index is slow, or no longer follows changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Table,
    Trigger,
    #[cfg(feature = "postgres")]
    Index,
    #[cfg(feature = "postgres")]
    Function,
}

impl PartKind {
    /// As the queries for what is there name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Trigger => "trigger",
            #[cfg(feature = "postgres")]
            Self::Index => "index",
            #[cfg(feature = "postgres")]
            Self::Function => "function",
        }
    }
}

/// A part of the search index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexPart {
    pub(super) kind: PartKind,
    pub(super) name: String,
}

impl IndexPart {
    /// Whether no search goes without it.
    pub(crate) fn is_read(&self) -> bool {
        match self.kind {
            PartKind::Table => true,
            PartKind::Trigger => false,
            #[cfg(feature = "postgres")]
            PartKind::Index => false,
            #[cfg(feature = "postgres")]
            PartKind::Function => true,
        }
    }
}

/// Says that the part is not there.
impl fmt::Display for IndexPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} {} is missing", self.kind.name(), self.name)
    }
}

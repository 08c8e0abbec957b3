//! Which ids are to be read again, and when: by the ladder of ages, on lists, after a gap in the streams, and where a hole is.
//!
//! Everything is computed from the tables, so a restart loses nothing. All times are Unix seconds of [`crate::hn::clock`].

mod ladder;
mod index;
mod due;
#[cfg(feature = "cli")]
mod ids;
#[cfg(feature = "cli")]
mod listed;
#[cfg(feature = "cli")]
mod first_id;
#[cfg(feature = "cli")]
mod young;
#[cfg(feature = "cli")]
mod holes;

pub use self::ladder::{BadLadder, Ladder};
#[cfg(feature = "cli")]
pub(crate) use self::{
    due::due,
    holes::holes,
    index::{build_index, has_index},
    listed::due_on_lists,
    young::young,
};
pub(crate) use self::{
    due::{MOST_COUNTED, count_due, longest_overdue},
    index::indexed_ladder,
};

#[cfg(all(test, feature = "cli"))]
mod tests;

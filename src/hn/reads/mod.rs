//! Reads single records, lists, and what changed: what a server over a mirror asks. Each is one query by a key, or bounded.

mod items;
mod users;
mod lists;
mod newest;
mod version;

pub use self::{
    items::{StoredItem, absent_at, item, items},
    lists::{StoredList, list},
    newest::{Updates, largest_id, updates},
    users::{StoredUser, authors, user},
    version::data_version,
};

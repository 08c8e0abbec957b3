//! Reads single records, lists, and what changed: what a server over a mirror asks. Each is a few queries by keys, or
//! bounded.

mod items;
mod users;
mod lists;
mod newest;
mod version;

// What pages show:

mod kids;
mod indexed;
mod thread;
mod walk;
mod history;

pub use self::{
    history::{Version, changed_items, versions},
    items::{StoredItem, absent_at, item, items},
    kids::ids_of,
    lists::{StoredList, list},
    newest::{Updates, largest_id, updates},
    thread::{Thread, ThreadNode, ThreadRow, thread},
    users::{StoredUser, authors, user},
    version::data_version,
    walk::{Found, ItemRow, Place, newest, of_author},
};

//! What the tests of the binary share: the binary itself, an API to run it against, and its database.

mod binary;
mod finished;
mod api;
mod database;
mod served;

pub(crate) use self::{
    api::{Api, id_of, item_path, story},
    binary::{Call, Running, Sandbox, wait_until, words},
    database::foreign_database,
    finished::{Finished, counts},
    served::{address_of, ask, get},
};

//! A mirror that follows Hacker News live.

pub(crate) mod health;

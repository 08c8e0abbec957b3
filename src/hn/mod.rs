//! All that says "Hacker News".

pub mod item;

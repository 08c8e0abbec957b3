//! Failures: what is tried again and when, what an outage is, and what the database may do to a run.
//!
#![doc = include_str!("../../docs/failures.md")]

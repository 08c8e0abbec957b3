//! The server over a mirror, through real sockets. What it promises of the API of Hacker News, the mock API promises too.
#![allow(clippy::unwrap_used)]

mod http;
mod fixture;

mod contract;
mod every_field;
mod parameters;
mod streams;
mod refused;
mod bounds;
mod lifetime;
mod pages;

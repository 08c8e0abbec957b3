//! The server over a mirror, through real sockets.
#![allow(clippy::unwrap_used)]

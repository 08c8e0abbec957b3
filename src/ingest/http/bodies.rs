//! Memory for the bodies that wait to be stored.
//!
//! They are freed on the thread that writes, and an allocator makes the two threads wait for each other then. So small bodies
//! share a block: one in a hundred is what frees it.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

const BLOCK: usize = 64 * 1024;

/// Larger bodies have memory of their own.
const SMALL: usize = BLOCK / 16;

#[derive(Default)]
pub(crate) struct Bodies(RefCell<BytesMut>);

impl Bodies {
    /// The body, in memory that is no larger than it needs.
    pub(crate) fn pack(&self, body: BytesMut) -> Bytes {
        if body.len() > SMALL {
            return body.freeze();
        }
        let mut block = self.0.borrow_mut();
        if block.capacity() < body.len() {
            *block = BytesMut::with_capacity(BLOCK);
        }
        block.extend_from_slice(&body);
        block.split().freeze()
    }
}

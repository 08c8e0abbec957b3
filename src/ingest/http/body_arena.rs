//! Memory for the bodies that wait to be committed. Small bodies share blocks of memory.
//!
//! The arbiter allocates bodies, and the thread that writes them frees them. With an allocation for each body, these two threads
//! would often wait for each other in the allocator. A shared block is freed only once, with the last of its bodies.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// The size of a shared block.
const BLOCK: usize = 64 * 1024;

/// Larger bodies keep their own memory.
const SMALL: usize = BLOCK / 16;

/// Holds the block that small bodies are now copied into.
#[derive(Default)]
pub(super) struct BodyArena(RefCell<BytesMut>);

impl BodyArena {
    /// Copies a small body into a shared block. Shrinks the memory of a large one to its length, because the backlog counts only
    /// that.
    pub(super) fn store(&self, body: Vec<u8>) -> Bytes {
        if body.len() > SMALL {
            return Bytes::from(body.into_boxed_slice());
        }
        let mut block = self.0.borrow_mut();
        if block.capacity() < body.len() {
            *block = BytesMut::with_capacity(BLOCK);
        }
        block.extend_from_slice(&body);
        block.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_body_has_the_same_bytes_whatever_its_size() {
        let arena = BodyArena::default();
        for size in [0, 1, SMALL, SMALL + 1, BLOCK, 3 * BLOCK] {
            let body: Vec<u8> = (0..size).map(|byte| byte as u8).collect();
            assert_eq!(arena.store(body.clone()), body);
        }
    }

    #[test]
    fn small_bodies_lie_side_by_side_in_one_block() {
        let arena = BodyArena::default();
        let [first, second] = [arena.store(vec![1; 100]), arena.store(vec![2; 100])];
        assert_eq!(first.as_ptr().wrapping_add(100), second.as_ptr());
    }
}

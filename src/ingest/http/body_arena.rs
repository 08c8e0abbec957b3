//! Memory for the bodies that wait to be stored.
//!
//! The thread that writes frees them. If each body had memory of its own, the allocator would make that thread and the arbiter wait
//! for each other. So small bodies share a block, which is freed with the last of them.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

const BLOCK: usize = 64 * 1024;

/// Larger bodies have memory of their own.
const SMALL: usize = BLOCK / 16;

#[derive(Default)]
pub(super) struct BodyArena(RefCell<BytesMut>);

impl BodyArena {
    /// Copies a small body into a shared block. Keeps a large one, in memory that is not larger than the body: the bound on the
    /// backlog counts the bytes of bodies.
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
    fn a_body_comes_out_as_it_went_in_whatever_its_size() {
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

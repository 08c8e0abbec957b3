//! What changed between two versions of a text, word by word.

use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// Long texts are compared coarsely after this time.
const TIME: Duration = Duration::from_millis(50);

/// A part of a text that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Same(String),
    Old(String),
    New(String),
}

/// The parts of both texts, in order.
pub(super) fn pieces(old: &str, new: &str) -> Vec<Piece> {
    let (old, new) = (words(old), words(new));
    let deadline = Some(Instant::now() + TIME);
    let mut pieces = Vec::new();
    for op in capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline) {
        let (old, new) = (old[op.old_range()].concat(), new[op.new_range()].concat());
        match op {
            DiffOp::Equal { .. } => pieces.push(Piece::Same(old)),
            DiffOp::Delete { .. } => pieces.push(Piece::Old(old)),
            DiffOp::Insert { .. } => pieces.push(Piece::New(new)),
            DiffOp::Replace { .. } => pieces.extend([Piece::Old(old), Piece::New(new)]),
        }
    }
    pieces
}

/// Words and the whitespace between them.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    let mut from = 0;
    let mut was_space = None;
    for (at, c) in text.char_indices() {
        let is_space = c.is_whitespace();
        if was_space.is_some_and(|was| was != is_space) {
            words.push(&text[from..at]);
            from = at;
        }
        was_space = Some(is_space);
    }
    if from < text.len() {
        words.push(&text[from..]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Piece::*, *};

    #[test]
    fn words_that_differ_are_told_from_those_that_stay() {
        let all = pieces("Show HN: a fast tool", "Show HN: a very fast tool (2025)");
        let expected = [
            Same("Show HN: a ".to_owned()),
            New("very ".to_owned()),
            Same("fast tool".to_owned()),
            New(" (2025)".to_owned()),
        ];
        assert_eq!(all, expected);
        assert_eq!(pieces("", "é ü"), [New("é ü".to_owned())]);
        assert_eq!(pieces("", ""), []);
    }
}

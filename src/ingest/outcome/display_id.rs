//! Showing an id whose `Display` may panic.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Shows an id in a log or a message.
///
/// `Display` of an id is an embedder's code. A panic in it must not end an actor.
pub(crate) struct DisplayId<'a, I: ?Sized>(pub(crate) &'a I);

impl<I: fmt::Display + ?Sized> fmt::Display for DisplayId<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The whole text is made first, so that nothing of an id that panics half-way is shown.
        match catch_unwind(AssertUnwindSafe(|| self.0.to_string())) {
            Ok(text) => f.write_str(&text),
            Err(_) => f.write_str("<id whose Display panicked>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;

    impl fmt::Display for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half an id")?;
            panic!("no text for this id")
        }
    }

    #[test]
    fn an_id_is_shown_as_it_shows_itself() {
        assert_eq!(DisplayId(&8863).to_string(), "8863");
        assert_eq!(DisplayId("pg").to_string(), "pg");
    }

    #[test]
    fn an_id_whose_display_panics_is_replaced_by_a_fixed_text() {
        assert_eq!(
            DisplayId(&Panics).to_string(),
            "<id whose Display panicked>"
        );
    }
}

//! Catches panics of an embedder's code, and turns them into text.

use std::{
    any::Any,
    fmt::{self, Display, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures_util::FutureExt;

/// Runs an embedder's code. The error is the message of its panic.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_message(&*panic))
}

/// Like [`catch`], for a future.
pub(crate) fn catch_async<T>(
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, String>> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    caught.map(|result| result.map_err(|panic| panic_message(&*panic)))
}

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Displays an id for logs. The embedder's `Display` may panic; this catches the panic, which would otherwise kill an actor.
pub(crate) struct DisplayId<'a, I>(pub(crate) &'a I);

impl<I: Display> Display for DisplayId<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match catch(|| write!(text, "{}", self.0)) {
            Ok(Ok(())) => f.write_str(&text),
            _ => f.write_str("<id whose Display panicked>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Odd;

    impl Display for Odd {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no name")
        }
    }

    #[test]
    fn an_id_whose_display_panics_is_still_displayed() {
        assert_eq!(DisplayId(&Odd).to_string(), "<id whose Display panicked>");
        assert_eq!(DisplayId(&7).to_string(), "7");
    }
}

//! The line of a terminal that shows progress. It is drawn over again and again, and it is erased before anything else is
//! printed.
//!
//! After drawing, the cursor goes back to the line's beginning. So a terminal that becomes narrower and breaks the line in two
//! keeps the cursor where it began, and erasing from there to the end of the screen leaves nothing of either part.

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Erases from the cursor's line to the end of the screen (ECMA-48, ED).
const ERASE: &str = "\r\x1b[J";

/// Whether a line is on the screen.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// Whether stderr is a terminal that can draw over a line. A dumb terminal cannot, and no `TERM` means that nothing is known of
/// it.
pub(super) fn can_draw() -> bool {
    let term = env::var_os("TERM").unwrap_or_default();
    io::stderr().is_terminal() && !term.is_empty() && term != "dumb"
}

/// Draws a line in place of the one before. It must be narrower than the terminal.
pub(super) fn draw(line: &str) {
    IS_DRAWN.store(true, Ordering::Relaxed);
    // In one piece, so that the screen never shows half of it.
    write(&format!("{ERASE}{line}\r"));
}

/// Erases the line if there is one. To be called before anything else is printed.
pub(super) fn erase() {
    if IS_DRAWN.swap(false, Ordering::Relaxed) {
        write(ERASE);
    }
}

fn write(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

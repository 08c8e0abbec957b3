//! The clock of a test, which runs faster than the machine's: a variable sets it for this process.

use std::env;

use super::exit::CommandError;
use crate::hn::clock;

/// Its value is what a live `mock-api` with the same clock prints. It is no setting: only tests need it.
pub(super) const VARIABLE: &str = "INGEST_TEST_CLOCK";

/// Sets the clock if the variable is set.
pub(super) fn set() -> Result<(), CommandError> {
    let Some(value) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    let clock = parsed.ok_or_else(|| {
        CommandError(format!(
            "{VARIABLE} is `{}`; allowed: what mock-api --live prints, START/BEGAN*SPEED",
            value.display()
        ))
    })?;
    clock::set(clock);
    Ok(())
}

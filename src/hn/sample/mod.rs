//! A sample of the settled ids, read again from the API and compared with what the mirror holds: how fresh the mirror is.
//!
//! A sample is a run of the engine. [`SampleIds`] gives its ids, [`SampleSource`] notes when each is asked for, [`SampleSink`] compares
//! the answers with the rows, and [`Tally`] counts what was found.

mod population;
mod shuffle;
mod ids;
mod open_checks;
mod source;
mod sink;
mod held;
mod difference;
mod changes;
mod json_values;
mod tally;
pub(crate) mod bound;

pub(crate) use self::{
    changes::count_changes,
    ids::SampleIds,
    open_checks::OpenChecks,
    population::{Population, last_item},
    sink::SampleSink,
    source::SampleSource,
    tally::{Age, AgeCount, Example, Tally},
};

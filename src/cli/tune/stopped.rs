//! Why a sweep ends early.

use std::fmt;

use super::{bench::failed, curve};
use crate::ingest::Progress;

/// An API of which more than this part of the attempts fails is not pressed further.
const FAILING: u64 = 20;

/// Why a sweep ended before its last step.
#[derive(Clone, Debug)]
pub(super) enum Stopped {
    /// Answers that said 429.
    PushedBack {
        workers: usize,
        answers: u64,
    },
    Failing {
        workers: usize,
        failed: u64,
        attempts: u64,
    },
    Silent {
        workers: usize,
    },
    Flat,
    Interrupted(u8),
    Broken(String),
}

impl Stopped {
    /// Whether the step that it ended is one to go no further than, and no result.
    pub(super) fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::PushedBack { .. } | Self::Failing { .. } | Self::Silent { .. }
        )
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PushedBack { workers, answers } => write!(
                f,
                "the API pushed back at {}: {answers} answered 429, too many requests",
                curve::workers(*workers)
            ),
            Self::Failing {
                workers,
                failed,
                attempts,
            } => write!(
                f,
                "{failed} of {attempts} attempts failed at {}",
                curve::workers(*workers)
            ),
            Self::Silent { workers } => {
                write!(
                    f,
                    "nothing was stored in the time of a step at {}",
                    curve::workers(*workers)
                )
            }
            Self::Flat => f.write_str("two more steps brought nothing"),
            Self::Interrupted(_) => f.write_str("interrupted"),
            Self::Broken(why) => f.write_str(why),
        }
    }
}

/// Whether an API that shows so much of itself is to be pressed no further.
pub(super) fn trouble(workers: usize, progress: &Progress) -> Option<Stopped> {
    let (failed, attempts) = (failed(progress), progress.attempts);
    let answers = progress.pushed_back;
    if answers > 0 {
        return Some(Stopped::PushedBack { workers, answers });
    }
    // A single mishap among a first step's few attempts is no sign yet.
    (failed > 1 && failed * FAILING > attempts).then_some(Stopped::Failing {
        workers,
        failed,
        attempts,
    })
}

//! Why a sweep ends before its last step.

use std::fmt;

use super::{step::failed_attempts, wording};
use crate::ingest::Progress;

/// A sweep stops if more than one in this many attempts fails.
const FAILURE_FRACTION: u64 = 20;

#[derive(Clone, Debug)]
pub(super) enum StopReason {
    /// The API answered 429.
    TooManyRequests { workers: usize, answers: u64 },
    /// Too many attempts failed.
    Failing {
        workers: usize,
        failed: u64,
        attempts: u64,
    },
    /// No id was stored in the time of a step.
    NothingStored { workers: usize },
    /// The last two steps were no faster.
    NoMoreGain,
    /// A signal came.
    Interrupted { signal: u8 },
    /// The pipeline could not go on.
    PipelineBroken(String),
}

impl StopReason {
    /// Whether the API shows that it should get no more requests.
    pub(super) fn from_progress(workers: usize, progress: &Progress) -> Option<Self> {
        let answers = progress.pushed_back;
        if answers > 0 {
            return Some(Self::TooManyRequests { workers, answers });
        }
        let failed = failed_attempts(progress);
        let attempts = progress.attempts;
        // One failure among the few attempts of a step's first moment says nothing yet.
        let is_failing = failed > 1 && failed * FAILURE_FRACTION > attempts;
        is_failing.then_some(Self::Failing {
            workers,
            failed,
            attempts,
        })
    }

    /// Whether the last step went too far. Its rate is then no result.
    pub(super) fn discards_last_step(&self) -> bool {
        matches!(
            self,
            Self::TooManyRequests { .. } | Self::Failing { .. } | Self::NothingStored { .. }
        )
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRequests { workers, answers } => {
                let workers = wording::workers(*workers);
                write!(
                    f,
                    "the API pushed back at {workers}: {answers} answered 429, too many requests"
                )
            }
            Self::Failing {
                workers,
                failed,
                attempts,
            } => {
                let workers = wording::workers(*workers);
                write!(f, "{failed} of {attempts} attempts failed at {workers}")
            }
            Self::NothingStored { workers } => {
                let workers = wording::workers(*workers);
                write!(f, "nothing was stored in the time of a step at {workers}")
            }
            Self::NoMoreGain => f.write_str("two more steps brought nothing"),
            Self::Interrupted { .. } => f.write_str("interrupted"),
            Self::PipelineBroken(why) => f.write_str(why),
        }
    }
}

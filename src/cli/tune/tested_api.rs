//! The API that a sweep measures.

use std::fmt;

use super::args::TuneArgs;
use crate::{cli::options::Options, mock_api::LatencyRange};

#[derive(Clone, Debug)]
pub(super) enum TestedApi {
    /// An API of made-up items inside this program.
    Embedded {
        /// How long it waits before each answer.
        latency: LatencyRange,
    },
    /// The API of `--api-url`, which other clients use too.
    Live {
        /// Its base URL.
        url: String,
    },
}

impl TestedApi {
    pub(super) fn new(options: &Options, args: &TuneArgs) -> Self {
        if args.live {
            Self::Live {
                url: options.remote_api_url().to_owned(),
            }
        } else {
            Self::Embedded {
                latency: args.latency,
            }
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

impl fmt::Display for TestedApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { latency } => write!(f, "the embedded API, {latency} away"),
            Self::Live { url } => f.write_str(url),
        }
    }
}

//! The worker counts that a sweep tries.

use std::iter;

use crate::{
    cli::{exit::CommandError, open_file_limit, terminal::print_message},
    ingest::config::{Config, SETTINGS, WORKERS_MAX},
};

/// The curve has no room for more.
const COUNTS_MAX: usize = 40;

pub(super) enum WorkerCounts {
    /// These, in ascending order, each once.
    Listed(Vec<usize>),
    /// 1, 2, 4 and so on up to this one. The sweep ends earlier if more workers bring nothing.
    DoublingTo(usize),
}

impl WorkerCounts {
    /// Reads a list such as `8,16,32`, the value of `flag`.
    pub(super) fn parse_list(flag: &str, text: &str) -> Result<Self, String> {
        let counts = text.split(',').map(|count| {
            let count = count.trim();
            parse_count(count).map_err(|allowed| {
                if count == text {
                    format!("--{flag} is `{text}`; allowed: {allowed}")
                } else {
                    format!("--{flag} is `{text}`; `{count}` is not a worker count; allowed: {allowed}, as in 8,16,32")
                }
            })
        });
        let mut counts = counts.collect::<Result<Vec<_>, _>>()?;
        counts.sort_unstable();
        counts.dedup();
        if counts.len() > COUNTS_MAX {
            let number = counts.len();
            return Err(format!(
                "--{flag} names {number} worker counts; allowed: at most {COUNTS_MAX}"
            ));
        }
        Ok(Self::Listed(counts))
    }

    /// Reads the largest count, the value of `flag`, if it is given.
    pub(super) fn up_to(flag: &str, text: Option<&str>) -> Result<Self, String> {
        let most = match text {
            Some(text) => parse_count(text)
                .map_err(|allowed| format!("--{flag} is `{text}`; allowed: {allowed}"))?,
            None => WORKERS_MAX,
        };
        Ok(Self::DoublingTo(most))
    }

    /// Whether the sweep ends when more workers bring nothing.
    pub(super) fn is_open_ended(&self) -> bool {
        matches!(self, Self::DoublingTo(_))
    }

    /// The counts, without those that the limit of open files does not allow.
    pub(super) fn within_open_file_limit(
        &self,
        api_is_embedded: bool,
    ) -> Result<Vec<usize>, CommandError> {
        let mut counts = self.all();
        let most = counts.last().copied().unwrap_or(1);
        let allowed = open_file_limit::raise_for(most, api_is_embedded);
        if allowed >= most {
            return Ok(counts);
        }
        let message = format!(
            "the limit of open files allows {allowed} workers, not {most}; raise it with ulimit -n"
        );
        counts.retain(|count| *count <= allowed);
        if counts.is_empty() {
            return Err(CommandError(message));
        }
        print_message(message);
        Ok(counts)
    }

    fn all(&self) -> Vec<usize> {
        match self {
            Self::Listed(counts) => counts.clone(),
            Self::DoublingTo(most) => {
                let doubling = iter::successors(Some(1), |count| Some(count * 2));
                let below = doubling.take_while(|count| count < most);
                below.chain([*most]).collect()
            }
        }
    }
}

/// Reads a count that `--workers` would take. The error is what it allows.
fn parse_count(text: &str) -> Result<usize, &'static str> {
    let mut config = Config::default();
    let workers = SETTINGS.iter().find(|setting| setting.name == "workers");
    let allowed = workers.map_or("", |setting| setting.allowed);
    workers
        .and_then(|setting| (setting.set)(&mut config, text))
        .map(|()| config.workers)
        .ok_or(allowed)
}

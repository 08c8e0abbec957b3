//! The documents of the API that are listened to.

use std::time::Duration;

use crate::hn::{List, clock::on_machine};

/// How often `maxitem` is polled where there are no streams.
const POLL_MAX_ITEM: Duration = Duration::from_secs(5);
/// `updates` names what changed in about the last minute.
const POLL_UPDATES: Duration = Duration::from_secs(15);
const POLL_LIST: Duration = Duration::from_secs(60);

/// A stream of `maxitem` or `updates` that changes nothing for this long may have failed, although it is open. So it is polled beside.
const QUIET: Duration = Duration::from_secs(60);
/// The same for a list. Some of them change seldom.
const QUIET_LIST: Duration = Duration::from_secs(900);

/// In a test whose clock runs fast, requests still take some time.
const QUIET_LEAST: Duration = Duration::from_secs(1);

/// A document that is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    MaxItem,
    Updates,
    List(List),
}

impl Feed {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let lists = List::ALL.into_iter().map(Self::List);
        [Self::MaxItem, Self::Updates].into_iter().chain(lists)
    }

    /// The name of the document.
    pub(super) fn document(self) -> &'static str {
        match self {
            Self::MaxItem => "maxitem",
            Self::Updates => "updates",
            Self::List(list) => list.document(),
        }
    }

    /// After how long without a change its stream is polled beside.
    pub(super) fn quiet_time(self) -> Duration {
        let time = on_machine(match self {
            Self::MaxItem | Self::Updates => QUIET,
            Self::List(_) => QUIET_LIST,
        });
        time.max(QUIET_LEAST)
    }

    /// How often it is polled where it has no stream.
    pub(super) fn poll_interval(self) -> Duration {
        on_machine(match self {
            Self::MaxItem => POLL_MAX_ITEM,
            Self::Updates => POLL_UPDATES,
            Self::List(_) => POLL_LIST,
        })
    }
}

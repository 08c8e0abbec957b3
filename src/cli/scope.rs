//! Which settings apply to which command. A flag of another setting is refused; a variable is not, because services set variables
//! for all commands at once.

use crate::ingest::config::Heading;

/// The settings of a command.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    /// The headings whose settings apply.
    headings: &'static [Heading],
    /// Settings under these headings that do not apply.
    except: &'static [&'static str],
    /// Further settings that apply.
    also: &'static [&'static str],
}

/// The name of the flag `--demo`, which is no setting: it has no variable.
pub(super) const DEMO: &str = "demo";

const ALL: &[Heading] = &[
    Heading::Api,
    Heading::Pipeline,
    Heading::RetriesAndRate,
    Heading::Database,
    Heading::Output,
];

impl Scope {
    /// Commands that fetch a list.
    pub(super) const LIST: Self = Self {
        also: &["limit"],
        ..Self::FETCH
    };

    /// Commands that fetch what is named.
    pub(super) const FETCH: Self = Self {
        headings: ALL,
        except: &[],
        also: &[],
    };

    /// `follow` waits for an API that is out as long as it takes.
    pub(super) const FOLLOW: Self = Self {
        except: &["outage-patience"],
        also: &["refresh"],
        ..Self::FETCH
    };

    /// `tune` uses databases of its own, fetches without end, and measures each worker count as it is.
    pub(super) const TUNE: Self = Self {
        except: &["workers", "adaptive", "database"],
        ..Self::FETCH
    };

    /// Commands that only read the database.
    pub(super) const READ: Self = Self {
        also: &["database", DEMO, "format"],
        ..Self::NOTHING
    };

    /// `serve` reads the database for others.
    pub(super) const SERVE: Self = Self {
        also: &["database", DEMO, "bind"],
        ..Self::NOTHING
    };

    /// `serve --follow` also follows the API. Metrics are at the address of the server.
    pub(super) const SERVE_AND_FOLLOW: Self = Self {
        except: &["outage-patience", "metrics"],
        also: &["bind", "refresh"],
        ..Self::FETCH
    };

    /// Commands that read the whole database, which takes long.
    pub(super) const READ_ALL: Self = Self {
        also: &["database", DEMO, "format", "progress"],
        ..Self::NOTHING
    };

    /// `search` shows a part of the database, and builds its index, which takes long.
    pub(super) const SEARCH: Self = Self {
        also: &["database", DEMO, "format", "progress", "limit"],
        ..Self::NOTHING
    };

    /// Commands with no settings at all.
    pub(super) const NOTHING: Self = Self {
        headings: &[],
        except: &[],
        also: &[],
    };

    /// Whether a setting of this name under this heading applies.
    pub(super) fn holds(&self, name: &str, heading: Heading) -> bool {
        let by_heading = self.headings.contains(&heading) && !self.except.contains(&name);
        by_heading || self.also.contains(&name)
    }

    /// Whether the command fetches from an API.
    pub(super) fn fetches(&self) -> bool {
        self.headings.contains(&Heading::Api)
    }
}

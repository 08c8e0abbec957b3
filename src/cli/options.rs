//! The settings that only the binary has. The engine's own are in [`SETTINGS`].

use std::{
    env,
    net::{Ipv4Addr, SocketAddr},
};

use super::{
    database::location::{self, Location},
    not_utf8,
};
use crate::{
    hn::{HnSource, PUBLIC_API, refresh::Ladder},
    ingest::config::{BadSetting, Config, Heading, SETTINGS, Setting, number, presentable, put},
};

/// Everything that flags and variables set.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// The settings of the engine.
    pub(super) config: Config,
    /// The database; `None` is the default file.
    pub(super) database: Option<Location>,
    /// The base URL of the API; `None` is the public one.
    pub(super) api_url: Option<String>,
    /// Whether to start an API of made-up items and ingest from it.
    pub(super) demo: bool,
    /// How much of a list is fetched, or of the results of a search shown.
    pub(super) limit: ListLimit,
    /// At which ages an item is read again.
    pub(super) refresh: Ladder,
    /// The form of the report on stdout.
    pub(super) format: ReportFormat,
    /// When progress is shown on stderr.
    pub(super) progress: ProgressMode,
    /// The address to serve metrics on; `None` serves none.
    pub(super) metrics: Option<SocketAddr>,
    /// The address that `serve` listens at.
    pub(super) bind: BindAddress,
}

/// The address that a server listens at.
#[derive(Clone, Copy, Debug)]
pub(super) struct BindAddress(pub(super) SocketAddr);

impl Default for BindAddress {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
    }
}

/// How many ids of a list are fetched, or how many results of a search are shown; 0 is all.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListLimit(usize);

impl Default for ListLimit {
    fn default() -> Self {
        Self(20)
    }
}

impl ListLimit {
    pub(super) fn most(self) -> usize {
        if self.0 > 0 { self.0 } else { usize::MAX }
    }

    pub(super) fn apply_to(self, ids: &mut Vec<i64>) {
        if self.0 > 0 {
            ids.truncate(self.0);
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReportFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ProgressMode {
    #[default]
    Auto,
    Always,
    Never,
}

/// The binary's own settings.
pub(super) const OPTIONS: &[Setting<Options>] = &[
    Setting {
        name: "database",
        variable: "DATABASE_URL",
        heading: Heading::Database,
        allowed: location::ALLOWED,
        meaning: location::MEANING,
        show: |_| location::DEFAULT.to_owned(),
        set: |options, text| put(&mut options.database, location::parse(text).map(Some)),
    },
    Setting {
        name: "api_url",
        variable: "INGEST_API_URL",
        heading: Heading::Api,
        allowed: "an http:// or https:// URL up to and including /v0: a host, perhaps a port, and a path; no user name, password, blank, query or fragment",
        meaning: "Base URL of the API, up to and including /v0",
        show: |_| PUBLIC_API.to_owned(),
        set: |options, text| {
            let is_usable = HnSource::new(text).is_ok();
            put(
                &mut options.api_url,
                is_usable.then(|| Some(text.to_owned())),
            )
        },
    },
    Setting {
        name: "limit",
        variable: "INGEST_LIMIT",
        heading: Heading::Command,
        allowed: "0 (all) or a whole number",
        meaning: "How many ids of a list to fetch, from its start, or results of a search to show; 0 is all",
        show: |options| options.limit.0.to_string(),
        set: |options, text| {
            let limit = number(text, &(0..=usize::MAX));
            put(&mut options.limit, limit.map(ListLimit))
        },
    },
    Setting {
        name: "refresh",
        variable: "INGEST_REFRESH",
        heading: Heading::Command,
        allowed: "growing ages with a unit, such as 5m,1h,1d",
        meaning: "The ages at which an item is read again",
        show: |options| options.refresh.to_string(),
        set: |options, text| put(&mut options.refresh, text.parse().ok()),
    },
    Setting {
        name: "format",
        variable: "INGEST_FORMAT",
        heading: Heading::Output,
        allowed: "text or json",
        meaning: "Form of the report on stdout: text or json",
        show: |_| "text".to_owned(),
        set: |options, text| {
            let format = match text {
                "text" => Some(ReportFormat::Text),
                "json" => Some(ReportFormat::Json),
                _ => None,
            };
            put(&mut options.format, format)
        },
    },
    Setting {
        name: "progress",
        variable: "INGEST_PROGRESS",
        heading: Heading::Output,
        allowed: "auto, always or never",
        meaning: "Progress on stderr: auto (a bar on a terminal, elsewhere a line per minute), always or never",
        show: |_| "auto".to_owned(),
        set: |options, text| {
            let mode = match text {
                "auto" => Some(ProgressMode::Auto),
                "always" => Some(ProgressMode::Always),
                "never" => Some(ProgressMode::Never),
                _ => None,
            };
            put(&mut options.progress, mode)
        },
    },
    Setting {
        name: "metrics",
        variable: "INGEST_METRICS",
        heading: Heading::Output,
        allowed: "off, or an address and a port such as 127.0.0.1:9090",
        meaning: "Address to serve metrics on, as Prometheus text at http://ADDRESS/metrics, and health at /health",
        show: |_| "off".to_owned(),
        set: |options, text| {
            let address = match text {
                "off" => Some(None),
                _ => text.parse().ok().map(Some),
            };
            put(&mut options.metrics, address)
        },
    },
    Setting {
        name: "bind",
        variable: "INGEST_BIND",
        heading: Heading::Command,
        allowed: "an address and a port such as 127.0.0.1:8080; port 0 takes a free one",
        meaning: "Address to serve at; port 0 takes a free one",
        show: |options| options.bind.0.to_string(),
        set: |options, text| put(&mut options.bind, text.parse().ok().map(BindAddress)),
    },
];

impl Options {
    /// Takes each setting from its flag, else from its variable, else from its default.
    pub(super) fn read(flag: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let mut options = Self::default();
        for setting in OPTIONS {
            read_setting(setting, &mut options, &flag)?;
        }
        options.config = Config::read(|setting, config| read_setting(setting, config, &flag))?;
        Ok(options)
    }

    /// The database to use.
    pub(super) fn database(&self) -> Location {
        match &self.database {
            Some(location) => location.clone(),
            None if self.demo => Location::File(location::DEMO_DEFAULT.into()),
            None => Location::File(location::DEFAULT.into()),
        }
    }

    /// The base URL of the API, unless `--demo` starts one.
    pub(super) fn remote_api_url(&self) -> &str {
        self.api_url.as_deref().unwrap_or(PUBLIC_API)
    }
}

/// Sets a setting from its flag, else from its variable. Returns whether one of them is there.
fn read_setting<T>(
    setting: &Setting<T>,
    target: &mut T,
    flag: &impl Fn(&str) -> Option<String>,
) -> Result<bool, BadSetting> {
    let name = flag_name(setting);
    match flag(&name) {
        Some(text) => setting
            .apply(target, &format!("--{name}"), &text)
            .map(|()| true),
        None => {
            require_utf8(setting.variable)?;
            setting.apply_env(target)
        }
    }
}

/// Refuses the value of a variable that is not UTF-8.
fn require_utf8(variable: &'static str) -> Result<(), BadSetting> {
    match env::var_os(variable) {
        Some(value) if value.to_str().is_none() => Err(BadSetting {
            origin: variable.to_owned(),
            value: presentable(&value.to_string_lossy()),
            allowed: not_utf8::ALLOWED,
        }),
        _ => Ok(()),
    }
}

/// The flag of a setting, without its dashes.
pub(super) fn flag_name<T>(setting: &Setting<T>) -> String {
    setting.name.replace('_', "-")
}

/// The names of all variables that settings come from.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let own = OPTIONS.iter().map(|setting| setting.variable);
    own.chain(SETTINGS.iter().map(|setting| setting.variable))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_flag_and_no_variable_is_declared_twice() {
        let own_flags = OPTIONS.iter().map(|setting| setting.name);
        let flags = own_flags.chain(SETTINGS.iter().map(|setting| setting.name));
        let names: Vec<_> = flags.chain(variables()).collect();
        let distinct: HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}

//! The settings that are the binary's own, beside those of the engine.

use std::{env, net::SocketAddr, path::PathBuf};

use log::warn;

use crate::ingest::config::{BadSetting, Config, SETTINGS, Setting, number, put};

/// Everything that flags and variables set.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) config: Config,
    pub(super) database: Option<PathBuf>,
    pub(super) api_url: Option<String>,
    pub(super) demo: bool,
    pub(super) limit: Limit,
    pub(super) format: Format,
    pub(super) progress: ProgressChoice,
    pub(super) metrics: Option<SocketAddr>,
}

/// How many ids of a list are taken; 0 is all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(pub(super) usize);

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl Limit {
    pub(super) fn cut(self, ids: &mut Vec<i64>) {
        if self.0 > 0 {
            ids.truncate(self.0);
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ProgressChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The binary's own settings.
pub(super) const OPTIONS: &[Setting<Options>] = &[
    Setting {
        flag: "database",
        variable: "DATABASE_URL",
        allowed: "a file path or a sqlite:// URL; no other scheme, no :memory:",
        meaning: "SQLite file [hn-demo.db with --demo]",
        show: |_| "hn.db".to_owned(),
        set: |options, text| put(&mut options.database, database_path(text).map(Some)),
    },
    Setting {
        flag: "api-url",
        variable: "INGEST_API_URL",
        allowed: "an http:// or https:// URL up to and including /v0",
        meaning: "Base URL of the API, up to and including /v0",
        show: |_| crate::hn::PUBLIC_API.to_owned(),
        set: |options, text| {
            let usable = crate::hn::HnSource::new(text).is_ok();
            put(&mut options.api_url, usable.then(|| Some(text.to_owned())))
        },
    },
    Setting {
        flag: "limit",
        variable: "INGEST_LIMIT",
        allowed: "0 (all) or a whole number",
        meaning: "First N ids of a list; 0 is all",
        show: |options| options.limit.0.to_string(),
        set: |options, text| {
            put(
                &mut options.limit,
                number(text, &(0..=usize::MAX)).map(Limit),
            )
        },
    },
    Setting {
        flag: "format",
        variable: "INGEST_FORMAT",
        allowed: "text or json",
        meaning: "The report on stdout: text or json",
        show: |_| "text".to_owned(),
        set: |options, text| {
            let format = match text {
                "text" => Some(Format::Text),
                "json" => Some(Format::Json),
                _ => None,
            };
            put(&mut options.format, format)
        },
    },
    Setting {
        flag: "progress",
        variable: "INGEST_PROGRESS",
        allowed: "auto, always or never",
        meaning: "Progress on stderr: auto, always or never",
        show: |_| "auto".to_owned(),
        set: |options, text| {
            let choice = match text {
                "auto" => Some(ProgressChoice::Auto),
                "always" => Some(ProgressChoice::Always),
                "never" => Some(ProgressChoice::Never),
                _ => None,
            };
            put(&mut options.progress, choice)
        },
    },
    Setting {
        flag: "metrics",
        variable: "INGEST_METRICS",
        allowed: "off, or an address and a port such as 127.0.0.1:9090",
        meaning: "Serve metrics as Prometheus text at http://ADDRESS/metrics",
        show: |_| "off".to_owned(),
        set: |options, text| {
            let address = match text {
                "off" => Some(None),
                _ => text.parse().ok().map(Some),
            };
            put(&mut options.metrics, address)
        },
    },
];

impl Options {
    /// Flag, then environment, then default.
    pub(super) fn gather(flag: impl Fn(&str) -> Option<String>) -> Result<Self, BadSetting> {
        let mut options = Self::default();
        for setting in OPTIONS {
            gather_one(setting, &mut options, &flag)?;
        }
        for setting in SETTINGS {
            gather_one(setting, &mut options.config, &flag)?;
        }
        Ok(options)
    }
}

fn gather_one<T>(
    setting: &Setting<T>,
    to: &mut T,
    flag: &impl Fn(&str) -> Option<String>,
) -> Result<(), BadSetting> {
    match flag(setting.flag) {
        Some(text) => setting.apply(to, &format!("--{}", setting.flag), &text),
        None => setting.apply_env(to),
    }
}

/// The file that a path or a `sqlite://` URL names; `None` for what is neither.
fn database_path(text: &str) -> Option<PathBuf> {
    let path = match text.split_once(':') {
        Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
        Some((scheme, _)) if is_scheme(scheme) => return None,
        _ => text,
    };
    let is_file = !path.is_empty() && !path.contains(":memory:") && !path.contains(['?', '\0']);
    is_file.then(|| PathBuf::from(path))
}

/// RFC 3986, 3.1; the empty one is that of `:memory:`. One letter is a drive.
fn is_scheme(text: &str) -> bool {
    text.len() != 1
        && !text.starts_with(|c: char| !c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// A misspelt variable would be passed over in silence.
pub(super) fn warn_of_unknown_variables() {
    let known: Vec<_> = variables().collect();
    let names = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for name in names.filter(|name| name.starts_with("INGEST_") && !known.contains(&name.as_str()))
    {
        warn!(
            "{name} is no variable of hn-ingest; did you mean {}?",
            nearest(&known, &name)
        );
    }
}

/// The name that a misspelt one was most likely meant to be.
pub(super) fn nearest<'a>(known: &[&'a str], name: &str) -> &'a str {
    let likeness = |known: &str| strsim::jaro_winkler(known, name);
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.copied().unwrap_or_default()
}

fn variables() -> impl Iterator<Item = &'static str> {
    let own = OPTIONS.iter().map(|setting| setting.variable);
    own.chain(SETTINGS.iter().map(|setting| setting.variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_a_path_or_a_sqlite_url_and_nothing_else() {
        for (text, path) in [
            ("hn.db", Some("hn.db")),
            ("/tmp/a b/hn.db", Some("/tmp/a b/hn.db")),
            ("sqlite://hn.db", Some("hn.db")),
            ("sqlite:///var/hn.db", Some("/var/hn.db")),
            ("sqlite:hn.db", Some("hn.db")),
            ("./odd:name.db", Some("./odd:name.db")),
            ("mysql://root@host/db", None),
            ("mysql:x", None),
            ("postgres://host", None),
            ("file:hn.db?mode=memory", None),
            (":memory:", None),
            ("sqlite://:memory:", None),
            ("sqlite://", None),
            ("", None),
        ] {
            assert_eq!(database_path(text), path.map(PathBuf::from), "{text}");
        }
    }

    #[test]
    fn no_flag_and_no_variable_is_declared_twice() {
        let flags = OPTIONS
            .iter()
            .map(|s| s.flag)
            .chain(SETTINGS.iter().map(|s| s.flag));
        let names: Vec<_> = flags.chain(variables()).collect();
        let distinct: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
    }
}

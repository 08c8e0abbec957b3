//! Suggestions for misspelt names.

use std::{env, ffi::OsString};

use log::warn;

use super::{options::variables, test_clock};

/// Warns of variables that look like settings and are none. Otherwise a misspelt variable would have no effect and no message.
pub(super) fn warn_of_unknown_variables() {
    let known: Vec<_> = variables().chain([test_clock::VARIABLE]).collect();
    let is_set = |(_, value): &(_, OsString)| !value.is_empty();
    for (name, _) in env::vars_os().filter(is_set) {
        let name = name.to_string_lossy();
        if name.starts_with("INGEST_") && !known.contains(&name.as_ref()) {
            warn!(
                "{name} is not a variable of hn-ingest; did you mean {}?",
                most_similar(&known, &name)
            );
        }
    }
}

/// The known name that a misspelt one most likely stands for.
pub(super) fn most_similar<'a>(known: &[&'a str], misspelt: &str) -> &'a str {
    let similarity = |name: &str| strsim::jaro_winkler(name, misspelt);
    let best = known
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    best.copied().unwrap_or_default()
}

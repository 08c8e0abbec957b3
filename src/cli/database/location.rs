//! Where the database is: the text of `--database` as a file or a server.

use std::{ffi::OsString, fmt, path::PathBuf};

use crate::ingest::config::presentable;
#[cfg(feature = "postgres")]
use crate::store::postgres::PgLocation;

/// The file if `--database` is not given.
pub(in crate::cli) const DEFAULT: &str = "hn.db";
/// The file if `--database` is not given and `--demo` is.
pub(in crate::cli) const DEMO_DEFAULT: &str = "hn-demo.db";

/// What `--database` may be.
#[cfg(feature = "postgres")]
pub(in crate::cli) const ALLOWED: &str = "a file path, a sqlite:// URL without `?` except for ?mode=rwc, or a postgres:// URL in whose user name and password signs such as @ / : are written as %40 %2F %3A; no other scheme, no :memory:";
/// What `--database` may be.
#[cfg(not(feature = "postgres"))]
pub(in crate::cli) const ALLOWED: &str = "a file path or a sqlite:// URL, without `?` except for ?mode=rwc; no other scheme, no :memory:; for postgres:// URLs, build the program with `cargo install hn-ingest --features postgres`, which needs libpq";

/// What `--database` means.
pub(in crate::cli) const MEANING: &str = if cfg!(feature = "postgres") {
    "SQLite file or postgres:// URL [hn-demo.db with --demo]"
} else {
    "SQLite file [hn-demo.db with --demo]"
};

/// A place for a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Location {
    /// A file of SQLite's.
    File(PathBuf),
    /// A database on a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Server(PgLocation),
}

impl Location {
    /// What messages call those that are on servers. `None` if all are files.
    pub(in crate::cli) fn servers(locations: &[&Self]) -> Option<String> {
        let on_server = |location: &&&Self| !matches!(location, Self::File(_));
        let names = locations.iter().filter(on_server).map(ToString::to_string);
        names.reduce(|one, other| format!("{one} or {other}"))
    }

    /// The path, or the URL with its password. Not to be shown.
    pub(in crate::cli) fn secret_text(&self) -> OsString {
        match self {
            Self::File(path) => path.clone().into_os_string(),
            #[cfg(feature = "postgres")]
            Self::Server(url) => url.secret_url().into(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Server(url) => url.fmt(f),
        }
    }
}

/// The file that a path or a `sqlite://` URL names, or the server that a `postgres://` URL names. `None` if the text is none of them,
/// or names a database in memory.
pub(in crate::cli) fn parse(text: &str) -> Option<Location> {
    #[cfg(feature = "postgres")]
    if PgLocation::is_meant_by(text) {
        return PgLocation::parse(text).ok().map(Location::Server);
    }
    parse_file(text).map(Location::File)
}

fn parse_file(text: &str) -> Option<PathBuf> {
    // A URL that is written wrong. Messages name files.
    if presentable(text).contains("***") {
        return None;
    }
    let path = match text.split_once(':') {
        // What other programs write for "make the file if it is not there", which is what we do anyway.
        Some(("sqlite", rest)) => {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            rest.strip_suffix("?mode=rwc").unwrap_or(rest)
        }
        Some((scheme, _)) if is_scheme(scheme) => return None,
        _ => text,
    };
    let is_file = !path.is_empty() && !path.contains(":memory:") && !path.contains(['?', '\0']);
    is_file.then(|| PathBuf::from(path))
}

/// Whether this could be the scheme of a URL (RFC 3986, section 3.1). One letter is a drive instead. An empty text counts,
/// because `:memory:` begins with one.
fn is_scheme(text: &str) -> bool {
    text.len() != 1
        && !text.starts_with(|c: char| !c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
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
            ("sqlite:///var/hn.db?mode=rwc", Some("/var/hn.db")),
            ("sqlite://?mode=rwc", None),
            ("sqlite:///var/hn.db?mode=ro", None),
            ("sqlite:///var/hn.db?mode=rwc&cache=shared", None),
            ("hn.db?mode=rwc", None),
            ("mysql://root@host/db", None),
            ("mysql:x", None),
            ("postgres://host", None),
            ("file:hn.db?mode=memory", None),
            (":memory:", None),
            ("sqlite://:memory:", None),
            ("sqlite://", None),
            ("", None),
            (" postgres://u:s3cret@h/d", None),
            ("'postgres://u:s3cret@h/d'", None),
            ("postgres//u:s3cret@h/d", None),
            ("sqlite://u:s3cret@h/d", None),
            ("host=h password=s3cret", None),
        ] {
            assert_eq!(parse_file(text), path.map(PathBuf::from), "{text}");
        }
    }
}

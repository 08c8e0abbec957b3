//! Where a PostgreSQL database is: a URL as libpq takes it. Its password never gets into a text that is shown.

use std::fmt;

use thiserror::Error;

use crate::store::StoreError;

/// What is added to a URL unless it says otherwise. A server that is gone is noticed within half a minute.
const DEFAULTS: [(&str, &str); 6] = [
    ("connect_timeout", "10"),
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
    ("fallback_application_name", "hn-ingest"),
];

/// The parameters that say which database it is. No other parameter is shown, except one that names a schema.
const SHOWN: [&str; 5] = ["host", "hostaddr", "port", "dbname", "user"];

/// The URL of a PostgreSQL database. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct PgLocation {
    /// With the password.
    url: String,
    /// Without it.
    shown: String,
}

/// Why a text is no URL of a PostgreSQL database. Says nothing of the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadPgUrl {
    /// It begins differently.
    #[error("it does not begin with postgres:// or postgresql://")]
    Scheme,
    /// A part of it is not written as a URL takes it, most likely the password.
    #[error(
        "it is no URL; write signs such as @ / : ? # % in a user name or password as %40 %2F %3A %3F %23 %25"
    )]
    Syntax,
}

impl PgLocation {
    /// Whether a text begins like the URL of a PostgreSQL database.
    pub fn is_meant_by(text: &str) -> bool {
        after_scheme(text).is_some()
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// The text is no such URL.
    pub fn parse(text: &str) -> Result<Self, BadPgUrl> {
        let rest = after_scheme(text).ok_or(BadPgUrl::Scheme)?;
        let (before_query, query) = match rest.split_once('?') {
            Some((before, query)) => (before, query),
            None => (rest, ""),
        };
        let (authority, database) = match before_query.split_once('/') {
            Some((authority, database)) => (authority, Some(database)),
            None => (before_query, None),
        };
        let (user_and_password, hosts) = match authority.split_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        // An unescaped sign in a password makes the rest of it a host, a port or a name of a database, which messages show.
        let is_strange = |c: char| c.is_whitespace() || c.is_control() || c == '#';
        let user = user_and_password.map(|text| text.split_once(':').unwrap_or((text, "")));
        let is_url = !text.contains(is_strange)
            && !hosts.contains('@')
            && database.is_none_or(|name| !name.contains(['@', '/']))
            && user.is_none_or(|(_, password)| !password.contains(':'))
            && are_hosts(hosts)
            && is_escaped(rest)
            && (query.is_empty() || query.split('&').all(|pair| pair.contains('=')))
            && !query.contains(['@', '?']);
        if !is_url {
            return Err(BadPgUrl::Syntax);
        }
        let mut shown = "postgres://".to_owned();
        if let Some((name, _)) = user.filter(|(name, _)| !name.is_empty()) {
            shown.extend([name, "@"]);
        }
        shown.push_str(hosts);
        if let Some(name) = database {
            shown.extend(["/", name]);
        }
        let mut separator = '?';
        for pair in query
            .split('&')
            .filter(|pair| SHOWN.contains(&name_of(pair)) || names_schema(pair))
        {
            shown.push(separator);
            shown.push_str(pair);
            separator = '&';
        }
        let mut url = text.to_owned();
        let mut separator = match (text.contains('?'), query.is_empty()) {
            (false, _) => "?",
            (true, true) => "",
            (true, false) => "&",
        };
        for (name, value) in DEFAULTS {
            if !query.split('&').any(|pair| name_of(pair) == name) {
                url.extend([separator, name, "=", value]);
                separator = "&";
            }
        }
        Ok(Self { url, shown })
    }

    /// The URL with its password, for libpq alone.
    pub(crate) fn secret_url(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for PgLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PgLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgLocation({})", self.shown)
    }
}

impl From<BadPgUrl> for StoreError {
    fn from(error: BadPgUrl) -> Self {
        Self::NoConnection(format!("the URL of the database is not usable: {error}"))
    }
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    matches!(scheme, "postgres" | "postgresql").then_some(rest)
}

fn name_of(parameter: &str) -> &str {
    parameter
        .split_once('=')
        .map_or(parameter, |(name, _)| name)
}

/// Whether a parameter sets the search path of the session, and nothing else.
fn names_schema(parameter: &str) -> bool {
    let signs = [
        ("%3D", "="),
        ("%3d", "="),
        ("%2C", ","),
        ("%2c", ","),
        ("%20", ""),
    ];
    let plain = signs.iter().fold(parameter.to_owned(), |text, (from, to)| {
        text.replace(from, to)
    });
    let schemas = plain.strip_prefix("options=-csearch_path=");
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | ',');
    schemas.is_some_and(|schemas| schemas.chars().all(is_plain))
}

/// Hosts with ports, separated by commas. An IPv6 address is in brackets.
fn are_hosts(text: &str) -> bool {
    text.split(',').all(|host| {
        let after_address = match host.strip_prefix('[') {
            Some(address) => address.split_once(']').map(|(_, rest)| rest),
            None => Some(host.find(':').map_or("", |at| &host[at..])),
        };
        after_address.is_some_and(|rest| {
            let port = rest.strip_prefix(':').unwrap_or(rest);
            port.chars().all(|c| c.is_ascii_digit())
        })
    })
}

/// Whether each percent sign is followed by two hexadecimal digits.
fn is_escaped(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_shown_without_any_password() {
        for (url, shown) in [
            ("postgres://u:secret@h:5433/d", "postgres://u@h:5433/d"),
            (
                "postgresql://h/d?password=secret&sslmode=require",
                "postgres://h/d",
            ),
            (
                "postgres://u@/d?host=/run/x&sslpassword=secret&port=1",
                "postgres://u@/d?host=/run/x&port=1",
            ),
            ("postgres://:secret@[::1]:5432/d", "postgres://[::1]:5432/d"),
            ("postgres://a,b:1/d", "postgres://a,b:1/d"),
            ("postgres://", "postgres://"),
            (
                "postgres://h/d?options=-csearch_path%3Done",
                "postgres://h/d?options=-csearch_path%3Done",
            ),
            (
                "postgres://h/d?options=-csearch_path%3Done%20-cx%3Dsecret",
                "postgres://h/d",
            ),
        ] {
            let location = PgLocation::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
            assert_eq!(location.to_string(), shown);
            assert!(!format!("{location:?}").contains("secret"), "{location:?}");
            assert!(location.secret_url().starts_with(url));
        }
    }

    #[test]
    fn a_password_whose_signs_are_not_escaped_is_refused_and_not_shown() {
        for url in [
            "postgres://u:se/cret@h/d",
            "postgres://u:se@cret@h/d",
            "postgres://u:se#cret@h/d",
            "postgres://u:se?cret@h/d",
            "postgres://u:se:cret@h/d",
            "postgres://u:100%@h/d",
            "postgres://u:se cret@h/d",
            "postgres://h/d?password=se@cret",
            "postgres://h:cret/d",
        ] {
            assert_eq!(PgLocation::parse(url), Err(BadPgUrl::Syntax), "{url}");
        }
        assert_eq!(PgLocation::parse("mysql://h/d"), Err(BadPgUrl::Scheme));
    }

    #[test]
    fn a_parameter_of_the_url_is_left_as_it_is() {
        let location =
            PgLocation::parse("postgres://h/d?connect_timeout=1").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(location.secret_url().matches("connect_timeout").count(), 1);
        assert!(location.secret_url().contains("&keepalives_idle=15"));
    }
}

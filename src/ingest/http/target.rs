//! The target of a request: its URL and headers, and the target that a redirect leads to.

use bytes::Bytes;
use hyper::{
    HeaderMap, Uri,
    header::{HeaderName, HeaderValue},
    http::uri::{Authority, Scheme},
};
use rustls::pki_types::ServerName;
use url::Url;

use crate::ingest::{config::presentable, http::error::AttemptError};

/// The most redirects that one attempt follows.
pub(super) const REDIRECTS_MAX: u32 = 3;

/// A URL that can be requested, and headers of the request.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// An absolute http or https URL.
    uri: Uri,
    /// The headers that the source wants. They replace those that every request has.
    headers: HeaderMap,
}

impl Target {
    /// # Errors
    /// The URL is not an absolute http or https URL, or a header cannot be sent.
    pub(super) fn new(url: String, headers: &[(String, String)]) -> Result<Self, AttemptError> {
        let url = Bytes::from(url);
        let refuse = |why: &str| {
            let url = presentable(&String::from_utf8_lossy(&url));
            AttemptError::Request(format!("`{url}` is not a URL to fetch: {why}"))
        };
        // This makes no copy: the URI shares the memory of the text.
        let uri =
            Uri::from_maybe_shared(url.clone()).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refuse("it begins with neither http:// nor https://"));
        }
        if uri.authority().is_some_and(has_credentials) {
            return Err(refuse(
                "a user name or password in a URL is not sent; send them in a header",
            ));
        }
        // The parser takes any text as a port, and the default port would be used.
        let port = uri.authority().and_then(port_text);
        if port.is_some_and(|port| !port.parse().is_ok_and(|port: u16| port > 0)) {
            return Err(refuse("its port is not a number from 1 to 65535"));
        }
        let mut target = Self {
            uri,
            headers: HeaderMap::new(),
        };
        if target.host_name().is_empty() {
            return Err(refuse("it names no host"));
        }
        for (name, value) in headers {
            let refuse = || AttemptError::Request(format!("`{name}` cannot be sent as a header"));
            let value = HeaderValue::from_str(value).map_err(|_| refuse())?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
            target.headers.append(name, value);
        }
        Ok(target)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Scheme, host and port. Targets with the same origin may share a connection.
    pub(super) fn origin(&self) -> (Option<&Scheme>, Option<&Authority>) {
        (self.uri.scheme(), self.uri.authority())
    }

    /// The host as in the URL: an IPv6 address has brackets.
    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The host without brackets.
    pub(super) fn host_name(&self) -> &str {
        self.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.is_https() { 443 } else { 80 }
    }

    /// The `Host` header: the URL's host, and its port unless that is the scheme's default.
    pub(super) fn host_header(&self) -> Result<HeaderValue, AttemptError> {
        let (host, port) = (self.host(), self.port());
        let header = if port == self.default_port() {
            host.parse()
        } else {
            format!("{host}:{port}").parse()
        };
        header.map_err(|_| AttemptError::Request(format!("`{host}` cannot be sent as a host")))
    }

    /// The target that the `Location` of an answer with status `code` names. It has no headers if its origin is another one, because
    /// headers may hold secrets.
    ///
    /// # Errors
    /// `Location` is no http or https URL, holds a user name or password, or leads from https to http.
    pub(super) fn redirected(&self, code: u16, location: &[u8]) -> Result<Self, AttemptError> {
        let refuse = |why: &str| AttemptError::Redirect {
            code,
            why: format!(
                "the header Location leads from {} to `{}`: {why}",
                self.uri,
                presentable(&String::from_utf8_lossy(location))
            ),
        };
        let location = percent_encoded(location);
        let base = Url::parse(&self.uri.to_string()).map_err(|error| refuse(&error.to_string()))?;
        let url = base
            .join(&location)
            .map_err(|error| refuse(&error.to_string()))?;
        match url.scheme() {
            "http" if self.is_https() => return Err(refuse("it leaves https")),
            "http" | "https" => {}
            _ => return Err(refuse("it is neither http nor https")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user name or password"));
        }
        let uri = Uri::try_from(String::from(url)).map_err(|error| refuse(&error.to_string()))?;
        let mut target = Self {
            uri,
            headers: HeaderMap::new(),
        };
        if target.is_https() && ServerName::try_from(target.host_name()).is_err() {
            return Err(refuse("its host cannot be the name in a certificate"));
        }
        if target.origin() == self.origin() {
            target.headers = self.headers.clone();
        }
        Ok(target)
    }

    /// The error for one redirect too many. An answer with status `code` led to this target.
    pub(super) fn one_too_many(&self, code: u16) -> AttemptError {
        AttemptError::Redirect {
            code,
            why: format!(
                "it leads on to {} after {REDIRECTS_MAX} redirects",
                self.uri
            ),
        }
    }
}

fn has_credentials(authority: &Authority) -> bool {
    authority.as_str().contains('@')
}

/// The port as it is written. `None` if there is none; an empty one means the default (RFC 3986, 3.2.3).
fn port_text(authority: &Authority) -> Option<&str> {
    let after_host = authority.as_str().strip_prefix(authority.host())?;
    after_host.strip_prefix(':').filter(|port| !port.is_empty())
}

/// Encodes the bytes that no URL may hold. Which character set they are in does not matter.
fn percent_encoded(location: &[u8]) -> String {
    let mut encoded = String::with_capacity(location.len());
    for &byte in location {
        if byte.is_ascii() {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        let headers = [("x-key".to_owned(), "secret".to_owned())];
        Target::new(url.to_owned(), &headers).expect("a URL")
    }

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_schemes_default() {
        for (url, expected) in [
            ("http://host/v0", "host"),
            ("http://host:80/", "host"),
            ("http://host:443/", "host:443"),
            ("https://host:443/", "host"),
            ("https://host:8443/", "host:8443"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(
                target(url).host_header().expect("a header"),
                expected,
                "{url}"
            );
        }
    }

    #[test]
    fn an_error_names_the_url_or_header_that_cannot_be_sent() {
        let bad_name = [("bad name".to_owned(), "x".to_owned())];
        let bad_value = [("x-key".to_owned(), "a\nb".to_owned())];
        for (url, headers, culprit) in [
            ("", &[][..], "``"),
            ("no url at all", &[], "no url at all"),
            ("ftp://host/", &[], "neither http:// nor https://"),
            ("/relative", &[], "/relative"),
            ("http://me:s3cret@host/", &[], "`http://me:***@host/`"),
            ("http://@host/", &[], "user name or password"),
            ("http://host:0/", &[], "port"),
            ("http://host:65536/", &[], "port"),
            ("http://[::1]:65536/", &[], "port"),
            ("http://host:x/", &[], "`http://host:x/`"),
            ("http://:80/", &[], "`http://:80/`"),
            ("http:///path", &[], "`http:///path`"),
            ("http://host/", &bad_name, "`bad name`"),
            ("http://host/", &bad_value, "`x-key`"),
        ] {
            let error = Target::new(url.to_owned(), headers).expect_err(url);
            let error = error.to_string();
            assert!(
                error.contains(culprit) && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_redirect_may_be_relative_and_may_hold_raw_bytes_of_any_character_set() {
        for (from, location, to) in [
            ("http://a/b/c", &b"d"[..], "http://a/b/d"),
            ("http://a/b", b"https://c/", "https://c/"),
            ("http://a/b", b"/c d", "http://a/c%20d"),
            (
                "http://a/b",
                "/\u{e9}?\u{e9}".as_bytes(),
                "http://a/%C3%A9?%C3%A9",
            ),
            ("http://a/b", b"/\xe9", "http://a/%E9"),
            (
                "http://a/b",
                "//b\u{fc}cher/".as_bytes(),
                "http://xn--bcher-kva/",
            ),
        ] {
            let next = target(from).redirected(302, location);
            assert_eq!(next.expect("a place").uri, to, "{location:?}");
        }
    }

    #[test]
    fn a_redirect_with_credentials_is_refused_and_the_password_is_not_printed() {
        for location in ["http://me:s3cret@b/", "//me:s3cret@b/", "//s3cret@b/"] {
            let error = target("http://a/").redirected(302, location.as_bytes());
            let error = error.expect_err(location).to_string();
            assert!(error.contains("user name or password"), "{error}");
            assert!(!error.contains("me:s3cret"), "{error}");
        }
    }

    #[test]
    fn a_redirect_leads_neither_from_https_to_http_nor_to_another_scheme() {
        for (from, location) in [
            ("https://a/b", "http://a/b"),
            ("http://a/b", "file:///etc"),
            ("http://a/b", "http://[::1"),
            ("http://a/b", "http://h:99999/"),
            ("https://a/b", "https://-.test/"),
        ] {
            assert!(target(from).redirected(302, location.as_bytes()).is_err());
        }
    }

    #[test]
    fn headers_follow_a_redirect_only_within_their_origin() {
        for (location, follow) in [
            ("/other", true),
            ("http://a:80/other", true),
            ("http://a:81/other", false),
            ("https://a/", false),
            ("http://b/", false),
        ] {
            let next = target("http://a/").redirected(302, location.as_bytes());
            assert_eq!(
                next.expect("a place").headers.is_empty(),
                !follow,
                "{location}"
            );
        }
    }
}

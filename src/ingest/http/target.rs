//! The target of a request: its method, URL, headers and body, and the target that a redirect leads to.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Uri,
    header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING},
    http::uri::{Authority, Scheme},
};
use rustls::pki_types::ServerName;
use url::Url;

use crate::ingest::{config::presentable, http::error::AttemptError, request::Request};

/// The most redirects that one attempt follows.
pub(super) const REDIRECTS_MAX: u32 = 3;

/// A request that can be sent.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) method: Method,
    /// An absolute http or https URL.
    pub(super) uri: Uri,
    /// The headers that the source wants. They replace those that every request has.
    pub(super) headers: HeaderMap,
    /// Empty if there is none.
    pub(super) body: Bytes,
    /// Whether the server must not get the request twice.
    pub(super) is_once: bool,
}

impl Target {
    /// # Errors
    /// The URL is not an absolute http or https URL, or the method or a header cannot be sent.
    pub(super) fn new(request: Request) -> Result<Self, AttemptError> {
        let url = Bytes::from(request.url);
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
        let method = Method::from_bytes(request.method.as_bytes());
        let method = method.ok().filter(|method| *method != Method::CONNECT);
        let mut target = Self {
            method: method.ok_or_else(|| {
                AttemptError::Request(format!("`{}` cannot be sent as a method", request.method))
            })?,
            uri,
            headers: HeaderMap::new(),
            body: request.body,
            is_once: request.is_once,
        };
        if target.host_name().is_empty() {
            return Err(refuse("it names no host"));
        }
        for (name, value) in &request.headers {
            let refuse = || AttemptError::Request(format!("`{name}` cannot be sent as a header"));
            let value = HeaderValue::from_str(value).map_err(|_| refuse())?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
            if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
                let why = "as a header of a source: it follows from the body";
                return Err(AttemptError::Request(format!(
                    "`{name}` cannot be sent {why}"
                )));
            }
            target.headers.append(name, value);
        }
        Ok(target)
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

    /// The target that the `Location` of an answer with status `code` names.
    ///
    /// RFC 9110, 15.4: 303 leads to a GET, and so do 301 and 302 after a POST. A GET has no body. 307 and 308 keep method and
    /// body.
    ///
    /// If the origin is another one, only the headers that describe the body are kept, because other headers may hold secrets.
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
            ..self.clone()
        };
        if target.is_https() && ServerName::try_from(target.host_name()).is_err() {
            return Err(refuse("its host cannot be the name in a certificate"));
        }
        let becomes_get = match code {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            target.method = Method::GET;
            target.body = Bytes::new();
        }
        let is_same_origin = target.origin() == self.origin();
        if becomes_get || !is_same_origin {
            let names: Vec<_> = self.headers.keys().cloned().collect();
            for name in names {
                let is_about_body = name.as_str().starts_with("content-");
                let is_kept = if is_about_body {
                    !becomes_get
                } else {
                    is_same_origin
                };
                if !is_kept {
                    target.headers.remove(name);
                }
            }
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
        Target::new(Request::get(url).header("x-key", "secret")).expect("a URL")
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
    fn an_error_names_the_url_method_or_header_that_cannot_be_sent() {
        let get = Request::get;
        for (request, culprit) in [
            (get(""), "``"),
            (get("no url at all"), "no url at all"),
            (get("ftp://host/"), "neither http:// nor https://"),
            (get("/relative"), "/relative"),
            (get("http://me:s3cret@host/"), "`http://me:***@host/`"),
            (get("http://@host/"), "user name or password"),
            (get("http://host:0/"), "port"),
            (get("http://host:65536/"), "port"),
            (get("http://[::1]:65536/"), "port"),
            (get("http://host:x/"), "`http://host:x/`"),
            (get("http://:80/"), "`http://:80/`"),
            (get("http:///path"), "`http:///path`"),
            (get("http://host/").header("bad name", "x"), "`bad name`"),
            (get("http://host/").header("x-key", "a\nb"), "`x-key`"),
            (get("http://host/").header("Content-Length", "1"), "body"),
            (get("http://host/").method("BAD METHOD"), "`BAD METHOD`"),
            (get("http://host/").method("CONNECT"), "`CONNECT`"),
        ] {
            let error = Target::new(request).expect_err(culprit);
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

    #[test]
    fn a_redirect_keeps_or_drops_method_and_body_as_the_rfc_says() {
        for (method, code, expected) in [
            ("POST", 301, "GET"),
            ("POST", 302, "GET"),
            ("POST", 303, "GET"),
            ("POST", 307, "POST body"),
            ("POST", 308, "POST body"),
            ("PUT", 301, "PUT body"),
            ("PUT", 302, "PUT body"),
            ("PUT", 303, "GET"),
            ("HEAD", 303, "HEAD body"),
            ("GET", 302, "GET body"),
        ] {
            let request = Request::get("http://a/").method(method).body("body");
            let request = request.header("content-type", "text/plain");
            let from = Target::new(request).expect("a request");
            let next = from.redirected(code, b"/b").expect("a place");
            let body = String::from_utf8_lossy(&next.body);
            let sent = format!("{} {body}", next.method);
            assert_eq!(sent.trim(), expected, "{method} {code}");
            let has_type = next.headers.contains_key("content-type");
            assert_eq!(has_type, expected.contains("body"), "{method} {code}");
        }
    }

    #[test]
    fn another_origin_gets_the_headers_that_describe_the_body_and_no_others() {
        let request = Request::post("http://a/", "body").header("x-key", "secret");
        let request = request.header("content-type", "text/plain");
        let next = Target::new(request).expect("a request");
        let next = next.redirected(307, b"http://b/").expect("a place");
        let names: Vec<_> = next.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type"]);
    }
}

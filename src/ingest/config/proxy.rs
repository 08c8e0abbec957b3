//! Which proxy a request goes through.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use hyper::{Uri, header::HeaderValue};
use hyper_util::client::proxy::matcher::Matcher;
use url::{Host, Url};

use super::{
    secret::presentable,
    setting::{BadSetting, variable},
};

/// What [`HttpProxy::parse`] takes, in words.
pub(super) const ALLOWED: &str =
    "none, environment, or http://[USER:PASSWORD@]HOST:PORT; other kinds of proxy cannot be used";

/// Which HTTP proxy requests go through: none, the same one for all, or those that the environment names.
///
/// Requests to this machine (`localhost` and loopback addresses) never go through a proxy. Credentials in a proxy's URL are sent
/// to that proxy only, and are never printed, not even by `Debug`.
#[derive(Clone, Default)]
pub struct HttpProxy {
    /// For http URLs.
    http: Option<NamedProxy>,
    /// For https URLs.
    https: Option<NamedProxy>,
    /// The hosts that are requested directly, as `NO_PROXY` lists them.
    exceptions: String,
    /// Whether all of this comes from the environment.
    is_environment: bool,
}

/// The URL of a proxy, and where it comes from.
#[derive(Clone)]
struct NamedProxy {
    /// The URL as it was written, with its credentials.
    text: String,
    /// The flag or variable, for messages.
    origin: &'static str,
}

/// The proxy of a request.
#[derive(Clone, Debug)]
pub(crate) struct ProxyServer {
    /// An IPv6 address has no brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The header `Proxy-Authorization`. It is marked as sensitive, so it is not printed.
    pub(crate) authorization: Option<HeaderValue>,
    /// Where its URL comes from.
    origin: &'static str,
}

/// Where the URLs come from makes no difference.
impl PartialEq for HttpProxy {
    fn eq(&self, other: &Self) -> bool {
        let urls = |proxy: &Self| {
            [&proxy.http, &proxy.https].map(|named| named.as_ref().map(|named| named.text.clone()))
        };
        let has_same_urls = urls(self) == urls(other);
        has_same_urls && (self.is_none() || self.exceptions == other.exceptions)
    }
}

impl Eq for HttpProxy {}

impl HttpProxy {
    /// Whether no URL is requested through a proxy.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// No proxy.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The proxies that the environment names at this moment: `https_proxy` or `HTTPS_PROXY` for https, `http_proxy` (in lower
    /// case only) for http, `all_proxy` or `ALL_PROXY` for both, except for the hosts in `no_proxy` or `NO_PROXY`. The variable
    /// in lower case goes first. An empty variable counts as unset.
    ///
    /// A variable with a value that cannot be used fails the requests that need it.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(text_variable)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&origin| {
                let text = variable(origin)?;
                Some(NamedProxy { text, origin })
            })
        };
        let all = || first(&["all_proxy", "ALL_PROXY"]);
        Self {
            // In a CGI script, `HTTP_PROXY` holds the header `Proxy` of the request, which anybody can set.
            http: first(&["http_proxy"]).or_else(all),
            https: first(&["https_proxy", "HTTPS_PROXY"]).or_else(all),
            exceptions: exceptions_from(&variable),
            is_environment: true,
        }
    }

    /// The same proxy, but not for the hosts in `no_proxy` or `NO_PROXY`.
    pub(super) fn except_no_proxy_of_environment(mut self) -> Self {
        if self.http.is_some() || self.https.is_some() {
            self.exceptions = exceptions_from(&text_variable);
        }
        self
    }

    /// Reads the setting `proxy`: `none`, `environment`, or the URL of a proxy. Returns `None` if it is something else. Only
    /// `environment` reads variables: a proxy whose URL is named here is used for the hosts in `NO_PROXY`, too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => return Some(Self::none()),
            "environment" => return Some(Self::from_env()),
            _ => {}
        }
        let proxy = NamedProxy {
            text: text.to_owned(),
            origin: "the setting proxy",
        };
        proxy.url()?;
        Some(Self {
            http: Some(proxy.clone()),
            https: Some(proxy),
            ..Self::default()
        })
    }

    /// A text that [`HttpProxy::parse`] takes. It holds the credentials.
    pub(super) fn to_setting(&self) -> String {
        match &self.https {
            _ if self.is_environment => "environment".to_owned(),
            Some(proxy) => proxy.text.clone(),
            None => "none".to_owned(),
        }
    }

    /// Checks that the proxy for a URL can be used.
    ///
    /// # Errors
    /// The variable that names the proxy has a value that cannot be used.
    pub fn check_for(&self, url: &str) -> Result<(), BadSetting> {
        url.parse()
            .map_or(Ok(()), |uri| self.server_for(&uri).map(drop))
    }

    /// The proxy for a URL, as messages name it. `None` if the URL is requested directly, or its proxy cannot be used.
    #[cfg(feature = "cli")]
    pub(crate) fn name_for(&self, url: &str) -> Option<String> {
        let server = self.server_for(&url.parse().ok()?).ok()??;
        Some(server.to_string())
    }

    /// The proxy to send a request through, if it goes through one.
    pub(crate) fn server_for(&self, uri: &Uri) -> Result<Option<ProxyServer>, BadSetting> {
        let is_https = uri.scheme_str() == Some("https");
        let named = if is_https { &self.https } else { &self.http };
        let (Some(named), Some(host)) = (named, uri.host()) else {
            return Ok(None);
        };
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if is_loopback(host) || self.is_exception(host, port) {
            return Ok(None);
        }
        let server = named.server().ok_or_else(|| BadSetting {
            origin: named.origin.to_owned(),
            value: presentable(&named.text),
            allowed: "http://[USER:PASSWORD@]HOST:PORT; other kinds of proxy cannot be used, and the setting proxy can be none to ignore this variable",
        })?;
        Ok(Some(server))
    }

    /// Whether `NO_PROXY` names a host. Its rules are curl's: a domain includes its subdomains, with or without a leading dot. An
    /// entry may also begin with `*.`, and may name a port.
    fn is_exception(&self, host: &str, port: u16) -> bool {
        let entries = self
            .exceptions
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter_map(|entry| match split_port(entry) {
                (name, Some(only)) => (only == port).then_some(name),
                (name, None) => Some(name),
            });
        let names: Vec<_> = entries.map(|name| name.trim_end_matches('.')).collect();
        if names.contains(&"*") {
            return true;
        }
        let matcher = Matcher::builder()
            .all("http://proxy")
            .no(names.join(","))
            .build();
        let host = host.trim_end_matches('.');
        let uri = Uri::builder()
            .scheme("http")
            .authority(host)
            .path_and_query("/")
            .build();
        uri.is_ok_and(|uri| matcher.intercept(&uri).is_none())
    }
}

/// The value of an environment variable as text. An empty one counts as unset.
fn text_variable(name: &str) -> Option<String> {
    Some(variable(name)?.to_string_lossy().into_owned())
}

/// The hosts that `no_proxy` or `NO_PROXY` lists.
fn exceptions_from(variable: &impl Fn(&str) -> Option<String>) -> String {
    let listed = variable("no_proxy").or_else(|| variable("NO_PROXY"));
    listed.unwrap_or_default()
}

/// Splits an entry of `NO_PROXY` into its host and its port. The host has neither the brackets of IPv6 nor a wildcard before a
/// dot.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    };
    let host = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, "")) => address,
        _ => host,
    };
    let domain = host.strip_prefix('*').filter(|rest| rest.starts_with('.'));
    (domain.unwrap_or(host), port)
}

/// Whether a host is this machine: `localhost`, a name below it, or a loopback address.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address == Ipv6Addr::LOCALHOST || mapped.is_some_and(|address| address.is_loopback())
        }
        Err(_) => {
            let name = host.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

impl NamedProxy {
    /// The URL, if it is that of an HTTP proxy. Without `http://`, it must name a port; otherwise any word would be a proxy.
    fn url(&self) -> Option<Url> {
        let text = &*self.text;
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&with_scheme).ok()?;
        let has_port = url.port().is_some() || with_scheme.len() == text.len();
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
        let is_usable = url.scheme() == "http"
            && with_scheme[4..].starts_with("://")
            && url.has_host()
            && url.port() != Some(0)
            && url.fragment().is_none()
            && has_port
            && is_bare;
        is_usable.then_some(url)
    }

    fn server(&self) -> Option<ProxyServer> {
        let url = self.url()?;
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        // The matcher decodes the credentials and encodes them as a header.
        let matcher = Matcher::builder().all(url.as_str()).build();
        let intercept = matcher.intercept(&Uri::from_static("http://any.host/"))?;
        Some(ProxyServer {
            host,
            port: url.port_or_known_default()?,
            authorization: intercept.basic_auth().cloned(),
            origin: self.origin,
        })
    }
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProxy")
            .field("http", &self.http)
            .field("https", &self.https)
            .field("exceptions", &self.exceptions)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NamedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", presentable(&self.text), self.origin)
    }
}

/// Names the proxy without its credentials.
impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host, port, origin, ..
        } = self;
        if host.contains(':') {
            write!(f, "the proxy [{host}]:{port} (from {origin})")
        } else {
            write!(f, "the proxy {host}:{port} (from {origin})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> HttpProxy {
        HttpProxy::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// The host and port of the proxy for a URL; empty for none.
    fn proxy_for(proxy: &HttpProxy, url: &str) -> String {
        let server = proxy.server_for(&url.parse().expect("a URL"));
        server
            .expect("a usable proxy")
            .map_or_else(String::new, |server| {
                format!("{}:{}", server.host, server.port)
            })
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_counts_for_both() {
        let both = environment(&[("http_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:2")]);
        assert_eq!(proxy_for(&both, "http://host/"), "a:1");
        assert_eq!(proxy_for(&both, "https://host/"), "b:2");
        let all = environment(&[("ALL_PROXY", "c:3"), ("https_proxy", "http://b")]);
        assert_eq!(proxy_for(&all, "http://host/"), "c:3");
        assert_eq!(proxy_for(&all, "https://host/"), "b:80");
        let upper = environment(&[("HTTP_PROXY", "http://a:1")]);
        assert_eq!(proxy_for(&upper, "http://host/"), "");
        let two = environment(&[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:2")]);
        assert_eq!(proxy_for(&two, "https://host/"), "b:2");
        assert_eq!(proxy_for(&HttpProxy::none(), "https://host/"), "");
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        let proxy = HttpProxy::parse("http://proxy:3128").expect("a proxy");
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "api.localhost",
            "127.0.0.1",
            "127.9.8.7:80",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(
                proxy_for(&proxy, &format!("http://{host}/v0")),
                "",
                "{host}"
            );
        }
        for host in ["localhost.example", "notlocalhost", "128.0.0.1", "[::2]"] {
            let used = proxy_for(&proxy, &format!("https://{host}/v0"));
            assert_eq!(used, "proxy:3128", "{host}");
        }
    }

    #[test]
    fn no_proxy_is_understood_as_curl_understands_it() {
        for (exceptions, host, is_exception) in [
            ("*", "host", true),
            ("*", "10.1.2.3", true),
            ("*", "[fe80::1]", true),
            ("a.test, *", "host", true),
            ("example.com", "example.com", true),
            ("example.com", "api.example.com", true),
            ("example.com", "API.Example.COM", true),
            ("example.com", "api.example.com.", true),
            ("example.com.", "api.example.com", true),
            (".example.com", "example.com", true),
            (".example.com", "api.example.com", true),
            ("*.example.com", "api.example.com", true),
            ("example.com", "notexample.com", false),
            ("example.com", "example.com.evil", false),
            ("example", "example.com", false),
            ("a.test,b.test", "b.test", true),
            ("a.test b.test", "b.test", true),
            (" a.test ,\tb.test ", "b.test", true),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.30", false),
            ("2001:db8::/32", "[2001:db8::7]", true),
            ("2001:db8::7", "[2001:db8::7]", true),
            ("[2001:db8::7]", "[2001:db8::7]", true),
            ("[2001:db8::7]:8080", "[2001:db8::7]:8080", true),
            ("2001:db8::/32", "[2001:db9::7]", false),
            ("host:8080", "host:8080", true),
            ("host:8080", "host:8081", false),
            ("host:80", "host", true),
            ("host", "host:8080", true),
            ("", "host", false),
            (",,", "host", false),
        ] {
            let proxy = environment(&[("http_proxy", "http://p:1"), ("NO_PROXY", exceptions)]);
            let used = proxy_for(&proxy, &format!("http://{host}/v0"));
            let expected = if is_exception { "" } else { "p:1" };
            assert_eq!(used, expected, "NO_PROXY={exceptions} for {host}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_never_printed() {
        for (url, header) in [
            // alice:s3cret
            ("http://alice:s3cret@proxy:1", "Basic YWxpY2U6czNjcmV0"),
            ("alice:s3cret@proxy:1", "Basic YWxpY2U6czNjcmV0"),
            // alice:s3cret/@:
            (
                "http://alice:s3cret%2F%40%3A@proxy:1",
                "Basic YWxpY2U6czNjcmV0L0A6",
            ),
            (
                "http://alice:s3cret@@:@proxy:1",
                "Basic YWxpY2U6czNjcmV0QEA6",
            ),
            // s3cret:
            ("http://s3cret@proxy:1", "Basic czNjcmV0Og=="),
        ] {
            let proxy = HttpProxy::parse(url).expect("a proxy");
            let uri = Uri::from_static("https://host/");
            let server = proxy.server_for(&uri).expect("usable").expect("a proxy");
            let authorization = server.authorization.clone().expect("a header");
            assert_eq!(authorization, header, "{url}");
            let printed = format!("{proxy:?} {server:?} {server}");
            for secret in ["s3cret", "czNj", "YWxp"] {
                assert!(!printed.contains(secret), "{printed}");
            }
            assert!(printed.contains("proxy:1"), "{printed}");
        }
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_by_the_setting_and_by_the_request_that_needs_it() {
        for text in [
            "99x",
            "socks5://host:1080",
            "socks5h://user:s3cret@host:1080",
            "https://host:443",
            "ftp://host:1",
            "http://",
            "http:/host:1",
            "http:host:1",
            "http://host:0",
            "http://host:65536",
            "http://host:1/path",
            "http://host:1/?query",
            "http://host :1",
            "http://user:s3cret@host\r:1",
            "http://user:s3/cret@host:1",
            ":3128",
            "None",
        ] {
            assert_eq!(HttpProxy::parse(text), None, "{text}");
            let proxy = environment(&[("ALL_PROXY", text), ("NO_PROXY", "direct.test")]);
            let error = proxy.check_for("https://host/v0").expect_err(text);
            let message = error.to_string();
            assert!(message.starts_with("ALL_PROXY is `"), "{message}");
            assert!(!message.contains("s3"), "{message}");
            for direct in ["https://direct.test/v0", "http://127.0.0.1/v0"] {
                assert_eq!(proxy.check_for(direct), Ok(()), "{text}");
            }
        }
    }
}

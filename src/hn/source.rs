//! The Hacker News API as a [`Source`]: an item is at `item/ID.json`, and a missing item is `null`.

use thiserror::Error;
use url::{Host, Url};

use super::{document::without_byte_order_mark, item::Item};
use crate::ingest::{DecodeError, Source, config::presentable};

/// The base URL of the public API (GitHub: HackerNews/API).
pub const PUBLIC_API: &str = "https://hacker-news.firebaseio.com/v0";

/// Items of the Hacker News API, or of a server that speaks it.
#[derive(Clone, Debug)]
pub struct HnSource {
    base: String,
}

/// A text that is not the base URL of an API.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{base}` is not an API base URL: {why}; it is like https://hacker-news.firebaseio.com/v0, with http:// or https:// and up to /v0"
)]
pub struct BadBaseUrl {
    /// The text, without a password.
    base: String,
    why: &'static str,
}

impl HnSource {
    /// A source at the base URL, which ends with `/v0`. A host name that is not ASCII is turned into its ASCII form (punycode).
    ///
    /// # Errors
    /// `base` is not an absolute http or https URL that consists of a host, perhaps a port, and a path.
    pub fn new(base: &str) -> Result<Self, BadBaseUrl> {
        let url = parse_base(base).map_err(|why| BadBaseUrl {
            base: presentable(base),
            why,
        })?;
        Ok(Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL of a document of the API, such as `maxitem`, `topstories` or `user/pg`.
    pub fn document(&self, name: &str) -> String {
        format!("{}/{name}.json", self.base)
    }
}

/// Reads a base URL. The parser of browsers accepts and mends more than this, such as blanks and a missing slash.
fn parse_base(base: &str) -> Result<Url, &'static str> {
    let scheme_len = ["http://", "https://"].into_iter().find_map(|scheme| {
        let begin = base.get(..scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    });
    let Some(scheme_len) = scheme_len else {
        return Err("it does not begin with http:// or https://");
    };
    if base.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it holds a blank or a control character");
    }
    let end = base[scheme_len..].find('/').map(|slash| scheme_len + slash);
    let authority = &base[scheme_len..end.unwrap_or(base.len())];
    if base.contains('@') {
        return Err("a user name or password in it would not be sent");
    }
    if base.contains(['?', '#']) {
        return Err("it holds a query or a fragment");
    }
    if base.contains('\\') {
        return Err("it holds a backslash");
    }
    let url = Url::parse(base).map_err(|error| match error {
        url::ParseError::InvalidPort => "its port is not a number from 1 to 65535",
        url::ParseError::EmptyHost => "it names no host",
        _ => "its host cannot be used",
    })?;
    match url.host() {
        // `http:///host/v0` would be mended to `http://host/v0`.
        _ if authority.is_empty() || authority.starts_with(':') => Err("it names no host"),
        Some(Host::Domain(name)) if !is_host_name(name) => Err("its host cannot be used"),
        Some(_) if url.port() == Some(0) => Err("its port is not a number from 1 to 65535"),
        Some(_) => Ok(url),
        None => Err("it names no host"),
    }
}

/// Whether a name may stand in the DNS. Underscores are not allowed in the names of hosts, but they exist.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

impl Source for HnSource {
    type Id = i64;
    type Record = Item;

    fn url(&self, id: &i64) -> String {
        [&self.base, "/item/", &id.to_string(), ".json"].concat()
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<Item>, DecodeError> {
        Item::decode(*id, without_byte_order_mark(body)).map_err(DecodeError::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_may_end_with_a_slash() {
        for base in ["http://127.0.0.1:1/v0", "http://127.0.0.1:1/v0/"] {
            let source = HnSource::new(base).expect("a base");
            assert_eq!(source.url(&8863), "http://127.0.0.1:1/v0/item/8863.json");
            assert_eq!(
                source.document("maxitem"),
                "http://127.0.0.1:1/v0/maxitem.json"
            );
        }
    }

    #[test]
    fn a_base_url_may_have_any_host_that_can_be_reached() {
        for (base, url) in [
            ("http://[::1]:8080/v0", "http://[::1]:8080/v0/x.json"),
            ("HTTPS://API.test/v0", "https://api.test/v0/x.json"),
            ("http://my_api.test./v0", "http://my_api.test./v0/x.json"),
            (
                "http://b\u{fc}cher.test/v0",
                "http://xn--bcher-kva.test/v0/x.json",
            ),
            (
                "http://xn--bcher-kva.test/v0",
                "http://xn--bcher-kva.test/v0/x.json",
            ),
            ("http://host:65535/a/v0", "http://host:65535/a/v0/x.json"),
            ("http://host", "http://host/x.json"),
        ] {
            let source = HnSource::new(base).expect(base);
            assert_eq!(source.document("x"), url);
        }
    }

    #[test]
    fn a_text_that_is_not_a_base_url_is_refused_by_name_and_without_its_password() {
        let long_label = format!("http://{}.test/v0", "a".repeat(64));
        let long_name = format!("http://{}test/v0", "abcdefgh.".repeat(30));
        for (text, why) in [
            ("", "begin with http://"),
            ("news", "begin with http://"),
            ("ftp://host/v0", "begin with http://"),
            ("file:///v0", "begin with http://"),
            ("http:/host/v0", "begin with http://"),
            ("http:host/v0", "begin with http://"),
            ("http:\\\\host/v0", "begin with http://"),
            (" http://host/v0", "begin with http://"),
            ("\u{e9}ttps://host/v0", "begin with http://"),
            ("http://", "no host"),
            ("http:///v0", "no host"),
            ("http:///host/v0", "no host"),
            ("http://:80/v0", "no host"),
            ("http://host/v0\r", "blank"),
            ("http://host/v0\n", "blank"),
            ("http://host/v0 ", "blank"),
            ("http://ho st/v0", "blank"),
            ("http://ho\tst/v0", "blank"),
            ("http://host\u{a0}/v0", "blank"),
            ("http://host/v0?x=1", "query"),
            ("http://host/v0#x", "fragment"),
            ("http://host\\v0", "backslash"),
            ("http://host:0/v0", "port"),
            ("http://host:65536/v0", "port"),
            ("http://host:x/v0", "port"),
            ("http://a..b/v0", "host"),
            ("http://.a/v0", "host"),
            ("http://-a/v0", "host"),
            ("http://a!b/v0", "host"),
            ("http://a%b/v0", "host"),
            ("http://a<b/v0", "host"),
            ("http://256.1.1.1/v0", "host"),
            ("http://[::1/v0", "host"),
            (&long_label, "host"),
            (&long_name, "host"),
            ("http://alice:s3cret@host/v0", "password"),
            ("http://alice:s3/cr?et@host/v0", "password"),
            ("http://s3cret@host/v0", "password"),
            ("http://@host/v0", "password"),
        ] {
            let error = HnSource::new(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("s3"), "{error}");
            assert!(!error.contains(char::is_control), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_before_an_item_is_ignored() {
        let source = HnSource::new("http://host/v0").expect("a base");
        let item = source
            .decode(&1, b"\xef\xbb\xbf{\"id\":1}")
            .expect("an item");
        assert!(item.is_some());
        let absent = source.decode(&1, b"\xef\xbb\xbfnull").expect("null");
        assert!(absent.is_none());
    }
}

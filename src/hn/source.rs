//! The Hacker News API as a [`Source`]: an item is at `item/ID.json`, and a missing item is `null`.

use thiserror::Error;

use super::item::Item;
use crate::ingest::{DecodeError, Source};

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
    "`{0}` is not an API base URL; it begins with http:// or https:// and ends with /v0, as in https://hacker-news.firebaseio.com/v0"
)]
pub struct BadBaseUrl(String);

impl HnSource {
    /// A source at the base URL, which ends with `/v0`.
    ///
    /// # Errors
    /// `base` is not an absolute http or https URL.
    pub fn new(base: &str) -> Result<Self, BadBaseUrl> {
        let url = url::Url::parse(base).ok();
        let usable = url.is_some_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !usable {
            return Err(BadBaseUrl(base.to_owned()));
        }
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// The URL of a document of the API, such as `maxitem`, `topstories` or `user/pg`.
    pub fn document(&self, name: &str) -> String {
        format!("{}/{name}.json", self.base)
    }
}

impl Source for HnSource {
    type Id = i64;
    type Record = Item;

    fn url(&self, id: &i64) -> String {
        [&self.base, "/item/", &id.to_string(), ".json"].concat()
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<Item>, DecodeError> {
        Item::decode(*id, body).map_err(DecodeError::new)
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
    fn a_text_that_is_not_a_base_url_is_refused_by_name() {
        for text in [
            "",
            "news",
            "ftp://host/v0",
            "http://",
            "http://host/v0?x=1",
            "file:///v0",
        ] {
            assert_eq!(
                HnSource::new(text).err(),
                Some(BadBaseUrl(text.to_owned())),
                "{text}"
            );
        }
    }
}

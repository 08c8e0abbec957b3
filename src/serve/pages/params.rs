//! What an address asks for, in the forms of news.ycombinator.com.

use actix_web::HttpRequest;
use url::form_urlencoded;

use super::failed::PageError;
use crate::hn::{User, reads::Place};

/// The most lines of a page.
pub(super) const PER_PAGE: usize = 30;

/// A later page is not looked for.
const PAGES: usize = 334;

/// The parameters of an address.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self(pairs.into_owned().collect())
    }

    /// The last one of several counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().rev().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// The number of an item.
    pub(super) fn id(&self) -> Result<i64, PageError> {
        let id = self.get("id").unwrap_or_default();
        let is_number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let id = is_number.then(|| id.parse().ok()).flatten();
        id.ok_or(PageError::BadRequest(
            "An item has a number: this address needs one, as in /item?id=8863.",
        ))
    }

    /// The name of a user.
    pub(super) fn name(&self) -> Result<String, PageError> {
        match self.get("id") {
            Some(name) if !name.is_empty() && name.len() <= User::NAME_MAX => Ok(name.to_owned()),
            _ => Err(PageError::BadRequest(
                "This address needs the name of a user, as in /user?id=pg.",
            )),
        }
    }

    /// The page, from 1.
    pub(super) fn page(&self) -> usize {
        let page = self.get("p").and_then(|p| p.parse().ok()).unwrap_or(1);
        page.clamp(1, PAGES)
    }

    /// How many lines come before the page.
    pub(super) fn skipped(&self) -> usize {
        (self.page() - 1) * PER_PAGE
    }

    /// Where a walk down from the newest item begins: at the id `next`, or on page `p`.
    pub(super) fn place(&self) -> Place {
        let from = self.get("next").and_then(|next| next.parse().ok());
        Place {
            from: from.unwrap_or(i64::MAX),
            skip: if from.is_some() { 0 } else { self.skipped() },
            count: PER_PAGE,
        }
    }

    /// The number of the first line of such a page: `n`, or that of page `p`.
    pub(super) fn first_rank(&self) -> usize {
        let n = self.get("n").and_then(|n| n.parse().ok());
        n.filter(|n| (1..1_000_000_000).contains(n))
            .unwrap_or(self.skipped() + 1)
    }
}

/// A text as a value in an address.
pub(super) fn query_value(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

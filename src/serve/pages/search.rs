//! The form of the search, and what it found.

use actix_web::{HttpRequest, web::Data};
use askama::Template;

use super::{
    params::{Params, query_value},
    show::{ShowError, Shown, show},
};
use crate::{
    hn::HnConnection,
    serve::{layout::Page, state::State},
};

#[derive(Template)]
#[template(path = "search.html")]
struct SearchTemplate {
    page: Page,
    query: String,
    note: Option<String>,
    results: Vec<SearchResult>,
    more: Option<String>,
}

/// An item that was found.
struct SearchResult {
    id: i64,
    title: String,
    /// The line below the title, as HTML.
    head: String,
    excerpt: Option<String>,
}

/// A page of results.
struct Results {
    results: Vec<SearchResult>,
    has_more: bool,
    note: Option<String>,
}

pub(super) async fn search(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    let query = params.get("q").unwrap_or_default().trim().to_owned();
    show(&state, move |conn, now| {
        let address = format!("/search?q={}", query_value(&query));
        let found = match query.is_empty() {
            true => None,
            false => Some(find(conn, &query, params.skipped(), now)?),
        };
        let mut template = SearchTemplate {
            page: Page::new("Search", ""),
            query,
            note: None,
            results: Vec::new(),
            more: None,
        };
        if let Some(found) = found {
            template.results = found.results;
            template.note = found.note;
            let next = params.page() + 1;
            template.more = found.has_more.then(|| format!("{address}&p={next}"));
        }
        Ok(template)
    })
    .await
}

/// The results from `skip` on.
fn find(
    _conn: &mut impl HnConnection,
    _query: &str,
    _skip: usize,
    _now: i64,
) -> Result<Results, ShowError> {
    Ok(Results {
        results: Vec::new(),
        has_more: false,
        note: Some("This mirror cannot be searched yet.".to_owned()),
    })
}

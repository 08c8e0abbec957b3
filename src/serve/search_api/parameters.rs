//! The parameters of a search, as the original takes them. Unknown ones have no effect.

use url::form_urlencoded;

use super::{
    answers::ApiError,
    tags::{check_count, read_filters, read_numbers, read_tags},
};
use crate::hn::search::{
    content::Columns,
    filters::{Filters, Tag},
    query::{BadQuery, SearchQuery, Syntax},
    request::{Order, SearchRequest},
};

const HITS: usize = 20;
const HITS_MAX: usize = 1000;

/// The last result that a page may begin with.
const OFFSET_MAX: usize = 1_000_000;

/// What a request asks for.
#[derive(Clone, Debug)]
pub(super) struct SearchParameters {
    pub(super) request: SearchRequest,
    /// The query as it was typed.
    pub(super) typed: String,
    /// All parameters, as they were sent.
    pub(super) raw: String,
    pub(super) page: usize,
    /// The fields of a hit that are wanted; `None` is all.
    pub(super) fields: Option<Vec<String>>,
    /// The fields that are highlighted; `None` is all.
    pub(super) highlighted: Option<Vec<String>>,
}

impl SearchParameters {
    pub(super) fn read(query_string: &str, order: Order) -> Result<Self, ApiError> {
        let mut typed = String::new();
        let mut optional = String::new();
        let mut columns = Columns::ALL;
        let mut filters = Filters::default();
        let mut syntax = Syntax::Full;
        let mut page = 0;
        let mut hits = HITS;
        let mut corrects = true;
        let mut completes = true;
        let mut fields = None;
        let mut highlighted = None;
        for (name, value) in form_urlencoded::parse(query_string.as_bytes()) {
            match &*name {
                "query" => typed = value.into_owned(),
                "tags" | "tagFilters" => filters.tags.extend(read_tags(&value)?),
                "numericFilters" => filters.numbers.extend(read_numbers(&value)?),
                "filters" => {
                    let read = read_filters(&value)?;
                    filters.tags.extend(read.tags);
                    filters.numbers.extend(read.numbers);
                }
                "page" => page = number("page", &value)?,
                "hitsPerPage" => hits = number("hitsPerPage", &value)?.min(HITS_MAX),
                "restrictSearchableAttributes" => columns = read_columns(&value),
                "optionalWords" => optional = value.into_owned(),
                "advancedSyntax" if value == "false" => syntax = Syntax::Words,
                "typoTolerance" => corrects = value != "false",
                "queryType" => completes = value != "prefixNone",
                "attributesToRetrieve" => fields = read_names(&value),
                "attributesToHighlight" => highlighted = read_names(&value),
                _ => {}
            }
        }
        check_count(&filters)?;
        let offset = page.saturating_mul(hits);
        if offset > OFFSET_MAX {
            return Err(ApiError::bad_request(format!(
                "page is too large; a page may begin at most at result {OFFSET_MAX}"
            )));
        }
        let query = match SearchQuery::parse(&typed, syntax) {
            // In the original a star is a sign like any other.
            Err(BadQuery::ShortPrefix) => SearchQuery::parse(&typed, Syntax::Words),
            read => read,
        };
        let query = query.map_err(|error| ApiError::bad_request(error.to_string()))?;
        if query.is_empty() && !typed.trim().is_empty() {
            // Nothing but signs. Not the same as no query, which finds everything.
            filters.add_tag(Tag::Nothing);
        }
        Ok(Self {
            request: SearchRequest {
                query: query.with_optional(&optional),
                columns,
                filters,
                order,
                offset,
                limit: hits,
                corrects,
                // After a space or a sign, the last word is typed to its end.
                completes: completes && typed.ends_with(char::is_alphanumeric),
            },
            typed,
            raw: query_string.to_owned(),
            page,
            fields,
            highlighted,
        })
    }

    /// Whether a field of a hit is wanted.
    pub(super) fn wants(&self, field: &str) -> bool {
        // Every hit has these.
        let always = ["objectID", "_tags", "_highlightResult"].contains(&field);
        always || is_in(&self.fields, field)
    }

    /// Whether a field is highlighted.
    pub(super) fn highlights(&self, field: &str) -> bool {
        is_in(&self.highlighted, field)
    }
}

fn is_in(names: &Option<Vec<String>>, name: &str) -> bool {
    names
        .as_ref()
        .is_none_or(|names| names.iter().any(|one| one == name))
}

fn number(name: &str, text: &str) -> Result<usize, ApiError> {
    let bad = |_| ApiError::bad_request(format!("{name} is no whole number from 0"));
    match text.trim() {
        "" => Ok(if name == "page" { 0 } else { HITS }),
        text => text.parse().map_err(bad),
    }
}

/// The names in a list with commas, or in a JSON array. `None` if it says all.
fn read_names(text: &str) -> Option<Vec<String>> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    let names = text.split(',').map(|name| name.trim().trim_matches('"'));
    let names: Vec<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    let is_all = names.iter().any(|name| name == "*");
    Some(names).filter(|_| !is_all)
}

/// Where to search. Names that the original does not know have no effect.
fn read_columns(text: &str) -> Columns {
    let mut columns = Columns::NONE;
    for name in read_names(text).unwrap_or_default() {
        match &*name {
            "title" => columns.title = true,
            "url" => columns.url = true,
            "author" => columns.author = true,
            "story_text" | "comment_text" | "text" => columns.text = true,
            _ => {}
        }
    }
    if columns == Columns::NONE {
        Columns::ALL
    } else {
        columns
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query_string: &str) -> Result<SearchParameters, ApiError> {
        SearchParameters::read(query_string, Order::Relevance)
    }

    #[test]
    fn parameters_are_read_as_clients_send_them() {
        let parameters = read(
            "query=%22rust+actors%22&tags=story&numericFilters=points%3E%3D10&page=2&hitsPerPage=50&restrictSearchableAttributes=url&x=y",
        )
        .unwrap();
        let request = &parameters.request;
        assert_eq!(parameters.typed, "\"rust actors\"");
        assert_eq!(request.query.typed(), "\"rust actors\"");
        assert_eq!((request.offset, request.limit), (100, 50));
        let url = Columns {
            url: true,
            ..Columns::NONE
        };
        assert_eq!(request.columns, url);
        assert_eq!(
            (request.filters.tags.len(), request.filters.numbers.len()),
            (1, 1)
        );
    }

    #[test]
    fn pages_are_bounded_and_what_is_no_number_is_refused() {
        assert_eq!(read("hitsPerPage=5000").unwrap().request.limit, HITS_MAX);
        assert_eq!(read("hitsPerPage=&page=").unwrap().request.limit, HITS);
        for bad in [
            "page=-1",
            "page=x",
            "hitsPerPage=1.5",
            "page=1001&hitsPerPage=1000",
            "page=99999999999999999999",
            "numericFilters=points",
            "query=-x",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = format!("query={}", "x".repeat(5000));
        assert_eq!(read(&long).unwrap_err().status.as_u16(), 400);
    }

    #[test]
    fn words_that_are_optional_need_not_be_there() {
        for (query_string, expected) in [
            ("query=a+b+c&optionalWords=a+b+c", "a OR b OR c"),
            ("query=a+b+c&optionalWords=b,c", "a"),
            ("query=a+b", "a b"),
            ("query=ab*&typoTolerance=false", "ab*"),
        ] {
            let query = read(query_string).unwrap().request.query;
            assert_eq!(query.typed(), expected, "{query_string}");
        }
    }

    #[test]
    fn only_some_fields_may_be_wanted() {
        let parameters = read("attributesToRetrieve=title,url&attributesToHighlight=none").unwrap();
        assert!(parameters.wants("title") && parameters.wants("objectID"));
        assert!(!parameters.wants("author") && !parameters.highlights("title"));
        let all = read("attributesToRetrieve=*&attributesToHighlight=[\"title\"]").unwrap();
        assert!(all.wants("author") && all.highlights("title") && !all.highlights("url"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zP&=%+,0-9\"-]{0,60}|\\PC{0,30}") {
            let _ = read(&text);
            let _ = read(&format!("query={text}"));
        }
    }
}

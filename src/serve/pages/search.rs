//! The form of the search, and what it found.

use actix_web::{HttpRequest, web::Data};
use askama::Template;

use super::{
    comment::CommentHead,
    excerpt::{Part, excerpt},
    params::{PER_PAGE, Params, query_value},
    show::{ShowError, Shown, show_found},
    story::{On, counted, is_comment, title_of},
};
use crate::{
    hn::{
        HnConnection,
        reads::{self, StoredItem},
        search::{
            content::Columns,
            filters::Filters,
            highlight::Highlighter,
            query::{SearchQuery, Syntax},
            read::{Found, SearchAnswer, search as find},
            request::{Order, SearchRequest},
            stories::stories,
        },
    },
    serve::{layout::Page, state::State},
};

#[derive(Template)]
#[template(path = "search.html")]
struct SearchTemplate {
    page: Page,
    query: String,
    by_date: bool,
    /// The same search in the other order.
    other_order: String,
    note: Option<String>,
    results: Vec<SearchResult>,
    more: Option<String>,
}

/// An item that was found.
struct SearchResult {
    id: i64,
    title: String,
    /// The story that a comment is on.
    on: Option<On>,
    head: CommentHead,
    points: Option<String>,
    excerpt: Vec<Part>,
}

pub(super) async fn search(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    let query = params.get("q").unwrap_or_default().trim().to_owned();
    let by_date = params.get("sort") == Some("date");
    show_found(&state, move |conn, now| {
        let address = format!("/search?q={}", query_value(&query));
        let dated = format!("{address}&sort=date");
        let (this_order, other_order) = if by_date {
            (dated, address)
        } else {
            (address, dated)
        };
        let mut template = SearchTemplate {
            page: Page::new("Search", ""),
            by_date,
            other_order,
            note: None,
            results: Vec::new(),
            more: None,
            query,
        };
        let parsed = match SearchQuery::parse(&template.query, Syntax::Full) {
            Ok(parsed) if parsed.is_empty() => return Ok(template),
            Ok(parsed) => parsed,
            Err(why) => {
                template.note = Some(format!("This cannot be searched for: {why}."));
                return Ok(template);
            }
        };
        let wanted = SearchRequest {
            query: parsed,
            columns: Columns::ALL,
            filters: Filters::default(),
            order: if by_date {
                Order::Date
            } else {
                Order::Relevance
            },
            offset: params.skipped(),
            // One more shows whether there is another page.
            limit: PER_PAGE + 1,
            corrects: true,
            completes: false,
        };
        match find(conn, &wanted)? {
            SearchAnswer::Found(mut found) => {
                let next = params.page() + 1;
                template.more =
                    (found.hits.len() > PER_PAGE).then(|| format!("{this_order}&p={next}"));
                found.hits.truncate(PER_PAGE);
                let mut note = summary(&found);
                if found.hits.is_empty() && params.page() > 1 {
                    note += " There are no more of them.";
                }
                template.note = Some(note);
                template.results = results(conn, &found, now)?;
            }
            SearchAnswer::NoIndex => {
                let how = "The command `hn-ingest search --build` builds its index.";
                template.note = Some(format!("This mirror cannot be searched yet. {how}"));
            }
            SearchAnswer::UnfinishedIndex => {
                template.note = Some("The index of this mirror is still being built.".to_owned());
            }
            SearchAnswer::BrokenIndex(_) => {
                let how = "The command `hn-ingest search --rebuild` makes a new one.";
                template.note = Some(format!("The index of this mirror is not whole. {how}"));
            }
        }
        Ok(template)
    })
    .await
}

/// How much was found, and for which words.
fn summary(found: &Found) -> String {
    let count = i64::try_from(found.total.count).unwrap_or(i64::MAX);
    let more = if found.total.is_exact { "" } else { " or more" };
    let words = if found.is_corrected {
        let typed = found.query.typed();
        format!(" for {typed}, because nothing has the words as typed")
    } else {
        String::new()
    };
    format!("{}{more}{words}.", counted(count, "result"))
}

fn results(
    conn: &mut impl HnConnection,
    found: &Found,
    now: i64,
) -> Result<Vec<SearchResult>, ShowError> {
    let ids: Vec<i64> = found.hits.iter().map(|hit| hit.item.id).collect();
    let changed = reads::changed_items(conn, &ids)?;
    let stories = stories(conn, &ids)?;
    let highlighter = Highlighter::of(&found.query);
    let result = |hit: &StoredItem| {
        let item = &hit.item;
        let is_comment = is_comment(item);
        SearchResult {
            id: item.id,
            title: if is_comment {
                "Comment".to_owned()
            } else {
                title_of(item)
            },
            on: stories.get(&item.id).filter(|_| is_comment).map(On::new),
            head: CommentHead::new(item, now, changed.contains(&item.id)),
            points: item.score.map(|points| counted(points, "point")),
            excerpt: excerpt(item.text.as_deref().unwrap_or_default(), &highlighter),
        }
    };
    Ok(found.hits.iter().map(result).collect())
}

//! The lists of Hacker News, as they were last read.

use std::collections::{HashMap, HashSet};

use actix_web::{Handler, HttpRequest, web::Data};
use askama::Template;

use super::{
    moment::when,
    params::{PER_PAGE, Params},
    show::{ShowError, Shown, show},
    story::StoryLine,
};
use crate::{
    hn::{HnConnection, List, reads},
    serve::{layout::Page, state::State},
};

#[derive(Template)]
#[template(path = "list.html")]
pub(super) struct ListTemplate {
    pub(super) page: Page,
    pub(super) heading: String,
    pub(super) as_of: Option<String>,
    pub(super) note: Option<String>,
    pub(super) rows: Vec<RankedLine>,
    pub(super) more: Option<String>,
}

/// A line of a list, and its number.
pub(super) struct RankedLine {
    pub(super) rank: usize,
    pub(super) line: Line,
}

pub(super) enum Line {
    Story(Box<StoryLine>),
    /// An item of the list that is not stored.
    Missing(i64),
}

/// The page of a list.
#[derive(Clone, Copy)]
pub(super) struct ListPage {
    list: List,
    pub(super) address: &'static str,
    heading: &'static str,
}

pub(super) const FRONT: ListPage = list_page(List::Top, "/", "Front page");

/// The pages of all lists but that of [`FRONT`].
pub(super) const OTHERS: [ListPage; 4] = [
    list_page(List::Best, "/best", "Best"),
    list_page(List::Ask, "/ask", "Ask"),
    list_page(List::Show, "/show", "Show"),
    list_page(List::Job, "/jobs", "Jobs"),
];

const fn list_page(list: List, address: &'static str, heading: &'static str) -> ListPage {
    ListPage {
        list,
        address,
        heading,
    }
}

impl ListPage {
    pub(super) fn handler(self) -> impl Handler<(HttpRequest, Data<State>), Output = Shown> {
        move |request: HttpRequest, state: Data<State>| async move {
            show_list(&request, &state, self).await
        }
    }
}

async fn show_list(request: &HttpRequest, state: &Data<State>, page: ListPage) -> Shown {
    let params = Params::of(request);
    let (number, skipped) = (params.page(), params.skipped());
    show(state, move |conn, now| {
        let frame = Page::new(page.heading, page.address);
        let mut template = ListTemplate {
            page: frame.live("/v0/maxitem.json".to_owned(), "item", None),
            heading: page.heading.to_owned(),
            as_of: None,
            note: None,
            rows: Vec::new(),
            more: None,
        };
        let Some(list) = reads::list(conn, page.list)? else {
            let name = page.list.name();
            template.note = Some(format!(
                "This list is not stored in this mirror. The command `hn-ingest {name}` stores it, and `hn-ingest follow` keeps it current."
            ));
            return Ok(template);
        };
        let ids = list.ids.get(skipped..).unwrap_or_default();
        let shown = &ids[..ids.len().min(PER_PAGE)];
        template.as_of = Some(when(list.fetched_at, now));
        template.rows = lines(conn, shown, skipped + 1, now)?;
        if shown.is_empty() {
            template.note = Some("The list has no such page.".to_owned());
        }
        if ids.len() > PER_PAGE {
            let address = page.address;
            template.more = Some(format!("{address}?p={}", number + 1));
        }
        Ok(template)
    })
    .await
}

/// The lines of these items, numbered from `rank`.
fn lines(
    conn: &mut impl HnConnection,
    ids: &[i64],
    rank: usize,
    now: i64,
) -> Result<Vec<RankedLine>, ShowError> {
    let stored = reads::items(conn, ids)?;
    let changed = reads::changed_items(conn, ids)?;
    let mut stored: HashMap<i64, StoryLine> = stored
        .iter()
        .map(|stored| (stored.item.id, story_line(stored, &changed, now)))
        .collect();
    let lines = ids.iter().zip(rank..).map(|(id, rank)| RankedLine {
        rank,
        line: match stored.remove(id) {
            Some(line) => Line::Story(Box::new(line)),
            None => Line::Missing(*id),
        },
    });
    Ok(lines.collect())
}

pub(super) fn story_line(
    stored: &reads::StoredItem,
    changed: &HashSet<i64>,
    now: i64,
) -> StoryLine {
    StoryLine::new(&stored.item, changed.contains(&stored.item.id), now)
}

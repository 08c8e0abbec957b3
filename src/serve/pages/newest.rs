//! Stories by their age: the newest, those of a site, and those of a user.

use actix_web::{HttpRequest, web::Data};

use super::{
    failed::PageError,
    lists::{Line, ListTemplate, RankedLine, story_line},
    moment::when,
    params::{PER_PAGE, Params, query_value},
    show::{ShowError, Shown, show, show_found},
    text::is_of_site,
};
use crate::{
    hn::{
        HnConnection,
        reads::{self, Found, ItemRow},
    },
    serve::{
        layout::{ORIGINAL, Page},
        state::State,
    },
};

/// The longest name of a site.
const SITE_MAX: usize = 300;

pub(super) async fn newest(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    show(&state, move |conn, now| {
        let found = reads::newest(conn, params.place(), |row| is_story(row) && row.is_alive())?;
        let page = Page::new("New", "/newest");
        let page = page.live("/v0/maxitem.json".to_owned(), "item", None);
        let shape = Shape {
            page,
            heading: "New".to_owned(),
            address: "/newest?".to_owned(),
        };
        list_of(conn, shape, found, &params, now)
    })
    .await
}

pub(super) async fn from_site(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    let site = params.get("site").unwrap_or_default().to_lowercase();
    if site.is_empty() || site.len() > SITE_MAX {
        return Err(PageError::BadRequest(
            "This address needs a site, as in /from?site=example.com.",
        ));
    }
    show_found(&state, move |conn, now| {
        let is_wanted = |row: &ItemRow| {
            let url = row.url.as_deref().unwrap_or_default();
            row.is_alive() && is_of_site(url, &site)
        };
        let found = reads::newest(conn, params.place(), is_wanted)?;
        let address = format!("/from?site={}", query_value(&site));
        let shape = Shape {
            page: Page::new(format!("From {site}"), &address),
            heading: format!("Stories from {site}"),
            address: address + "&",
        };
        list_of(conn, shape, found, &params, now)
    })
    .await
}

pub(super) async fn submitted(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    let name = params.name()?;
    show_found(&state, move |conn, now| {
        let found = reads::of_author(conn, &name, params.place(), |row| {
            is_story(row) && row.deleted != Some(1)
        })?;
        let address = format!("/submitted?id={}", query_value(&name));
        let found = found.ok_or_else(|| unknown_user(&address))?;
        let shape = Shape {
            page: Page::new(format!("Submissions of {name}"), &address),
            heading: format!("Submissions of {name}"),
            address: address + "&",
        };
        list_of(conn, shape, found, &params, now)
    })
    .await
}

/// The profile of a user is not stored, and what the user wrote cannot be found without it.
pub(super) fn unknown_user(address: &str) -> PageError {
    PageError::NotFound {
        why: "This user is not stored in this mirror.".to_owned(),
        original: format!("{ORIGINAL}{}", address.trim_start_matches('/')),
    }
}

fn is_story(row: &ItemRow) -> bool {
    matches!(row.type_.as_deref(), Some("story" | "job" | "poll"))
}

struct Shape {
    page: Page,
    heading: String,
    /// Up to where the next parameter goes.
    address: String,
}

fn list_of(
    conn: &mut impl HnConnection,
    shape: Shape,
    found: Found,
    params: &Params,
    now: i64,
) -> Result<ListTemplate, ShowError> {
    let ids: Vec<i64> = found.items.iter().map(|stored| stored.item.id).collect();
    let changed = reads::changed_items(conn, &ids)?;
    let first = params.first_rank();
    let rows = found.items.iter().zip(first..).map(|(stored, rank)| {
        let line = Line::Story(Box::new(story_line(stored, &changed, now)));
        RankedLine { rank, line }
    });
    Ok(ListTemplate {
        page: shape.page,
        heading: shape.heading,
        as_of: as_of(&found, now),
        note: note(&found, "story"),
        rows: rows.collect(),
        more: found.next.map(|next| {
            let address = shape.address;
            format!("{address}next={next}&n={}", first + PER_PAGE)
        }),
    })
}

/// The time of the answer that is the oldest among these.
pub(super) fn as_of(found: &Found, now: i64) -> Option<String> {
    let oldest = found.items.iter().map(|stored| stored.fetched_at).min()?;
    Some(when(oldest, now))
}

/// What there is to say of a list that is empty, or not whole.
pub(super) fn note(found: &Found, what: &str) -> Option<String> {
    match (found.items.is_empty(), found.gave_up) {
        (true, false) => Some(format!("This mirror has no such {what}.")),
        (_, true) => Some("Only the newest items of this mirror were looked through.".to_owned()),
        (false, false) => None,
    }
}

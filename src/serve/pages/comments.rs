//! Comments by their age: the newest of all, and those of a user.

use actix_web::{HttpRequest, web::Data};
use askama::Template;

use super::{
    comment::{CommentHead, text_of},
    newest::{as_of, note, unknown_user},
    params::{Params, query_value},
    show::{ShowError, Shown, show, show_found},
    story::On,
};
use crate::{
    hn::{
        HnConnection,
        reads::{self, Found, ItemRow},
        search::stories::stories,
    },
    serve::{layout::Page, state::State},
};

#[derive(Template)]
#[template(path = "comments.html")]
struct CommentsTemplate {
    page: Page,
    heading: String,
    as_of: Option<String>,
    note: Option<String>,
    comments: Vec<CommentLine>,
    more: Option<String>,
}

struct CommentLine {
    head: CommentHead,
    parent: Option<i64>,
    on: Option<On>,
    text: String,
}

pub(super) async fn new_comments(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    show(&state, move |conn, now| {
        let found = reads::newest(conn, params.place(), |row| {
            is_comment(row) && row.is_alive()
        })?;
        let page = Page::new("New comments", "/newcomments");
        let page = page.live("/v0/maxitem.json".to_owned(), "item", None);
        list_of(
            conn,
            page,
            "New comments".to_owned(),
            "/newcomments?",
            found,
            now,
        )
    })
    .await
}

pub(super) async fn threads(request: HttpRequest, state: Data<State>) -> Shown {
    let params = Params::of(&request);
    let name = params.name()?;
    show_found(&state, move |conn, now| {
        let address = format!("/threads?id={}", query_value(&name));
        let found = reads::of_author(conn, &name, params.place(), |row| {
            is_comment(row) && row.deleted != Some(1)
        })?;
        let found = found.ok_or_else(|| unknown_user(&address))?;
        let heading = format!("Comments of {name}");
        let page = Page::new(heading.clone(), &address);
        list_of(conn, page, heading, &(address + "&"), found, now)
    })
    .await
}

fn is_comment(row: &ItemRow) -> bool {
    row.type_.as_deref() == Some("comment")
}

/// `address` goes up to where the next parameter goes.
fn list_of(
    conn: &mut impl HnConnection,
    page: Page,
    heading: String,
    address: &str,
    found: Found,
    now: i64,
) -> Result<CommentsTemplate, ShowError> {
    let ids: Vec<i64> = found.items.iter().map(|stored| stored.item.id).collect();
    let changed = reads::changed_items(conn, &ids)?;
    let stories_of = stories(conn, &ids)?;
    let lines = found.items.iter().map(|stored| {
        let item = &stored.item;
        CommentLine {
            head: CommentHead::new(item, now, changed.contains(&item.id)),
            parent: item.parent,
            on: stories_of.get(&item.id).map(On::new),
            text: text_of(item).into_owned(),
        }
    });
    Ok(CommentsTemplate {
        page,
        heading,
        as_of: as_of(&found, now),
        note: note(&found, "comment"),
        comments: lines.collect(),
        more: found.next.map(|next| format!("{address}next={next}")),
    })
}

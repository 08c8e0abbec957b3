//! An item and what is below it.

use actix_web::{HttpRequest, web::Data};
use askama::Template;

use super::{
    comment::{CommentHead, text_of},
    failed::PageError,
    moment::when,
    params::Params,
    show::{ShowError, Shown, show},
    story::{On, StoryLine, counted, is_comment, title_of},
    thread::{Row, rows},
};
use crate::{
    hn::{
        HnConnection, Item,
        reads::{self, StoredItem},
        search::stories::stories,
    },
    serve::{
        layout::{ORIGINAL, Page},
        state::State,
        wording::grouped,
    },
};

/// Comments of one page. No thread of Hacker News has had as many.
const COMMENTS: usize = 10_000;

#[derive(Template)]
#[template(path = "item.html")]
struct ItemTemplate {
    page: Page,
    /// The head of the page, unless the item is a comment.
    story: Option<StoryLine>,
    comment: Option<CommentHead>,
    /// The story that a comment is on.
    on: Option<On>,
    parent: Option<i64>,
    as_of: String,
    /// When the comment was received that was received first, if that was before the item.
    oldest: Option<String>,
    text: Option<String>,
    options: Vec<PollOption>,
    /// How many comments there are, with their noun.
    count: String,
    rows: Vec<Row>,
    is_cut: bool,
}

struct PollOption {
    text: String,
    points: String,
}

pub(super) async fn item(request: HttpRequest, state: Data<State>) -> Shown {
    let id = Params::of(&request).id()?;
    show(&state, move |conn, now| match reads::item(conn, id)? {
        Some(stored) => thread_of(conn, &stored, now),
        None => Err(not_stored(conn, id, now)?.into()),
    })
    .await
}

/// What is said of an item that is not stored.
pub(super) fn not_stored(
    conn: &mut impl HnConnection,
    id: i64,
    now: i64,
) -> Result<PageError, ShowError> {
    let why = match reads::absent_at(conn, id)? {
        Some(checked_at) => {
            let minutes = now.saturating_sub(checked_at).max(0) / 60;
            let ago = match minutes {
                0..120 => counted(minutes, "minute"),
                _ => counted(minutes / 60, "hour"),
            };
            format!(
                "Item {id} is not stored in this mirror: {ago} ago, Hacker News had no such item."
            )
        }
        None => format!("Item {id} is not stored in this mirror."),
    };
    Ok(PageError::NotFound {
        why,
        original: format!("{ORIGINAL}item?id={id}"),
    })
}

fn thread_of(
    conn: &mut impl HnConnection,
    stored: &StoredItem,
    now: i64,
) -> Result<ItemTemplate, ShowError> {
    let item = &stored.item;
    let thread = reads::thread(conn, item, COMMENTS)?;
    let ids = thread.rows.iter().filter_map(|row| match &row.node {
        reads::ThreadNode::Stored(stored) => Some(stored.item.id),
        reads::ThreadNode::Missing { .. } => None,
    });
    let ids: Vec<i64> = ids.chain([item.id]).collect();
    let changed = reads::changed_items(conn, &ids)?;
    let has_history = changed.contains(&item.id);
    let comments = i64::try_from(ids.len() - 1).unwrap_or(i64::MAX);
    let is_comment = is_comment(item);
    let on = if is_comment {
        stories(conn, &[item.id])?.remove(&item.id)
    } else {
        None
    };
    let oldest = thread.oldest_fetched_at();
    Ok(ItemTemplate {
        page: page_of(item, on.as_ref()),
        story: (!is_comment).then(|| StoryLine::new(item, has_history, now).into_heading()),
        comment: is_comment.then(|| CommentHead::new(item, now, has_history)),
        on: on.as_ref().map(On::new),
        parent: item.parent.or(item.poll).filter(|_| is_comment),
        as_of: when(stored.fetched_at, now),
        oldest: oldest
            .filter(|oldest| *oldest < stored.fetched_at)
            .map(|oldest| when(oldest, now)),
        text: Some(text_of(item).into_owned()).filter(|text| !text.is_empty()),
        options: options_of(conn, item)?,
        count: match (is_comment, comments) {
            (true, 1) => "1 reply".to_owned(),
            (true, _) => format!("{} replies", grouped(comments)),
            (false, _) => counted(comments, "comment"),
        },
        rows: rows(&thread, &changed, now),
        is_cut: thread.is_cut,
    })
}

fn page_of(item: &Item, on: Option<&StoredItem>) -> Page {
    let title = match on {
        Some(story) => format!("Comment on {}", title_of(&story.item)),
        None => title_of(item),
    };
    let address = format!("/item?id={}", item.id);
    let kids = reads::ids_of(item.kids.as_deref()).len();
    let page = Page::new(title, &address);
    match item
        .descendants
        .and_then(|count| usize::try_from(count).ok())
    {
        Some(count) => {
            let address = format!("/v0/item/{}/descendants.json", item.id);
            page.live(address, "comment", Some(count))
        }
        None => {
            let address = format!("/v0/item/{}/kids.json", item.id);
            page.live(address, "comment", Some(kids))
        }
    }
}

/// The options of a poll, in their order.
fn options_of(conn: &mut impl HnConnection, item: &Item) -> Result<Vec<PollOption>, ShowError> {
    let ids = reads::ids_of(item.parts.as_deref());
    let options = reads::items(conn, &ids[..ids.len().min(1000)])?;
    let options = options.iter().map(|option| PollOption {
        text: text_of(&option.item).into_owned(),
        points: counted(option.item.score.unwrap_or(0), "point"),
    });
    Ok(options.collect())
}

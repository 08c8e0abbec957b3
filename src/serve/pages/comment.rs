//! The line above a comment, and its text.

use std::borrow::Cow;

use askama::Template;

use super::{
    moment::when,
    story::{Named, author_of, marks_of},
    text::safe_html,
};
use crate::hn::Item;

/// The line above a comment: by whom, when, and what sets it apart.
#[derive(Template)]
#[template(path = "comment_head.html")]
pub(super) struct CommentHead {
    id: i64,
    by: Option<Named>,
    made: Option<String>,
    marks: Vec<&'static str>,
    has_history: bool,
}

impl CommentHead {
    pub(super) fn new(item: &Item, now: i64, has_history: bool) -> Self {
        Self {
            id: item.id,
            by: author_of(item),
            made: item.time.map(|time| when(time, now)),
            marks: marks_of(item),
            has_history,
        }
    }
}

/// The text of an item as HTML that a page may hold.
pub(super) fn text_of(item: &Item) -> Cow<'_, str> {
    safe_html(item.text.as_deref().unwrap_or_default())
}
